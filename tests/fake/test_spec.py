"""Changes of the spec: what must restart does, nothing else does, and what cannot be is said."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.fake.apply import copied
from tests.fake.world import MILVUS_IMAGE, PROJECT, FakeWorld
from zilliz_operator.reconcile.ports import Manifest

NEW_IMAGE = "docker.io/milvusdb/milvus:v2.6.22"
BOTH = [{"version": "2.3.5", "image": MILVUS_IMAGE}, {"version": "2.6.22", "image": NEW_IMAGE}]


def change(world: FakeWorld, **spec: Any) -> None:
    world.cluster(**spec)


RESTARTS: dict[str, Callable[[FakeWorld], None]] = {
    "size": lambda w: change(w, size={"cuSize": 2}),
    "version": lambda w: change(w, version="2.6.22"),
    "the person's wish": lambda w: w.annotate("ZillizCluster", "search", PROJECT, restarted_at="now"),
    "certificate of Milvus": lambda w: w.cert_manager.renew("milvus-tls", w.space()),
    "key pair": lambda w: w.store.identities[f"{w.id_of()}-milvus"]["keys"].clear(),
}
NO_RESTART: dict[str, Callable[[FakeWorld], None]] = {
    "allowlist": lambda w: void(w.allowlist(entries=[{"cidr": "198.51.100.0/24"}])),
    "workload": lambda w: void(w.allowlist(workloads=[{"namespace": "apps", "podLabels": {"a": "b"}}])),
    "key": lambda w: void(w.access_policy(subjects=[{"kind": "ApiKey", "name": "k", "secretName": "k"}])),
    "user": lambda w: void(w.access_policy(subjects=[{"kind": "ClusterUser", "name": "u", "secretName": "u"}])),
    "certificate of the door": lambda w: w.cert_manager.renew("gateway-tls", w.space()),
    "certificate of the gateways": lambda w: w.cert_manager.renew("gateway-client", w.space()),
    "certificate of the operator": lambda w: w.cert_manager.renew("operator-client", w.space()),
    "certificate's names": lambda w: change(w, tls={"dnsNames": ["search.example.com"]}),
    "TLS version": lambda w: change(w, tls={"minVersion": "1.3"}),
    "exposure": lambda w: change(w, exposure="LoadBalancer"),
    "retention": lambda w: change(w, recycleRetentionDays=7, deletionProtection=False),
    "object versions": lambda w: change(w, storage={"noncurrentVersionDays": 7}),
    "default version": lambda w: void(w.data_plane(versions=list(reversed(BOTH)))),
    "label": lambda w: void(w.kube.edit("ZillizCluster", "search", PROJECT, label)),
}


def void(_: object) -> None:
    """Takes what a change returns."""


def label(obj: Manifest) -> None:
    obj["metadata"]["labels"] = {"team": "search"}


async def running(world: FakeWorld) -> None:
    await world.quickstart(versions=BOTH)


@pytest.mark.parametrize("what", RESTARTS)
async def test_milvus_restarts_once_for(world: FakeWorld, what: str) -> None:
    await running(world)
    world.workloads.starts.clear()
    RESTARTS[what](world)
    world.new_operator().start()
    await world.settle()
    assert world.workloads.starts == [f"{world.space()}/milvus"]
    assert world.ready()["status"] == "True", world.ready()


@pytest.mark.parametrize("what", NO_RESTART)
async def test_nothing_restarts_for(world: FakeWorld, what: str) -> None:
    await running(world)
    templates = [copied(w["spec"]["template"]) for kind in ("StatefulSet", "Deployment") for w in world.kube.find(kind)]
    world.workloads.starts.clear()
    NO_RESTART[what](world)
    world.new_operator().start()
    await world.settle()
    assert world.workloads.starts == []
    assert templates == [w["spec"]["template"] for kind in ("StatefulSet", "Deployment") for w in world.kube.find(kind)]
    assert world.ready()["status"] == "True", world.ready()


@pytest.mark.parametrize("name", ["milvus-tls", "gateway-tls", "operator-client"])
async def test_a_certificate_secret_that_is_gone_for_a_while_restarts_nothing(world: FakeWorld, name: str) -> None:
    """What runs goes on with what it has; only the new certificate of Milvus itself asks for a restart."""
    await running(world)
    world.workloads.starts.clear()
    world.cert_manager.running = False
    world.kube.remove("Secret", name, world.space())
    world.new_operator().start()
    await world.settle()
    assert world.workloads.starts == []
    assert world.ready()["status"] != "True"
    assert world.admitted()
    world.cert_manager.running = True
    await world.settle()
    assert world.workloads.starts == ([f"{world.space()}/milvus"] if name == "milvus-tls" else [])
    assert world.ready()["status"] == "True", world.ready()


async def test_an_operators_new_release_restarts_nothing(world: FakeWorld) -> None:
    await running(world)
    before = list(world.writes)
    world.workloads.starts.clear()
    ports = world.ports
    from dataclasses import replace

    world.ports = lambda: replace(  # type: ignore[method-assign]
        ports(),
        operator_image="docker.io/zillizbyoc/operator:9.9.9",
        gateway_image="docker.io/zillizbyoc/gateway:9.9.9",
    )
    world.new_operator().start()
    await world.settle()
    assert world.workloads.starts == []
    assert world.writes == before


async def test_a_new_gateway_image_of_the_data_plane_replaces_the_gateways_alone(world: FakeWorld) -> None:
    await running(world)
    world.workloads.starts.clear()
    world.data_plane(versions=BOTH, images={"gateway": "mirror.test/gateway:2"})
    await world.settle()
    assert set(world.workloads.starts) == {f"{world.space()}/gateway"}
    assert world.ready()["status"] == "True"


async def test_a_new_version_runs_and_the_old_one_is_refused_afterwards(world: FakeWorld) -> None:
    await running(world)
    assert world.status()["version"] == "2.3.5"
    world.cluster(version="2.6.22")
    await world.settle()
    assert world.status()["version"] == "2.6.22"
    containers = world.kube.must("StatefulSet", "milvus", world.space())["spec"]["template"]["spec"]["containers"]
    assert containers[0]["image"] == NEW_IMAGE
    world.cluster(version="2.3.5")
    await world.settle()
    assert world.ready()["reason"] == "DowngradeRefused"
    assert "2.6.22" in world.ready()["message"]
    assert world.conditions()["Stalled"]["status"] == "True"
    assert (
        world.kube.must("StatefulSet", "milvus", world.space())["spec"]["template"]["spec"]["containers"] == containers
    )
    world.cluster(version="2.6.22")
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_a_version_that_never_started_is_taken_back(world: FakeWorld) -> None:
    """Nothing of it has touched the data: the way back is open until its first start."""
    await running(world)
    world.workloads.missing_images.add(NEW_IMAGE)
    world.cluster(version="2.6.22")
    await world.settle()
    assert world.ready()["reason"] == "ImageMissing"
    assert world.status()["version"] == "2.3.5"
    world.cluster(version="2.3.5")
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()
    containers = world.kube.must("StatefulSet", "milvus", world.space())["spec"]["template"]["spec"]["containers"]
    assert containers[0]["image"] == MILVUS_IMAGE


async def test_an_unknown_version_is_refused_by_name_and_changes_nothing(world: FakeWorld) -> None:
    await running(world)
    before = copied(world.kube.must("StatefulSet", "milvus", world.space()))
    world.cluster(version="2.6.99")
    await world.settle()
    assert world.ready()["reason"] == "UnknownVersion"
    for word in ("spec.version", "2.6.99", "2.6.22"):
        assert word in world.ready()["message"]
    assert world.kube.must("StatefulSet", "milvus", world.space()) == before
    world.data_plane(versions=[*BOTH, {"version": "2.6.99", "image": "docker.io/milvusdb/milvus:v2.6.99"}])
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.status()["version"] == "2.6.99"


async def test_a_refused_version_does_not_keep_an_allowlist_from_being_narrowed(world: FakeWorld) -> None:
    """Whoever is taken off the list is out, whatever else is wrong with the cluster."""
    await running(world)
    world.cluster(version="2.6.99")
    await world.settle()
    world.kube.remove("Allowlist", "office", PROJECT)
    await world.settle()
    assert not world.admitted()


REFUSALS: dict[str, tuple[Callable[[FakeWorld], None], str]] = {
    "a field that is not there yet": (lambda w: change(w, restoreFrom={"backup": "nightly"}), "NotYet"),
    "an invalid field": (lambda w: change(w, size={"cuSize": 1, "replicas": 2}), "InvalidSpec"),
    "a DataPlane's invalid field": (
        lambda w: void(w.data_plane(versions=BOTH, objectStorage={"provider": "S3Compatible"})),
        "DataPlaneNotReady",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
async def test_a_refused_spec_does_not_end_the_care_for_what_runs(world: FakeWorld, what: str) -> None:
    """It goes on as it was last accepted: addresses leave the door, what is broken is repaired, nothing restarts."""
    await running(world)
    world.workloads.starts.clear()
    refuse, reason = REFUSALS[what]
    refuse(world)
    await world.settle()
    assert world.ready()["reason"] == reason
    world.kube.remove("Allowlist", "office", PROJECT)
    world.kube.remove("NetworkPolicy", "default-deny", world.space())
    world.new_operator().start()
    await world.settle()
    assert not world.admitted()
    assert world.kube.peek("NetworkPolicy", "default-deny", world.space())
    assert world.ready()["reason"] == reason
    assert world.workloads.starts == []
    count = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert world.writes[count:] == []
    world.data_plane(versions=BOTH)
    world.cluster()
    world.allowlist()
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()
    assert world.workloads.starts == []


async def test_a_rule_that_is_younger_than_a_running_cluster_does_not_end_the_care_for_it(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zilliz_operator.api.rules import Rule
    from zilliz_operator.api.zillizcluster import ZillizCluster

    await running(world)
    younger = Rule("spec", "false", "is not wanted any more", check=lambda spec: False)
    monkeypatch.setattr(ZillizCluster, "RULES", (*ZillizCluster.RULES, younger))
    world.kube.remove("Allowlist", "office", PROJECT)
    world.new_operator().start()
    await world.settle()
    assert world.ready()["reason"] == "InvalidSpec"
    assert world.conditions()["Stalled"]["status"] == "True"
    assert not world.admitted()


async def test_the_version_of_birth_stays_when_the_catalogue_moves_on(world: FakeWorld) -> None:
    await running(world)
    world.data_plane(versions=[BOTH[1]])
    await world.settle()
    assert world.status()["version"] == "2.3.5"
    assert world.ready()["status"] == "True"


async def test_suspended_stops_every_pod_keeps_everything_and_comes_back(world: FakeWorld) -> None:
    await running(world)
    vault, endpoint = world.vault(), world.status()["endpoint"]
    world.cluster(powerState="Suspended")
    await world.settle()
    assert world.kube.find("Pod", world.space()) == []
    assert world.ready()["reason"] == "Suspended"
    assert world.ready()["status"] != "True"
    assert "Reconciling" not in world.conditions()
    assert world.operator.next_due() is None
    assert world.kube.peek("PersistentVolumeClaim", "data-milvus-0", world.space())
    count = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert len(world.writes) == count
    world.cluster(powerState="Running")
    await world.settle()
    assert world.ready()["status"] == "True"
    assert (world.vault(), world.status()["endpoint"]) == (vault, endpoint)
    assert world.server().grants["public"] == set()


async def test_a_load_balancer_gives_an_address_and_a_name(world: FakeWorld) -> None:
    await running(world)
    world.cluster(exposure="LoadBalancer")
    await world.settle()
    assert world.status()["address"] == "203.0.113.200"
    assert world.secret("search-connection", PROJECT)["host"] == f"{world.id_of()}.byoc.test"
    world.cluster(exposure="Internal")
    await world.settle()
    assert "address" not in world.status()


async def test_what_the_engine_cannot_do_is_said_by_field_and_stalls(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster(mode="Distributed")
    await world.settle()
    assert "spec.mode" in world.ready()["message"]
    assert world.conditions()["Stalled"]["status"] == "True"


async def test_an_invalid_spec_is_said_by_field_and_heals(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster(size={"cuSize": 1, "replicas": 2}, mode="Distributed")
    await world.settle()
    assert world.ready()["reason"] == "InvalidSpec"
    assert "spec.size.replicas" in world.ready()["message"]
    assert world.conditions()["Stalled"]["status"] == "True"
    assert world.kube.peek("Namespace", world.space()) is None
    world.kube.remove("ZillizCluster", "search", PROJECT)
    await world.settle()
    assert world.kube.peek("ZillizCluster", "search", PROJECT) is None


async def test_mutual_tls_waits_for_its_authority_and_says_so(world: FakeWorld) -> None:
    await running(world)
    world.cluster(tls={"clientAuth": "Required", "clientCASecretRef": {"name": "clients"}})
    await world.settle()
    assert "spec.tls.clientCASecretRef" in world.ready()["message"]
    assert f"{PROJECT}/clients" in world.ready()["message"]
    from tests.fake.world import encoded

    authority = "-----BEGIN CERTIFICATE-----\nclients\n-----END CERTIFICATE-----\n"
    clients = {"name": "clients", "namespace": PROJECT}
    world.kube.put({"kind": "Secret", "metadata": clients, "data": encoded({"ca.crt": authority})})
    world.workloads.starts.clear()
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()
    assert "".join(world.door_file("client-ca.crt")) == authority.replace("\n", "")
    assert world.workloads.starts == []


async def test_the_operators_own_new_certificate_is_known_at_the_doors_of_mutual_tls(world: FakeWorld) -> None:
    from tests.fake.world import encoded

    clients = {"name": "clients", "namespace": PROJECT}
    world.kube.put({"kind": "Secret", "metadata": clients, "data": encoded({"ca.crt": "-----BEGIN CERTIFICATE-----"})})
    world.data_plane()
    world.cluster(tls={"clientAuth": "Required", "clientCASecretRef": {"name": "clients"}})
    await world.settle()
    before = world.door_file("haproxy.cfg")
    world.cert_manager.renew("operator-client", world.space())
    await world.pass_time(timedelta(minutes=5))
    world.new_operator().start()
    await world.settle()
    assert world.door_file("haproxy.cfg") != before
    assert world.ready()["status"] == "True"
