"""What joins two VPCs, and what does not: every kind of link, declared or not, in whatever order it is told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.cloud import Attachment, Peering, Route, Vpc, VpcPair, VpcView
from zilliz_operator.api.conditions import REASONS, Reason
from zilliz_operator.policy import vpc
from zilliz_operator.policy.status import StepResult

DP, CP = "vpc-0dp", "vpc-0cp"
PAIR = VpcPair(data_plane=DP, control_plane=CP, region="us-west-2", control_plane_region="us-west-2")
OWN = Vpc(id=DP, account="111122223333", cidrs=("10.64.0.0/16", "2001:db8:64::/56"))
OTHER = Vpc(id=CP, account="111122223333", cidrs=("10.80.0.0/16", "2001:db8:80::/56"))
APART = VpcView(vpcs={DP: OWN, CP: OTHER}, tables=2)


def judge(view: VpcView, *declared: str, pair: VpcPair = PAIR) -> StepResult:
    return vpc.judge(view, pair, declared=declared, data_plane="aws")


def peering(*vpcs: str, state: str = "active", id: str = "pcx-1") -> Peering:
    return Peering(id=id, state=state, vpcs=frozenset(vpcs))


def attached(vpc: str, gateway: str = "tgw-1", state: str = "available") -> Attachment:
    return Attachment(id=f"tgw-attach-{vpc}", transit_gateway=gateway, vpc=vpc, state=state)


def route(destination: str, target: str, *, of: str = DP, state: str = "active") -> Route:
    return Route(table=f"rtb-{of}", vpc=of, destinations=(destination,), target=target, state=state)


def test_apart_is_kept_and_says_what_was_compared() -> None:
    harmless = replace(
        APART,
        peerings=(peering(DP, "vpc-0else", id="pcx-9"),),
        attachments=(attached(DP, "tgw-9"),),
        routes=(route("10.64.0.0/16", "local"), route("0.0.0.0/0", "nat-1"), route("10.0.0.0/9", "igw-1")),
        tables=3,
    )
    found = judge(harmless)
    assert (found.status, found.reason) == ("True", Reason.KEPT)
    for evidence in (
        DP,
        CP,
        "10.64.0.0/16",
        "10.80.0.0/16",
        "1 peering connections of either (pcx-9)",
        "tgw-9",
        "3 routes",
    ):
        assert evidence in found.message


@pytest.mark.parametrize(
    ("view", "reason", "id"),
    [
        (replace(APART, peerings=(peering(DP, CP),)), Reason.VPCS_PEERED, "pcx-1"),
        (replace(APART, peerings=(peering(CP, DP, state="pending-acceptance"),)), Reason.VPCS_PEERED, "pcx-1"),
        (replace(APART, attachments=(attached(DP), attached(CP))), Reason.SHARED_TRANSIT_GATEWAY, "tgw-1"),
        (
            replace(APART, attachments=(attached(DP), attached(CP, state="pending"))),
            Reason.SHARED_TRANSIT_GATEWAY,
            "tgw-1",
        ),
        (replace(APART, routes=(route("10.80.4.0/24", "tgw-2"),)), Reason.ROUTES_OVERLAP, "tgw-2"),
        (replace(APART, routes=(route("10.0.0.0/8", "vgw-2", of=CP),)), Reason.ROUTES_OVERLAP, "vgw-2"),
        (replace(APART, routes=(route("0.0.0.0/0", "eni-2"),)), Reason.ROUTES_OVERLAP, "eni-2"),
        (replace(APART, routes=(route("2001:db8:80::/64", "tgw-2"),)), Reason.ROUTES_OVERLAP, "tgw-2"),
        (
            replace(APART, routes=(route("10.80.0.0/16", "a target of an unknown kind"),)),
            Reason.ROUTES_OVERLAP,
            "unknown",
        ),
    ],
    ids=["peered", "pending", "transit", "transit-pending", "route", "wide", "default", "ipv6", "unknown"],
)
def test_each_link_is_found_named_and_can_be_declared(view: VpcView, reason: Reason, id: str) -> None:
    found = judge(view)
    assert (found.status, found.reason) == ("False", reason)
    assert not REASONS[reason].terminal  # it heals once the link is gone, without a change of any spec
    assert id in found.message
    assert "spec.network.declaredLinks of DataPlane aws" in found.message
    link = vpc.links(view, OWN, OTHER)[0].id
    declared = judge(view, link)
    assert (declared.status, f"{link} joins them as declared" in declared.message) == ("True", True)


@pytest.mark.parametrize(
    "view",
    [
        replace(APART, peerings=(peering(DP, CP, state="deleted"),)),
        replace(APART, peerings=(peering(DP, CP, state="rejected"),)),
        replace(APART, attachments=(attached(DP), attached(CP, "tgw-2"))),
        replace(APART, attachments=(attached(DP), attached(CP, state="deleted"))),
        replace(APART, routes=(route("10.80.0.0/16", "pcx-1", state="blackhole"),)),
        replace(APART, routes=(route("10.96.0.0/16", "tgw-1"),)),
        replace(APART, routes=(route("10.80.0.0/16", "tgw-1", of="vpc-0else"),)),
        replace(APART, routes=(route("0.0.0.0/0", "igw-1"), route("::/0", "eigw-1"))),
    ],
)
def test_what_joins_nothing_is_no_link(view: VpcView) -> None:
    assert judge(view).kept


def test_one_declared_link_excuses_no_other() -> None:
    view = replace(APART, peerings=(peering(DP, CP),), attachments=(attached(DP), attached(CP)))
    found = judge(view, "pcx-1")
    assert found.reason is Reason.SHARED_TRANSIT_GATEWAY
    assert judge(view, "pcx-1", "tgw-1").kept


def test_a_vpc_that_is_not_to_be_seen_is_unknown_and_names_field_and_region() -> None:
    pair = replace(PAIR, control_plane_region="eu-west-1")
    found = judge(replace(APART, vpcs={DP: OWN}), pair=pair)
    assert (found.status, found.reason) == ("Unknown", Reason.VPC_NOT_FOUND)
    assert f"no VPC {CP} is to be seen in eu-west-1: correct spec.network.controlPlaneVpcId" in found.message
    assert DP not in found.message


def test_one_vpc_for_both_is_shared() -> None:
    found = judge(APART, pair=replace(PAIR, control_plane=DP))
    assert (found.status, found.reason, found.terminal) == ("False", Reason.VPC_SHARED, True)


def test_overlapping_addresses_are_said_and_matter_once_something_joins_the_vpcs() -> None:
    view = replace(APART, vpcs={DP: OWN, CP: replace(OTHER, cidrs=("10.64.128.0/17",))})
    found = judge(view)
    assert found.kept
    assert "overlap (10.64.128.0/17)" in found.message
    joined = replace(view, attachments=(attached(DP), attached(CP)))
    assert judge(joined, "tgw-1").reason is Reason.CIDRS_OVERLAP


@given(st.permutations([peering(DP, CP, id=f"pcx-{n}") for n in range(4)]), st.randoms())
def test_order_does_not_matter(peerings: list[Peering], random: object) -> None:
    routes = [route(f"10.80.{n}.0/24", f"tgw-{n}") for n in range(4)]
    random.shuffle(routes)  # type: ignore[attr-defined]
    one = replace(APART, peerings=tuple(peerings), routes=tuple(routes))
    two = replace(APART, peerings=tuple(sorted(peerings, key=lambda p: p.id)), routes=tuple(sorted(routes, key=repr)))
    assert judge(one) == judge(two)


@given(st.integers(0, 2**32 - 1), st.integers(8, 32))
def test_a_private_route_is_a_link_exactly_if_it_covers_an_address_of_the_other(address: int, length: int) -> None:
    from ipaddress import ip_network

    block = ip_network((address, length), strict=False)
    found = judge(replace(APART, routes=(route(str(block), "tgw-1"),)))
    assert found.kept is not block.overlaps(ip_network("10.80.0.0/16"))
