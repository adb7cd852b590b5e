"""Whoever holds a cluster's key, another's or none: what the object store lets them do, by real calls on a running product."""

import pytest

from tests.node import identities
from tests.node.harness import Cluster, Product
from tests.node.identities import Row


@pytest.fixture(scope="module")
def rows(product: Product, quickstart: Cluster, other: Cluster) -> list[Row]:
    return identities.rows(product, (quickstart, other))


def test_the_store_answers_exactly_as_the_table_says(rows: list[Row]) -> None:
    assert [str(row) for row in rows if row.differs] == []


def test_every_cluster_may_use_its_own_data_and_so_was_really_asked(
    rows: list[Row], quickstart: Cluster, other: Cluster
) -> None:
    """The control: the same calls work for whom they are meant."""
    for cluster in (quickstart, other):
        done = {row.action for row in rows if row.seen and row.asker == f"Milvus of {cluster.name}"}
        assert done == {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
