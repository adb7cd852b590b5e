"""One SeaweedFS and one moto for the whole run, and stores on them that count what they send."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.stores.servers import Moto, SeaweedFS, start_moto, start_seaweedfs
from zilliz_operator.adapters.threads import Threads

READS = ("Get", "List", "Head", "Describe")


@dataclass
class Calls:
    """Every answered call as (service, operation, status)."""

    seen: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, service: str, operation: str, status: int) -> None:
        self.seen.append((service, operation, status))

    def writes(self) -> list[str]:
        return [operation for _, operation, _ in self.seen if not operation.startswith(READS)]


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    store = start_seaweedfs(tmp_path_factory.mktemp("seaweedfs"))
    yield store
    store.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    server = start_moto(tmp_path_factory.mktemp("moto"))
    yield server
    server.process.kill()


@pytest.fixture
def threads() -> Iterator[Threads]:
    pool = Threads(4)
    yield pool
    pool.close()


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture(autouse=True)
def hostile_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings of a machine that must change nothing."""
    settings: dict[str, Any] = {
        "AWS_CA_BUNDLE": tmp_path / "absent.crt",
        "REQUESTS_CA_BUNDLE": tmp_path / "absent.crt",
        "AWS_PROFILE": "absent",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_SESSION_TOKEN": "leaked",
        "AWS_MAX_ATTEMPTS": "9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
