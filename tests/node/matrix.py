"""The table of who reaches whom, probed by packets: every party of the documented port table, to and from a cluster's pods.

`rows` is all that a report needs: each has what the table says and what was seen. Nothing here asserts; a test does, and whoever
writes a report prints.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

from tests.node import packets
from tests.node.harness import OPERATOR_NAMESPACE, Cluster, Host, Pod, Product
from tests.node.packets import ELSEWHERE, INTERNET, KNOWN_PORTS, METADATA, MONITORING, Target, forged_labels
from tools.devcluster import netns
from zilliz_operator.api.flows import LISTENERS, Facts, Party, may

Source = Product | Host | Pod
PORTS = tuple(sorted({*KNOWN_PORTS, *(listener.port for listener in LISTENERS)}))
DATA_PLANE = "default"
CLOSED = frozenset({Party.OPERATOR, Party.OTHER_GATEWAY, Party.OTHER_MILVUS})
"""Places with policies of their own."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One connection that was tried. `listens`: somebody is there to take it, so that only policies can prevent it."""

    source: str
    target: str
    address: str
    port: int
    listens: bool
    expected: bool
    seen: bool

    @property
    def family(self) -> str:
        return f"IPv{ip_address(self.address).version}"

    @property
    def differs(self) -> bool:
        return self.expected != self.seen

    def __str__(self) -> str:
        said = {True: "open", False: "shut"}
        return f"{self.source} → {self.target} {self.address}:{self.port}: {said[self.seen]}, expected {said[self.expected]}"


@dataclass(frozen=True, kw_only=True)
class _Who:
    """Somebody who knocks."""

    party: Party
    name: str
    place: Source
    own: frozenset[str] = frozenset()
    """Its own addresses: what it says to itself is no packet."""


@dataclass(frozen=True, kw_only=True)
class _Where:
    """Something that is knocked at."""

    party: Party
    name: str
    target: Target
    listens: bool


def rows(product: Product, cluster: Cluster, other: Cluster) -> list[Row]:
    """Everybody at every port of the cluster's pods, and the cluster's pods at every place outside of it."""
    known = facts(product, cluster)
    inward = list(_own_ports(product, cluster))
    found = _probed(known, _knockers(product, cluster, other), inward)
    with places(product, other) as outward:
        found += _probed(known, _own(cluster), outward)
    return found


def facts(product: Product, cluster: Cluster) -> Facts:
    """What decides which flows are open, read from the objects that people wrote."""
    spec = product.get("DataPlane", DATA_PLANE)["spec"]
    lists = [each["spec"] for each in product.list("Allowlist", cluster.project)]
    network = spec.get("network") or {}
    return Facts(
        clients=any(each.get("entries") for each in lists),
        workloads=any(each.get("workloads") for each in lists),
        exposed=cluster.read()["spec"].get("exposure") != "Internal" and bool(network.get("loadBalancerCIDRs")),
        monitored=bool(network.get("monitoringNamespace")),
        store_port=urlsplit(spec["objectStorage"]["endpoint"]).port,
    )


def markdown(found: Sequence[Row]) -> str:
    """The rows as a table, those of one pair of parties together, and how many differ."""
    lines = ["| From | To | Port | Family | Listens | Expected | Seen |", "|---|---|---|---|---|---|---|"]
    said = {True: "open", False: "shut"}
    for row in sorted(found, key=lambda each: (each.source, each.target, each.port, each.family)):
        cells = (row.source, row.target, row.port, row.family, "yes" if row.listens else "no")
        lines.append(f"| {' | '.join(map(str, cells))} | {said[row.expected]} | {said[row.seen]} |")
    return "\n".join([*lines, "", f"differences: {sum(row.differs for row in found)}"])


# ---- who knocks


def _knockers(product: Product, cluster: Cluster, other: Cluster) -> list[_Who]:
    operator = _operator(product)
    strangers = [
        _who(Party.PROJECT, product.pod(cluster.project, labels={"app.kubernetes.io/component": "milvus"})),
        _who(Party.ELSEWHERE, product.pod(ELSEWHERE)),
        replace(
            _who(Party.ELSEWHERE, product.pod(ELSEWHERE, "forger", labels=forged_labels(cluster))),
            name="pod of another namespace with the gateways' labels",
        ),
        _who(Party.OTHER_GATEWAY, other.pods("gateway")[0]),
        _who(Party.OTHER_MILVUS, other.pods("milvus")[0]),
    ]
    hosts = [
        _Who(party=Party.CLIENT, name=Party.CLIENT, place=product.office),
        _Who(party=Party.STRANGER, name=Party.STRANGER, place=product.stranger),
        _Who(party=Party.NODE, name=Party.NODE, place=product),
    ]
    return [
        *hosts,
        _who(Party.OPERATOR, operator),
        _who(Party.MONITORING, product.pod(MONITORING)),
        *strangers,
        *_own(cluster),
    ]


def _own(cluster: Cluster) -> list[_Who]:
    return [_who(Party.GATEWAY, cluster.pods("gateway")[0]), _who(Party.MILVUS, cluster.pods("milvus")[0])]


def _who(party: Party, pod: Pod) -> _Who:
    return _Who(party=party, name=party, place=pod, own=frozenset(addresses(pod)))


def _operator(product: Product) -> Pod:
    labels = {"app.kubernetes.io/name": "zilliz-operator"}
    running = [pod for pod in product.list("Pod", OPERATOR_NAMESPACE, labels=labels) if pod["status"].get("podIP")]
    assert running, f"no pod of the operator runs in {OPERATOR_NAMESPACE}"
    return Pod(product, OPERATOR_NAMESPACE, running[0]["metadata"]["name"])


# ---- what is knocked at


def addresses(pod: Pod) -> list[str]:
    """A pod's addresses, of each family that the node gives it."""
    return [str(each["ip"]) for each in pod.read()["status"]["podIPs"]]


def _own_ports(product: Product, cluster: Cluster) -> Iterator[_Where]:
    for component, party in (("gateway", Party.GATEWAY), ("milvus", Party.MILVUS)):
        for number, pod in enumerate(cluster.pods(component)):
            heard = {port for _, port in packets.listening(pod)}
            name = f"{party} {number}" if component == "gateway" else str(party)
            for address in addresses(pod):
                for port in sorted({*PORTS, *heard}):
                    yield _Where(party=party, name=name, target=(address, port), listens=port in heard)


@contextmanager
def places(product: Product, other: Cluster) -> Iterator[list[_Where]]:
    """Where a cluster's pods could go, each listening: instance metadata and an internet host as stand-ins."""
    node, internet = str(product.layout.address), product.host("internet", "10.200.0.98")
    (dns, *_) = product.list("Pod", "kube-system", labels={"k8s-app": "kube-dns"})
    with (
        packets.answering(product.name, *METADATA),
        packets.answering(
            netns.client_namespace(product.layout, "internet"), *INTERNET, ways=(product.name, str(internet.address))
        ),
    ):
        found: Mapping[str, tuple[Party, str, int]] = {
            "object store": (Party.STORE, node, 8333),
            "object store's administration": (Party.STORE, node, 8334),
            "cluster DNS": (Party.DNS, dns["status"]["podIP"], 53),
            "API server": (Party.API_SERVER, node, 6443),
            "API server's Service": (Party.API_SERVER, "10.96.0.1", 443),
            "kubelet": (Party.KUBELET, node, 10250),
            "instance metadata": (Party.METADATA, *METADATA),
            "internet": (Party.INTERNET, *INTERNET),
            "pod of another namespace": (Party.ELSEWHERE, packets.listener(product).address, 8000),
            "operator": (Party.OPERATOR, _operator(product).address, 8080),
            "gateway of another cluster": (Party.OTHER_GATEWAY, other.pods("gateway")[0].address, 19530),
            "Milvus of another cluster": (Party.OTHER_MILVUS, other.pods("milvus")[0].address, 9091),
        }
        _wait_for_answers(product, found.values())
        yield [
            _Where(party=party, name=name, target=(address, port), listens=True)
            for name, (party, address, port) in found.items()
        ]


def _wait_for_answers(product: Product, found: Collection[tuple[Party, str, int]]) -> None:
    """Until every place answers somebody: a pod without policies, or the node where the place's own policies shut others out."""
    closed = {(address, port) for party, address, port in found if party in CLOSED}
    others = {(address, port) for party, address, port in found if party not in CLOSED}
    for source, targets in ((product.pod(ELSEWHERE), others), (product, closed)):
        # A pod that runs may not listen yet.
        product.wait_for(partial(_all_open, source, targets), what=f"answers of {sorted(targets)}")


def _all_open(source: Source, targets: set[Target]) -> bool:
    return packets.opened(source, targets) == targets


# ---- knocking


def _probed(known: Facts, sources: Sequence[_Who], places_: Sequence[_Where]) -> list[Row]:
    """All knock at once, since silence takes its time."""

    def ask(who: _Who) -> set[Target]:
        return packets.opened(who.place, [each.target for each in places_ if each.target[0] not in who.own])

    with ThreadPoolExecutor(len(sources)) as pool:
        opened = dict(zip((who.name for who in sources), pool.map(ask, sources), strict=True))
    return [
        _row(known, who, where, seen=where.target in opened[who.name])
        for who in sources
        for where in places_
        if where.target[0] not in who.own
    ]


def _row(known: Facts, who: _Who, where: _Where, *, seen: bool) -> Row:
    address, port = where.target
    allowed = may(known, source=who.party, target=where.party, port=port)
    return Row(
        source=who.name,
        target=where.name,
        address=address,
        port=port,
        listens=where.listens,
        expected=allowed and where.listens,
        seen=seen,
    )
