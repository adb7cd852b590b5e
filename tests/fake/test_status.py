"""What the status of an object says, and when: the rules that GitOps tools and people read it by."""

from datetime import timedelta

import pytest

from tests.fake.outside import unavailable
from tests.fake.world import PROJECT, FakeWorld
from zilliz_operator.reconcile.ports import Manifest

KINDS = (
    ("ZillizCluster", "search", PROJECT),
    ("Allowlist", "office", PROJECT),
    ("AccessPolicy", "app", PROJECT),
    ("DataPlane", "default", None),
)


def apply_all(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster()
    world.allowlist()
    world.access_policy(subjects=[{"kind": "ApiKey", "name": "k", "secretName": "k"}])


async def test_the_first_write_about_a_cluster_is_that_work_has_begun(world: FakeWorld) -> None:
    seen: list[Manifest] = []

    def look(_: int, what: str) -> None:
        if not seen:
            assert what == "patch ZillizCluster/search status"
            seen.append(world.status())

    world.data_plane()
    await world.settle()
    world.cluster()
    world.recorder.after = look
    await world.settle()
    conditions = {c["type"]: c for c in seen[0]["conditions"]}
    assert conditions["Ready"]["status"] == "False"
    assert conditions["Reconciling"]["status"] == "True"
    assert seen[0]["clusterId"] == world.id_of()
    assert seen[0]["observedGeneration"] == 1


async def test_no_status_is_ever_read_as_finished_before_it_is(world: FakeWorld) -> None:
    """kstatus calls an object Current when it has no Reconciling, no Stalled, and Ready is True or absent."""
    wrong: list[str] = []

    def look(_: int, what: str) -> None:
        status = world.status()
        if not status:
            return
        conditions = {c["type"]: c["status"] for c in status["conditions"]}
        running = {gateway.config for gateway in world.workloads.gateways.values()}
        done = world.workloads.servers and world.admitted() and len(running) == 1
        if conditions.get("Ready", "True") == "True" and "Reconciling" not in conditions and not done:
            wrong.append(what)
        if "Ready" not in conditions:
            wrong.append(what)

    world.data_plane()
    world.allowlist()
    await world.settle()
    world.cluster()
    world.recorder.after = look
    await world.settle()
    assert world.ready()["status"] == "True"
    assert wrong == []


async def test_a_times_change_means_a_status_change(world: FakeWorld) -> None:
    """lastTransitionTime moves with the status and only with it, and a condition's status is one of three words."""
    before: dict[tuple[str, str], Manifest] = {}

    def look(_: int, __: str) -> None:
        for kind, name, project in KINDS:
            obj = world.kube.peek(kind, name, project) or {}
            for condition in (obj.get("status") or {}).get("conditions") or ():
                assert condition["status"] in ("True", "False", "Unknown")
                assert condition["reason"]
                assert condition["message"]
                old = before.get((kind, condition["type"]))
                if old is not None and old["status"] == condition["status"]:
                    assert old["lastTransitionTime"] == condition["lastTransitionTime"]
                elif old is not None:
                    assert condition["lastTransitionTime"] >= old["lastTransitionTime"]
                before[kind, condition["type"]] = condition

    world.recorder.after = look
    apply_all(world)
    await world.settle()
    for trouble in (unavailable("store"), None):
        world.store.trouble = trouble
        await world.pass_time(timedelta(minutes=7))
        world.new_operator().start()
        await world.settle()
    assert world.ready()["status"] == "True"
    assert len(before) > 15


async def test_the_observed_generation_follows_the_spec(world: FakeWorld) -> None:
    apply_all(world)
    await world.settle()
    world.cluster(recycleRetentionDays=3)
    world.allowlist(entries=[{"cidr": "192.0.2.0/24"}])
    await world.settle()
    for kind, name, project in KINDS:
        obj = world.kube.must(kind, name, project)
        generation = obj["metadata"]["generation"]
        assert obj["status"]["observedGeneration"] == generation, kind
        assert {c["observedGeneration"] for c in obj["status"]["conditions"]} == {generation}, kind
    assert world.kube.must("ZillizCluster", "search", PROJECT)["metadata"]["generation"] == 2


async def test_specs_labels_and_annotations_of_people_are_never_written(world: FakeWorld) -> None:
    apply_all(world)
    before = {
        kind: (obj["spec"], obj["metadata"].get("labels"), obj["metadata"].get("annotations"))
        for kind, name, project in KINDS
        for obj in [world.kube.must(kind, name, project)]
    }
    await world.settle()
    for kind, name, project in KINDS:
        obj = world.kube.must(kind, name, project)
        metadata = obj["metadata"]
        assert (obj["spec"], metadata.get("labels"), metadata.get("annotations")) == before[kind]
        assert metadata["generation"] == 1


async def test_an_outage_is_written_once(world: FakeWorld) -> None:
    await world.quickstart()
    world.store.trouble = unavailable("store")
    world.new_operator().start()
    await world.settle()
    count, events = len(world.writes), len(world.kube.events)
    await world.pass_time(timedelta(minutes=10))
    assert len(world.writes) == count
    assert len(world.kube.events) == events


async def test_events_tell_the_turns_of_ready(world: FakeWorld) -> None:
    await world.quickstart()
    assert [e for e in world.kube.events if e["about"] == "search"][-1]["reason"] == "Ready"
    assert [e for e in world.kube.events if e["about"] == "search" and e["type"] != "Normal"] == []
    world.store.trouble = unavailable("store")
    world.new_operator().start()
    await world.settle()
    assert world.kube.events[-1]["type"] == "Warning"
    assert world.kube.events[-1]["reason"] == "ObjectStoreUnavailable"


async def test_a_cluster_that_cannot_be_looked_at_claims_nothing(world: FakeWorld) -> None:
    await world.quickstart()
    types = set(world.conditions())
    world.data_planes.trouble = unavailable("Kubernetes API https://dp")
    world.new_operator().start()
    await world.settle()
    assert set(world.conditions()) - {"Reconciling"} == types
    assert {c["status"] for t, c in world.conditions().items() if t != "Reconciling"} == {"Unknown"}
    assert world.metrics[PROJECT, "search", "StorageSecured"] == "Unknown"
    assert world.status()["endpoint"]


async def test_paused_means_not_one_write_but_that_it_is_paused(world: FakeWorld) -> None:
    await world.quickstart()
    ready = world.ready()
    world.annotate("ZillizCluster", "search", PROJECT, paused="true")
    await world.settle()
    found = world.conditions()["Paused"]
    assert found["status"] == "True"
    assert "byoc.zilliz.com/paused" in found["message"]
    assert world.ready() == ready
    count = len(world.writes)
    world.cluster(size={"cuSize": 2})
    world.allowlist(entries=[{"cidr": "192.0.2.0/24"}])
    world.kube.remove("ConfigMap", "milvus-config", world.space())
    await world.settle()
    about_policies = [w for w in world.writes[count:] if "Allowlist" not in w]
    assert about_policies == []
    assert world.kube.peek("ConfigMap", "milvus-config", world.space()) is None
    assert world.status()["observedGeneration"] == 1, "the new spec was not looked at"
    world.annotate("ZillizCluster", "search", PROJECT, paused=None)
    await world.settle()
    assert world.ready()["status"] == "True"
    assert "Paused" not in world.conditions()
    assert world.status()["observedGeneration"] == 2
    assert world.allowed() == ["192.0.2.0/24"]


async def test_paused_from_birth_makes_nothing(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster()
    world.annotate("ZillizCluster", "search", PROJECT, paused="true")
    await world.settle()
    assert world.kube.peek("Namespace", world.space()) is None
    assert world.ready()["reason"] == "Paused"
    assert world.ready()["status"] != "True"


async def test_the_conditions_stand_in_the_order_of_the_promises(world: FakeWorld) -> None:
    await world.quickstart()
    types = [c["type"] for c in world.status()["conditions"]]
    assert types[0] == "NamespaceIsolated"
    assert types[-1] == "Ready"
    assert len(set(types)) == len(types) == 10


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("BackupPolicy", {"frequency": [1], "startTime": "02:00-04:00"}),
        ("Backup", {"cluster": "search"}),
        ("Restore", {"backup": "nightly", "cluster": "search"}),
    ],
)
async def test_what_this_release_does_not_do_is_said_once_and_at_once(
    world: FakeWorld, kind: str, spec: Manifest
) -> None:
    await world.quickstart()
    world._ours(kind, "it", PROJECT, spec)
    await world.settle()
    found = world.ready("it", kind)
    assert (found["status"], found["reason"]) == ("False", "NotYet")
    count = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert len(world.writes) == count
    assert world.operator.errors == []


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"restoreFrom": {"backup": "nightly"}}, "restoreFrom"),
    ],
)
async def test_a_cluster_that_asks_for_what_is_not_there_yet_is_not_made_by_halves(
    world: FakeWorld, spec: Manifest, field: str
) -> None:
    world.data_plane()
    world.cluster(**spec)
    await world.settle()
    assert world.ready()["reason"] == "NotYet"
    assert f"spec.{field}" in world.ready()["message"]
    assert world.kube.peek("Namespace", world.space()) is None


@pytest.mark.parametrize("begin", ["store", "plane"])
async def test_a_cluster_in_trouble_is_looked_at_again_without_being_woken(world: FakeWorld, begin: str) -> None:
    await world.quickstart()
    (world.store if begin == "store" else world.data_planes).trouble = unavailable("it")
    world.new_operator().start()
    await world.settle()
    due = world.operator.next_due()
    assert due is not None
    assert due - world.clock.now() <= timedelta(minutes=1)
