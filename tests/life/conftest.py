"""The node layer's cluster and clusters, for tests that change, break and heal them.

They take long and need the machine to themselves, so `make layer L=life` runs them and `make test` does not.
"""

import pytest

from tests.node.conftest import TEST_SECONDS, cluster, other, product, quickstart

__all__ = ["cluster", "other", "product", "quickstart"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What the fixtures take is not held against a test."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))
