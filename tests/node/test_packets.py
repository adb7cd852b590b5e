"""Packets: who can open a connection to a cluster, and where its pods can. Every silence has its counterpart that answers.

Targets are what the pods really listen on (read in the pods) and every port that Milvus' parts are known for.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.node import packets
from tests.node.harness import OPERATOR_NAMESPACE, Cluster, Host, Pod, Product
from tests.node.packets import ELSEWHERE, INTERNET, METADATA, MONITORING, Map, Target, forged_labels, surveyed
from tools.devcluster import netns
from zilliz_operator.api import names


@pytest.fixture(scope="module")
def map(product: Product, quickstart: Cluster) -> Map:
    return surveyed(product, quickstart)


@pytest.fixture(scope="module")
def forged(quickstart: Cluster) -> dict[str, str]:
    return forged_labels(quickstart)


@pytest.fixture(scope="module")
def sources(
    product: Product, quickstart: Cluster, other: Cluster, forged: dict[str, str]
) -> dict[str, Pod | Host | Product]:
    """Everybody who knocks."""
    return {
        "node": product,
        "allowed host": product.office,
        "unlisted host": product.stranger,
        "pod of another namespace": product.pod(ELSEWHERE),
        "pod of another namespace with the gateways' labels": product.pod(ELSEWHERE, "forger", labels=forged),
        "pod of the project": product.pod(quickstart.project, labels={"app.kubernetes.io/component": "milvus"}),
        "pod of the monitoring namespace": product.pod(MONITORING),
        "gateway of another cluster": other.pods("gateway")[0],
        "Milvus of another cluster": other.pods("milvus")[0],
        "gateway of the cluster": quickstart.pods("gateway")[0],
    }


@pytest.fixture(scope="module")
def reached(sources: dict[str, Pod | Host | Product], map: Map) -> dict[str, set[Target]]:
    """What each of them opens; all knock at once, since silence takes its time."""
    with ThreadPoolExecutor(len(sources)) as pool:
        asked = {name: pool.submit(packets.opened, source, map.targets) for name, source in sources.items()}
        return {name: found.result() for name, found in asked.items()}


def test_the_pods_really_listen(map: Map, reached: dict[str, set[Target]]) -> None:
    """The control of all that follows: from the node, whose kubelet probes them, every listening port answers."""
    milvus, gateway = map.milvus.address, map.gateways[0].address
    assert {(milvus, 19530), (milvus, 8080), (milvus, 9091), (milvus, 53100)} <= map.listening
    assert {(gateway, 19530), (gateway, 9530), (gateway, 8404)} <= map.listening
    assert reached["node"] >= map.listening


@pytest.mark.parametrize(
    "source",
    [
        "unlisted host",
        "pod of another namespace",
        "pod of another namespace with the gateways' labels",
        "pod of the project",
        "gateway of another cluster",
        "Milvus of another cluster",
    ],
)
def test_nothing_answers(source: str, reached: dict[str, set[Target]]) -> None:
    assert reached[source] == set()


def test_the_allowed_host_reaches_the_door_alone(reached: dict[str, set[Target]], map: Map) -> None:
    balancer = {(address, port) for address, port in map.front if address.startswith("10.201.")}
    assert balancer
    assert map.doors | balancer <= reached["allowed host"] <= map.doors | map.front


def test_monitoring_reaches_the_metrics_alone(reached: dict[str, set[Target]], map: Map) -> None:
    found = reached["pod of the monitoring namespace"]
    assert found >= {(pod.address, names.METRICS_PORT) for pod in map.gateways}
    assert {port for _, port in found} == {names.METRICS_PORT}


def test_only_a_gateway_reaches_milvus(reached: dict[str, set[Target]], map: Map) -> None:
    own = map.gateways[0].address
    pods = {target for target in reached["gateway of the cluster"] & map.listening if target[0] != own}
    assert pods == {(map.milvus.address, port) for port in (19530, 8080, 9091)}


# ---- outbound


@pytest.fixture(scope="module")
def world(product: Product, other: Cluster, sources: dict[str, Pod | Host | Product]) -> Iterator[dict[str, Target]]:
    """Places that a cluster's pod has no business with, each listening: instance metadata and an internet host as stand-ins."""
    operator = next(pod for pod in product.list("Pod", OPERATOR_NAMESPACE) if pod["status"].get("podIP"))
    internet = product.host("internet", "10.200.0.98")
    with (
        packets.answering(product.name, *METADATA),
        packets.answering(
            netns.client_namespace(product.layout, "internet"), *INTERNET, ways=(product.name, str(internet.address))
        ),
    ):
        yield {
            "API server": (str(product.layout.address), 6443),
            "API server's Service": ("10.96.0.1", 443),
            "kubelet": (str(product.layout.address), 10250),
            "store's administration": (str(product.layout.address), 8334),
            "store": (str(product.layout.address), 8333),
            "instance metadata": METADATA,
            "internet": INTERNET,
            "pod of another namespace": (packets.listener(product).address, 8000),
            "operator": (operator["status"]["podIP"], 8080),
            "another cluster's gateway": (other.pods("gateway")[0].address, 19530),
            "another cluster's Milvus": (other.pods("milvus")[0].address, 9091),
        }


CLUSTERS_OWN = frozenset({"another cluster's gateway", "another cluster's Milvus", "operator"})
"""Closed to strangers by their own policies, so that their control is the node."""


def test_all_of_it_answers_a_pod_without_policies(
    product: Product, world: dict[str, Target], sources: dict[str, Pod | Host | Product]
) -> None:
    """The control of what follows."""
    reachable = {target for place, target in world.items() if place not in CLUSTERS_OWN}
    # A pod that runs may not listen yet.
    product.wait_for(
        lambda: packets.opened(sources["pod of another namespace"], reachable) == reachable,
        what=f"answers of {reachable}",
    )
    closed = {world[place] for place in CLUSTERS_OWN}
    assert packets.opened(product, closed) == closed


@pytest.mark.parametrize("component", ["gateway", "milvus"])
def test_a_clusters_pod_reaches_nothing_but_its_own(
    component: str, quickstart: Cluster, world: dict[str, Target]
) -> None:
    reached = packets.opened(quickstart.pods(component)[0], world.values())
    assert {place for place, target in world.items() if target in reached} == (
        {"store"} if component == "milvus" else set()
    )
