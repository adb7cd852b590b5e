"""Who may open a connection to whom: the one table that the network policies are held to.

Data, free of pydantic. `docs/reference/ports.md` is made from it. Three judges compare the policies with it, each on its
own: an evaluator in the unit tests, a foreign analyser, and packets on a real node.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from zilliz_operator.api import names


class Party(StrEnum):
    """Everybody who may knock or be knocked at, as the judges know them."""

    # Of the cluster
    GATEWAY = "gateway"
    MILVUS = "Milvus"
    PART = "other part of Milvus"
    # With business at its door
    CLIENT = "allowed host"
    WORKLOAD = "allowed workload"
    BALANCER = "load balancer"
    OPERATOR = "operator"
    MONITORING = "monitoring"
    NODE = "own node"
    # Where the cluster has business
    STORE = "object store"
    DNS = "cluster DNS"
    # Without any
    STRANGER = "forbidden host"
    PROJECT = "pod of the project"
    ELSEWHERE = "pod of another namespace"
    OTHER_GATEWAY = "gateway of another cluster"
    OTHER_MILVUS = "Milvus of another cluster"
    METADATA = "instance metadata"
    API_SERVER = "API server"
    KUBELET = "kubelet"
    INTERNET = "internet"


OWN: Final = (Party.GATEWAY, Party.MILVUS, Party.PART)
"""Pods of the cluster itself."""


class When(StrEnum):
    """What must be so for a flow to be open; the texts are for the page."""

    ALWAYS = "always"
    CLIENTS = "an Allowlist admits its address"
    WORKLOADS = "an Allowlist lists it"
    EXPOSED = "exposure is not Internal and an Allowlist admits some address"
    OPERATOR = "from its namespace on the same Kubernetes, or from network.operatorCIDRs"
    MONITORED = "network.monitoringNamespace is set"
    STORE = "the store's address is known or declared"
    PARTS = "engine is MilvusOperator"


ANY_PORT: Final = 0
"""Every port, where a cluster's own parts talk to each other."""
STORE_PORT: Final = -1
"""The port of the DataPlane's objectStorage.endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port on which a cluster's pods listen."""

    party: Party
    port: int
    speaks: str
    loopback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Connections that are let through. What no flow names is refused, in both directions."""

    source: Party
    target: Party
    ports: tuple[int, ...]
    purpose: str
    when: When = When.ALWAYS
    protocols: tuple[str, ...] = ("TCP",)


LISTENERS: Final = (
    Listener(party=Party.GATEWAY, port=names.GATEWAY_PORT, speaks="the door: gRPC and REST over TLS"),
    Listener(party=Party.GATEWAY, port=names.METRICS_PORT, speaks="metrics of Milvus and of the gateway"),
    Listener(party=Party.GATEWAY, port=names.OPS_PORT, speaks="readiness, for the kubelet"),
    Listener(party=Party.GATEWAY, port=names.AGENT_PORT, speaks="the agent", loopback=True),
    Listener(party=Party.MILVUS, port=names.MILVUS_GRPC, speaks="gRPC, mutual TLS"),
    Listener(party=Party.MILVUS, port=names.MILVUS_REST, speaks="REST, TLS"),
    Listener(party=Party.MILVUS, port=names.MILVUS_OPS, speaks="health and metrics, without any credential"),
    Listener(party=Party.MILVUS, port=53100, speaks="Milvus' own parts"),
    Listener(party=Party.MILVUS, port=2379, speaks="etcd"),
    Listener(party=Party.MILVUS, port=2380, speaks="etcd's peers"),
)

_DOOR: Final = (names.GATEWAY_PORT,)
_MILVUS: Final = (names.MILVUS_GRPC, names.MILVUS_REST, names.MILVUS_OPS)
_DNS: Final = tuple(
    Flow(source=party, target=Party.DNS, ports=(53,), protocols=("UDP", "TCP"), purpose="names", when=when)
    for party, when in ((Party.GATEWAY, When.ALWAYS), (Party.MILVUS, When.ALWAYS), (Party.PART, When.PARTS))
)
_INNER: Final = tuple(
    Flow(
        source=source,
        target=target,
        ports=(ANY_PORT,),
        protocols=("TCP", "UDP"),
        purpose="one Milvus of many parts",
        when=When.PARTS,
    )
    for source in (Party.MILVUS, Party.PART)
    for target in (Party.MILVUS, Party.PART)
)

FLOWS: Final = (
    Flow(source=Party.CLIENT, target=Party.GATEWAY, ports=_DOOR, purpose="clients", when=When.CLIENTS),
    Flow(source=Party.WORKLOAD, target=Party.GATEWAY, ports=_DOOR, purpose="clients", when=When.WORKLOADS),
    Flow(
        source=Party.BALANCER, target=Party.GATEWAY, ports=_DOOR, purpose="clients, by PROXY header", when=When.EXPOSED
    ),
    Flow(
        source=Party.OPERATOR,
        target=Party.GATEWAY,
        ports=_DOOR,
        purpose="probe, attestation, users",
        when=When.OPERATOR,
    ),
    Flow(
        source=Party.MONITORING,
        target=Party.GATEWAY,
        ports=(names.METRICS_PORT,),
        purpose="scraping",
        when=When.MONITORED,
    ),
    Flow(source=Party.NODE, target=Party.GATEWAY, ports=(ANY_PORT,), purpose="kubelet's probes"),
    Flow(source=Party.NODE, target=Party.MILVUS, ports=(ANY_PORT,), purpose="kubelet's probes"),
    Flow(source=Party.GATEWAY, target=Party.MILVUS, ports=_MILVUS, purpose="requests, metrics"),
    Flow(source=Party.MILVUS, target=Party.STORE, ports=(STORE_PORT,), purpose="data", when=When.STORE),
    *_DNS,
    *_INNER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What decides which flows are open for one cluster."""

    clients: bool = False
    workloads: bool = False
    exposed: bool = False
    operator: bool = True
    monitored: bool = False
    store_port: int | None = None
    parts: bool = False

    def holds(self, when: When) -> bool:
        """Whether this is so."""
        match when:
            case When.CLIENTS:
                return self.clients
            case When.WORKLOADS:
                return self.workloads
            case When.EXPOSED:
                return self.exposed and self.clients
            case When.OPERATOR:
                return self.operator
            case When.MONITORED:
                return self.monitored
            case When.STORE:
                return self.store_port is not None
            case When.PARTS:
                return self.parts
        return True


def may(facts: Facts, *, source: Party, target: Party, port: int, protocol: str = "TCP") -> bool:
    """Whether the table lets `source` open a connection to this port of `target`."""
    return any(
        flow.source is source
        and flow.target is target
        and protocol in flow.protocols
        and facts.holds(flow.when)
        and any(_is(facts, open_port, port) for open_port in flow.ports)
        for flow in FLOWS
    )


def _is(facts: Facts, open_port: int, port: int) -> bool:
    return open_port == ANY_PORT or port == (facts.store_port if open_port == STORE_PORT else open_port)
