"""Everybody of the port table as somebody with an address and labels, for one example; and the table's own answers for it.

The judges differ in how they decide, not in what they are asked: all of them take their questions from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from tests.unit.desired.samples import EXAMPLE_SETS, NOW, context, data_plane, example
from tests.unit.desired.semantics import Peer
from tests.unit.policy.test_allowlist import allowlist
from zilliz_operator.api.flows import ANY_PORT, FLOWS, LISTENERS, OWN, STORE_PORT, Facts, Party, may
from zilliz_operator.api.zillizcluster import Exposure
from zilliz_operator.desired import network
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.policy.allowlist import Admission, union

STRANGE_PORTS = (22, 80, 443, 6443, 8333, 10250, 12345, 65535)


@dataclass(frozen=True)
class Question:
    """One row of a reachability table; `expected` is what the documented one says."""

    source: Party
    target: Party
    port: int
    protocol: str
    expected: bool

    def __str__(self) -> str:
        return f"{self.source} → {self.target} {self.port}/{self.protocol}"


@dataclass(frozen=True)
class Case:
    """A cluster with its policies, and who is who around it."""

    ctx: ClusterContext
    admission: Admission

    @property
    def policies(self) -> list[dict[str, Any]]:
        return network.policies(self.ctx, self.admission)

    @property
    def facts(self) -> Facts:
        plane = self.ctx.data_plane
        return Facts(
            clients=bool(self.admission.cidrs),
            workloads=bool(self.admission.workloads),
            exposed=self.ctx.spec.exposure is not Exposure.INTERNAL and bool(plane.network.load_balancer_cidrs),
            operator=plane.kubernetes is None or bool(plane.network.operator_cidrs),
            monitored=plane.network.monitoring_namespace is not None,
            store_port=_store_port(self.ctx),
            parts=not self.ctx.built_in,
        )

    @property
    def peers(self) -> dict[Party, Peer]:
        """Those that there are in this case."""
        found = {**_own(self.ctx), **_strangers(self.ctx), **self._guests()}
        return {party: peer for party, peer in found.items() if peer is not None}

    def _guests(self) -> dict[Party, Peer | None]:
        plane, store = self.ctx.data_plane, self.ctx.data_plane.object_storage
        listed = self.admission.workloads[0] if self.admission.workloads else None
        workload = listed and Peer(address="10.244.9.1", namespace=listed.namespace, labels=dict(listed.pod_labels))
        here = plane.kubernetes is None
        operator = Peer(address="10.244.9.2", namespace=self.ctx.operator_namespace) if here else None
        if not here and plane.network.operator_cidrs:
            operator = Peer(address=_first(plane.network.operator_cidrs[0]))
        watching = plane.network.monitoring_namespace
        dns = plane.network.dns
        return {
            Party.CLIENT: Peer(address=_first(self.admission.cidrs[0])) if self.admission.cidrs else None,
            Party.WORKLOAD: workload,
            Party.BALANCER: Peer(address=_first((*plane.network.load_balancer_cidrs, "10.9.9.0/24")[0])),
            Party.OPERATOR: operator,
            Party.MONITORING: Peer(address="10.244.9.3", namespace=watching) if watching else None,
            Party.STORE: Peer(address=_first(store.cidrs[0])) if store.cidrs else Peer(address="52.95.110.1"),
            Party.DNS: Peer(address="10.244.9.4", namespace=dns.namespace, labels=dict(dns.pod_labels)),
        }

    def questions(self) -> Iterator[Question]:
        """Every party to and from the cluster's own pods, on every port that anybody ever listens on."""
        ports = {listener.port for listener in LISTENERS} | {port for flow in FLOWS for port in flow.ports}
        asked = sorted((ports - {ANY_PORT, STORE_PORT}) | {_store_port(self.ctx), *STRANGE_PORTS})
        for source in self.peers:
            for target in self.peers:
                if source in OWN or target in OWN:
                    for port in asked:
                        for protocol in ("TCP", "UDP"):
                            yield self._question(source, target, port, protocol)

    def _question(self, source: Party, target: Party, port: int, protocol: str) -> Question:
        expected = may(self.facts, source=source, target=target, port=port, protocol=protocol)
        return Question(source, target, port, protocol, expected)


def _own(ctx: ClusterContext) -> dict[Party, Peer]:
    milvus = ctx.labels("milvus") if ctx.built_in else network.ENGINE_LABELS | {"app.kubernetes.io/component": "proxy"}
    own = {
        Party.GATEWAY: Peer(address="10.244.1.1", namespace=ctx.namespace, labels=ctx.labels("gateway")),
        Party.MILVUS: Peer(address="10.244.1.2", namespace=ctx.namespace, labels=milvus),
    }
    if not ctx.built_in:
        etcd = {"app.kubernetes.io/instance": "milvus-etcd", "app.kubernetes.io/component": "etcd"}
        own[Party.PART] = Peer(address="10.244.1.3", namespace=ctx.namespace, labels=etcd)
    return own


def _strangers(ctx: ClusterContext) -> dict[Party, Peer]:
    node = _first((*ctx.data_plane.network.node_cidrs, "10.0.0.0/24")[0])
    other = {**ctx.labels("gateway"), "byoc.zilliz.com/cluster-uid": "another"}
    return {
        Party.STRANGER: Peer(address="192.0.2.200"),
        # they wear the labels of those who may come in, in a place from where nobody may
        Party.PROJECT: Peer(address="10.244.2.1", namespace=ctx.project, labels=ctx.labels("milvus")),
        Party.ELSEWHERE: Peer(address="10.244.2.2", namespace="elsewhere", labels=ctx.labels("gateway")),
        Party.OTHER_GATEWAY: Peer(address="10.244.2.3", namespace="milvus-in01-other", labels=other),
        Party.OTHER_MILVUS: Peer(
            address="10.244.2.4",
            namespace="milvus-in01-other",
            labels=other | {"app.kubernetes.io/component": "milvus"},
        ),
        Party.METADATA: Peer(address="169.254.169.254"),
        Party.API_SERVER: Peer(address="10.96.0.1"),
        Party.KUBELET: Peer(address=node),
        Party.INTERNET: Peer(address="198.51.100.200"),
    }


def _first(cidr: str) -> str:
    return str(ip_network(cidr)[0])


def _store_port(ctx: ClusterContext) -> int:
    endpoint = urlsplit(str(ctx.data_plane.object_storage.endpoint or "https://s3"))
    return endpoint.port or (443 if endpoint.scheme == "https" else 80)


def _made(spec: dict[str, Any], *, plane: dict[str, Any] | None = None, admitted: bool = True) -> Case:
    office = allowlist("203.0.113.0/24", "2001:db8:1::/48", workloads=(("team-a-apps", "api"),))
    made = plane or data_plane()
    return Case(context(spec, made), union([office], now=NOW) if admitted else Admission())


def _with_network(**fields: Any) -> dict[str, Any]:
    made = data_plane()
    made["spec"]["network"] |= fields
    return made


def _examples() -> dict[str, Case]:
    found = {}
    for name in EXAMPLE_SETS:
        ctx, facts = example(name)
        found[name] = Case(ctx, facts.admission)
    return found


CASES = {
    **_examples(),
    "nobody admitted": _made({}, admitted=False),
    "behind load balancers": _made(
        {"exposure": "LoadBalancer"}, plane=_with_network(loadBalancerCIDRs=["192.0.2.64/28"])
    ),
    "load balancers with nobody behind": _made(
        {"exposure": "LoadBalancer"}, plane=_with_network(loadBalancerCIDRs=["192.0.2.64/28"]), admitted=False
    ),
    "nobody monitors": _made(
        {}, plane=data_plane(network={"podCIDRs": ["10.244.0.0/16"], "nodeCIDRs": ["10.200.0.0/24"]})
    ),
    "many parts": _made({}, plane=data_plane(engine="MilvusOperator")),
    "dual stack": _made({}, plane=_with_network(podCIDRs=["10.244.0.0/16", "fd00:10::/56"])),
}
"""Every shipped example of a cluster, and what they leave out."""
