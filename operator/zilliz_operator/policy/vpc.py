"""Are control plane and data plane in VPCs that nothing undeclared joins? Judged from what was seen, link by link.

A link is a peering connection between the two, a transit gateway that both are attached to, or a route of either that leads to
the other's addresses by anything private. The internet is no link: what crosses it meets the door. Whoever joins the two on
purpose declares it by its id.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from zilliz_operator.api.cloud import Vpc, VpcPair, VpcView
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.policy.status import FALSE, TRUE, UNKNOWN, StepResult

TYPE: Final = ConditionType.VPC_ISOLATED
LIVE_PEERINGS: Final = frozenset({"initiating-request", "pending-acceptance", "provisioning", "active"})
GONE_ATTACHMENTS: Final = frozenset({"deleting", "deleted", "failed", "rejected", "rejecting", "failing"})
NOT_PRIVATE: Final = ("local", "igw-", "eigw-", "nat-", "vpce-", "cagw-")
"""Targets that lead to the VPC itself, to the internet, or to a service: never to another VPC."""
MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Link:
    """Something that joins the two VPCs: its id, what it is in words, and the reason it gives."""

    id: str
    says: str
    reason: Reason


def judge(view: VpcView, pair: VpcPair, *, declared: Sequence[str], data_plane: str) -> StepResult:
    """The condition. `declared`: ids of links that are there on purpose; `data_plane`: whose spec to mend."""
    if pair.data_plane == pair.control_plane:
        return StepResult(TYPE, FALSE, Reason.VPC_SHARED, f"control plane and data plane share VPC {pair.data_plane}")
    unseen = [each for each in (pair.data_plane, pair.control_plane) if each not in view.vpcs]
    if unseen:
        return StepResult(TYPE, UNKNOWN, Reason.VPC_NOT_FOUND, _unseen(unseen, pair, data_plane))
    own, other = view.vpcs[pair.data_plane], view.vpcs[pair.control_plane]
    found = links(view, own, other)
    undeclared = [link for link in found if link.id not in declared]
    compared = _compared(view, own, other)
    if undeclared:
        message = (
            f"{_listed([link.says for link in undeclared])}. Remove that, or declare its id in "
            f"spec.network.declaredLinks of DataPlane {data_plane}. Compared: {compared}"
        )
        return StepResult(TYPE, FALSE, undeclared[0].reason, message)
    shared, joined = overlaps(own, other), sorted({link.id for link in found})
    if shared and joined:
        message = (
            f"addresses of both VPCs overlap ({_listed(shared)}) while {_listed(joined)} joins them, so no address tells "
            f"which side it is on: give one VPC other addresses. Compared: {compared}"
        )
        return StepResult(TYPE, FALSE, Reason.CIDRS_OVERLAP, message)
    said = f"{_listed(joined)} joins them as declared" if joined else "nothing joins them"
    if shared:
        said += f"; their addresses overlap ({_listed(shared)}), so they cannot be joined either"
    return StepResult(TYPE, TRUE, Reason.KEPT, f"{said}. Compared: {compared}")


def links(view: VpcView, own: Vpc, other: Vpc) -> list[Link]:
    """Everything that joins two VPCs, the plainest first; each in the same order whatever order it was told in."""
    pair = frozenset({own.id, other.id})
    peered = [
        Link(p.id, f"peering connection {p.id} ({p.state}) joins {own.id} and {other.id}", Reason.VPCS_PEERED)
        for p in sorted(view.peerings, key=lambda p: p.id)
        if p.vpcs == pair and p.state in LIVE_PEERINGS
    ]
    gateways = [_gateways(view, vpc) for vpc in (own, other)]
    transit = [
        Link(id, f"{own.id} and {other.id} are both attached to transit gateway {id}", Reason.SHARED_TRANSIT_GATEWAY)
        for id in sorted(gateways[0] & gateways[1])
    ]
    routed = [link for one, two in ((own, other), (other, own)) for link in _routes(view, one, two)]
    return [*peered, *transit, *routed]


def overlaps(own: Vpc, other: Vpc) -> list[str]:
    """Blocks of either that contain addresses of the other, the narrower of each two."""
    found = set()
    for one in _networks(own.cidrs):
        for two in _networks(other.cidrs):
            if one.version == two.version and one.overlaps(two):
                found.add(str(max(one, two, key=lambda block: block.prefixlen)))
    return sorted(found)


def _gateways(view: VpcView, vpc: Vpc) -> set[str]:
    return {a.transit_gateway for a in view.attachments if a.vpc == vpc.id and a.state not in GONE_ATTACHMENTS}


def _routes(view: VpcView, one: Vpc, two: Vpc) -> list[Link]:
    """Routes of `one` to addresses of `two`. One that is a black hole leads nowhere; one's own addresses stay inside."""
    beyond = [block for block in _networks(two.cidrs) if not _inside(block, one)]
    found = []
    for route in sorted(view.routes, key=lambda r: (r.table, r.destinations, r.target)):
        if route.vpc != one.id or route.state == "blackhole" or route.target.startswith(NOT_PRIVATE):
            continue
        led = next((block for block in _networks(route.destinations) if _any_overlap(block, beyond)), None)
        if led is not None:
            says = f"route table {route.table} of {one.id} sends {led} to {route.target}, which covers addresses of {two.id}"
            found.append(Link(route.target, says, Reason.ROUTES_OVERLAP))
    return found


def _inside(block: IPv4Network | IPv6Network, vpc: Vpc) -> bool:
    """Whether a block is the VPC's own too: its local route keeps such packets at home."""
    return any(
        block.version == own.version and block.subnet_of(own)  # type: ignore[arg-type]
        for own in _networks(vpc.cidrs)
    )


def _any_overlap(block: IPv4Network | IPv6Network, others: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(block.version == other.version and block.overlaps(other) for other in others)


def _networks(cidrs: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    return [ip_network(cidr, strict=False) for cidr in cidrs]


def _compared(view: VpcView, own: Vpc, other: Vpc) -> str:
    """Exactly what was looked at, by id."""
    peerings = [p for p in view.peerings if p.vpcs & {own.id, other.id} and p.state in LIVE_PEERINGS]
    gateways = sorted(_gateways(view, own) | _gateways(view, other))
    return (
        f"data plane {_described(own)} with control plane {_described(other)}: {len(peerings)} peering connections of either"
        f"{_in_brackets(p.id for p in peerings)}, {len(gateways)} transit gateways{_in_brackets(gateways)}, "
        f"{len(view.routes)} routes in {view.tables} route tables"
    )


def _described(vpc: Vpc) -> str:
    return f"{vpc.id} (account {vpc.account}, {', '.join(vpc.cidrs)})"


def _unseen(ids: Sequence[str], pair: VpcPair, data_plane: str) -> str:
    where = {
        pair.data_plane: ("vpcId", pair.region),
        pair.control_plane: ("controlPlaneVpcId", pair.control_plane_region),
    }
    each = [f"no VPC {id} is to be seen in {where[id][1]}: correct spec.network.{where[id][0]}" for id in ids]
    return (
        f"{'; '.join(each)} of DataPlane {data_plane}. The control plane's region is spec.network.controlPlaneRegion; "
        "a VPC of an account that the operator's credentials are not of cannot be compared"
    )


def _listed(said: Sequence[str]) -> str:
    more = f" and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
    return ", ".join(said[:MOST_NAMED]) + more


def _in_brackets(ids: Iterable[str]) -> str:
    found = sorted(ids)
    return f" ({_listed(found)})" if found else ""
