"""One local cluster for this layer with the operator installed from its chart; and Milvus clusters on it.

ZBYOC_TEST_NAME names the instance (default zbyoc-test). With ZBYOC_TEST_KEEP=1 it is left running at the end and taken over,
with the operator upgraded, by the next session; a test that makes something must therefore stand finding it made.
"""

import os
from collections.abc import Iterator
from typing import Protocol

import pytest

from tests.node.harness import ROOT, Cluster, Product

QUICKSTART = ROOT / "manifests" / "examples" / "quickstart"
TEST_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this layer may be slow, and what its fixtures take is not held against it."""
    for item in items:
        if "tests/node/" in item.path.as_posix() and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """The product, installed. Whatever a killed session left under that name is removed first."""
    keep = os.environ.get("ZBYOC_TEST_KEEP") == "1"
    found = Product(os.environ.get("ZBYOC_TEST_NAME") or "zbyoc-test")
    if not keep:
        found.down()
    try:
        found.up()
        found.install()
        found.wait_condition("DataPlane", "default")
        yield found
    finally:
        if not keep:
            found.down()


@pytest.fixture(scope="session")
def quickstart(product: Product) -> Cluster:
    """The cluster of the quickstart, from its manifests, Ready. Shared: tests must leave it as it was."""
    product.kubectl("apply", "--server-side", "-f", str(QUICKSTART))
    return Cluster(product, "quickstart", "quickstart").wait_ready()


@pytest.fixture(scope="session")
def other(product: Product) -> Cluster:
    """A cluster of another project. Shared: tests must leave it as it was."""
    return product.make_cluster("neighbours", "other")


class MakeCluster(Protocol):
    """`Product.make_cluster`, whose clusters end with the test."""

    def __call__(self, project: str, name: str, **options: object) -> Cluster: ...


@pytest.fixture
def cluster(product: Product) -> Iterator[MakeCluster]:
    """Makes clusters for one test alone; the node has room for one or two beside the shared ones."""
    made: list[Cluster] = []

    def make(project: str, name: str, **options: object) -> Cluster:
        made.append(Cluster(product, project, name))
        return product.make_cluster(project, name, **options)  # type: ignore[arg-type]

    yield make
    for each in reversed(made):
        each.remove()
