"""The network policies of a cluster: nothing gets in or out but what is listed here.

Kubernetes reads an empty `from` or `to` as *everybody*. So a rule whose sources came out empty is never written; the
policy is left out instead, and default-deny stands.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Protocol
from urllib.parse import urlsplit

from zilliz_operator.api import names
from zilliz_operator.api.allowlist import Workload
from zilliz_operator.api.zillizcluster import Exposure

from .context import COMPONENT_LABEL, GATEWAY, MILVUS, ClusterContext
from .manifest import Manifest, manifest

Network = IPv4Network | IPv6Network

NAMESPACE_NAME = "kubernetes.io/metadata.name"
NEVER_REACHED = ("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "fe80::/10", "fd00:ec2::/32")
"""Link-local addresses, and where clouds answer besides (Azure, Alibaba, AWS by IPv6): instance metadata hands out the
node's identity."""
NAT64 = IPv6Network("64:ff9b::/96")
"""Whoever reaches this by IPv6 reaches the IPv4 address in its last 32 bits, where the network translates."""
MILVUS_PORTS = (names.MILVUS_GRPC, names.MILVUS_REST, names.MILVUS_OPS)
ENGINE_LABELS = {"app.kubernetes.io/name": "milvus", "app.kubernetes.io/instance": MILVUS}
"""What the Milvus operator puts on the pods of a `Milvus` named `milvus`."""


class Admission(Protocol):
    """Who may knock now. Empty: nobody from outside, and the policy for clients is not there at all."""

    @property
    def cidrs(self) -> Sequence[str]: ...

    @property
    def workloads(self) -> Sequence[Workload]: ...


def policies(ctx: ClusterContext, admission: Admission) -> list[Manifest]:
    """All policies of the cluster's namespace."""
    found = [
        default_deny(ctx),
        dns(ctx),
        gateway_clients(ctx, admission),
        gateway_operator(ctx),
        gateway_metrics(ctx),
        gateway_egress(ctx),
        milvus_ingress(ctx),
        milvus_egress(ctx),
        milvus_parts(ctx),
    ]
    return [policy for policy in found if policy is not None]


def default_deny(ctx: ClusterContext) -> Manifest:
    return _policy(ctx, "default-deny", selector={}, policyTypes=["Ingress", "Egress"])


def dns(ctx: ClusterContext) -> Manifest:
    """Names are resolved by the cluster's DNS pods and by nobody else."""
    server = ctx.data_plane.network.dns
    peer = _pods(server.namespace, dict(server.pod_labels))
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    return _policy(ctx, "dns", selector={}, policyTypes=["Egress"], egress=[{"to": [peer], "ports": ports}])


def gateway_clients(ctx: ClusterContext, admission: Admission) -> Manifest | None:
    """Who may knock. Load balancers are let through only where there is somebody to bring: they speak the PROXY
    protocol, and the gateway judges the address behind them."""
    blocks = [*admission.cidrs]
    if ctx.spec.exposure is not Exposure.INTERNAL and blocks:
        blocks += ctx.data_plane.network.load_balancer_cidrs
    peers = [_block(each) for each in ordered(blocks)]
    peers += [_pods(namespace, dict(labels)) for namespace, labels in _distinct(admission.workloads)]
    return _ingress(ctx, "gateway-clients", GATEWAY, peers, (names.GATEWAY_PORT,))


def gateway_operator(ctx: ClusterContext) -> Manifest | None:
    """The operator's way in: its namespace on this Kubernetes cluster, its addresses from another one."""
    peers = [_block(each) for each in ordered(ctx.data_plane.network.operator_cidrs)]
    if ctx.data_plane.kubernetes is None:
        peers.append(_namespace(ctx.operator_namespace))
    return _ingress(ctx, "gateway-operator", GATEWAY, peers, (names.GATEWAY_PORT,))


def gateway_metrics(ctx: ClusterContext) -> Manifest | None:
    """Metrics, for the monitoring namespace alone."""
    monitoring = ctx.data_plane.network.monitoring_namespace
    peers = [_namespace(monitoring)] if monitoring else []
    return _ingress(ctx, "gateway-metrics", GATEWAY, peers, (names.METRICS_PORT,))


def gateway_egress(ctx: ClusterContext) -> Manifest:
    """Gateways talk to Milvus, and to nothing else."""
    rule = {"to": [{"podSelector": milvus_pods(ctx)}], "ports": _ports(*MILVUS_PORTS)}
    return _policy(ctx, "gateway-egress", selector=_component(GATEWAY), policyTypes=["Egress"], egress=[rule])


def milvus_ingress(ctx: ClusterContext) -> Manifest:
    """Milvus hears the gateways, and nobody else (the kubelet's probes come from its own node and always pass)."""
    rule = {"from": [{"podSelector": _component(GATEWAY)}], "ports": _ports(*MILVUS_PORTS)}
    return _policy(ctx, "milvus-ingress", selector=milvus_pods(ctx), policyTypes=["Ingress"], ingress=[rule])


def milvus_egress(ctx: ClusterContext) -> Manifest:
    """Milvus talks to its object store, on the store's port."""
    peers = store_peers(ctx)
    rules = [{"to": peers, "ports": _ports(store_port(ctx))}] if peers else []
    return _policy(ctx, "milvus-egress", selector=milvus_pods(ctx), policyTypes=["Egress"], egress=rules)


def milvus_parts(ctx: ClusterContext) -> Manifest | None:
    """With the Milvus operator a cluster has many parts, etcd among them; all but the gateways talk to each other."""
    if ctx.built_in:
        return None
    inner = {"matchExpressions": [{"key": COMPONENT_LABEL, "operator": "NotIn", "values": [GATEWAY]}]}
    peer = [{"podSelector": inner}]
    return _policy(
        ctx,
        "milvus-parts",
        selector=inner,
        policyTypes=["Ingress", "Egress"],
        ingress=[{"from": peer}],
        egress=[{"to": peer}],
    )


def milvus_pods(ctx: ClusterContext) -> dict[str, Any]:
    """The selector of Milvus' own pods."""
    return _component(MILVUS) if ctx.built_in else {"matchLabels": dict(ENGINE_LABELS)}


def store_port(ctx: ClusterContext) -> int:
    """The port of the store's endpoint."""
    endpoint = urlsplit(ctx.data_plane.object_storage.endpoint or "https://s3")
    return endpoint.port or (443 if endpoint.scheme == "https" else 80)


def store_peers(ctx: ClusterContext) -> list[dict[str, Any]]:
    """Where the store answers: as declared, else its address when the endpoint is one, else the internet.

    From a range wider than it, everything inside the data plane, the control plane and instance metadata are cut out.
    """
    storage = ctx.data_plane.object_storage
    declared: Sequence[str] = storage.cidrs or _literal(storage.endpoint) or _internet(ctx)
    metadata = _both_ways(NEVER_REACHED)
    forbidden = [*_both_ways(inside(ctx)), *metadata]
    allowed = [ip_network(text) for text in ordered(declared)]
    peers = [_cut(block, forbidden) for block in allowed if not any(_within(block, hidden) for hidden in metadata)]
    return [peer for peer in peers if peer is not None]


def inside(ctx: ClusterContext) -> tuple[str, ...]:
    """Everything that the data plane declares as its own, or as the operator's."""
    network = ctx.data_plane.network
    own = (*network.pod_cidrs, *network.service_cidrs, *network.node_cidrs, *network.vpc_cidrs)
    return (*own, *network.load_balancer_cidrs, *network.operator_cidrs)


def shut_to_operator(ctx: ClusterContext) -> dict[str, int]:
    """A port of each component that listens and that no policy opens to the operator. Whoever enforces policies keeps it
    from connecting there; if it connects, nobody does."""
    watches = (
        ctx.data_plane.network.monitoring_namespace == ctx.operator_namespace and ctx.data_plane.kubernetes is None
    )
    return {MILVUS: names.MILVUS_OPS} | ({} if watches else {GATEWAY: names.METRICS_PORT})


def ordered(cidrs: Sequence[str]) -> list[str]:
    """Each block once, in one order whatever order they came in."""
    blocks = {ip_network(text) for text in cidrs}
    return [
        str(block)
        for block in sorted(blocks, key=lambda each: (each.version, int(each.network_address), each.prefixlen))
    ]


def _internet(ctx: ClusterContext) -> list[str]:
    dual = any(":" in text for text in ctx.data_plane.network.pod_cidrs)
    return ["0.0.0.0/0", "::/0"] if dual else ["0.0.0.0/0"]


def _literal(endpoint: str | None) -> list[str]:
    try:
        return [str(ip_network(urlsplit(endpoint or "").hostname or ""))]
    except ValueError:
        return []


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False


def _both_ways(cidrs: Sequence[str]) -> list[Network]:
    """The blocks, and those of IPv4 once more as NAT64 shows them."""
    blocks = [ip_network(text) for text in cidrs]
    shown = [
        IPv6Network((int(NAT64.network_address) + int(block.network_address), 96 + block.prefixlen))
        for block in blocks
        if isinstance(block, IPv4Network)
    ]
    return [*blocks, *shown]


def _cut(block: Network, forbidden: Sequence[Network]) -> dict[str, Any] | None:
    """A peer: the block without what is forbidden inside it. None when nothing is left of it."""
    holes = [hole for hole in forbidden if hole != block and _within(hole, block)]
    v4 = collapse_addresses(hole for hole in holes if isinstance(hole, IPv4Network))
    v6 = collapse_addresses(hole for hole in holes if isinstance(hole, IPv6Network))
    cut: list[Network] = [*v4, *v6]
    if block in cut:
        return None
    return {"ipBlock": {"cidr": str(block), **({"except": [str(hole) for hole in cut]} if cut else {})}}


def _distinct(workloads: Sequence[Workload]) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    return sorted({(each.namespace, tuple(sorted(each.pod_labels.items()))) for each in workloads})


def _block(cidr: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr}}


def _namespace(name: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: name}}}


def _pods(namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    return {**_namespace(namespace), "podSelector": {"matchLabels": labels}}


def _component(component: str) -> dict[str, Any]:
    return {"matchLabels": {COMPONENT_LABEL: component}}


def _ports(*ports: int) -> list[dict[str, Any]]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


def _ingress(
    ctx: ClusterContext, name: str, component: str, peers: list[dict[str, Any]], ports: tuple[int, ...]
) -> Manifest | None:
    if not peers:
        return None
    rule = {"from": peers, "ports": _ports(*ports)}
    return _policy(ctx, name, selector=_component(component), policyTypes=["Ingress"], ingress=[rule])


def _policy(ctx: ClusterContext, name: str, *, selector: dict[str, Any], **spec: Any) -> Manifest:
    body = {"podSelector": selector, **spec}
    return manifest("NetworkPolicy", name=name, namespace=ctx.namespace, labels=ctx.labels("network"), spec=body)
