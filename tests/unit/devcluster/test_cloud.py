"""The cloud's decisions: addresses are unique, stable and given back; names follow; volumes are only ours."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.devcluster import cloud
from tools.devcluster.kube import ApiError, Kube
from tools.devcluster.layout import FIRST_VIP, NODE_NAME, VIP_NETWORK, Layout


def service(name: str, *, kind: str = "LoadBalancer", ip: str = "", created: int = 0, **spec: Any) -> dict[str, Any]:
    ingress = [{"ip": ip, "ipMode": "VIP"}] if ip else []
    return {
        "metadata": {
            "namespace": "a",
            "name": name,
            "uid": f"uid-{name}",
            "creationTimestamp": f"2026-01-{created + 1:02}",
        },
        "spec": {"type": kind, **spec},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def named(item: dict[str, Any], hosts: str) -> dict[str, Any]:
    item["metadata"]["annotations"] = {cloud.HOSTNAME_ANNOTATION: hosts}
    return item


def ips(changes: list[cloud.StatusChange]) -> dict[str, list[str]]:
    return {change.name: [ingress["ip"] for ingress in change.ingress] for change in changes}


def test_a_new_load_balancer_gets_the_lowest_free_address_as_a_vip() -> None:
    changes = cloud.plan_addresses([service("old", ip="10.201.0.10"), service("new", created=1)])
    assert [change.ingress for change in changes] == [({"ip": "10.201.0.11", "ipMode": "VIP"},)]


def test_an_address_is_kept() -> None:
    assert cloud.plan_addresses([service("x", ip="10.201.0.77")]) == []


def test_of_two_with_one_address_the_older_keeps_it() -> None:
    changes = cloud.plan_addresses([service("young", ip="10.201.0.10", created=5), service("old", ip="10.201.0.10")])
    assert ips(changes) == {"young": ["10.201.0.11"]}


def test_a_service_that_is_no_load_balancer_any_more_loses_it_and_it_is_free() -> None:
    changes = cloud.plan_addresses([service("was", kind="ClusterIP", ip="10.201.0.10"), service("is", created=1)])
    assert ips(changes) == {"was": [], "is": ["10.201.0.10"]}


def test_other_classes_are_somebody_elses() -> None:
    assert cloud.plan_addresses([service("x", loadBalancerClass="other"), service("y", kind="ClusterIP")]) == []


def test_a_wished_address_is_given_if_it_is_free_and_of_the_pool() -> None:
    taken = service("a", ip="10.201.0.20")
    wishes = [service("b", loadBalancerIP="10.201.0.30"), service("c", loadBalancerIP="10.201.0.20")]
    assert ips(cloud.plan_addresses([taken, *wishes, service("d", loadBalancerIP="8.8.8.8")])) == {"b": ["10.201.0.30"]}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=40))
def test_addresses_are_unique_and_planning_again_changes_nothing(shape: list[tuple[bool, int]]) -> None:
    services = [
        service(f"s{n}", ip=str(FIRST_VIP + offset) if has else "", created=n % 28)
        for n, (has, offset) in enumerate(shape)
    ]
    for change in cloud.plan_addresses(services):
        target = next(s for s in services if s["metadata"]["name"] == change.name)
        target["status"]["loadBalancer"]["ingress"] = list(change.ingress)
    given_out = [s["status"]["loadBalancer"]["ingress"][0]["ip"] for s in services]
    assert len(set(given_out)) == len(services)
    assert all(IPv4Address(ip) in VIP_NETWORK for ip in given_out)
    assert cloud.plan_addresses(services) == []


def test_names_are_those_of_our_domain_and_of_live_load_balancers() -> None:
    leaving = named(service("leaving", ip="10.201.0.13"), "gone.byoc.test")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01"
    services = [
        named(service("a", ip="10.201.0.10"), "One.byoc.test., two.byoc.test"),
        named(service("b", ip="10.201.0.11", created=1), "one.byoc.test"),
        named(service("c", ip="10.201.0.12"), "evil.example.com"),
        named(service("d"), "early.byoc.test"),
        leaving,
    ]
    assert cloud.wanted_records(services) == {"one.byoc.test": "10.201.0.10", "two.byoc.test": "10.201.0.10"}


def test_dns_script_adds_changes_and_removes() -> None:
    script = cloud.dns_script(
        server=IPv4Address("10.200.0.1"),
        published={"same.byoc.test": "1.1.1.1", "moved.byoc.test": "1.1.1.1", "gone.byoc.test": "1.1.1.1"},
        wanted={"same.byoc.test": "1.1.1.1", "moved.byoc.test": "2.2.2.2", "new.byoc.test": "3.3.3.3"},
    )
    assert script.splitlines() == [
        "server 10.200.0.1",
        "zone byoc.test.",
        "update delete gone.byoc.test. A",
        "update delete moved.byoc.test. A",
        "update add moved.byoc.test. 1 A 2.2.2.2",
        "update add new.byoc.test. 1 A 3.3.3.3",
        "send",
    ]


def test_nothing_to_publish_sends_nothing() -> None:
    assert cloud.dns_script(server=IPv4Address("10.200.0.1"), published={"a": "1"}, wanted={"a": "1"}) == ""


def claim(uid: str, *, node: str = NODE_NAME, storage_class: str = "standard", bound: str = "") -> dict[str, Any]:
    return {
        "metadata": {"namespace": "a", "name": f"c-{uid}", "uid": uid, "annotations": {cloud.SELECTED_NODE: node}},
        "spec": {
            "storageClassName": storage_class,
            "volumeName": bound,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def volume(name: str, *, phase: str, by: str = cloud.PROVISIONER, policy: str = "Delete") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "annotations": {cloud.PROVISIONED_BY: by}},
        "spec": {"persistentVolumeReclaimPolicy": policy, "local": {"path": f"/v/{name}"}},
        "status": {"phase": phase},
    }


def test_only_placed_unbound_claims_of_our_class_are_provisioned_and_once() -> None:
    leaving = claim("leaving")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01"
    claims = [
        claim("due"),
        claim("made"),
        claim("bound", bound="pvc-x"),
        claim("elsewhere", node="other"),
        claim("foreign", storage_class="fast"),
        leaving,
    ]
    due = cloud.claims_to_provision(
        claims=claims, volumes=[volume("pvc-made", phase="Available")], classes=["standard"]
    )
    assert [c["metadata"]["uid"] for c in due] == ["due"]


def test_a_volume_is_tied_to_its_claim_by_uid_and_to_the_node() -> None:
    made = cloud.volume_for(claim("u1"), directory=Path("/v/pvc-u1"))
    assert made["spec"]["claimRef"]["uid"] == "u1"
    assert made["spec"]["local"] == {"path": "/v/pvc-u1"}
    terms = made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == [NODE_NAME]


def test_only_released_volumes_of_ours_that_may_be_deleted_are() -> None:
    volumes = [
        volume("released", phase="Released"),
        volume("bound", phase="Bound"),
        volume("kept", phase="Released", policy="Retain"),
        volume("foreign", phase="Released", by="other"),
    ]
    assert [v["metadata"]["name"] for v in cloud.volumes_to_remove(volumes)] == ["released"]


class FakeKube:
    """Records deletions; refuses patches."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def delete(self, path: str) -> None:
        self.deleted.append(path)

    def merge(self, path: str, patch: object) -> None:
        raise ApiError(status=500, message="no")


def make_cloud(root: Path, kube: FakeKube, *, services: dict[str, Any], volumes: dict[str, Any]) -> cloud.Cloud:
    import queue

    place = Layout(name="x", root=root)
    place.volumes.mkdir(parents=True)
    place.cloud.mkdir()

    def store(items: dict[str, Any]) -> cloud.Store:
        return cloud.Store(kube=kube, path="", wake=queue.SimpleQueue(), items=items)  # type: ignore[arg-type]

    parts = {"services": store(services), "claims": store({}), "volumes": store(volumes), "classes": store({})}
    return cloud.Cloud(layout=place, kube=kube, **parts)  # type: ignore[arg-type]


def test_removing_a_volume_deletes_its_directory_and_never_another(tmp_path: Path) -> None:
    kube, outside = FakeKube(), tmp_path / "precious"
    outside.mkdir()
    mine, strange = volume("pvc-1", phase="Released"), volume("pvc-2", phase="Released")
    mine["spec"]["local"]["path"] = str(tmp_path / "state" / "volumes" / "pvc-1")
    strange["spec"]["local"]["path"] = str(outside)
    made = make_cloud(tmp_path / "state", kube, services={}, volumes={"1": mine, "2": strange})
    directory = made.layout.volumes / "pvc-1"
    directory.mkdir()
    (directory / "data").write_text("x")
    assert made.reconcile()
    assert not directory.exists()
    assert outside.exists()
    assert kube.deleted == ["/api/v1/persistentvolumes/pvc-1"]


def test_one_failing_step_does_not_stop_the_others_and_is_tried_again(tmp_path: Path) -> None:
    kube, gone = FakeKube(), volume("pvc-1", phase="Released")
    gone["spec"]["local"]["path"] = str(tmp_path / "volumes" / "pvc-1")
    made = make_cloud(tmp_path, kube, services={"s": service("lb")}, volumes={"v": gone})
    assert made.reconcile() is False
    assert kube.deleted == ["/api/v1/persistentvolumes/pvc-1"]


@pytest.mark.parametrize("attribute", ["request", "merge", "delete"])
def test_the_fake_speaks_the_clients_language(attribute: str) -> None:
    assert hasattr(Kube, attribute)
