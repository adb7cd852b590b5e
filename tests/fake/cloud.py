"""A cloud's network in memory, as the `CloudNetwork` port sees one: VPCs, load balancers, endpoint services with their rules.

True where the product leans on it: a load balancer belongs to one endpoint service at a time and does not go while one stands in
front of it, a service with open connections is not deleted, and taking a principal back ends no connection.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

from tests.fake.kube import Recorder
from zilliz_operator.api import names
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
from zilliz_operator.api.exceptions import NotReady, Rejected
from zilliz_operator.reconcile.ports import Manifest

DATA_PLANE_VPC, CONTROL_PLANE_VPC = "vpc-0dp", "vpc-0cp"
ACCOUNT = "111122223333"
OPEN = {"pendingAcceptance", "available"}


class FakeCloud:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._numbers = itertools.count(1)
        self.vpcs_: dict[str, Vpc] = {
            DATA_PLANE_VPC: Vpc(id=DATA_PLANE_VPC, account=ACCOUNT, cidrs=("10.64.0.0/16",)),
            CONTROL_PLANE_VPC: Vpc(id=CONTROL_PLANE_VPC, account=ACCOUNT, cidrs=("10.80.0.0/16",)),
        }
        self.peerings: list[Peering] = []
        self.attachments: list[Attachment] = []
        self.routes: list[Route] = []
        self.balancers: dict[str, LoadBalancer] = {}
        """Host name → what serves it."""
        self.services: dict[str, EndpointService] = {}
        self.trouble: Exception | None = None
        self.patience: list[bool] = []
        """How each look at VPCs was asked for."""
        self.held_balancers: list[str] = []
        """Load balancers that could not be deleted, since an endpoint service stood in front of them."""

    # ---- the port

    async def vpcs(self, pair: VpcPair, *, patient: bool) -> VpcView:
        self._call("look at VPCs")
        self.patience.append(patient)
        ids = {pair.data_plane, pair.control_plane}
        return VpcView(
            vpcs={id: vpc for id, vpc in self.vpcs_.items() if id in ids},
            peerings=tuple(self.peerings),
            attachments=tuple(self.attachments),
            routes=tuple(self.routes),
            tables=len({route.table for route in self.routes}),
        )

    async def load_balancer(self, host: str) -> LoadBalancer | None:
        self._call("find load balancer")
        return self.balancers.get(host)

    async def endpoint_services(self, *, uid: str) -> Sequence[EndpointService]:
        self._call("list endpoint services")
        return [
            s if s.tags.get(names.CLUSTER_UID_LABEL) == uid else replace(s, principals=(), connections=())
            for s in self.services.values()
        ]

    async def change(self, change: Change) -> None:
        self._call(type(change).__name__)
        service = None if isinstance(change, CreateService) else self.services.get(change.service)
        if service is None and not isinstance(change, CreateService):
            if isinstance(change, DeleteService):
                return
            raise Rejected("AWS EC2 fake", f"does not know {change.service}")
        if isinstance(change, CreateService):
            self._create(change)
        elif isinstance(change, DeleteService):
            assert service is not None
            if any(c.state in OPEN for c in service.connections):
                raise NotReady(f"endpoint service {service.id} still has connections")
            del self.services[service.id]
        else:
            assert service is not None
            self.services[service.id] = _changed(service, change)
        self._recorder.wrote(f"cloud {type(change).__name__}")

    # ---- what others do

    def balance(self, service: Manifest) -> str:
        """What the load balancer controller makes for a Service; returns its host name."""
        uid = service["metadata"]["uid"]
        host = f"k8s-{uid[-12:]}.elb.us-west-2.amazonaws.com"
        arn = f"arn:aws:elasticloadbalancing:us-west-2:{ACCOUNT}:loadbalancer/net/k8s-{uid[-12:]}/1"
        self.balancers.setdefault(
            host, LoadBalancer(arn=arn, type="network", scheme="internal", state="active", vpc=DATA_PLANE_VPC)
        )
        return host

    def keep_only(self, hosts: set[str]) -> bool:
        """Delete the load balancers that no Service asks for any more; returns whether anything changed."""
        changed = False
        for host in set(self.balancers) - hosts:
            arn = self.balancers[host].arn
            if any(arn in s.load_balancers for s in self.services.values()):
                self.held_balancers.append(arn)
            else:
                del self.balancers[host]
                changed = True
        return changed

    def connect(self, endpoint: str, *, account: str) -> None:
        """Somebody makes an endpoint for the one service there is."""
        (service,) = self.services.values()
        allowed = {principal.split(":")[4] for principal in service.principals}
        assert account in allowed, "AWS lets nobody else ask"
        state = "pendingAcceptance" if service.acceptance_required else "available"
        connection = EndpointConnection(endpoint=endpoint, account=account, state=state)
        self.services[service.id] = replace(service, connections=(*service.connections, connection))

    def edit(self, **fields: object) -> None:
        """Somebody changes the one service there is."""
        (service,) = self.services.values()
        self.services[service.id] = replace(service, **fields)  # type: ignore[arg-type]

    def states(self) -> dict[str, str]:
        """Endpoint → state, of all services."""
        return {c.endpoint: c.state for s in self.services.values() for c in s.connections}

    # ---- inside

    def _call(self, what: str) -> None:
        self._recorder.call(f"cloud {what}")
        if self.trouble is not None:
            raise self.trouble

    def _create(self, change: CreateService) -> None:
        taken = [s.id for s in self.services.values() if change.load_balancer in s.load_balancers]
        if taken:
            raise Rejected("AWS EC2 fake", f"the load balancer is associated with {taken[0]}")
        id = f"vpce-svc-{next(self._numbers):017d}"
        self.services[id] = EndpointService(
            id=id,
            name=f"com.amazonaws.vpce.us-west-2.{id}",
            state="Available",
            acceptance_required=change.acceptance_required,
            load_balancers=(change.load_balancer,),
            tags=dict(change.tags),
        )


def _changed(service: EndpointService, change: Change) -> EndpointService:
    match change:
        case ConfigureService():
            kept = [arn for arn in service.load_balancers if arn not in change.remove_load_balancers]
            required = change.acceptance_required
            return replace(
                service,
                load_balancers=(*kept, *change.add_load_balancers),
                acceptance_required=service.acceptance_required if required is None else required,
            )
        case TagService():
            return replace(service, tags={**service.tags, **dict(change.tags)})
        case UntagService():
            return replace(service, tags={k: v for k, v in service.tags.items() if k not in change.keys})
        case AllowPrincipals():
            return replace(service, principals=(*service.principals, *change.principals))
        case DisallowPrincipals():
            return replace(service, principals=tuple(p for p in service.principals if p not in change.principals))
        case AcceptConnections():
            return _moved(service, change.endpoints, {"pendingAcceptance"}, "available")
        case RejectConnections():
            return _moved(service, change.endpoints, OPEN, "rejected")
    raise AssertionError(change)


def _moved(service: EndpointService, endpoints: Sequence[str], before: set[str], after: str) -> EndpointService:
    connections = []
    for c in service.connections:
        if c.endpoint in endpoints:
            assert c.state in before, f"{c.endpoint} is {c.state}"
            c = replace(c, state=after)
        connections.append(c)
    return replace(service, connections=tuple(connections))
