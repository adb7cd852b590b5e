"""The network of AWS by its API: what joins two VPCs, and an endpoint service from birth to end.

moto stands in for AWS; the calls about endpoint connections, which it does not know, are answered by `tests/fake/recorded_ec2.py`.
The policies judge here what the adapter really read, so a field that is read wrongly is a wrong verdict.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.fake.recorded_ec2 import Endpoint, RecordedEc2
from tests.fake.world import FakeWorld
from tests.stores.conftest import Calls
from tests.stores.servers import Moto
from zilliz_operator.adapters.aws import ec2
from zilliz_operator.adapters.aws.connection import StoreAccess
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api import names
from zilliz_operator.api.cloud import DeleteService, EndpointService, RejectConnections, VpcPair
from zilliz_operator.api.conditions import Reason
from zilliz_operator.api.exceptions import NameTaken, NotReady, Rejected, Unavailable
from zilliz_operator.policy import private_link as link
from zilliz_operator.policy import vpc
from zilliz_operator.policy.status import StepResult

UID = "0b5a5f0e-6a5e-4f0e-9a57-00000000a001"
ONE, TWO, STRANGER = (f"arn:aws:iam::{digit * 12}:root" for digit in "129")
_octets = itertools.count(10)


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def recorded(moto: Moto) -> Iterator[RecordedEc2]:
    with RecordedEc2(moto.url) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def network(recorded: RecordedEc2, threads: Threads, calls: Calls, clock: Clock) -> Iterator[ec2.AwsNetwork]:
    access = StoreAccess(
        region="us-east-1", endpoint=recorded.url, access_key_id="AKIAEXAMPLE", secret_access_key="not-a-secret"
    )
    made = ec2.AwsNetwork(access, threads, sweep_seconds=300, on_request=calls, now=clock)
    yield made
    made.close()


@pytest.fixture
def client(moto: Moto, hostile_environment: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """What somebody else uses on the same account."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name)

    def make(service: str, region: str = "us-east-1") -> Any:
        factory: Any = boto3.client
        return factory(
            service,
            region_name=region,
            endpoint_url=moto.url,
            config=Config(proxies={}),
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="not-a-secret",
        )

    return make


def vpc_of(amazon: Any, cidr: str) -> str:
    found: str = amazon.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]
    return found


@pytest.fixture
def pair(client: Callable[..., Any]) -> VpcPair:
    amazon, octet = client("ec2"), next(_octets)
    return VpcPair(
        data_plane=vpc_of(amazon, f"10.{octet}.0.0/17"),
        control_plane=vpc_of(amazon, f"10.{octet}.128.0/17"),
        region="us-east-1",
        control_plane_region="us-east-1",
    )


def block(amazon: Any, id: str) -> str:
    found: str = amazon.describe_vpcs(VpcIds=[id])["Vpcs"][0]["CidrBlock"]
    return found


def table_of(amazon: Any, id: str) -> str:
    tables = amazon.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [id]}])["RouteTables"]
    found: str = tables[0]["RouteTableId"]
    return found


async def judged(network: ec2.AwsNetwork, pair: VpcPair, *declared: str) -> StepResult:
    return vpc.judge(await network.vpcs(pair, patient=True), pair, declared=declared, data_plane="aws")


async def test_vpcs_apart(network: ec2.AwsNetwork, client: Callable[..., Any], pair: VpcPair, calls: Calls) -> None:
    amazon = client("ec2")
    gateway = amazon.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    amazon.attach_internet_gateway(InternetGatewayId=gateway, VpcId=pair.data_plane)
    amazon.create_route(
        RouteTableId=table_of(amazon, pair.data_plane), DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
    )
    amazon.associate_vpc_cidr_block(VpcId=pair.data_plane, CidrBlock="172.30.0.0/16")
    found = await judged(network, pair)
    assert found.kept, found.message
    for evidence in (pair.data_plane, pair.control_plane, block(amazon, pair.control_plane), "172.30.0.0/16"):
        assert evidence in found.message
    assert "4 routes in 2 route tables" in found.message  # two of them its own two blocks
    assert calls.writes() == []


async def test_a_peering_is_found_while_it_waits_and_once_it_is_active_and_not_after(
    network: ec2.AwsNetwork, client: Callable[..., Any], pair: VpcPair, clock: Clock
) -> None:
    amazon = client("ec2")
    made = amazon.create_vpc_peering_connection(VpcId=pair.control_plane, PeerVpcId=pair.data_plane)
    id = made["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    found = await judged(network, pair)
    assert (found.reason, f"{id} (pending-acceptance)" in found.message) == (Reason.VPCS_PEERED, True)
    amazon.accept_vpc_peering_connection(VpcPeeringConnectionId=id)
    clock.time += 1000
    assert f"{id} (active)" in (await judged(network, pair)).message
    assert (await judged(network, pair, id)).kept
    amazon.delete_vpc_peering_connection(VpcPeeringConnectionId=id)
    clock.time += 1000
    assert (await judged(network, pair)).kept


async def test_a_peering_between_regions_is_found(
    network: ec2.AwsNetwork, client: Callable[..., Any], pair: VpcPair, clock: Clock
) -> None:
    far = client("ec2", "eu-west-1")
    away = replace(pair, control_plane=vpc_of(far, "10.250.0.0/16"), control_plane_region="eu-west-1")
    assert (await judged(network, away)).kept
    missing = replace(away, control_plane_region="us-east-1")
    assert (await judged(network, missing)).reason is Reason.VPC_NOT_FOUND
    client("ec2").create_vpc_peering_connection(
        VpcId=pair.data_plane, PeerVpcId=away.control_plane, PeerRegion="eu-west-1"
    )
    clock.time += 1000
    assert (await judged(network, away)).reason is Reason.VPCS_PEERED


async def test_a_shared_transit_gateway_is_found(
    network: ec2.AwsNetwork, client: Callable[..., Any], pair: VpcPair
) -> None:
    amazon = client("ec2")
    gateway = amazon.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    for id in (pair.data_plane, pair.control_plane):
        net = block(amazon, id).replace("/17", "/24")
        subnet = amazon.create_subnet(VpcId=id, CidrBlock=net)["Subnet"]["SubnetId"]
        amazon.create_transit_gateway_vpc_attachment(TransitGatewayId=gateway, VpcId=id, SubnetIds=[subnet])
    found = await judged(network, pair)
    assert (found.reason, gateway in found.message) == (Reason.SHARED_TRANSIT_GATEWAY, True)
    assert (await judged(network, pair, gateway)).kept


async def test_a_route_to_the_other_is_found_also_by_a_prefix_list(
    network: ec2.AwsNetwork, client: Callable[..., Any], pair: VpcPair
) -> None:
    amazon = client("ec2")
    gateway = amazon.create_transit_gateway()["TransitGateway"]["TransitGatewayId"]
    aim = block(amazon, pair.control_plane)
    listed = amazon.create_managed_prefix_list(
        PrefixListName="hub", MaxEntries=2, AddressFamily="IPv4", Entries=[{"Cidr": aim}]
    )["PrefixList"]["PrefixListId"]
    amazon.create_route(
        RouteTableId=table_of(amazon, pair.data_plane), DestinationPrefixListId=listed, TransitGatewayId=gateway
    )
    found = await judged(network, pair)
    assert (found.reason, aim in found.message, gateway in found.message) == (Reason.ROUTES_OVERLAP, True, True)
    assert (await judged(network, pair, gateway)).kept


async def test_one_look_a_period_serves_everybody_and_the_impatient_look_sooner(
    network: ec2.AwsNetwork, pair: VpcPair, calls: Calls, clock: Clock, recorded: RecordedEc2
) -> None:
    async def looks(*, patient: bool) -> int:
        calls.seen.clear()
        with contextlib.suppress(Unavailable):
            await network.vpcs(pair, patient=patient)
        return len([call for call in calls.seen if call[1] == "DescribeVpcs"])

    assert await looks(patient=True) == 1
    clock.time += ec2.IMPATIENT
    assert await looks(patient=True) == 0
    assert await looks(patient=False) == 1
    assert await looks(patient=False) == 0
    clock.time += 300 * (1 + ec2.JITTER)
    assert await looks(patient=True) == 1
    clock.time += 1000
    recorded.down = True
    assert await looks(patient=True) > 0
    assert await looks(patient=True) == 0  # a failure is remembered too
    recorded.down = False
    clock.time += ec2.IMPATIENT
    assert await looks(patient=True) == 1


async def test_a_missing_right_is_named_as_iam_spells_it_and_an_outage_is_one(
    network: ec2.AwsNetwork, pair: VpcPair, recorded: RecordedEc2, clock: Clock
) -> None:
    recorded.denied = {"DescribeRouteTables", "DescribeLoadBalancers"}
    with pytest.raises(
        Rejected, match=r"does not allow ec2:DescribeRouteTables \(UnauthorizedOperation\): add that action"
    ):
        await network.vpcs(pair, patient=True)
    with pytest.raises(Rejected, match="elasticloadbalancing:DescribeLoadBalancers"):
        await network.load_balancer("any")
    recorded.down = True
    clock.time += 1000
    with pytest.raises(Unavailable, match="AWS EC2 us-east-1"):
        await network.vpcs(pair, patient=True)


# ---- private link ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def balancer(client: Callable[..., Any], pair: VpcPair) -> tuple[str, str]:
    """An internal network load balancer: its ARN and its host name."""
    amazon = client("ec2")
    net = block(amazon, pair.data_plane).replace("/17", "/24")
    subnet = amazon.create_subnet(VpcId=pair.data_plane, CidrBlock=net)["Subnet"]["SubnetId"]
    (made,) = client("elbv2").create_load_balancer(
        Name=f"k8s-{pair.data_plane[-8:]}", Subnets=[subnet], Scheme="internal", Type="network"
    )["LoadBalancers"]
    return made["LoadBalancerArn"], made["DNSName"]


def wanted(arn: str, *principals: str, acceptance: bool = True) -> link.Wanted:
    return link.Wanted(
        uid=UID,
        tags=((names.CLUSTER_UID_LABEL, UID), (names.CLUSTER_LABEL, "search")),
        load_balancer=arn,
        acceptance_required=acceptance,
        principals=principals or (ONE,),
    )


async def ours(network: ec2.AwsNetwork, arn: str) -> EndpointService | None:
    return link.choose(await network.endpoint_services(uid=UID), uid=UID, load_balancer=arn)


async def hold(network: ec2.AwsNetwork, wish: link.Wanted) -> EndpointService:
    """What a step does: change until nothing is left to change."""
    service = await ours(network, wish.load_balancer)
    if service is None:
        await network.change(link.birth(wish))
        service = await ours(network, wish.load_balancer)
    assert service is not None
    for _ in range(2):
        for change in link.changes(service, wish):
            await network.change(change)
        service = await ours(network, wish.load_balancer)
        assert service is not None
    assert link.changes(service, wish) == []
    return service


@pytest.fixture(autouse=True)
def no_service_left(client: Callable[..., Any]) -> Iterator[None]:
    yield
    amazon = client("ec2")
    left = amazon.describe_vpc_endpoint_service_configurations()["ServiceConfigurations"]
    if left:
        amazon.delete_vpc_endpoint_service_configurations(ServiceIds=[each["ServiceId"] for each in left])


async def test_a_load_balancer_is_found_by_its_host_name(
    network: ec2.AwsNetwork, balancer: tuple[str, str], pair: VpcPair
) -> None:
    found = await network.load_balancer(balancer[1].upper())
    assert found is not None
    assert (found.arn, found.scheme, found.type, found.vpc) == (balancer[0], "internal", "network", pair.data_plane)
    assert found.state == "active"
    assert link.unfit(found) == ""
    assert await network.load_balancer("absent.elb.us-east-1.amazonaws.com") is None


async def test_a_service_is_made_once_and_held_to_the_spec(
    network: ec2.AwsNetwork, client: Callable[..., Any], balancer: tuple[str, str], calls: Calls
) -> None:
    made = await hold(network, wanted(balancer[0], ONE, TWO))
    assert (made.principals, made.acceptance_required, made.load_balancers) == ((ONE, TWO), True, (balancer[0],))
    assert made.tags[names.CLUSTER_UID_LABEL] == UID
    calls.seen.clear()
    assert await hold(network, wanted(balancer[0], ONE, TWO)) == made
    assert calls.writes() == []
    assert link.judge(made, wanted(balancer[0], ONE, TWO)).kept
    changed = await hold(network, wanted(balancer[0], TWO, acceptance=False))
    assert (changed.id, changed.principals, changed.acceptance_required) == (made.id, (TWO,), False)
    assert {key for key in changed.tags if key.startswith(link.PRINCIPAL_TAG)} == {link.mark(TWO)}
    client("ec2").modify_vpc_endpoint_service_permissions(ServiceId=made.id, AddAllowedPrincipals=[STRANGER])
    widened = await hold(network, wanted(balancer[0], TWO, acceptance=False))
    assert set(widened.principals) == {TWO, STRANGER}
    assert link.judge(widened, wanted(balancer[0], TWO)).reason is Reason.FOREIGN_PRINCIPAL


async def test_connections_of_allowed_accounts_are_accepted_and_others_refused(
    network: ec2.AwsNetwork, balancer: tuple[str, str], recorded: RecordedEc2, calls: Calls
) -> None:
    made = await hold(network, wanted(balancer[0], ONE, TWO))
    recorded.endpoints += [
        Endpoint(made.id, "vpce-b", "1" * 12),
        Endpoint(made.id, "vpce-a", "2" * 12),
        Endpoint(made.id, "vpce-c", "8" * 12),
        Endpoint("vpce-svc-else", "vpce-d", "8" * 12),
    ]
    held = await hold(network, wanted(balancer[0], ONE, TWO))
    seen = {e.id: e.state for e in recorded.endpoints}
    assert seen == {"vpce-a": "available", "vpce-b": "available", "vpce-c": "rejected", "vpce-d": "pendingAcceptance"}
    assert [(c.endpoint, c.account, c.state) for c in held.connections] == [
        ("vpce-a", "2" * 12, "available"),
        ("vpce-b", "1" * 12, "available"),
        ("vpce-c", "8" * 12, "rejected"),
    ]
    await hold(network, wanted(balancer[0], TWO))
    assert {e.id: e.state for e in recorded.endpoints}["vpce-b"] == "rejected"
    calls.seen.clear()
    await hold(network, wanted(balancer[0], TWO))
    assert calls.writes() == []


async def test_a_service_goes_after_its_connections_and_going_twice_is_fine(
    network: ec2.AwsNetwork, balancer: tuple[str, str], recorded: RecordedEc2
) -> None:
    made = await hold(network, wanted(balancer[0]))
    recorded.endpoints.append(Endpoint(made.id, "vpce-a", "1" * 12, "available"))
    with pytest.raises(NotReady, match="still has connections"):
        await network.change(DeleteService(service=made.id))
    with pytest.raises(Unavailable, match="InvalidState"):
        recorded.endpoints.append(Endpoint(made.id, "vpce-z", "1" * 12, "rejected"))
        await network.change(RejectConnections(service=made.id, endpoints=("vpce-z",)))
    recorded.endpoints.pop()
    (held,) = [each for each in await network.endpoint_services(uid=UID) if each.id == made.id]
    for change in link.removal([held]):
        await network.change(change)
    assert await ours(network, balancer[0]) is None
    await network.change(DeleteService(service=made.id))


async def test_a_strangers_service_is_read_without_its_details(
    network: ec2.AwsNetwork, client: Callable[..., Any], balancer: tuple[str, str], calls: Calls
) -> None:
    client("ec2").create_vpc_endpoint_service_configuration(NetworkLoadBalancerArns=[balancer[0]])
    with pytest.raises(NameTaken, match="was not touched"):
        await ours(network, balancer[0])
    assert {operation for _, operation, _ in calls.seen} == {"DescribeVpcEndpointServiceConfigurations"}


async def test_a_cluster_from_birth_to_another_exposure(
    network: ec2.AwsNetwork,
    client: Callable[..., Any],
    pair: VpcPair,
    balancer: tuple[str, str],
    recorded: RecordedEc2,
    calls: Calls,
) -> None:
    """The whole operator, with Kubernetes in memory and this adapter as its cloud."""
    world = FakeWorld()
    access_for = world.data_planes.access_for
    world.data_planes.access_for = lambda plane: replace(access_for(plane), found_cloud=network)
    world.cloud.balance = lambda service: balancer[1]  # type: ignore[method-assign]
    spec = {"exposure": "PrivateLink", "privateLink": {"allowedPrincipals": [ONE]}}
    world.data_plane(
        cloud="aws",
        region="us-east-1",
        network={
            "vpcId": pair.data_plane,
            "controlPlaneVpcId": pair.control_plane,
            "loadBalancerCIDRs": ["10.9.0.0/24"],
        },
    )
    world.cluster(**spec)
    world.allowlist()
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()
    shown = world.status()["privateLink"]
    assert shown["serviceName"].startswith("com.amazonaws.vpce.us-east-1.vpce-svc-")
    assert pair.control_plane in world.conditions()["VPCIsolated"]["message"]
    recorded.endpoints.append(Endpoint(shown["serviceId"], "vpce-a", "1" * 12))
    world.new_operator().start()
    await world.settle()
    assert world.status()["privateLink"]["connections"] == [
        {"endpoint": "vpce-a", "account": "1" * 12, "state": "available"}
    ]
    calls.seen.clear()
    count = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert (calls.writes(), len(world.writes)) == ([], count)
    world.cluster(exposure="Internal")
    await world.settle()
    assert client("ec2").describe_vpc_endpoint_service_configurations()["ServiceConfigurations"] == []
    assert recorded.endpoints[0].state == "rejected"
    assert world.ready()["status"] == "True", world.ready()


async def test_the_documented_rights_are_those_that_are_used(
    network: ec2.AwsNetwork,
    client: Callable[..., Any],
    pair: VpcPair,
    balancer: tuple[str, str],
    recorded: RecordedEc2,
    calls: Calls,
) -> None:
    """Everything the adapter can do, once: the policy in docs/install.md (compared with these lists by a unit test) has no right
    too few and none too many."""
    amazon = client("ec2")
    await test_a_route_to_the_other_is_found_also_by_a_prefix_list(network, client, pair)
    await network.load_balancer(balancer[1])
    made = await hold(network, wanted(balancer[0], ONE))
    amazon.modify_vpc_endpoint_service_configuration(ServiceId=made.id, AcceptanceRequired=False)
    recorded.endpoints += [Endpoint(made.id, "vpce-a", "1" * 12), Endpoint(made.id, "vpce-b", "8" * 12)]
    held = await hold(network, wanted(balancer[0], ONE))
    held = await hold(network, wanted(balancer[0], TWO))
    for change in link.removal([held]):
        await network.change(change)
    prefix = {"elbv2": "elasticloadbalancing"}
    used = {f"{prefix.get(service, service)}:{operation}" for service, operation, _ in calls.seen}
    assert used == {*ec2.READ_ACTIONS, *ec2.WRITE_ACTIONS}
