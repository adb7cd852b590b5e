"""Who can open a TCP connection to whom: one small program, run on hosts, on the node and in any pod that has Python 3.

And the map of a cluster: every address of it, with what its pods really listen on.
"""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.node.harness import Cluster, Host, Manifest, Pod, Product
from tools.devcluster import netns
from zilliz_operator.api import names

Target = tuple[str, int]

KNOWN_PORTS = (19530, 8080, 9091, 9530, 8404, 8405, 53100, 2379, 2380, 13333, 19529, 19531, 21121, 21123, 21124, 22222)
ELSEWHERE, MONITORING = "elsewhere", "monitoring"
METADATA, INTERNET = ("169.254.169.254", 80), ("198.51.100.1", 443)

KNOCK = """
import json, selectors, socket, sys, time
seconds, targets = json.load(sys.stdin)
answers, waiting = {}, selectors.DefaultSelector()
for address, port in targets:
    line = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    line.setblocking(False)
    code = line.connect_ex((address, port))
    if code in (0, 115):
        waiting.register(line, selectors.EVENT_WRITE, (address, port))
    else:
        answers[f"{address}:{port}"] = "refused"
end = time.monotonic() + seconds
while waiting.get_map() and time.monotonic() < end:
    for ready, _ in waiting.select(max(0, end - time.monotonic())):
        code = ready.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        answers["%s:%d" % ready.data] = "refused" if code else "open"
        waiting.unregister(ready.fileobj)
for key in list(waiting.get_map().values()):
    answers["%s:%d" % key.data] = "silent"
print(json.dumps(answers))
"""
KNOCK_BASH = """
knock() { if timeout "$1" bash -c ": </dev/tcp/$2/$3" 2>/dev/null; then echo "$2 $3"; fi; }
seconds=$1; shift
while [ $# -gt 0 ]; do knock "$seconds" "$1" "$2" & shift 2; done
wait
"""
"""The same for an image that holds no Python."""
SECONDS = 4.0
"""More than two SYNs lost to a busy machine; what a policy forbids is mostly refused at once."""


def opened(source: Product | Host | Pod, targets: Iterable[Target], *, seconds: float = SECONDS) -> set[Target]:
    """The targets that take a connection from `source`."""
    wanted: Sequence[Target] = sorted(set(targets))
    if isinstance(source, Pod) and source.name.startswith("milvus-"):
        words = [word for address, port in wanted for word in (address, str(port))]
        lines = source.run("bash", "-c", KNOCK_BASH, "knock", f"{seconds:.0f}", *words).split("\n")
        return {(address, int(port)) for address, port in (line.split() for line in lines if line)}
    python = "python3" if isinstance(source, Pod) else sys.executable
    said = json.loads(source.run(python, "-c", KNOCK, input=json.dumps([seconds, wanted])))
    assert len(said) == len(wanted), said
    return {(address, port) for address, port in wanted if said[f"{address}:{port}"] == "open"}


# ---- a cluster's map


@dataclass(frozen=True)
class Map:
    """Every address of a cluster."""

    gateways: tuple[Pod, ...]
    milvus: Pod
    listening: frozenset[Target]
    """What its pods listen on, on their own addresses."""
    services: frozenset[Target]
    """ClusterIPs, node ports and the load balancer, of whatever purpose."""
    front: frozenset[Target]
    """Of the listed ones, those meant for clients."""

    @property
    def targets(self) -> frozenset[Target]:
        pods = (*self.gateways, self.milvus)
        known = {(pod.address, port) for pod in pods for port in KNOWN_PORTS}
        return self.listening | self.services | known

    @property
    def doors(self) -> frozenset[Target]:
        """Port 19530 of the gateways' own addresses."""
        return frozenset((pod.address, names.GATEWAY_PORT) for pod in self.gateways)


def listening(pod: Pod) -> set[Target]:
    """Ports of a pod that are open to more than itself, as its kernel says."""
    lines = pod.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    found = [line.split() for line in lines]
    local = [fields[1].rsplit(":", 1) for fields in found if len(fields) > 3 and fields[3] == "0A"]
    return {(pod.address, int(port, 16)) for address, port in local if not address.endswith("7F")}


def surveyed(product: Product, cluster: Cluster) -> Map:
    """Read a cluster's addresses."""
    gateways, (milvus,) = tuple(cluster.pods("gateway")), cluster.pods("milvus")
    assert len(gateways) == 2
    services: set[Target] = set()
    front: set[Target] = set()
    for service in product.list("Service", cluster.namespace):
        found = _addresses(service, node=str(product.layout.address))
        services |= found
        front |= found if service["metadata"]["name"] == "gateway" else set()
    heard = frozenset().union(*(listening(pod) for pod in (*gateways, milvus)))
    return Map(gateways, milvus, heard, frozenset(services), frozenset(front))


def _addresses(service: Manifest, *, node: str) -> set[Target]:
    spec = service["spec"]
    outside = [each["ip"] for each in service["status"].get("loadBalancer", {}).get("ingress") or ()]
    found = {(address, port["port"]) for port in spec["ports"] for address in (spec["clusterIP"], *outside)}
    return found | {(node, port["nodePort"]) for port in spec["ports"] if port.get("nodePort")}


def forged_labels(cluster: Cluster) -> dict[str, str]:
    """The labels by which the cluster's policies know its gateways."""
    labels: dict[str, str] = cluster.pods("gateway")[0].read()["metadata"]["labels"]
    return {key: value for key, value in labels.items() if key != "pod-template-hash"}


# ---- places that answer


def listener(product: Product) -> Pod:
    """A pod without policies that answers on port 8000."""
    return product.pod(
        ELSEWHERE, "listener", command=("python3", "-m", "http.server", "8000", "--directory", "/proc/self")
    )


@contextmanager
def answering(namespace: str, address: str, port: int, *, ways: tuple[str, str] | None = None) -> Iterator[None]:
    """A TCP server on an address put on loopback of a network namespace; `ways`: where a route to it is needed, and by whom."""

    def ip(where: str, *words: str) -> None:
        subprocess.run(["ip", "-n", where, *words], check=True, capture_output=True)

    ip(namespace, "address", "replace", f"{address}/32", "dev", "lo")
    if ways:
        ip(ways[0], "route", "replace", address, "via", ways[1])
    with netns.inside(namespace):
        server = socket.create_server((address, port))
    done = threading.Event()
    server.settimeout(0.2)

    def serve() -> None:
        while not done.is_set():
            try:
                server.accept()[0].close()
            except TimeoutError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        server.close()
        if ways:
            ip(ways[0], "route", "del", address)
        ip(namespace, "address", "del", f"{address}/32", "dev", "lo")
