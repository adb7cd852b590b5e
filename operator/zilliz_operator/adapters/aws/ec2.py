"""The network of a data plane in AWS: what could join two VPCs, and the endpoint service in front of a cluster's load balancer.

What is seen of VPCs changes rarely and is the same for every cluster of a data plane, so it is looked at once a period for all of
them, and failures are remembered for a moment: a hundred clusters must not ask a throttled API a hundred times.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from botocore.exceptions import ClientError

from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.cloud import (
    AcceptConnections,
    AllowPrincipals,
    Attachment,
    Change,
    ConfigureService,
    CreateService,
    DeleteService,
    DisallowPrincipals,
    EndpointConnection,
    EndpointService,
    LoadBalancer,
    Peering,
    RejectConnections,
    Route,
    TagService,
    UntagService,
    Vpc,
    VpcPair,
    VpcView,
)
from zilliz_operator.api.exceptions import NotReady, Rejected, Unavailable, ZillizError
from zilliz_operator.api.names import CLUSTER_UID_LABEL

from .connection import Connection, RequestHook, StoreAccess
from .errors import BAD_CREDENTIALS, code, denied, translated

T = TypeVar("T")

READ_ACTIONS: Final = (
    "ec2:DescribeVpcs",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeTransitGatewayVpcAttachments",
    "ec2:DescribeRouteTables",
    "ec2:GetManagedPrefixListEntries",
    "ec2:DescribeVpcEndpointServiceConfigurations",
    "ec2:DescribeVpcEndpointServicePermissions",
    "ec2:DescribeVpcEndpointConnections",
    "elasticloadbalancing:DescribeLoadBalancers",
)
"""What the operator's role must be allowed to ask; docs/install.md has the policy."""
WRITE_ACTIONS: Final = (
    "ec2:CreateVpcEndpointServiceConfiguration",
    "ec2:ModifyVpcEndpointServiceConfiguration",
    "ec2:ModifyVpcEndpointServicePermissions",
    "ec2:AcceptVpcEndpointConnections",
    "ec2:RejectVpcEndpointConnections",
    "ec2:DeleteVpcEndpointServiceConfigurations",
    "ec2:CreateTags",
    "ec2:DeleteTags",
)
"""What it must be allowed to do where a cluster has exposure PrivateLink."""

IMPATIENT: Final = 30.0
"""Seconds: as old may a look at VPCs be that somebody waits for, and a failure that is not asked about again."""
JITTER: Final = 0.2
TARGETS: Final = (
    *("GatewayId", "NatGatewayId", "TransitGatewayId", "VpcPeeringConnectionId", "NetworkInterfaceId", "InstanceId"),
    *("EgressOnlyInternetGatewayId", "LocalGatewayId", "CarrierGatewayId", "CoreNetworkArn", "OdbNetworkArn"),
)
_BALANCERS: Final = frozenset({"DescribeLoadBalancers"})
_STILL_CONNECTED: Final = "ExistingVpcEndpointConnections"


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look at a pair of VPCs: what came of it, when, and how long it counts."""

    result: VpcView | ZillizError
    at: float
    lasts: float


class AwsNetwork:
    """Implements `reconcile.ports.CloudNetwork`. Safe to share between tasks; the calls run in `threads`."""

    def __init__(
        self,
        access: StoreAccess,
        threads: Threads,
        *,
        sweep_seconds: float,
        on_request: RequestHook | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.access = access
        self._threads = threads
        self._sweep = sweep_seconds
        self._on_request = on_request
        self._now = now
        self._connections: dict[str, Connection] = {}
        self._seen: dict[VpcPair, _Seen] = {}
        self._lock = asyncio.Lock()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # ---- the port

    async def vpcs(self, pair: VpcPair, *, patient: bool) -> VpcView:
        async with self._lock:
            seen = self._seen.get(pair)
            if seen is None or self._now() - seen.at >= (seen.lasts if patient else min(seen.lasts, IMPATIENT)):
                seen = self._seen[pair] = await self._look(pair)
        if isinstance(seen.result, ZillizError):
            raise seen.result
        return seen.result

    async def load_balancer(self, host: str) -> LoadBalancer | None:
        return await self._run(lambda: self._load_balancer(host))

    async def endpoint_services(self, *, uid: str) -> Sequence[EndpointService]:
        return await self._run(lambda: self._endpoint_services(uid))

    async def change(self, change: Change) -> None:
        await self._run(lambda: self._change(change))

    # ---- inside, in a thread

    async def _run(self, work: Callable[[], T]) -> T:
        def call() -> T:
            with _asked(f"AWS EC2 {self.access.region}", self.access.credentials):
                return work()

        return await self._threads.run(call)

    async def _look(self, pair: VpcPair) -> _Seen:
        lasts = self._sweep * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spread, not a secret
        try:
            return _Seen(await self._run(lambda: self._vpcs(pair)), self._now(), lasts)
        except ZillizError as error:
            return _Seen(error, self._now(), min(lasts, IMPATIENT))

    def _client(self, service: str, region: str | None = None) -> Any:
        where = replace(self.access, region=region or self.access.region)
        fresh = Connection(
            where, pool=self._threads.size, on_request=self._on_request
        )  # costs nothing until it is used
        return self._connections.setdefault(where.region, fresh).client(service)

    def _vpcs(self, pair: VpcPair) -> VpcView:
        """Both VPCs from where they are. A peering between regions is told on either side, under one id."""
        ids = [pair.data_plane, pair.control_plane]
        vpcs: dict[str, Vpc] = {}
        peerings: dict[str, Peering] = {}
        attachments: dict[str, Attachment] = {}
        routes: list[Route] = []
        tables: set[str] = set()
        for region in sorted({pair.region, pair.control_plane_region}):
            ec2 = self._client("ec2", region)
            vpcs |= {v["VpcId"]: _vpc(v) for v in _all(ec2, "describe_vpcs", "Vpcs", Filters=_filter("vpc-id", ids))}
            for side in ("requester", "accepter"):
                asked = _filter(f"{side}-vpc-info.vpc-id", ids)
                for found in _all(ec2, "describe_vpc_peering_connections", "VpcPeeringConnections", Filters=asked):
                    peering = _peering(found)
                    peerings[peering.id] = peering
            asked = _filter("vpc-id", ids)
            for found in _all(
                ec2, "describe_transit_gateway_vpc_attachments", "TransitGatewayVpcAttachments", Filters=asked
            ):
                attachments[found["TransitGatewayAttachmentId"]] = _attachment(found)
            for table in _all(ec2, "describe_route_tables", "RouteTables", Filters=asked):
                tables.add(table["RouteTableId"])
                routes += [_route(ec2, table, route) for route in table.get("Routes") or ()]
        return VpcView(
            vpcs={id: vpc for id, vpc in vpcs.items() if id in ids},
            peerings=tuple(p for _, p in sorted(peerings.items()) if p.vpcs & set(ids)),
            attachments=tuple(a for _, a in sorted(attachments.items()) if a.vpc in ids),
            routes=tuple(route for route in routes if route.vpc in ids),
            tables=len(tables),
        )

    def _load_balancer(self, host: str) -> LoadBalancer | None:
        for found in _all(self._client("elbv2"), "describe_load_balancers", "LoadBalancers"):
            if str(found.get("DNSName", "")).lower() == host.lower():
                return LoadBalancer(
                    arn=found["LoadBalancerArn"],
                    type=found.get("Type", ""),
                    scheme=found.get("Scheme", ""),
                    state=(found.get("State") or {}).get("Code", ""),
                    vpc=found.get("VpcId", ""),
                )
        return None

    def _endpoint_services(self, uid: str) -> Sequence[EndpointService]:
        ec2 = self._client("ec2")
        pages = _all(ec2, "describe_vpc_endpoint_service_configurations", "ServiceConfigurations")
        return [self._with_details(ec2, service, uid=uid) for service in map(_service, pages)]

    @staticmethod
    def _with_details(ec2: Any, service: EndpointService, *, uid: str) -> EndpointService:
        if service.tags.get(CLUSTER_UID_LABEL) != uid:
            return service
        allowed = _all(ec2, "describe_vpc_endpoint_service_permissions", "AllowedPrincipals", ServiceId=service.id)
        asked = _filter("service-id", [service.id])
        connected = _all(ec2, "describe_vpc_endpoint_connections", "VpcEndpointConnections", Filters=asked)
        return replace(
            service,
            principals=tuple(sorted(found["Principal"] for found in allowed)),
            connections=tuple(sorted(map(_connection, connected), key=lambda c: c.endpoint)),
        )

    def _change(self, change: Change) -> None:
        ec2 = self._client("ec2")
        match change:
            case CreateService():
                ec2.create_vpc_endpoint_service_configuration(
                    NetworkLoadBalancerArns=[change.load_balancer],
                    AcceptanceRequired=change.acceptance_required,
                    TagSpecifications=[{"ResourceType": "vpc-endpoint-service", "Tags": _tags(change.tags)}],
                )
            case ConfigureService():
                ec2.modify_vpc_endpoint_service_configuration(ServiceId=change.service, **_configuration(change))
            case TagService():
                ec2.create_tags(Resources=[change.service], Tags=_tags(change.tags))
            case UntagService():
                ec2.delete_tags(Resources=[change.service], Tags=[{"Key": key} for key in change.keys])
            case AllowPrincipals():
                ec2.modify_vpc_endpoint_service_permissions(
                    ServiceId=change.service, AddAllowedPrincipals=list(change.principals)
                )
            case DisallowPrincipals():
                ec2.modify_vpc_endpoint_service_permissions(
                    ServiceId=change.service, RemoveAllowedPrincipals=list(change.principals)
                )
            case AcceptConnections():
                _done(
                    ec2.accept_vpc_endpoint_connections(
                        ServiceId=change.service, VpcEndpointIds=list(change.endpoints)
                    ),
                    "AcceptVpcEndpointConnections",
                )
            case RejectConnections():
                _done(
                    ec2.reject_vpc_endpoint_connections(
                        ServiceId=change.service, VpcEndpointIds=list(change.endpoints)
                    ),
                    "RejectVpcEndpointConnections",
                )
            case DeleteService():
                _done(
                    ec2.delete_vpc_endpoint_service_configurations(ServiceIds=[change.service]),
                    "DeleteVpcEndpointServiceConfigurations",
                )


@contextmanager
def _asked(what: str, credentials: str) -> Iterator[None]:
    """Errors in our words; a refused right is named as IAM spells it, so that it can be added."""
    with translated(what, credentials):
        try:
            yield
        except ClientError as error:
            if not denied(error) or code(error) in {*BAD_CREDENTIALS, "AuthFailure"}:
                raise
            service = "elasticloadbalancing" if error.operation_name in _BALANCERS else "ec2"
            raise Rejected(
                what,
                f"does not allow {service}:{error.operation_name} ({code(error)}): add that action to the policy of "
                f"{credentials}; docs/install.md has the whole policy",
            ) from error


def _all(client: Any, operation: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key) or ()


def _filter(name: str, values: Sequence[str]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": list(values)}]


def _tags(tags: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def _vpc(found: Mapping[str, Any]) -> Vpc:
    blocks = [
        (association.get("CidrBlock"), association.get("CidrBlockState"))
        for association in found.get("CidrBlockAssociationSet") or ()
    ] + [
        (association.get("Ipv6CidrBlock"), association.get("Ipv6CidrBlockState"))
        for association in found.get("Ipv6CidrBlockAssociationSet") or ()
    ]
    live = {
        str(block) for block, state in blocks if block and (state or {}).get("State") in ("associated", "associating")
    }
    return Vpc(
        id=found["VpcId"],
        account=str(found.get("OwnerId", "")),
        cidrs=tuple(sorted(live or {str(found["CidrBlock"])})),
    )


def _peering(found: Mapping[str, Any]) -> Peering:
    ends = (found.get("RequesterVpcInfo") or {}, found.get("AccepterVpcInfo") or {})
    return Peering(
        id=found["VpcPeeringConnectionId"],
        state=(found.get("Status") or {}).get("Code", ""),
        vpcs=frozenset(str(end.get("VpcId", "")) for end in ends),
    )


def _attachment(found: Mapping[str, Any]) -> Attachment:
    return Attachment(
        id=found["TransitGatewayAttachmentId"],
        transit_gateway=found["TransitGatewayId"],
        vpc=found["VpcId"],
        state=found.get("State", ""),
    )


def _route(ec2: Any, table: Mapping[str, Any], route: Mapping[str, Any]) -> Route:
    """A target of a kind that we do not know is some private way: it is called by what the route says of it."""
    target = next((str(route[key]) for key in TARGETS if route.get(key)), "a target of an unknown kind")
    destinations = [route.get("DestinationCidrBlock"), route.get("DestinationIpv6CidrBlock")]
    listed = route.get("DestinationPrefixListId")
    if listed and not target.startswith("vpce-"):  # the services of AWS behind a gateway endpoint are no VPC
        entries = _all(ec2, "get_managed_prefix_list_entries", "Entries", PrefixListId=listed)
        destinations += [entry.get("Cidr") for entry in entries]
    return Route(
        table=table["RouteTableId"],
        vpc=table.get("VpcId", ""),
        destinations=tuple(sorted(str(each) for each in destinations if each)),
        target=target,
        state=route.get("State", ""),
    )


def _service(found: Mapping[str, Any]) -> EndpointService:
    return EndpointService(
        id=found["ServiceId"],
        name=found.get("ServiceName", ""),
        state=found.get("ServiceState", ""),
        acceptance_required=bool(found.get("AcceptanceRequired")),
        load_balancers=tuple(sorted(found.get("NetworkLoadBalancerArns") or ())),
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags") or ()},
    )


def _connection(found: Mapping[str, Any]) -> EndpointConnection:
    return EndpointConnection(
        endpoint=found["VpcEndpointId"],
        account=str(found.get("VpcEndpointOwner", "")),
        state=found.get("VpcEndpointState", ""),
    )


def _configuration(change: ConfigureService) -> dict[str, Any]:
    wanted: dict[str, Any] = {}
    if change.add_load_balancers:
        wanted["AddNetworkLoadBalancerArns"] = list(change.add_load_balancers)
    if change.remove_load_balancers:
        wanted["RemoveNetworkLoadBalancerArns"] = list(change.remove_load_balancers)
    if change.acceptance_required is not None:
        wanted["AcceptanceRequired"] = change.acceptance_required
    return wanted


def _done(answer: Mapping[str, Any], operation: str) -> None:
    """These calls answer 200 and list what they could not do."""
    for failure in answer.get("Unsuccessful") or ():
        error = failure.get("Error") or {}
        reason, resource = str(error.get("Code", "")), str(failure.get("ResourceId", ""))
        if reason.endswith("NotFound"):
            continue  # gone already
        if reason == _STILL_CONNECTED:
            raise NotReady(
                f"endpoint service {resource} still has connections that are being closed; it goes after them"
            )
        raise Unavailable("AWS EC2", f"{operation} of {resource} answers {reason}: {error.get('Message', '')}"[:300])
