"""A data plane that is another Kubernetes cluster: everything of a cluster is there, and what happens to it happens to it alone."""

import pytest

from tests.fake.world import BALANCER, PROJECT, SYSTEM, FakeWorld, Place
from zilliz_operator.api import names, rights
from zilliz_operator.api.exceptions import CredentialsMissing, KubeconfigRefused, Rejected, Unreachable
from zilliz_operator.api.rights import Access
from zilliz_operator.reconcile.children import APPLIED_KINDS

DEAD = Unreachable("Kubernetes API https://eu", "does not answer (no answer in time)")
SUBJECTS = [{"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"}]


async def hub_and_spoke(world: FakeWorld) -> Place:
    """`search` on the hub, `abroad` on the data plane eu, both Ready."""

    async def begin(new: FakeWorld) -> None:
        new.data_plane()
        new.spoke("eu")
        await new.settle()
        new.cluster()
        new.cluster("abroad", dataPlane="eu")
        new.allowlist()
        new.access_policy(subjects=SUBJECTS)
        await new.settle()
        for name in ("search", "abroad"):
            assert new.ready(name)["status"] == "True", new.ready(name)

    await world.like("hub and spoke", begin)
    return world.places["eu"]


def plane(world: FakeWorld, type: str = "Connected") -> dict[str, str]:
    found: dict[str, str] = world.conditions("eu", "DataPlane", None)[type]
    return found


async def test_everything_lands_there_and_nothing_here_but_what_the_project_and_the_vault_hold(
    world: FakeWorld,
) -> None:
    spoke = await hub_and_spoke(world)
    space, mark = world.space("abroad"), world.kube.must("ZillizCluster", "abroad", PROJECT)["metadata"]["uid"]
    there = {obj["kind"] for (_, where, _), obj in spoke.kube.objects.items() if where == space}
    assert set(APPLIED_KINDS) | {"Pod"} <= there
    assert spoke.kube.peek("Namespace", space)
    assert [key for key in world.kube.objects if space in (key[1], key[2])] == []
    here = {
        (kind, where, name)
        for (kind, where, name), obj in world.kube.objects.items()
        if (obj["metadata"].get("labels") or {}).get(names.CLUSTER_UID_LABEL) == mark
    }
    assert here == {
        ("Secret", PROJECT, "abroad-connection"),
        ("Secret", SYSTEM, f"credentials-{world.id_of('abroad')}"),
    }
    secrets = {key[1] for key in spoke.kube.objects if key[0] == "Secret"}
    assert secrets == {space}, "no Secret of the project or the operator travels"


async def test_the_data_plane_says_what_it_saw(world: FakeWorld) -> None:
    await hub_and_spoke(world)
    assert plane(world)["status"] == "True"
    assert f"all {len(rights.accesses())} rights" in plane(world)["message"]
    assert world.status("eu", "DataPlane", None)["kubernetesVersion"] == "v1.36.0"
    assert world.ready("eu", "DataPlane", None)["status"] == "True"
    assert world.conditions("default", "DataPlane", None)["Connected"]["status"] == "True"


async def test_at_rest_nothing_is_written(world: FakeWorld) -> None:
    await hub_and_spoke(world)
    before = list(world.writes)
    world.new_operator().start()
    await world.settle()
    assert world.writes == before


async def test_drift_there_is_repaired(world: FakeWorld) -> None:
    spoke = await hub_and_spoke(world)
    space = world.space("abroad")
    spoke.kube.remove("NetworkPolicy", "default-deny", space)
    await world.settle()
    assert spoke.kube.peek("NetworkPolicy", "default-deny", space)
    assert world.kube.peek("NetworkPolicy", "default-deny", space) is None


async def test_cut_off_it_is_unknown_others_go_on_and_it_heals(world: FakeWorld) -> None:
    spoke = await hub_and_spoke(world)
    spoke.kube.trouble = DEAD
    world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
    await world.settle()
    found = world.ready("abroad")
    assert (found["status"], found["reason"]) == ("Unknown", "DataPlaneUnreachable")
    assert "https://eu" in found["message"]
    assert world.conditions("abroad")["WorkloadReady"]["status"] == "Unknown"
    assert (plane(world)["status"], plane(world)["reason"]) == ("Unknown", "DataPlaneUnreachable")
    assert world.ready("search")["status"] == "True"
    assert world.allowed() == ["198.51.100.0/24"]
    assert world.ready("default", "DataPlane", None)["status"] == "True"
    count = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert world.writes[count:] == [], "an outage is no reason to write every pass"
    spoke.kube.trouble = None
    await world.settle()
    assert world.ready("abroad")["status"] == "True"
    there = spoke.kube.must("ConfigMap", "gateway-config", world.space("abroad"))["data"]["allow.map"]
    assert there.split()[::2] == ["198.51.100.0/24"]
    assert world.operator.errors == []


async def test_deleting_waits_for_one_that_is_cut_off(world: FakeWorld) -> None:
    spoke = await hub_and_spoke(world)
    world.kube.edit("ZillizCluster", "abroad", PROJECT, lambda o: o["spec"].update({"deletionProtection": False}))
    await world.settle()
    spoke.kube.trouble = DEAD
    world.kube.remove("ZillizCluster", "abroad", PROJECT)
    await world.settle()
    assert world.ready("abroad")["reason"] == "Deleting"
    spoke.kube.trouble = None
    await world.settle()
    assert world.kube.peek("ZillizCluster", "abroad", PROJECT) is None
    assert spoke.kube.find("Pod") == []
    assert world.ready("search")["status"] == "True"


MISSING = [Access("create", "networking.k8s.io", "networkpolicies"), Access("patch", "", "secrets")]


async def test_no_cluster_is_started_where_a_right_is_missing_and_each_is_named(world: FakeWorld) -> None:
    world.data_plane()
    spoke = world.spoke("eu")
    spoke.kube.denied = list(MISSING)
    world.cluster("abroad", dataPlane="eu")
    world.cluster()
    await world.settle()
    assert (plane(world)["status"], plane(world)["reason"]) == ("False", "RightsMissing")
    for words in ("create networkpolicies.networking.k8s.io", "patch secrets", "key kubeconfig of Secret eu"):
        assert words in plane(world)["message"]
    found = world.ready("abroad")
    assert (found["status"], found["reason"]) == ("False", "DataPlaneNotReady")
    assert "create networkpolicies.networking.k8s.io" in found["message"]
    assert spoke.kube.find("Namespace") == []
    assert world.ready("search")["status"] == "True"
    spoke.kube.denied.clear()
    await world.settle()
    assert world.ready("abroad")["status"] == "True"


async def test_a_right_that_is_lost_later_keeps_no_address_on_a_list(world: FakeWorld) -> None:
    spoke = await hub_and_spoke(world)
    spoke.kube.denied = [Access("delete", "policy", "poddisruptionbudgets")]
    world.new_operator().start()
    await world.settle()
    assert plane(world)["reason"] == "RightsMissing"
    world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
    await world.settle()
    there = spoke.kube.must("ConfigMap", "gateway-config", world.space("abroad"))["data"]["allow.map"]
    assert there.split()[::2] == ["198.51.100.0/24"]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (
            CredentialsMissing("spec.kubernetes.kubeconfigSecretRef", "Secret zilliz-system/eu does not exist"),
            "CredentialsMissing",
        ),
        (
            KubeconfigRefused(
                "spec.kubernetes.kubeconfigSecretRef", "key kubeconfig of Secret zilliz-system/eu: users.exec"
            ),
            "KubeconfigRefused",
        ),
    ],
)
async def test_a_kubeconfig_that_is_not_used_is_said_on_both(world: FakeWorld, trouble: Exception, reason: str) -> None:
    world.spoke("eu")
    world.cluster("abroad", dataPlane="eu")
    world.data_planes.trouble = trouble
    await world.settle()
    for found in (plane(world), world.ready("abroad")):
        assert (found["status"], found["reason"]) == ("False", reason)
        assert "Secret zilliz-system/eu" in found["message"]
    world.data_planes.trouble = None
    await world.settle()
    assert world.ready("abroad")["status"] == "True"


async def test_refused_credentials_name_the_secret(world: FakeWorld) -> None:
    spoke = await hub_and_spoke(world)
    spoke.kube.trouble = Rejected("Kubernetes API https://eu", "refuses our credentials")
    world.new_operator().start()
    await world.settle()
    assert (plane(world)["status"], plane(world)["reason"]) == ("False", "CredentialsRejected")
    assert "key kubeconfig of Secret eu" in plane(world)["message"]
    assert world.ready("abroad")["reason"] == "DataPlaneNotReady"
    spoke.kube.trouble = None
    await world.settle()
    assert world.ready("abroad")["status"] == "True"


async def test_a_data_plane_that_is_gone_is_let_go_of(world: FakeWorld) -> None:
    world.spoke("eu")
    await world.settle()
    world.kube.remove("DataPlane", "eu")
    await world.settle()
    assert "eu" in world.data_planes.forgotten


class TestByLoadBalancer:
    async def test_every_gateway_attests_through_it(self, world: FakeWorld) -> None:
        world.spoke("eu", operatorPath="LoadBalancer")
        world.cluster("abroad", dataPlane="eu", exposure="LoadBalancer")
        world.allowlist()
        await world.settle()
        assert world.ready("abroad")["status"] == "True", world.ready("abroad")
        assert "2/2 gateways" in world.conditions("abroad")["AllowlistInForce"]["message"]
        assert f"through the load balancer {BALANCER}" in world.conditions("abroad")["EndpointVerified"]["message"]

    async def test_one_that_lags_is_found(self, world: FakeWorld) -> None:
        spoke = world.spoke("eu", operatorPath="LoadBalancer")
        world.cluster("abroad", dataPlane="eu", exposure="LoadBalancer")
        world.allowlist()
        await world.settle()
        spoke.workloads.kubelet = False
        lagging = sorted(spoke.workloads.gateways)[0]
        spoke.workloads.gateways[lagging].error = "haproxy: unknown keyword"
        world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
        await world.settle()
        found = world.conditions("abroad")["AllowlistInForce"]
        assert found["reason"] == "ConfigurationPending"
        assert "unknown keyword" in found["message"]

    async def test_without_an_address_it_waits_for_one(self, world: FakeWorld) -> None:
        spoke = world.spoke("eu", operatorPath="LoadBalancer")
        spoke.load_balancers.running = False
        world.cluster("abroad", dataPlane="eu", exposure="LoadBalancer")
        await world.settle()
        assert world.conditions("abroad")["EndpointVerified"]["reason"] == "WaitingForAddress"
        spoke.load_balancers.running = True
        await world.settle()
        assert world.ready("abroad")["status"] == "True"

    async def test_a_cluster_without_one_is_refused(self, world: FakeWorld) -> None:
        spoke = world.spoke("eu", operatorPath="LoadBalancer")
        world.cluster("abroad", dataPlane="eu")
        await world.settle()
        assert world.ready("abroad")["reason"] == "Unsupported"
        assert "spec.exposure" in world.ready("abroad")["message"]
        assert "Stalled" in world.conditions("abroad")
        assert spoke.kube.find("Namespace") == []


class TestResidency:
    async def test_a_copy_that_leaves_is_refused_and_named(self, world: FakeWorld) -> None:
        world.data_plane(region="us-west-2")
        world.data_plane("eu", region="eu-central-1", residency={"allowCopiesTo": []})
        world.cluster("abroad", dataPlane="eu")
        world.backup_policy(copies=[{"dataPlane": "default"}])
        await world.settle()
        found = world.ready("nightly", "BackupPolicy")
        assert (found["status"], found["reason"]) == ("False", "ResidencyForbids")
        for words in (
            "spec.copies[0].dataPlane",
            "team-a/abroad",
            "eu (eu-central-1)",
            "default (us-west-2)",
            "allowCopiesTo",
        ):
            assert words in found["message"]
        assert "Stalled" in world.conditions("nightly", "BackupPolicy")

    @pytest.mark.parametrize("residency", [None, {"allowCopiesTo": ["default"]}])
    async def test_one_that_is_allowed_is_not(self, world: FakeWorld, residency: dict[str, list[str]] | None) -> None:
        world.data_plane()
        world.data_plane("eu", **({"residency": residency} if residency else {}))
        world.cluster("abroad", dataPlane="eu")
        world.backup_policy(copies=[{"dataPlane": "default"}])
        await world.settle()
        assert world.ready("nightly", "BackupPolicy")["reason"] == "NotYet"

    async def test_it_is_judged_anew_when_a_data_plane_or_a_cluster_changes(self, world: FakeWorld) -> None:
        world.data_plane()
        world.data_plane("eu")
        world.backup_policy(copies=[{"dataPlane": "default"}])
        await world.settle()
        assert world.ready("nightly", "BackupPolicy")["reason"] == "NotYet"
        world.data_plane("eu", residency={"allowCopiesTo": []})
        world.cluster("abroad", dataPlane="eu")
        await world.settle()
        assert world.ready("nightly", "BackupPolicy")["reason"] == "ResidencyForbids"
        world.data_plane("eu", residency={"allowCopiesTo": ["default"]})
        await world.settle()
        assert world.ready("nightly", "BackupPolicy")["reason"] == "NotYet"
