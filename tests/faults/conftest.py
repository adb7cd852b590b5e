"""The same worlds as in tests/fake."""

import functools

import pytest
import yaml

from tests.fake.world import FakeWorld


@pytest.fixture
def world() -> FakeWorld:
    return FakeWorld()


@pytest.fixture(autouse=True)
def quick_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same text from the C library: Milvus' configuration is written anew in every pass, and hundreds run here."""
    monkeypatch.setattr(yaml, "safe_dump", functools.partial(yaml.dump, Dumper=yaml.CSafeDumper))
