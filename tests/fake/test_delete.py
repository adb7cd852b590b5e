"""Deleting recycles: compute goes, data and credentials stay, a record says until when; nothing of it meets a new cluster."""

from datetime import datetime, timedelta

import pytest

from tests.fake.outside import unavailable
from tests.fake.world import NOW, PROJECT, SYSTEM, FakeWorld
from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.exceptions import InvalidSpec, Unavailable
from zilliz_operator.api.names import BUCKET_PURPOSES
from zilliz_operator.api.validate import validate
from zilliz_operator.reconcile.ports import Manifest

COMPUTE = ("StatefulSet", "Deployment", "Service", "PodDisruptionBudget", "Certificate", "Issuer", "ConfigMap", "Pod")


def record(world: FakeWorld, identity: str) -> Manifest:
    return world.kube.must("RecycledCluster", f"search-{identity.removeprefix('in01-')}", PROJECT)


def delete(world: FakeWorld) -> str:
    """Delete the cluster; its id."""
    identity = world.id_of()
    world.kube.remove("ZillizCluster", "search", PROJECT)
    return identity


def gone(world: FakeWorld) -> bool:
    return world.kube.peek("ZillizCluster", "search", PROJECT) is None


async def test_compute_goes_and_data_stays(world: FakeWorld) -> None:
    await world.quickstart()
    space, vault, days = world.space(), world.vault(), 30
    identity = delete(world)
    await world.settle()
    assert gone(world)
    assert [kind for kind in COMPUTE if world.kube.find(kind, space)] == []
    assert {p["metadata"]["name"] for p in world.kube.find("NetworkPolicy", space)} == {"default-deny"}
    assert world.kube.peek("PersistentVolumeClaim", "data-milvus-0", space)
    assert set(world.store.buckets) == {f"{identity}-{purpose}" for purpose in BUCKET_PURPOSES}
    assert len(world.store.identities[f"{identity}-milvus"]["keys"]) == 1
    assert world.secret(f"credentials-{identity}", SYSTEM) == vault
    assert world.secret("milvus-root", space)["password"] == vault["root"]
    assert world.kube.peek("Secret", "search-connection", PROJECT) is None
    found = record(world, identity)
    assert validate(found) == ()
    assert found["spec"]["bucket"] == f"{identity}-data"
    assert found["spec"]["auditBucket"] == f"{identity}-audit"
    assert found["spec"]["backupBucket"] == f"{identity}-backup"
    assert found["spec"]["credentialsSecret"] == f"credentials-{identity}"
    assert found["spec"]["version"] == "2.3.5"
    recycled = datetime.fromisoformat(found["spec"]["recycledAt"])
    assert found["spec"]["expiresAt"] == utc(recycled + timedelta(days=days))
    assert world.kube.must("Namespace", space)["metadata"]["labels"]["byoc.zilliz.com/recycled"] == "true"
    assert world.ready("office", "Allowlist")["status"] == "True"
    said = world.ready(found["metadata"]["name"], "RecycledCluster")
    assert said["reason"] == "Recycled"
    for what in (*world.store.buckets, space, f"credentials-{identity}", found["spec"]["expiresAt"]):
        assert what in said["message"]
    assert world.operator.errors == []


async def test_the_record_comes_before_anything_goes(world: FakeWorld) -> None:
    await world.quickstart()
    first = len(world.writes)
    delete(world)
    await world.settle()
    assert world.writes[first].startswith("apply RecycledCluster/search-")


async def test_a_new_cluster_of_the_same_name_shares_nothing(world: FakeWorld) -> None:
    await world.quickstart()
    vault = world.vault()
    old = delete(world)
    await world.settle()
    world.cluster()
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.id_of() != old
    assert not set(vault.values()) & set(world.vault().values())
    assert set(world.store.buckets) == {f"{of}-{purpose}" for of in (old, world.id_of()) for purpose in BUCKET_PURPOSES}
    assert world.secret("search-connection", PROJECT)["password"] == world.vault()["db_admin"]
    assert record(world, old)["spec"]["clusterId"] == old


async def test_deleted_while_it_was_being_born(world: FakeWorld) -> None:
    world.data_plane()
    await world.settle()
    world.store.trouble = unavailable("store")
    world.cluster()
    await world.settle()
    delete(world)
    await world.settle()
    assert gone(world)
    assert world.kube.find("Pod") == []


async def test_deleted_before_anything_was_made(world: FakeWorld) -> None:
    world.cluster()
    await world.settle()
    assert world.ready()["reason"] == "DataPlaneNotFound"
    delete(world)
    await world.settle()
    assert gone(world)
    assert world.kube.find("RecycledCluster") == []


async def test_deleted_although_its_data_plane_never_answered(world: FakeWorld) -> None:
    world.data_plane()
    missing = "Secret zilliz-system/store-admin does not exist"
    world.data_planes.trouble = InvalidSpec("spec.objectStorage.credentialsSecretRef", missing)
    world.cluster()
    await world.settle()
    assert missing in world.ready()["message"]
    delete(world)
    await world.settle()
    assert gone(world), "nothing of it is there to wait for"


async def test_a_cluster_whose_namespace_somebody_removed_is_recorded_all_the_same(world: FakeWorld) -> None:
    """Its bucket and its credentials are still there: without a record nobody would ever find them again."""
    await world.quickstart()
    world.store.trouble = unavailable("store")
    space, identity = world.space(), world.id_of()
    world.kube.edit("Namespace", space, None, lambda n: n["metadata"].update({"finalizers": ["example.com/slow"]}))
    world.kube.remove("Namespace", space)
    world.kube.edit("Namespace", space, None, lambda n: n["metadata"].pop("finalizers"))
    world.kube.collect_garbage()
    assert world.kube.peek("Namespace", space) is None
    delete(world)
    await world.settle()
    assert gone(world)
    assert record(world, identity)["spec"]["bucket"] == f"{identity}-data"


async def test_a_foreign_namespace_and_bucket_survive(world: FakeWorld) -> None:
    world.data_plane()
    raw = world.cluster()
    space = names.cluster_namespace(names.cluster_id(raw["metadata"]["uid"]))
    world.kube.put({"kind": "Namespace", "metadata": {"name": space}})
    world.kube.put({"kind": "ConfigMap", "metadata": {"name": "milvus-config", "namespace": space}, "data": {}})
    await world.settle()
    assert world.ready()["reason"] == "NameTaken"
    delete(world)
    await world.settle()
    assert gone(world)
    assert "byoc.zilliz.com/recycled" not in world.kube.must("Namespace", space)["metadata"].get("labels", {})
    assert world.kube.peek("ConfigMap", "milvus-config", space)
    assert world.kube.find("RecycledCluster") == []


async def test_deleted_while_everything_is_down_it_goes_once_it_can(world: FakeWorld) -> None:
    await world.quickstart()
    space, identity = world.space(), world.id_of()
    world.store.trouble = unavailable("store")
    world.data_planes.trouble = Unavailable("Kubernetes API https://dp", "no answer")
    world.workloads.missing_images.add("docker.io/milvusdb/milvus:v2.3.5")
    delete(world)
    await world.settle()
    assert not gone(world)
    assert world.kube.find("Pod", space), "nobody may say it is gone while it runs"
    found = world.ready()
    assert found["reason"] == "Deleting"
    assert "https://dp" in found["message"]
    world.data_planes.trouble = None  # the store stays down: recycling does not need it
    await world.settle()
    assert gone(world)
    assert [kind for kind in COMPUTE if world.kube.find(kind, space)] == []
    assert record(world, identity)


async def test_a_missing_store_secret_does_not_hold_a_deletion_for_ever_in_silence(world: FakeWorld) -> None:
    await world.quickstart()
    missing = "Secret zilliz-system/store-admin does not exist"
    world.data_planes.trouble = InvalidSpec("spec.objectStorage.credentialsSecretRef", missing)
    delete(world)
    await world.settle()
    assert missing in world.ready()["message"]
    world.data_planes.trouble = None
    await world.settle()
    assert gone(world)


async def test_who_does_not_lead_destroys_nothing(world: FakeWorld) -> None:
    await world.quickstart()
    space = world.space()
    before = {key for key in world.kube.objects if key[0] in COMPUTE and key[1] == space}
    world.leading = False
    delete(world)
    await world.settle()
    assert not gone(world)
    assert {key for key in world.kube.objects if key[0] in COMPUTE and key[1] == space} == before
    assert not [w for w in world.writes if w.startswith("delete")]
    world.leading = True
    await world.settle()
    assert gone(world)


async def test_who_does_not_lead_takes_no_key_user_or_policy_away(world: FakeWorld) -> None:
    await world.quickstart()
    world.access_policy(subjects=[{"kind": "ClusterUser", "name": "app", "secretName": "app-user"}])
    await world.settle()
    world.leading = False
    count = len(world.writes)
    world.store.identities[f"{world.id_of()}-milvus"]["keys"]["AKFOREIGN"] = "x"
    world.kube.remove("AccessPolicy", "app", PROJECT)
    world.kube.remove("Allowlist", "office", PROJECT)
    await world.settle()
    destructive = ("delete", "milvus drop", "store remove", "store new key")
    assert [w for w in world.writes[count:] if w.startswith(destructive)] == []
    assert world.allowed() == []  # closing is never wrong


async def test_a_whole_project_can_be_deleted(world: FakeWorld) -> None:
    await world.quickstart()
    space, identity = world.space(), world.id_of()
    world.kube.remove("Namespace", PROJECT)
    await world.settle()
    assert world.kube.peek("Namespace", PROJECT) is None
    assert world.kube.find("Pod", space) == []
    assert set(world.store.buckets) == {f"{identity}-{purpose}" for purpose in BUCKET_PURPOSES}
    assert world.kube.peek("Secret", f"credentials-{identity}", SYSTEM)


async def test_an_object_older_than_a_rule_can_be_deleted(world: FakeWorld) -> None:
    await world.quickstart()
    world.cluster(size={"cuSize": 1, "replicas": 2})
    await world.settle()
    assert world.ready()["reason"] == "InvalidSpec"
    delete(world)
    await world.settle()
    assert gone(world)


async def test_a_paused_cluster_can_be_deleted(world: FakeWorld) -> None:
    await world.quickstart()
    world.annotate("ZillizCluster", "search", PROJECT, paused="true")
    await world.settle()
    delete(world)
    await world.settle()
    assert gone(world)


async def test_deleting_again_and_again_changes_nothing_more(world: FakeWorld) -> None:
    await world.quickstart()
    held = ["example.com/hold", names.FINALIZER]
    world.kube.edit("ZillizCluster", "search", PROJECT, lambda c: c["metadata"].update({"finalizers": held}))
    identity = delete(world)
    await world.settle()
    before = record(world, identity)
    world.clock.time += timedelta(days=3)
    world.new_operator().start()
    await world.settle()
    assert record(world, identity) == before
    assert not gone(world)


async def test_a_data_plane_in_use_stays_and_says_who_uses_it(world: FakeWorld) -> None:
    await world.quickstart()
    world.kube.remove("DataPlane", "default")
    await world.settle()
    found = world.ready("default", "DataPlane", None)
    assert found["reason"] == "Deleting"
    assert "team-a/search" in found["message"]
    count = len(world.writes)
    await world.pass_time(timedelta(minutes=2))
    assert len(world.writes) == count
    assert world.ready()["status"] == "True"
    delete(world)
    await world.settle()
    assert world.kube.peek("DataPlane", "default") is None


@pytest.mark.parametrize("days", [1, 365])
async def test_the_record_lasts_as_long_as_the_spec_says(world: FakeWorld, days: int) -> None:
    world.data_plane()
    world.cluster(recycleRetentionDays=days)
    await world.settle()
    identity = delete(world)
    await world.settle()
    spec = record(world, identity)["spec"]
    assert spec["retentionDays"] == days
    assert spec["expiresAt"] > utc(NOW + timedelta(days=days - 1))
