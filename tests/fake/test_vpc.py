"""VPCIsolated in a status: only in a cloud, honest when nothing can be seen, healed without a hand."""

from typing import Any

import pytest

from tests.fake.cloud import CONTROL_PLANE_VPC, DATA_PLANE_VPC
from tests.fake.outside import unavailable
from tests.fake.world import FakeWorld
from zilliz_operator.api.cloud import Peering
from zilliz_operator.api.exceptions import Rejected

NETWORK = {
    "podCIDRs": ["10.64.0.0/17"],
    "loadBalancerCIDRs": ["10.64.240.0/20"],
    "vpcId": DATA_PLANE_VPC,
    "controlPlaneVpcId": CONTROL_PLANE_VPC,
}
PCX = "pcx-0123456789abcdef0"


def aws(**network: Any) -> dict[str, Any]:
    """A data plane in AWS."""
    merged = {key: value for key, value in (NETWORK | network).items() if value is not None}
    return {"cloud": "aws", "region": "us-west-2", "network": merged}


def peer(world: FakeWorld) -> None:
    joined = frozenset({DATA_PLANE_VPC, CONTROL_PLANE_VPC})
    world.cloud.peerings.append(Peering(id=PCX, state="active", vpcs=joined))


async def look_again(world: FakeWorld) -> None:
    world.new_operator().start()
    await world.settle()


async def test_without_a_cloud_nothing_is_said_of_vpcs(world: FakeWorld) -> None:
    await world.quickstart()
    assert "VPCIsolated" not in world.conditions()
    assert "VPCIsolated" not in world.conditions("default", "DataPlane", None)
    assert world.cloud.patience == []


async def test_in_a_cloud_the_evidence_names_what_was_compared(world: FakeWorld) -> None:
    await world.quickstart(**aws())
    for found in (world.conditions()["VPCIsolated"], world.conditions("default", "DataPlane", None)["VPCIsolated"]):
        assert (found["status"], found["reason"]) == ("True", "Kept")
        assert DATA_PLANE_VPC in found["message"]
        assert CONTROL_PLANE_VPC in found["message"]


@pytest.mark.parametrize(
    ("network", "field"),
    [
        ({"vpcId": None}, "spec.network.vpcId"),
        ({"controlPlaneVpcId": None}, "spec.network.controlPlaneVpcId"),
        ({"vpcId": None, "controlPlaneVpcId": None}, "spec.network.vpcId and spec.network.controlPlaneVpcId"),
    ],
)
async def test_what_is_not_declared_is_not_claimed(world: FakeWorld, network: dict[str, Any], field: str) -> None:
    world.data_plane(**aws(**network))
    world.cluster()
    await world.settle()
    found = world.conditions()["VPCIsolated"]
    assert (found["status"], found["reason"]) == ("Unknown", "NotDeclared")
    assert f"set {field} of DataPlane default" in found["message"]
    assert world.ready()["status"] == "Unknown"
    assert world.cloud.patience == []
    world.data_plane(**aws())
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_a_peering_breaks_the_promise_and_nothing_else_and_it_heals_either_way(world: FakeWorld) -> None:
    await world.quickstart(**aws())
    peer(world)
    await look_again(world)
    found = world.ready()
    assert (found["status"], found["reason"]) == ("False", "VPCsPeered")
    assert PCX in found["message"]
    assert world.conditions()["WorkloadReady"]["status"] == "True"
    assert "Stalled" not in world.conditions()
    assert world.cloud.patience[-1] is False  # somebody waits for the verdict to change
    world.data_plane(**aws(declaredLinks=[PCX]))
    await world.settle()
    assert f"{PCX} joins them as declared" in world.conditions()["VPCIsolated"]["message"]
    world.data_plane(**aws())
    await world.settle()
    assert world.ready()["status"] == "False"
    world.cloud.peerings.clear()
    await world.settle()
    assert world.ready()["status"] == "True"


@pytest.mark.parametrize(
    ("error", "reason", "says"),
    [
        (unavailable("AWS EC2 us-west-2"), "CloudUnavailable", "connection refused"),
        (
            Rejected("AWS EC2 us-west-2", "does not allow ec2:DescribeVpcs: add that action"),
            "CloudRejected",
            "ec2:DescribeVpcs",
        ),
    ],
)
async def test_a_cloud_that_does_not_answer_is_unknown_and_holds_up_nothing(
    world: FakeWorld, error: Exception, reason: str, says: str
) -> None:
    world.cloud.trouble = error
    world.data_plane(**aws())
    world.cluster()
    world.allowlist()
    await world.settle()
    found = world.conditions()["VPCIsolated"]
    assert (found["status"], found["reason"]) == ("Unknown", reason)
    assert says in found["message"]
    assert world.conditions()["EndpointVerified"]["status"] == "True"
    assert world.ready()["reason"] == reason
    world.cloud.trouble = None
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_at_rest_a_pass_writes_nothing_and_is_patient(world: FakeWorld) -> None:
    await world.quickstart(**aws())
    count = len(world.writes)
    world.cloud.patience.clear()
    await look_again(world)
    assert len(world.writes) == count
    assert set(world.cloud.patience) == {True}
