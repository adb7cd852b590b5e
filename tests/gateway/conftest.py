"""Real HAProxy under our agent, in front of a stand-in for Milvus."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.pki import Pki
from tests.gateway.rig import PASSWORDS, Gateway


@pytest.fixture(scope="session", autouse=True)
def haproxy_installed() -> None:
    if shutil.which("haproxy") is None:
        pytest.fail("these tests need HAProxy: apt-get install haproxy")


@pytest.fixture(scope="session")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="session")
def milvus(pki: Pki) -> Iterator[FakeMilvus]:
    fake = FakeMilvus(users=PASSWORDS).start(pair=pki.milvus, client_ca=pki.internal.pem)
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def gateway(pki: Pki, milvus: FakeMilvus) -> Iterator[Gateway]:
    """One running gateway for tests that leave it as they found it."""
    one = Gateway(pki, milvus)
    try:
        yield one.start()
    finally:
        one.stop()


@pytest.fixture
def make_gateway(pki: Pki, milvus: FakeMilvus) -> Iterator[Callable[..., Gateway]]:
    """Gateways of one test's own; the caller starts them."""
    made: list[Gateway] = []

    def make(upstream: FakeMilvus = milvus, **changes: Any) -> Gateway:
        made.append(Gateway(pki, upstream, **changes))
        return made[-1]

    yield make
    for one in made:
        one.stop()
