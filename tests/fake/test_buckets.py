"""A cluster's three buckets: made, marked, looked at by sweeps of the cloud, and refused where they could not be its own."""

from datetime import timedelta
from typing import Any

import pytest

from tests.fake.outside import unavailable
from tests.fake.world import NOW, PROJECT, FakeWorld
from zilliz_operator.api import names
from zilliz_operator.api.outside import Caller
from zilliz_operator.reconcile.sweeps import SECONDS

AWS = {
    "cloud": "aws",
    "region": "us-west-2",
    "objectStorage": {"provider": "AWS", "bucketPrefix": "acme-", "cidrs": ["10.200.0.1/32"]},
}
KEY = "arn:aws:kms:{}:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
LATER = timedelta(seconds=SECONDS * 1.25 + 1)


def look(world: FakeWorld) -> None:
    """Wake a pass, as an event about a child does."""
    world.operator.saw("MODIFIED", world.kube.must("Pod", "milvus-0", world.space()))


async def test_there_are_three_and_the_status_names_them(world: FakeWorld) -> None:
    await world.quickstart()
    identity, status = world.id_of(), world.status()
    assert [status[field] for field in ("bucket", "auditBucket", "backupBucket")] == [
        f"{identity}-{purpose}" for purpose in names.BUCKET_PURPOSES
    ]
    uid = world.kube.must("ZillizCluster", "search", PROJECT)["metadata"]["uid"]
    assert {b["tags"][names.CLUSTER_UID_LABEL] for b in world.store.buckets.values()} == {uid}
    found = world.conditions()["StorageSecured"]
    assert (found["status"], found["reason"]) == ("True", "KeptWithLimits")
    for words in (*world.store.buckets, "AES-256", f"{identity}-audit locked for 365 days (Governance)", "no ACLs"):
        assert words in found["message"]


async def test_a_pass_between_two_sweeps_asks_the_store_nothing(world: FakeWorld) -> None:
    await world.quickstart()
    look(world)  # the process has just begun and knows nothing yet
    await world.settle()
    looks, writes = world.store.looks, list(world.writes)
    for _ in range(5):
        look(world)
        await world.settle()
    assert world.store.looks == looks
    await world.pass_time(LATER)
    look(world)
    await world.settle()
    assert world.store.looks == looks + 3
    assert world.writes == writes


async def test_a_wake_up_is_ordered_for_the_next_sweep(world: FakeWorld) -> None:
    await world.quickstart()
    key = next(key for key in world.operator.roster.keys("ZillizCluster"))
    outcome = await world.operator.cluster.reconcile(key)
    assert outcome.again_in is None
    assert outcome.sweep_in is not None
    assert 0 < outcome.sweep_in <= SECONDS * 1.25
    assert outcome.next_look(10 * SECONDS) == outcome.sweep_in


@pytest.mark.parametrize("purpose", names.BUCKET_PURPOSES)
async def test_what_somebody_breaks_is_repaired_at_the_next_sweep(world: FakeWorld, purpose: str) -> None:
    await world.quickstart()
    broken = world.store.buckets[f"{world.id_of()}-{purpose}"]
    wanted, broken["aspects"] = broken["aspects"], None
    writes = list(world.writes)
    await world.pass_time(LATER)
    look(world)
    await world.settle()
    assert broken["aspects"] == wanted
    assert world.writes[len(writes) :] == [f"store aspects {world.id_of()}-{purpose}"]


async def test_whoever_touches_the_object_has_it_looked_at_now(world: FakeWorld) -> None:
    await world.quickstart()
    broken = world.store.buckets[f"{world.id_of()}-data"]
    broken["aspects"] = None
    world.kube.edit(
        "ZillizCluster", "search", PROJECT, lambda c: c["metadata"].setdefault("annotations", {}).update({"look": "1"})
    )
    await world.settle()
    assert broken["aspects"] is not None


async def test_an_outage_at_a_sweep_is_said_and_heals(world: FakeWorld) -> None:
    await world.quickstart()
    world.store.trouble = unavailable("https://s3.store.test:8333")
    await world.pass_time(LATER)
    look(world)
    await world.settle()
    found = world.conditions()["StorageSecured"]
    assert (found["status"], found["reason"]) == ("Unknown", "ObjectStoreUnavailable")
    look(world)
    await world.settle()
    assert world.conditions()["StorageSecured"]["status"] == "Unknown", "an older answer is no answer"
    world.store.trouble = None
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_an_edit_of_the_audit_trails_retention_reaches_its_bucket_alone(world: FakeWorld) -> None:
    await world.quickstart()
    before = len(world.writes)
    world.cluster(audit={"retentionDays": 400, "lock": "Compliance"})
    await world.settle()
    assert [w for w in world.writes[before:] if w.startswith("store")] == [f"store aspects {world.id_of()}-audit"]
    assert "locked for 400 days (Compliance)" in world.conditions()["StorageSecured"]["message"]


async def test_a_foreign_audit_bucket_stalls_and_is_not_touched(world: FakeWorld) -> None:
    world.data_plane()
    raw = world.cluster()
    name = f"{names.cluster_id(raw['metadata']['uid'])}-audit"
    theirs: dict[str, Any] = {"tags": {"owner": "else"}, "aspects": None}
    world.store.buckets[name] = dict(theirs)
    await world.settle()
    found = world.conditions()["StorageSecured"]
    assert (found["status"], found["reason"]) == ("False", "NameTaken")
    assert name in found["message"]
    assert world.conditions()["Stalled"]["reason"] == "NameTaken"
    assert world.store.buckets[name] == theirs
    del world.store.buckets[name]
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_on_aws_the_policies_leave_the_operator_in(world: FakeWorld) -> None:
    world.store.operator = Caller(account="111122223333", arns=("arn:aws:iam::111122223333:role/zilliz-operator",))
    world.data_plane(**AWS)
    world.cluster()
    await world.settle()
    assert world.conditions()["StorageSecured"]["status"] == "True"
    for found in world.store.buckets.values():
        assert "arn:aws:iam::111122223333:role/zilliz-operator" in found["aspects"].policy.json()


# ---- refused


async def test_a_key_of_another_region_is_refused_before_anything_is_made(world: FakeWorld) -> None:
    world.data_plane(**AWS)
    await world.settle()
    writes = len(world.writes)
    world.cluster(storage={"kmsKeyArn": KEY.format("eu-central-1")})
    await world.settle()
    found = world.ready()
    assert (found["status"], found["reason"]) == ("False", "InvalidSpec")
    for words in ("spec.storage.kmsKeyArn", "eu-central-1", "us-west-2", "delete this object and create it"):
        assert words in found["message"]
    assert world.conditions()["Stalled"]["reason"] == "InvalidSpec"
    assert world.store.buckets == {}
    assert {w for w in world.writes[writes:] if "ZillizCluster" not in w and "DataPlane" not in w} == set()


class TestOnePrefix:
    """Two DataPlanes that ask for one prefix in one store."""

    async def begin(self, world: FakeWorld) -> None:
        world.data_plane()
        await world.settle()
        world.clock.time += timedelta(minutes=1)
        world.data_plane("younger")
        await world.settle()

    async def test_the_younger_one_stalls_and_says_whose_the_prefix_is(self, world: FakeWorld) -> None:
        await self.begin(world)
        assert world.ready("default", "DataPlane", None)["status"] == "True"
        found = world.conditions("younger", "DataPlane", None)
        assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "PrefixClaimed")
        assert found["Stalled"]["reason"] == "PrefixClaimed"
        for words in ("spec.objectStorage.bucketPrefix", "DataPlane default", "another bucketPrefix"):
            assert words in found["Ready"]["message"]

    async def test_its_clusters_are_not_started(self, world: FakeWorld) -> None:
        await self.begin(world)
        raw = world.cluster(dataPlane="younger")
        await world.settle()
        found = world.ready()
        assert (found["status"], found["reason"]) == ("False", "DataPlaneNotReady")
        assert "DataPlane default" in found["message"]
        assert world.store.buckets == {}
        assert world.kube.peek("Namespace", names.cluster_namespace(names.cluster_id(raw["metadata"]["uid"]))) is None

    async def test_a_cluster_born_in_the_same_moment_is_not_started_either(self, world: FakeWorld) -> None:
        world.data_plane("a")
        world.data_plane("b")
        world.cluster(dataPlane="b")
        await world.settle()
        assert world.ready("a", "DataPlane", None)["status"] == "True"
        assert world.ready("b", "DataPlane", None)["reason"] == "PrefixClaimed"
        assert world.store.buckets == {}

    async def test_it_heals_when_the_older_one_goes(self, world: FakeWorld) -> None:
        await self.begin(world)
        world.cluster(dataPlane="younger")
        await world.settle()
        world.kube.remove("DataPlane", "default")
        await world.settle()
        assert world.ready("younger", "DataPlane", None)["status"] == "True"
        assert world.ready()["status"] == "True"

    async def test_what_runs_on_it_goes_on(self, world: FakeWorld) -> None:
        """An installation older than this rule: its doors must still be closed when a list says so."""
        await world.quickstart()
        now, world.clock.time = world.clock.time, NOW - timedelta(days=1)
        world.data_plane("older")
        world.clock.time = now
        await world.settle()
        assert world.ready("default", "DataPlane", None)["reason"] == "PrefixClaimed"
        world.kube.remove("Allowlist", "office", PROJECT)
        await world.settle()
        assert world.allowed() == []
        assert world.ready()["status"] == "True"

    async def test_at_rest_nothing_is_written(self, world: FakeWorld) -> None:
        await self.begin(world)
        writes = list(world.writes)
        world.new_operator().start()
        await world.settle()
        assert world.writes == writes
