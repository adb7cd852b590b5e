"""A world for each test, with nothing in it but its namespaces and an issuer."""

import pytest

from tests.fake.world import FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()
