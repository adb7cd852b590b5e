"""An outage is a state: it names what is missing, where and what helps; everything else goes on; it heals without a hand."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.fake.outside import unavailable
from tests.fake.world import PROJECT, FakeWorld
from zilliz_operator.api.exceptions import CredentialsMissing, InvalidSpec, Rejected, Unavailable

CERT_MANAGER_KINDS = {"Certificate", "Issuer", "ClusterIssuer"}


@dataclass(frozen=True)
class Outage:
    """`begin` and `end` it; `reason` of condition `type`; `says` names cause and remedy."""

    begin: Callable[[FakeWorld], object]
    end: Callable[[FakeWorld], object]
    type: str
    status: str
    reason: str
    says: tuple[str, ...]


def forget_kinds(world: FakeWorld) -> None:
    world.kube.missing_kinds |= CERT_MANAGER_KINDS


def trouble(error: Exception | None) -> Callable[[FakeWorld], object]:
    return lambda world: setattr(world.store, "trouble", error)


def issuer(status: str | None) -> Callable[[FakeWorld], object]:
    def change(world: FakeWorld) -> None:
        if status is None:
            world.kube.remove("ClusterIssuer", "ca")
            return
        metadata = {"name": "ca"}
        world.kube.put({"kind": "ClusterIssuer", "metadata": metadata, "spec": {"ca": {"secretName": "root"}}})
        condition = {"type": "Ready", "status": status, "message": "the CA's key is wrong"}
        world.kube.set_status("ClusterIssuer", "ca", None, {"conditions": [condition]})

    return change


def image(missing: bool) -> Callable[[FakeWorld], object]:
    name = "docker.io/milvusdb/milvus:v2.3.5"
    return lambda w: w.workloads.missing_images.add(name) if missing else w.workloads.missing_images.discard(name)


def plane(there: bool) -> Callable[[FakeWorld], object]:
    return lambda world: world.data_plane() if there else None


def wiring(error: Exception | None) -> Callable[[FakeWorld], object]:
    return lambda world: setattr(world.data_planes, "trouble", error)


def lacks(what: str, path: str, message: str) -> Callable[[FakeWorld], object]:
    return lambda world: world.missing.update({what: CredentialsMissing(path, message)})


AT_BIRTH: dict[str, Outage] = {
    "store down": Outage(
        trouble(unavailable("https://s3.store.test:8333")),
        trouble(None),
        "StorageSecured",
        "Unknown",
        "ObjectStoreUnavailable",
        ("https://s3.store.test:8333", "connection refused"),
    ),
    "wrong admin credentials": Outage(
        trouble(
            Rejected("object store", "refuses spec.objectStorage.credentialsSecretRef of the DataPlane: correct it")
        ),
        trouble(None),
        "StorageSecured",
        "False",
        "ObjectStoreRejected",
        ("spec.objectStorage.credentialsSecretRef", "correct it"),
    ),
    "no cert-manager": Outage(
        forget_kinds,
        lambda world: world.kube.missing_kinds.clear(),
        "CertificateValid",
        "False",
        "CertManagerMissing",
        ("data plane default", "install cert-manager"),
    ),
    "cert-manager does not run": Outage(
        lambda world: setattr(world.cert_manager, "running", False),
        lambda world: setattr(world.cert_manager, "running", True),
        "CertificateValid",
        "False",
        "WaitingForCertificate",
        ("internal-ca", "cert-manager has not looked at it"),
    ),
    "issuer missing": Outage(
        issuer(None),
        issuer("True"),
        "CertificateValid",
        "False",
        "IssuerMissing",
        ("ClusterIssuer ca", "spec.certificates.issuerRef"),
    ),
    "issuer not ready": Outage(
        issuer("False"),
        issuer("True"),
        "CertificateValid",
        "False",
        "IssuerNotReady",
        ("ClusterIssuer ca", "the CA's key is wrong"),
    ),
    "Milvus image missing": Outage(
        image(True),
        image(False),
        "WorkloadReady",
        "False",
        "ImageMissing",
        ("docker.io/milvusdb/milvus:v2.3.5", "milvus-0", "spec.versions"),
    ),
    "gateway image missing": Outage(
        lambda world: world.workloads.missing_images.add("docker.io/zillizbyoc/gateway:0.1.0"),
        lambda world: world.workloads.missing_images.clear(),
        "WorkloadReady",
        "False",
        "ImageMissing",
        ("docker.io/zillizbyoc/gateway:0.1.0", "spec.images"),
    ),
    "no data plane": Outage(
        lambda world: world.kube.remove("DataPlane", "default"),
        plane(True),
        "Ready",
        "False",
        "DataPlaneNotFound",
        ("spec.dataPlane", "default", "create it"),
    ),
    "data plane unreachable": Outage(
        wiring(Unavailable("Kubernetes API https://dp", "no answer to get")),
        wiring(None),
        "Ready",
        "Unknown",
        "DataPlaneUnreachable",
        ("https://dp",),
    ),
    "data plane's Secret missing": Outage(
        lacks("store", "spec.objectStorage.credentialsSecretRef", "Secret zilliz-system/store-admin does not exist"),
        lambda world: world.missing.clear(),
        "StorageSecured",
        "False",
        "CredentialsMissing",
        ("spec.objectStorage.credentialsSecretRef", "zilliz-system/store-admin"),
    ),
}


@pytest.mark.parametrize("name", AT_BIRTH)
async def test_a_cluster_is_born_into(world: FakeWorld, name: str) -> None:
    outage = AT_BIRTH[name]
    world.data_plane()
    await world.settle()
    outage.begin(world)
    await world.settle()
    world.cluster()
    world.allowlist()
    await world.settle()
    found = world.conditions()[outage.type]
    assert (found["status"], found["reason"]) == (outage.status, outage.reason)
    for words in outage.says:
        assert words in found["message"]
    assert world.ready()["status"] != "True"
    assert world.ready()["reason"] == outage.reason
    assert not world.admitted()
    assert world.operator.next_due() is not None, "nobody will look again"
    count = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert world.writes[count:] == [], "an outage is no reason to write every pass"
    outage.end(world)
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()
    assert world.operator.errors == []


@pytest.mark.parametrize("name", AT_BIRTH)
async def test_a_running_cluster_keeps_serving_through(world: FakeWorld, name: str) -> None:
    outage = AT_BIRTH[name]
    await world.quickstart()
    starts = len(world.workloads.starts)
    outage.begin(world)
    world.new_operator().start()
    await world.settle()
    assert world.admitted()
    assert world.kube.peek("StatefulSet", "milvus", world.space())
    assert len(world.workloads.starts) == starts
    assert world.server().passwords["root"] == world.vault()["root"]
    outage.end(world)
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()
    assert len(world.workloads.starts) == starts
    assert world.operator.errors == []


async def test_other_steps_go_on_while_the_store_is_down(world: FakeWorld) -> None:
    await world.quickstart()
    world.store.trouble = unavailable("https://s3.store.test:8333")
    world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
    world.access_policy(subjects=[{"kind": "ApiKey", "name": "k", "secretName": "k"}])
    world.kube.remove("Certificate", "milvus-tls", world.space())
    world.new_operator().start()
    await world.settle()
    assert world.ready()["reason"] == "ObjectStoreUnavailable"
    assert world.allowed() == ["198.51.100.0/24"]
    assert len(world.door_file("keys.map")) == 1
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    assert world.kube.peek("Certificate", "milvus-tls", world.space())
    statuses = {type: c["status"] for type, c in world.conditions().items()}
    assert statuses["StorageSecured"] == statuses["IdentityScoped"] == "Unknown"
    assert {statuses[t] for t in ("NamespaceIsolated", "WorkloadReady", "EndpointVerified", "AccessApplied")} == {
        "True"
    }


async def test_the_last_allowlist_leaves_the_policies_while_the_store_is_down(world: FakeWorld) -> None:
    await world.quickstart()
    world.store.trouble = unavailable("https://s3.store.test:8333")
    world.kube.remove("Allowlist", "office", PROJECT)
    await world.settle()
    assert world.kube.peek("NetworkPolicy", "gateway-clients", world.space()) is None
    assert world.allowed() == []


@pytest.mark.parametrize("what", ["store", "store ca", "door ca"])
async def test_a_missing_secret_of_the_data_plane_stops_only_the_steps_that_need_it(
    world: FakeWorld, what: str
) -> None:
    """Nobody stays admitted, nothing stays broken and no pod restarts because some other Secret is gone."""
    await world.quickstart()
    world.workloads.starts.clear()
    lacks(what, "spec.objectStorage.credentialsSecretRef", "Secret zilliz-system/store-admin does not exist")(world)
    world.kube.remove("Allowlist", "office", PROJECT)
    world.kube.remove("NetworkPolicy", "default-deny", world.space())
    world.new_operator().start()
    await world.settle()
    assert world.ready()["reason"] == "CredentialsMissing"
    assert "zilliz-system/store-admin" in world.ready()["message"]
    assert world.kube.peek("NetworkPolicy", "gateway-clients", world.space()) is None
    assert world.kube.peek("NetworkPolicy", "default-deny", world.space())
    assert world.workloads.starts == []
    world.missing.clear()
    world.allowlist()
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()
    assert world.workloads.starts == []


async def test_a_cluster_is_deleted_while_its_stores_credentials_are_missing(world: FakeWorld) -> None:
    await world.quickstart()
    lacks("store", "spec.objectStorage.credentialsSecretRef", "Secret zilliz-system/store-admin does not exist")(world)
    world.kube.remove("ZillizCluster", "search", PROJECT)
    await world.settle()
    assert world.kube.peek("ZillizCluster", "search", PROJECT) is None
    assert len(world.kube.find("RecycledCluster", PROJECT)) == 1


async def test_milvus_down_is_said_and_heals(world: FakeWorld) -> None:
    await world.quickstart()
    pod = world.kube.must("Pod", "milvus-0", world.space())
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off"}
    container = {
        **pod["status"]["containerStatuses"][0],
        "state": {"waiting": waiting},
        "lastState": {"terminated": {"exitCode": 134}},
    }
    image(True)(world)  # so that nobody starts it again in the meantime
    world.kube.set_status("Pod", "milvus-0", world.space(), {"containerStatuses": [container]})
    world.workloads._run = lambda pod: False  # type: ignore[method-assign]
    await world.settle()
    assert world.conditions()["WorkloadReady"]["reason"] == "CrashLooping"
    assert "milvus-0" in world.ready()["message"]
    assert "134" in world.ready()["message"]
    assert world.conditions()["AccessApplied"]["reason"] == "MilvusUnavailable"
    del world.workloads._run
    image(False)(world)
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.server().grants["public"] == set()


async def test_no_gateway_is_said_and_heals(world: FakeWorld) -> None:
    await world.quickstart()
    world.workloads.missing_images.add("docker.io/zillizbyoc/gateway:0.1.0")
    for pod in world.kube.find("Pod", world.space(), labels={"app.kubernetes.io/component": "gateway"}):
        world.kube.remove("Pod", pod["metadata"]["name"], world.space())
    await world.settle()
    assert world.ready()["status"] == "False"
    for type in ("WorkloadReady", "AllowlistInForce", "EndpointVerified", "AccessApplied"):
        assert world.conditions()[type]["status"] != "True"
    world.workloads.missing_images.clear()
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_a_gateway_that_lags_is_named_with_its_error(world: FakeWorld) -> None:
    await world.quickstart()
    world.workloads.kubelet = False
    for gateway in world.workloads.gateways.values():
        gateway.error = "haproxy: unknown keyword"
    world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
    await world.settle()
    found = world.conditions()["AllowlistInForce"]
    assert found["reason"] == "ConfigurationPending"
    assert "0/2" in found["message"]
    assert "unknown keyword" in found["message"]
    assert world.ready("office", "Allowlist")["reason"] == "WaitingForCluster"
    world.workloads.kubelet = True
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.ready("office", "Allowlist")["status"] == "True"


@pytest.mark.parametrize(
    ("check", "reason"), [("tls11_refused", "ProbeFailed"), ("certificate", "CertificateMismatch")]
)
async def test_a_failed_knock_is_said(world: FakeWorld, check: str, reason: str) -> None:
    await world.quickstart()
    world.probe.failing = {check: "TLS 1.1 was accepted"}
    world.new_operator().start()
    await world.settle()
    assert world.conditions()["EndpointVerified"]["reason"] == reason
    assert "TLS 1.1 was accepted" in world.ready()["message"]
    world.probe.failing = {}
    await world.settle()
    assert world.ready()["status"] == "True"


@pytest.mark.parametrize("call", ["list NetworkPolicy", "apply NetworkPolicy", "get Secret", "patch ZillizCluster"])
async def test_the_api_fails_now_and_then(world: FakeWorld, call: str) -> None:
    count = 0

    def flaky(what: str) -> None:
        nonlocal count
        if what.startswith(call):
            count += 1
            if count % 3 and count < 60:
                raise Unavailable("Kubernetes API https://fake", f"no answer to {what}")

    world.recorder.before = flaky
    world.data_plane()
    world.cluster()
    world.allowlist()
    for _ in range(3):
        await world.settle()
        world.operator.start()
    world.recorder.before = None
    world.new_operator().start()
    await world.settle()
    assert world.ready()["status"] == "True"
    assert count > 3


async def test_what_the_api_refuses_is_said(world: FakeWorld) -> None:
    def refuse(what: str) -> None:
        if what == "apply StatefulSet/milvus":
            raise InvalidSpec("StatefulSet milvus-x/milvus spec", "admission webhook says no")

    world.recorder.before = refuse
    world.data_plane()
    world.cluster()
    await world.settle()
    assert world.conditions()["WorkloadReady"]["reason"] == "APIRejected"
    assert "admission webhook says no" in world.ready()["message"]
    world.recorder.before = None
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_a_bug_in_one_step_is_said_without_its_text_and_holds_up_nothing_else(
    world: FakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await world.quickstart()

    def bug(what: str) -> None:
        if what == "store ensure bucket":
            raise KeyError("hunter2")

    world.recorder.before = bug
    world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
    world.new_operator().start()
    await world.settle()
    found = world.conditions()["StorageSecured"]
    assert found["reason"] == "InternalError"
    assert "hunter2" not in found["message"]
    assert world.allowed() == ["198.51.100.0/24"]
    assert any(record.exc_info for record in caplog.records)
    world.recorder.before = None
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_an_acme_issuer_that_is_away_changes_no_name(world: FakeWorld) -> None:
    acme = {"acme": {"server": "https://acme.test/dir"}}
    await world.quickstart()
    world.kube.edit("ClusterIssuer", "ca", None, lambda i: i.update({"spec": acme}))
    world.new_operator().start()
    await world.settle()
    before = world.kube.must("Certificate", "gateway-tls", world.space())["spec"]
    host = world.secret("search-connection", PROJECT)["host"]
    assert host == f"{world.id_of()}.byoc.test"
    world.kube.remove("ClusterIssuer", "ca")
    world.new_operator().start()
    await world.settle()
    assert world.kube.must("Certificate", "gateway-tls", world.space())["spec"] == before
    assert world.secret("search-connection", PROJECT)["host"] == host
