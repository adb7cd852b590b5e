"""The same worlds as in tests/fake."""

import pytest

from tests.fake.world import FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()
