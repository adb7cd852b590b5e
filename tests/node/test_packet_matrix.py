"""The third judge: packets on the real node, from everybody to everything, against the documented port table."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.node import matrix, packets
from tests.node.harness import READY_SECONDS, Cluster, Product
from tests.node.matrix import Row
from zilliz_operator.api.flows import FLOWS, Party, When

ENFORCED = "enforced: our knock at ports that they keep shut was not let in"


@pytest.fixture(scope="module")
def rows(product: Product, quickstart: Cluster, other: Cluster) -> list[Row]:
    return matrix.rows(product, quickstart, other)


def test_packets_go_exactly_where_the_table_says(rows: list[Row]) -> None:
    assert [str(row) for row in rows if row.differs] == []


def test_the_other_cluster_is_as_shut(product: Product, quickstart: Cluster, other: Cluster) -> None:
    """The same with the parts exchanged: who is a stranger to the one is at home in the other."""
    assert [str(row) for row in matrix.rows(product, other, quickstart) if row.differs] == []


def test_every_flow_that_is_open_here_was_seen_open(product: Product, quickstart: Cluster, rows: list[Row]) -> None:
    """The control: each silence above has its counterpart that answers."""
    known = matrix.facts(product, quickstart)
    seen = {(row.source, row.target.rstrip(" 01")) for row in rows if row.seen}
    for flow in FLOWS:
        if known.holds(flow.when) and flow.when is not When.PARTS:
            assert (flow.source, flow.target) in seen, f"nothing of {flow.source} → {flow.target} came through"


def test_everybody_was_asked_about_what_really_listens(rows: list[Row]) -> None:
    for party in (
        Party.STRANGER,
        Party.PROJECT,
        Party.ELSEWHERE,
        Party.OTHER_GATEWAY,
        Party.OTHER_MILVUS,
        Party.OPERATOR,
    ):
        shut = {(row.target, row.port) for row in rows if row.source == party and row.listens and not row.seen}
        assert {("Milvus", 19530), ("Milvus", 8080), ("Milvus", 9091), ("gateway 0", 8404), ("gateway 1", 9530)} <= shut
    for party in (Party.GATEWAY, Party.MILVUS):
        asked = {row.target for row in rows if row.source == party}
        assert {
            "API server",
            "kubelet",
            "instance metadata",
            "internet",
            "operator",
            "Milvus of another cluster",
        } <= asked


def test_each_family_that_the_node_has_was_tried(product: Product, quickstart: Cluster, rows: list[Row]) -> None:
    (milvus,) = quickstart.pods("milvus")
    assert {row.address for row in rows if row.target == "Milvus"} == set(matrix.addresses(milvus))


@pytest.fixture
def hole(product: Product, quickstart: Cluster) -> Iterator[str]:
    """A policy beside ours that lets everybody reach Milvus' metrics."""
    name, namespace = "hole", quickstart.namespace
    rule = {"from": [{"namespaceSelector": {}}], "ports": [{"port": 9091, "protocol": "TCP"}]}
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]}
    metadata = {"name": name, "namespace": namespace}
    product.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
    try:
        yield name
    finally:
        product.delete("NetworkPolicy", name, namespace)
        quickstart.wait_ready()


def test_a_hole_is_seen_by_packets_and_named_by_the_cluster(
    product: Product, quickstart: Cluster, other: Cluster, hole: str
) -> None:
    """That the matrix finds nothing means something only if it finds this; and the cluster must say it by itself."""
    found = quickstart.wait_condition("NetworkIsolated", "False", "WidenedByOthers")
    condition = quickstart.condition("NetworkIsolated")
    assert found
    assert condition is not None
    assert f"{hole} (lets in)" in condition["message"]
    target = (quickstart.pods("milvus")[0].address, 9091)
    strangers = [product.pod(packets.ELSEWHERE), product.pod(quickstart.project), other.pods("gateway")[0]]

    def through() -> bool:
        with ThreadPoolExecutor(len(strangers)) as pool:
            # another cluster's gateway is still held back by its own policies
            answers = list(pool.map(lambda pod: packets.opened(pod, [target]), strangers))
        return answers == [{target}, {target}, set()]

    product.wait_for(through, what=f"{target} answers pods without policies")


def test_the_cluster_says_that_its_policies_are_enforced(product: Product, quickstart: Cluster) -> None:
    def said() -> bool:
        condition = quickstart.condition("NetworkIsolated")
        return condition is not None and condition["status"] == "True" and ENFORCED in condition["message"]

    product.wait_for(said, what=ENFORCED, deadline=READY_SECONDS)
