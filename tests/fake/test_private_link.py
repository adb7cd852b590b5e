"""A private door from birth to end: made for the listed principals, held to the spec, and gone without a trace."""

from dataclasses import replace
from typing import Any

import pytest

from tests.fake.outside import unavailable
from tests.fake.test_vpc import aws, look_again
from tests.fake.world import PROJECT, FakeWorld
from zilliz_operator.api import names
from zilliz_operator.api.cloud import EndpointConnection, EndpointService
from zilliz_operator.api.exceptions import Rejected
from zilliz_operator.policy import private_link as policy

ONE, TWO, STRANGER = (f"arn:aws:iam::{digit * 12}:root" for digit in "129")


def private(*principals: str, acceptance: bool = True) -> dict[str, Any]:
    return {
        "exposure": "PrivateLink",
        "privateLink": {"allowedPrincipals": list(principals or (ONE,)), "acceptanceRequired": acceptance},
    }


async def linked(world: FakeWorld, **data_plane: Any) -> None:
    """A cluster with a private door, at rest."""

    async def begin(made: FakeWorld) -> None:
        made.data_plane(**(data_plane or aws()))
        made.cluster(**private())
        made.allowlist()
        await made.settle()
        assert made.ready()["status"] == "True", made.ready()

    await world.like(f"private link {data_plane}", begin)


def service(world: FakeWorld) -> EndpointService:
    (found,) = world.cloud.services.values()
    return found


async def test_a_private_door_is_made_marked_and_shown(world: FakeWorld) -> None:
    await linked(world)
    made, uid = service(world), world.kube.must("ZillizCluster", "search", PROJECT)["metadata"]["uid"]
    assert made.tags[names.CLUSTER_UID_LABEL] == uid
    assert made.principals == (ONE,)
    assert made.acceptance_required
    found = world.conditions()["PrivateLinkReady"]
    assert (found["status"], found["reason"]) == ("True", "Kept")
    assert world.status()["privateLink"] == {
        "serviceName": made.name,
        "serviceId": made.id,
        "state": "Available",
        "connections": [],
    }
    balancer = world.kube.must("Service", "gateway", world.space())["metadata"]["annotations"]
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    assert balancer[prefix + "proxy-protocol"] == "*"
    assert "proxy_protocol_v2.enabled=true" in balancer[prefix + "target-group-attributes"]
    assert world.door_file("lbs.acl") == ["10.64.240.0/20"]


async def test_other_doors_have_no_such_condition_and_ask_no_cloud(world: FakeWorld) -> None:
    asked: list[str] = []
    await world.quickstart(**aws())
    world.recorder.before = asked.append
    await look_again(world)
    assert "PrivateLinkReady" not in world.conditions()
    assert "privateLink" not in world.status()
    assert [call for call in asked if call.startswith("cloud") and "VPCs" not in call] == []


async def test_at_rest_nothing_is_written_whatever_order_the_cloud_answers_in(world: FakeWorld) -> None:
    await linked(world)
    for endpoint in ("vpce-b", "vpce-a"):
        world.cloud.connect(endpoint, account="1" * 12)
    await look_again(world)
    count = len(world.writes)
    world.cloud.edit(connections=tuple(reversed(service(world).connections)))
    await look_again(world)
    assert len(world.writes) == count
    assert [c["endpoint"] for c in world.status()["privateLink"]["connections"]] == ["vpce-a", "vpce-b"]


async def test_principals_follow_the_spec_and_lose_their_connections_with_their_place(world: FakeWorld) -> None:
    await linked(world)
    world.cloud.connect("vpce-1", account="1" * 12)
    await look_again(world)
    assert world.cloud.states() == {"vpce-1": "available"}
    world.cluster(**private(TWO))
    await world.settle()
    assert service(world).principals == (TWO,)
    assert world.cloud.states() == {"vpce-1": "rejected"}
    assert world.status()["privateLink"]["connections"] == [
        {"endpoint": "vpce-1", "account": "1" * 12, "state": "rejected"}
    ]


async def test_a_strangers_principal_is_said_and_left_alone_with_its_connections(world: FakeWorld) -> None:
    await linked(world)
    world.cloud.edit(principals=(*service(world).principals, STRANGER))
    world.cloud.connect("vpce-9", account="9" * 12)
    await look_again(world)
    found = world.conditions()["PrivateLinkReady"]
    assert (found["status"], found["reason"]) == ("False", "ForeignPrincipal")
    assert STRANGER in found["message"]
    assert "vpce-9" in found["message"]
    assert set(service(world).principals) == {ONE, STRANGER}
    assert world.cloud.states() == {"vpce-9": "pendingAcceptance"}
    world.cloud.edit(principals=(ONE,))
    await look_again(world)
    assert world.ready()["status"] == "True"
    assert world.cloud.states() == {"vpce-9": "rejected"}  # nobody allows its account any more


async def test_drift_in_the_cloud_is_repaired(world: FakeWorld) -> None:
    await linked(world)
    before = service(world)
    tags = {key: value for key, value in before.tags.items() if not key.startswith(names.PROJECT_LABEL)}
    world.cloud.edit(principals=(), acceptance_required=False, tags=tags)
    await look_again(world)
    assert service(world) == before


async def test_a_service_that_was_deleted_by_hand_is_made_anew(world: FakeWorld) -> None:
    await linked(world)
    before = service(world)
    world.cloud.services.clear()
    await look_again(world)
    assert service(world).id != before.id
    assert world.status()["privateLink"]["serviceId"] == service(world).id


async def test_a_load_balancer_that_is_made_anew_gets_into_the_same_service(world: FakeWorld) -> None:
    await linked(world)
    before = service(world)
    world.kube.remove("Service", "gateway", world.space())
    await world.settle()
    assert service(world).id == before.id
    (arn,) = {balancer.arn for balancer in world.cloud.balancers.values()}
    assert service(world).load_balancers == (arn,)
    assert (arn,) != before.load_balancers
    assert world.ready()["status"] == "True"


async def test_a_strangers_service_at_our_load_balancer_stalls_and_is_not_touched(world: FakeWorld) -> None:
    await linked(world)
    world.cloud.edit(tags={"team": "else"})
    stranger = service(world)
    await look_again(world)
    assert (world.ready()["reason"], world.conditions()["Stalled"]["status"]) == ("NameTaken", "True")
    assert stranger.id in world.ready()["message"]
    assert service(world) == stranger


async def test_until_there_is_a_load_balancer_it_waits_and_says_so(world: FakeWorld) -> None:
    world.load_balancers.running = False
    world.data_plane(**aws())
    world.cluster(**private())
    await world.settle()
    found = world.conditions()["PrivateLinkReady"]
    assert (found["status"], found["reason"]) == ("False", "WaitingForAddress")
    assert world.cloud.services == {}
    world.load_balancers.running = True
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_a_load_balancer_of_the_wrong_kind_names_the_remedy(world: FakeWorld) -> None:
    await linked(world)
    ((host, balancer),) = world.cloud.balancers.items()
    world.cloud.balancers[host] = replace(balancer, type="application")
    await look_again(world)
    assert world.ready()["reason"] == "LoadBalancerUnfit"
    assert "AWS Load Balancer Controller" in world.ready()["message"]


async def test_without_the_load_balancers_addresses_no_header_would_be_believed(world: FakeWorld) -> None:
    world.data_plane(**aws(loadBalancerCIDRs=None))
    world.cluster(**private())
    await world.settle()
    found = world.conditions()["PrivateLinkReady"]
    assert (found["status"], found["reason"]) == ("False", "NotDeclared")
    assert "spec.network.loadBalancerCIDRs of DataPlane default" in found["message"]
    assert world.cloud.services == {}


async def test_outside_of_aws_it_is_refused_before_anything_is_made(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster(**private())
    await world.settle()
    assert world.ready()["reason"] == "InvalidSpec"
    assert "PrivateLink needs a DataPlane with cloud aws, and default has cloud none" in world.ready()["message"]
    assert world.kube.peek("Namespace", world.space()) is None


@pytest.mark.parametrize(
    ("error", "status", "reason", "says"),
    [
        (unavailable("AWS EC2 us-west-2"), "Unknown", "CloudUnavailable", "connection refused"),
        (
            Rejected("AWS EC2 us-west-2", "does not allow ec2:CreateTags: add that action"),
            "False",
            "CloudRejected",
            "ec2:CreateTags",
        ),
    ],
)
async def test_a_cloud_in_trouble_takes_nothing_away(
    world: FakeWorld, error: Exception, status: str, reason: str, says: str
) -> None:
    await linked(world)
    before = world.status()["privateLink"]
    world.cloud.trouble = error
    await look_again(world)
    found = world.conditions()["PrivateLinkReady"]
    assert (found["status"], found["reason"]) == (status, reason)
    assert says in found["message"]
    assert world.status()["privateLink"] == before
    assert world.conditions()["WorkloadReady"]["status"] == "True"
    world.cloud.trouble = None
    await world.settle()
    assert world.ready()["status"] == "True"


@pytest.mark.parametrize("exposure", ["Internal", "LoadBalancer"])
async def test_another_exposure_ends_connections_and_service_before_the_load_balancer(
    world: FakeWorld, exposure: str
) -> None:
    await linked(world)
    world.cloud.connect("vpce-1", account="1" * 12)
    await look_again(world)
    world.cluster(exposure=exposure)
    await world.settle()
    assert world.cloud.services == {}
    assert world.cloud.held_balancers == []
    assert "PrivateLinkReady" not in world.conditions()
    assert "privateLink" not in world.status()
    assert world.ready()["status"] == "True"
    assert len(world.cloud.balancers) == (exposure == "LoadBalancer")


async def test_a_private_door_that_was_given_up_while_the_cloud_was_away_goes_once_it_is_back(world: FakeWorld) -> None:
    await linked(world)
    world.cloud.trouble = unavailable("AWS EC2 us-west-2")
    world.cluster(exposure="Internal")
    await world.settle()
    assert world.conditions()["PrivateLinkReady"]["reason"] == "CloudUnavailable"
    world.cloud.trouble = None
    await world.settle()
    assert world.cloud.services == {}
    assert world.ready()["status"] == "True"


async def test_a_deleted_cluster_leaves_no_service_and_no_load_balancer(world: FakeWorld) -> None:
    await linked(world)
    world.cloud.connect("vpce-1", account="1" * 12)
    foreign = EndpointService(
        id="vpce-svc-else", name="else", state="Available", acceptance_required=True, load_balancers=("arn:else",)
    )
    await look_again(world)
    world.cloud.services[foreign.id] = foreign
    world.kube.remove("ZillizCluster", "search", PROJECT)
    await world.settle()
    assert world.kube.peek("ZillizCluster", "search", PROJECT) is None
    assert list(world.cloud.services.values()) == [foreign]
    assert world.cloud.held_balancers == []
    assert world.cloud.balancers == {}


async def test_a_deletion_waits_for_the_cloud_and_says_so(world: FakeWorld) -> None:
    await linked(world)
    world.cloud.trouble = unavailable("AWS EC2 us-west-2")
    world.kube.remove("ZillizCluster", "search", PROJECT)
    await world.settle()
    assert "AWS EC2 us-west-2" in world.ready()["message"]
    assert world.kube.peek("Service", "gateway", world.space()) is not None
    world.cloud.trouble = None
    await world.settle()
    assert world.kube.peek("ZillizCluster", "search", PROJECT) is None
    assert world.cloud.services == {}


async def test_a_replica_that_leads_no_more_changes_nothing(world: FakeWorld) -> None:
    await linked(world)
    before = service(world)
    world.leading = False
    world.cluster(**private(ONE, TWO))
    await world.settle()
    assert service(world) == before
    world.leading = True
    await world.settle()
    assert set(service(world).principals) == {ONE, TWO}


async def test_a_second_service_with_our_mark_goes_and_the_one_in_use_stays(world: FakeWorld) -> None:
    await linked(world)
    kept = service(world)
    old = EndpointService(
        id="vpce-svc-0",
        name="old",
        state="Available",
        acceptance_required=True,
        load_balancers=("arn:gone",),
        tags=kept.tags,
        connections=(EndpointConnection(endpoint="vpce-1", account="1" * 12, state="available"),),
    )
    world.cloud.services[old.id] = old
    await look_again(world)
    assert list(world.cloud.services.values()) == [kept]
    assert policy.mark(ONE) in kept.tags
