"""A Kubernetes API stub and a client for it."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.adapters.apistub import ApiStub
from zilliz_operator.adapters import kube as kube_module
from zilliz_operator.adapters.kube import KubeClient


@pytest.fixture
async def stub() -> AsyncIterator[ApiStub]:
    started = await ApiStub().start()
    yield started
    await started.stop()


@pytest.fixture
async def kube(stub: ApiStub, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubeClient]:
    monkeypatch.setattr(kube_module, "MAX_BACKOFF", 0.02)
    access = stub.access()
    async with KubeClient(access, timeout=2.0) as client:
        yield client
    await access.close()
