"""What StorageSecured says of the volume: seen, declared, not known, or in clear; and that nothing is started on one in clear."""

import pytest

from tests.fake.world import FakeWorld
from zilliz_operator.api.exceptions import Rejected
from zilliz_operator.policy.volumes import DEFAULT_CLASS
from zilliz_operator.reconcile.ports import Manifest


def storage_class(world: FakeWorld, name: str, provisioner: str, *, default: bool = False, **parameters: str) -> None:
    metadata = {"name": name, "annotations": {DEFAULT_CLASS: "true"} if default else {}}
    world.kube.put({"kind": "StorageClass", "metadata": metadata, "provisioner": provisioner, "parameters": parameters})


def told(world: FakeWorld) -> Manifest:
    found: Manifest = world.conditions()["StorageSecured"]
    return found


async def begun(world: FakeWorld, **data_plane: object) -> None:
    world.data_plane(**data_plane)
    world.cluster()
    world.allowlist()
    await world.settle()


async def test_a_class_whose_parameters_say_so_is_evidence(world: FakeWorld) -> None:
    storage_class(world, "gp3", "ebs.csi.aws.com", encrypted="true")
    await begun(world, storageClassName="gp3")
    assert told(world)["status"] == "True"
    assert "StorageClass gp3 (ebs.csi.aws.com) encrypts (encrypted: true)" in told(world)["message"]
    assert "not known" not in told(world)["message"]


async def test_the_default_class_is_looked_up(world: FakeWorld) -> None:
    storage_class(world, "other", "ebs.csi.aws.com", encrypted="false")
    storage_class(world, "standard-rwo", "pd.csi.storage.gke.io", default=True)
    await begun(world)
    assert "StorageClass standard-rwo (pd.csi.storage.gke.io) always encrypts" in told(world)["message"]


async def test_a_class_that_does_not_tell_is_not_known(world: FakeWorld) -> None:
    storage_class(world, "local", "rancher.io/local-path")
    await begun(world, storageClassName="local")
    assert (told(world)["status"], told(world)["reason"]) == ("True", "KeptWithLimits")
    assert "whether it is encrypted is not known, and we do not claim it" in told(world)["message"]
    assert "storageClassEncrypted" in told(world)["message"]
    assert world.ready()["status"] == "True"


async def test_what_the_data_plane_declares_is_said_to_be_declared(world: FakeWorld) -> None:
    storage_class(world, "local", "rancher.io/local-path")
    await begun(world, storageClassName="local", storageClassEncrypted=True)
    assert told(world)["status"] == "True"
    assert "declared, not verified" in told(world)["message"]
    assert "not known" not in told(world)["message"]


@pytest.mark.parametrize("declared", [False, True])
async def test_nothing_starts_on_a_volume_in_clear_and_the_remedy_heals(world: FakeWorld, declared: bool) -> None:
    storage_class(world, "gp2", "ebs.csi.aws.com", encrypted="false")
    storage_class(world, "gp3", "ebs.csi.aws.com", encrypted="true")
    await begun(world, storageClassName="gp2", storageClassEncrypted=declared)
    assert (told(world)["status"], told(world)["reason"]) == ("False", "VolumeNotEncrypted")
    assert "StorageClass gp2 (ebs.csi.aws.com) does not encrypt (encrypted: false)" in told(world)["message"]
    assert "spec.storageClassName of DataPlane default" in told(world)["message"]
    assert world.ready()["reason"] == "VolumeNotEncrypted"
    assert world.kube.peek("StatefulSet", "milvus", world.space()) is None, "not a byte in clear"
    world.data_plane(storageClassName="gp3")
    await world.settle()
    assert world.ready()["status"] == "True"
    claims = world.kube.must("StatefulSet", "milvus", world.space())["spec"]["volumeClaimTemplates"]
    assert [claim["spec"]["storageClassName"] for claim in claims] == ["gp3"]


async def test_a_volume_that_exists_is_judged_by_its_own_class(world: FakeWorld) -> None:
    """Whatever the data plane names by now. What runs goes on."""
    storage_class(world, "gp2", "ebs.csi.aws.com")
    storage_class(world, "gp3", "ebs.csi.aws.com", encrypted="true")
    await begun(world, storageClassName="gp2", storageClassEncrypted=True)
    assert world.kube.must("PersistentVolumeClaim", "data-milvus-0", world.space())["spec"]["storageClassName"] == "gp2"
    storage_class(world, "gp2", "ebs.csi.aws.com", encrypted="false")  # replaced under its name
    world.data_plane(storageClassName="gp3", storageClassEncrypted=True)
    await world.settle()
    assert told(world)["reason"] == "VolumeNotEncrypted"
    assert "gp2" in told(world)["message"]
    assert world.kube.must("StatefulSet", "milvus", world.space())["spec"]["replicas"] == 1


async def test_a_missing_right_is_said_and_is_no_outage(world: FakeWorld) -> None:
    def refuse(call: str) -> None:
        if call in {"get StorageClass/gp3", "list StorageClass"}:
            raise Rejected("Kubernetes API", "does not let us get storageclasses.storage.k8s.io")

    world.recorder.before = refuse
    await begun(world, storageClassName="gp3")
    assert (told(world)["status"], told(world)["reason"]) == ("True", "KeptWithLimits")
    assert "the operator lacks get and list on storageclasses.storage.k8s.io" in told(world)["message"]
    assert world.ready()["status"] == "True"
