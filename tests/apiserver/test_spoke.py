"""Hub and spoke, for real: two control planes in two networks, one cable between them, and the operator's own process.

No kubelet, no cert-manager, no store: clusters do not become Ready here. Asserted is where objects land, what is repaired, what
is said, and that nothing of it stops anything else. Cutting means taking the cable's link down.
"""

import asyncio
import base64
import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from tests.apiserver import samples
from tests.apiserver.client import Api, path_of, until
from tests.apiserver.conftest import control_plane
from tools.devcluster import cluster as devcluster
from tools.devcluster import netns, spokes
from tools.devcluster.controlplane import ControlPlane
from tools.generate_manifests import ACCESS, INSTALL, NAMESPACE, REPOSITORY
from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.api import names
from zilliz_operator.handlers.spokes import Spoke
from zilliz_operator.reconcile.children import APPLIED_KINDS

PROJECT = "team-a"
SPOKE_ADDRESS = "10.200.0.202"
HEALTH, METRICS = 18080, 19090
ACCOUNT = "zilliz-operator"
CUT_SECONDS = 120.0
HUB_KINDS = {"Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"}
"""What install.yaml has for the operator's pods, which do not run here."""
CLUSTER_KINDS = tuple(kind for kind in APPLIED_KINDS if kind != "StatefulSet")
"""Kinds of which a cluster has objects before Milvus itself can start."""


# ---- the two control planes


def apply_all(api: Api, text: str, *, but: Collection[str] = ()) -> None:
    documents = [found for found in yaml.safe_load_all(text) if found]
    for document in sorted(documents, key=lambda each: each["kind"] != "CustomResourceDefinition"):
        if document["kind"] not in but:
            until(
                lambda d=document: api.apply(d).ok, what=f"{document['kind']} {document['metadata']['name']} is taken"
            )


def kinds(plane: ControlPlane) -> list[dict[str, Any]]:
    """cert-manager's, whose controllers do not run here."""
    return devcluster.certificate_kinds(plane.layout)


@pytest.fixture(scope="module")
def hub_plane() -> Iterator[ControlPlane]:
    found = control_plane("hub")
    try:
        yield found.start()
    finally:
        found.stop()


@pytest.fixture(scope="module")
def spoke_plane(hub_plane: ControlPlane) -> Iterator[ControlPlane]:
    """As `make up DATAPLANES=2` makes one: prepared by the manifest for data planes, its kubeconfig put into the hub."""
    Api(hub_plane).namespace(NAMESPACE)
    try:
        assert spokes.up(hub_plane.layout, count=2, kinds=kinds(hub_plane), progress=print) == ["dp2"]
        yield spokes.plane(hub_plane.layout, 2)
    finally:
        spokes.down(hub_plane.layout)


@pytest.fixture(scope="module")
def spoke(spoke_plane: ControlPlane) -> Api:
    api = Api(spoke_plane)
    until(lambda: api.get("Certificate").ok, what="cert-manager's kinds are served")
    return api


@pytest.fixture(scope="module")
def hub(hub_plane: ControlPlane, spoke: Api) -> Api:
    """The control plane with our kinds, the operator's rights, and both data planes."""
    api = Api(hub_plane)
    for crd in kinds(hub_plane):
        api.apply(crd).must()
    until(lambda: api.get("Certificate").ok, what="cert-manager's kinds are served")
    apply_all(api, INSTALL.read_text(), but=HUB_KINDS)
    until(lambda: api.get("ZillizCluster").ok, what="our kinds are served")
    api.namespace(PROJECT)
    secret(api, "store", accessKeyId="a", secretAccessKey="s")
    return api


def secret(api: Api, name: str, **values: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": NAMESPACE}
    api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}).must()


# ---- the operator's process


@dataclass
class Operator:
    process: subprocess.Popen[bytes]
    plane: ControlPlane
    log: Path

    def probe(self, path: str = "healthz", port: int = HEALTH) -> str:
        with self.plane.inside(), urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as response:
            return str(response.read().decode())

    def metric(self, name: str) -> dict[str, float]:
        """Samples of a metric, by their labels."""
        lines = self.probe("metrics", METRICS).splitlines()
        found = [line.rpartition(" ") for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        return {key.removeprefix(name): float(value) for key, _, value in found}

    def alive(self) -> None:
        assert self.process.poll() is None, f"the operator ended:\n{self.log.read_text()[-4000:]}"
        assert self.probe() == "ok\n"

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def account_kubeconfig(api: Api, account: str = ACCOUNT) -> str:
    """A kubeconfig of a service account, whole in itself, with a token of its own."""
    path = f"{path_of('ServiceAccount', account, namespace=NAMESPACE)}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 7200}}
    token = api.request("POST", path, body=body).must()["status"]["token"]
    return kubeconfig(api, token=token)


def kubeconfig(api: Api, **user: Any) -> str:
    authority = base64.b64encode((api.plane.layout.pki / "kube.crt").read_bytes()).decode()
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [
                {"name": "k", "cluster": {"server": api.plane.server, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "u", "user": user}],
        }
    )


def start(hub_plane: ControlPlane, hub: Api, directory: Path) -> Operator:
    file, log = directory / "kubeconfig", directory / "operator.log"
    file.write_text(account_kubeconfig(hub))
    environment = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY}",
        "POD_NAMESPACE": NAMESPACE,
        "POD_NAME": "operator",
        "ZILLIZ_HEALTH_PORT": str(HEALTH),
        "ZILLIZ_METRICS_PORT": str(METRICS),
    }
    command = ["nsenter", f"--net={netns.path(hub_plane.name)}", "--", sys.executable, "-m", "zilliz_operator.cli"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "run", "--kubeconfig", str(file)], env=environment, cwd=REPOSITORY, stdout=output, stderr=output
        )
    return Operator(process, hub_plane, log)


@pytest.fixture(scope="module")
def operator(
    hub_plane: ControlPlane, hub: Api, spoke: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """The real process, with a cluster on the hub and one on the spoke begun."""
    given = hub.get("Secret", "dp2", namespace=NAMESPACE).must()["data"]["kubeconfig"]
    secret(hub, "eu", kubeconfig=base64.b64decode(given).decode())
    plane(hub, "default")
    plane(hub, "eu", kubeconfig="eu")
    found = start(hub_plane, hub, tmp_path_factory.mktemp("operator"))
    try:
        for name, data_plane in (("search", "default"), ("abroad", "eu")):
            hub.apply(samples.cluster(name, namespace=PROJECT, dataPlane=data_plane, deletionProtection=False)).must()
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):
            found.process.kill()
        found.process.wait()


def plane(hub: Api, name: str, *, kubeconfig: str = "") -> None:
    manifest = samples.data_plane(name)
    manifest["spec"]["objectStorage"] = {
        **manifest["spec"]["objectStorage"],
        "endpoint": "https://10.200.0.1:8333",  # nobody is there
        "bucketPrefix": f"{name}-",
    }
    if kubeconfig:
        manifest["spec"]["kubernetes"] = {"kubeconfigSecretRef": {"name": kubeconfig, "key": "kubeconfig"}}
        manifest["spec"]["network"] = {"operatorCIDRs": ["10.200.0.1/32"]}
    hub.apply(manifest).must()


# ---- what is


def condition(hub: Api, kind: str, name: str, type: str) -> dict[str, Any]:
    namespace = PROJECT if kind == "ZillizCluster" else ""
    status = hub.get(kind, name, namespace=namespace).must().get("status") or {}
    return next((c for c in status.get("conditions") or () if c["type"] == type), {})


def said(hub: Api, kind: str, name: str, type: str, *, reason: str, seconds: float = 60.0) -> str:
    """The message, once the condition has that reason."""
    last: dict[str, Any] = {}

    def there() -> bool:
        last.update(condition(hub, kind, name, type))
        return last.get("reason") == reason

    until(there, what=f"{kind} {name} {type} {reason}", seconds=seconds)
    return str(last["message"])


def space(hub: Api, name: str) -> str:
    uid = hub.get("ZillizCluster", name, namespace=PROJECT).must()["metadata"]["uid"]
    return names.cluster_namespace(names.cluster_id(uid))


def objects(api: Api, kind: str, namespace: str) -> set[str]:
    answer = api.get(kind, namespace=namespace)
    return {item["metadata"]["name"] for item in answer.must()["items"]} if answer.ok else set()


def born(api: Api, namespace: str) -> None:
    """Everything of a cluster that comes before Milvus is in that namespace."""
    until(
        lambda: all(objects(api, kind, namespace) for kind in CLUSTER_KINDS),
        what=f"objects of all of {', '.join(CLUSTER_KINDS)} in {namespace}",
    )
    until(lambda: "default-deny" in objects(api, "NetworkPolicy", namespace), what="default-deny")


def repaired(api: Api, namespace: str, policy: str, *, seconds: float = 60.0) -> None:
    """A network policy that was deleted is there again."""
    until(
        lambda: api.get("NetworkPolicy", policy, namespace=namespace).ok,
        what=f"NetworkPolicy {policy} in {namespace} is back",
        seconds=seconds,
    )


@pytest.fixture
def link(spoke_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The cable, whole again afterwards."""
    yield spoke_plane
    spoke_plane.mend()


# ---- what is promised; in the order of a data plane's life


def test_a_second_up_changes_nothing(operator: Operator, hub: Api, spoke: Api) -> None:
    def versions() -> list[str]:
        found = [hub.get("Secret", "dp2", namespace=NAMESPACE)]
        found += [spoke.get(kind, ACCOUNT) for kind in ("ClusterRole", "ClusterRoleBinding")]
        return [each.must()["metadata"]["resourceVersion"] for each in found]

    before = versions()
    assert spokes.up(hub.plane.layout, count=1, kinds=kinds(hub.plane), progress=print) == ["dp2"], "it stays"
    assert versions() == before
    example = yaml.safe_load(spokes.example_file(hub.plane.layout, 2).read_text())
    hub.apply(example, dry_run=True).must()


def test_a_cluster_lands_on_its_data_plane_and_nothing_of_it_on_the_hub(
    operator: Operator, hub: Api, spoke: Api
) -> None:
    abroad = space(hub, "abroad")
    born(spoke, abroad)
    labels = spoke.get("Namespace", abroad).must()["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not hub.get("Namespace", abroad).ok
    mark = (
        f"{names.CLUSTER_UID_LABEL}={hub.get('ZillizCluster', 'abroad', namespace=PROJECT).must()['metadata']['uid']}"
    )
    for kind in CLUSTER_KINDS:
        found = hub.request("GET", path_of(kind), query={"labelSelector": mark}).must()["items"]
        here = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found}
        vault = {(NAMESPACE, f"credentials-{abroad.removeprefix('milvus-')}")}
        assert here == (vault if kind == "Secret" else set()), kind
    home = space(hub, "search")
    born(hub, home)
    assert not spoke.get("Namespace", home).ok


def test_the_data_plane_says_that_it_may_do_all_that_clusters_need(operator: Operator, hub: Api) -> None:
    message = said(hub, "DataPlane", "eu", "Connected", reason="Kept")
    assert f"https://{SPOKE_ADDRESS}:6443 answers" in message
    assert hub.get("DataPlane", "eu").must()["status"]["kubernetesVersion"].startswith("v1.")


def test_what_the_operator_may_on_the_spoke_is_confined_by_the_manifest(spoke: Api) -> None:
    user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
    elsewhere = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": "kube-system"},
        "data": {},
    }
    until(
        lambda: (
            "the operator writes in namespaces milvus-in01-" in spoke.apply(elsewhere, user=user, dry_run=True).message
        ),
        what="the operator is confined to the namespaces of clusters",
    )
    reserved = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "milvus-in01-00000000cafe"}}
    assert spoke.create(reserved, dry_run=True).status == 403


def test_drift_on_the_spoke_is_repaired(operator: Operator, hub: Api, spoke: Api) -> None:
    abroad = space(hub, "abroad")
    born(spoke, abroad)
    before = spoke.get("NetworkPolicy", "default-deny", namespace=abroad).must()["metadata"]["uid"]
    spoke.delete("NetworkPolicy", "default-deny", namespace=abroad).must()
    repaired(spoke, abroad, "default-deny")
    assert spoke.get("NetworkPolicy", "default-deny", namespace=abroad).must()["metadata"]["uid"] != before


def test_its_watches_see_our_objects_alone_and_no_data(operator: Operator, hub: Api, spoke: Api) -> None:
    """But for network policies: one of somebody else's may widen ours."""
    user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"

    def watched() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for line in spoke.plane.audit_log.read_text().splitlines():
            entry = json.loads(line) if user in line and '"watch"' in line else {}
            if entry.get("verb") == "watch" and entry["user"]["username"] == user:
                found.setdefault(entry["objectRef"]["resource"], set()).add(unquote(entry["requestURI"]))
        return found

    until(
        lambda: {"secrets", "networkpolicies", "pods", "namespaces", "certificates"} <= set(watched()), what="watches"
    )
    for resource, uris in watched().items():
        if resource == "networkpolicies":
            assert not any("labelSelector" in uri for uri in uris)
            continue
        assert all("labelSelector=app.kubernetes.io/managed-by=zilliz-operator" in uri for uri in uris), resource


async def test_the_watches_alone_tell_of_a_change_and_after_an_outage_of_what_was_missed(
    hub_plane: ControlPlane, hub: Api, spoke: Api, link: ControlPlane
) -> None:
    """Without passes, which would find drift sooner or later by themselves."""
    seen: list[tuple[str, str]] = []
    turns: list[str] = []
    namespace = spoke.namespace("watched")

    def config_map(name: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": namespace, "labels": {names.MANAGED_BY: names.FIELD_MANAGER}}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}

    async def eventually(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(CUT_SECONDS):
            while not condition():
                await asyncio.sleep(0.1)

    for name in ("kept", "gone"):
        spoke.apply(config_map(name)).must()
    text = account_kubeconfig(spoke)
    with hub_plane.inside():
        remote = Spoke(
            "watched",
            ClusterAccess.from_kubeconfig(text.encode()),
            on_request=lambda *_: None,
            on_child=lambda each: seen.append((each.kind, each.name)),
            on_turn=turns.append,
        )
        await eventually(lambda: {("ConfigMap", "kept"), ("ConfigMap", "gone")} <= set(seen))
        spoke.apply(config_map("new")).must()
        await eventually(lambda: ("ConfigMap", "new") in seen)
        link.cut()
        await eventually(lambda: not remote.kube.answers)
        assert turns == ["watched"]
        seen.clear()
        spoke.delete("ConfigMap", "gone", namespace=namespace).must()
        spoke.apply(config_map("late")).must()
        link.mend()
        await eventually(lambda: {("ConfigMap", "gone"), ("ConfigMap", "late")} <= set(seen))
        assert ("ConfigMap", "kept") not in seen, "what did not change wakes nobody"
        assert turns == ["watched", "watched"]
        await remote.use(ClusterAccess.from_kubeconfig(account_kubeconfig(spoke).encode()))
        spoke.delete("ConfigMap", "late", namespace=namespace).must()
        await eventually(lambda: seen.count(("ConfigMap", "late")) == 2)
        await remote.close()


def test_cut_off_it_is_said_others_go_on_and_it_heals(
    operator: Operator, hub: Api, spoke: Api, link: ControlPlane
) -> None:
    abroad, home = space(hub, "abroad"), space(hub, "search")
    born(spoke, abroad)
    link.cut()
    message = said(hub, "ZillizCluster", "abroad", "Ready", reason="DataPlaneUnreachable", seconds=CUT_SECONDS)
    assert str(SPOKE_ADDRESS) in message
    assert condition(hub, "ZillizCluster", "abroad", "Ready")["status"] == "Unknown"
    said(hub, "DataPlane", "eu", "Connected", reason="DataPlaneUnreachable")
    until(
        lambda: operator.metric("zilliz_data_plane_connected") == {'{data_plane="eu"}': 0.0}, what="the metric says so"
    )
    operator.alive()
    # Others: one is repaired, one is born.
    hub.delete("NetworkPolicy", "default-deny", namespace=home).must()
    repaired(hub, home, "default-deny")
    hub.apply(samples.cluster("meanwhile", namespace=PROJECT, deletionProtection=False)).must()
    born(hub, space(hub, "meanwhile"))
    # On the spoke, somebody spoils it while nobody can see.
    spoke.delete("NetworkPolicy", "milvus-ingress", namespace=abroad).must()
    link.mend()
    repaired(spoke, abroad, "milvus-ingress", seconds=CUT_SECONDS)
    said(hub, "DataPlane", "eu", "Connected", reason="Kept", seconds=CUT_SECONDS)
    until(
        lambda: condition(hub, "ZillizCluster", "abroad", "Ready").get("reason") != "DataPlaneUnreachable",
        what="abroad is looked at again",
        seconds=CUT_SECONDS,
    )
    operator.alive()
    assert errors(operator) == 0


def errors(operator: Operator) -> float:
    passes = operator.metric("zilliz_operator_passes_total")
    return sum(value for labels, value in passes.items() if 'result="error"' in labels)


def test_a_kubeconfig_is_exchanged_under_load_and_the_old_one_is_not_needed_any_more(
    operator: Operator, hub: Api, spoke: Api
) -> None:
    abroad = space(hub, "abroad")
    born(spoke, abroad)
    for number in range(8):
        secret(hub, "eu", kubeconfig=account_kubeconfig(spoke))
        touch = {"metadata": {"annotations": {"test/touch": str(number)}}}
        hub.merge("ZillizCluster", "abroad", touch, namespace=PROJECT).must()
        spoke.delete("NetworkPolicy", "default-deny", namespace=abroad).must()
        repaired(spoke, abroad, "default-deny")
    until(lambda: operator.log.read_text().count("its kubeconfig was exchanged") >= 8, what="each was taken")
    # The token that it began with ends: nobody uses it any more.
    spoke.delete("Secret", f"{ACCOUNT}-token", namespace=NAMESPACE).must()
    spoke.delete("NetworkPolicy", "default-deny", namespace=abroad).must()
    repaired(spoke, abroad, "default-deny")
    said(hub, "DataPlane", "eu", "Connected", reason="Kept")
    assert errors(operator) == 0
    operator.alive()


def test_credentials_that_are_not_accepted_are_said_and_heal_with_the_secret(
    operator: Operator, hub: Api, spoke: Api
) -> None:
    secret(hub, "eu", kubeconfig=kubeconfig(spoke, token="nobody"))
    message = said(hub, "DataPlane", "eu", "Connected", reason="CredentialsRejected")
    assert "key kubeconfig of Secret eu" in message
    assert "nobody" not in message
    secret(hub, "eu", kubeconfig=account_kubeconfig(spoke))
    said(hub, "DataPlane", "eu", "Connected", reason="Kept")


def test_a_missing_right_is_named_and_no_cluster_is_started(operator: Operator, hub: Api, spoke: Api) -> None:
    abroad = space(hub, "abroad")
    whole = next(each for each in yaml.safe_load_all(ACCESS.read_text()) if each and each["kind"] == "ClusterRole")
    narrow = copy.deepcopy(whole)
    for rule in narrow["rules"]:
        if rule["resources"] == ["networkpolicies"]:
            rule["verbs"].remove("create")
    spoke.apply(narrow).must()
    secret(hub, "narrow", kubeconfig=account_kubeconfig(spoke))
    plane(hub, "narrow", kubeconfig="narrow")
    hub.apply(samples.cluster("held", namespace=PROJECT, dataPlane="narrow", deletionProtection=False)).must()
    message = said(hub, "DataPlane", "narrow", "Connected", reason="RightsMissing")
    assert "lacks rights: create networkpolicies.networking.k8s.io. Apply manifests/dataplane-access.yaml" in message
    said(hub, "ZillizCluster", "held", "Ready", reason="DataPlaneNotReady")
    assert not spoke.get("Namespace", space(hub, "held")).ok
    # A cluster that is there goes on with the rights that are left.
    spoke.delete("ConfigMap", "gateway-config", namespace=abroad).must()
    until(lambda: spoke.get("ConfigMap", "gateway-config", namespace=abroad).ok, what="abroad goes on")
    spoke.apply(whole).must()
    born(spoke, space(hub, "held"))
    said(hub, "DataPlane", "narrow", "Connected", reason="Kept")


REFUSED = {
    "a command": ({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch"}}, "users.exec"),
    "the operator's own token": (
        {"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"},
        "users.tokenFile",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_kubeconfig_that_wants_more_than_to_be_read_is_refused(
    operator: Operator, hub: Api, spoke: Api, name: str
) -> None:
    user, field = REFUSED[name]
    secret(hub, "sly", kubeconfig=kubeconfig(spoke, **user))
    plane(hub, "sly", kubeconfig="sly")
    until(lambda: field in condition(hub, "DataPlane", "sly", "Connected").get("message", ""), what="it is refused")
    message = said(hub, "DataPlane", "sly", "Connected", reason="KubeconfigRefused")
    assert f"key kubeconfig of Secret {NAMESPACE}/sly" in message


def test_garbage_and_nothing_are_told_apart(operator: Operator, hub: Api) -> None:
    plane(hub, "sly", kubeconfig="sly")
    secret(hub, "sly", kubeconfig="{s3cret")
    until(lambda: "is not YAML" in condition(hub, "DataPlane", "sly", "Connected").get("message", ""), what="garbage")
    assert "s3cret" not in condition(hub, "DataPlane", "sly", "Connected")["message"]
    hub.delete("Secret", "sly", namespace=NAMESPACE).must()
    message = said(hub, "DataPlane", "sly", "Connected", reason="CredentialsMissing")
    assert f"Secret {NAMESPACE}/sly does not exist: create it with key kubeconfig" in message


def test_a_data_plane_without_clusters_goes_and_is_not_looked_at_any_more(
    operator: Operator, hub: Api, spoke: Api
) -> None:
    secret(hub, "brief", kubeconfig=account_kubeconfig(spoke))
    plane(hub, "brief", kubeconfig="brief")
    said(hub, "DataPlane", "brief", "Connected", reason="Kept")
    assert '{data_plane="brief"}' in operator.metric("zilliz_data_plane_connected")
    hub.delete("DataPlane", "brief").must()
    until(lambda: not hub.get("DataPlane", "brief").ok, what="it is gone")
    until(
        lambda: '{data_plane="brief"}' not in operator.metric("zilliz_data_plane_connected"), what="nobody looks at it"
    )


def test_a_deleted_cluster_leaves_its_closed_namespace_on_the_spoke(operator: Operator, hub: Api, spoke: Api) -> None:
    abroad = space(hub, "abroad")
    hub.delete("ZillizCluster", "abroad", namespace=PROJECT).must()
    until(lambda: not hub.get("ZillizCluster", "abroad", namespace=PROJECT).ok, what="the cluster is let go of")
    assert not objects(spoke, "Deployment", abroad)
    until(lambda: objects(spoke, "NetworkPolicy", abroad) == {"default-deny"}, what="only default-deny is left")
    assert objects(hub, "RecycledCluster", PROJECT)


def test_it_ends_in_order_with_spokes_in_use(operator: Operator, hub: Api) -> None:
    assert operator.end() == 0, operator.log.read_text()[-4000:]
    lease = hub.get("Lease", "zilliz-operator", namespace=NAMESPACE).must()
    assert not lease["spec"].get("holderIdentity"), "the next one may lead at once"
    assert "Traceback" not in operator.log.read_text()
