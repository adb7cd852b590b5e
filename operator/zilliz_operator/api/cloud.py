"""What a cloud's network looks like from here, and what we change in it: plain values that adapters return and policies judge.

They live beside `outside` for the same reason: adapters make them, policies compare them, and neither may import the ports of
`reconcile`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# ---- VPCs --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcPair:
    """The two VPCs to compare, each with its region."""

    data_plane: str
    control_plane: str
    region: str
    control_plane_region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vpc:
    """One VPC with every address block associated with it, IPv4 and IPv6."""

    id: str
    account: str
    cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peering:
    """A peering connection. `state` in the API's words: active, pending-acceptance, deleted …"""

    id: str
    state: str
    vpcs: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A VPC on a transit gateway."""

    id: str
    transit_gateway: str
    vpc: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A line of a route table of a VPC. `destinations`: address blocks, those of a prefix list resolved."""

    table: str
    vpc: str
    destinations: tuple[str, ...]
    target: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VpcView:
    """All that was seen of two VPCs and of what could join them."""

    vpcs: Mapping[str, Vpc]
    peerings: tuple[Peering, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    routes: tuple[Route, ...] = ()
    tables: int = 0
    """Route tables that were read."""


# ---- private link ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancer:
    """A load balancer as found by its host name."""

    arn: str
    type: str
    scheme: str
    state: str
    vpc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConnection:
    """An endpoint in somebody's VPC that asks for, or has, a connection to an endpoint service."""

    endpoint: str
    account: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointService:
    """An endpoint service in front of load balancers. `principals` and `connections` are read for our own ones only."""

    id: str
    name: str
    state: str
    acceptance_required: bool
    load_balancers: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    principals: tuple[str, ...] = ()
    connections: tuple[EndpointConnection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateService:
    """Make an endpoint service, marked as ours in the same call."""

    load_balancer: str
    acceptance_required: bool
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureService:
    """Change what is in front of what, and whether endpoints wait for acceptance (None: leave it)."""

    service: str
    add_load_balancers: tuple[str, ...] = ()
    remove_load_balancers: tuple[str, ...] = ()
    acceptance_required: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagService:
    """Set tags."""

    service: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UntagService:
    """Remove tags by their keys."""

    service: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowPrincipals:
    """Let principals create endpoints."""

    service: str
    principals: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DisallowPrincipals:
    """Take that back. Connections that exist stay until they are rejected."""

    service: str
    principals: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptConnections:
    """Let endpoints that wait connect."""

    service: str
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectConnections:
    """Refuse endpoints that wait, and end those that are connected."""

    service: str
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteService:
    """Remove an endpoint service. Its connections must have ended."""

    service: str


Change = (
    CreateService
    | ConfigureService
    | TagService
    | UntagService
    | AllowPrincipals
    | DisallowPrincipals
    | AcceptConnections
    | RejectConnections
    | DeleteService
)
"""One write to the cloud's network."""
