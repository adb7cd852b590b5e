"""Clients of data planes: from which Secret, when they are made anew, and what is refused by its name."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from tests.unit.adapters.apistub import ApiStub
from zilliz_operator.adapters import kube as kube_module
from zilliz_operator.adapters.kube import KubeClient
from zilliz_operator.adapters.remote import RemoteKube
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.adapters.watch import Seen
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import InvalidSpec, KubeconfigRefused, Unreachable
from zilliz_operator.handlers.dataplanes import WiredDataPlanes

SYSTEM = "zilliz-system"


def data_plane(generation: int = 1, uid: str = "u1", **spec: Any) -> DataPlane:
    base: dict[str, Any] = {
        "kubernetes": {"kubeconfigSecretRef": {"name": "eu", "key": "kubeconfig"}},
        "versions": [{"version": "2.3.5", "image": "milvus"}],
        "objectStorage": {
            "provider": "S3Compatible",
            "endpoint": "https://s3.test",
            "credentialsSecretRef": {"name": "store"},
        },
        "network": {"operatorCIDRs": ["10.9.0.0/24"]},
        "certificates": {"issuerRef": {"name": "ca"}, "domain": "byoc.test"},
    }
    metadata = {"name": "eu", "uid": uid, "generation": generation}
    return DataPlane.parse({"metadata": metadata, "spec": {k: v for k, v in (base | spec).items() if v is not None}})


def kubeconfig(*, port: int = 1, **user: Any) -> str:
    """Nothing answers at its address."""
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
    }
    return yaml.safe_dump(content)


class Wired:
    def __init__(self, stub: ApiStub, hub: KubeClient) -> None:
        self.stub = stub
        self.children: list[Seen] = []
        self.turns: list[str] = []
        self.planes = WiredDataPlanes(
            hub=hub,
            threads=Threads(2),
            operator_namespace=SYSTEM,
            on_request=lambda *_: None,
            on_child=self.children.append,
            on_turn=self.turns.append,
            cloud_sweep_seconds=60,
        )
        self.secret("store", accessKeyId="a", secretAccessKey="s")

    def secret(self, name: str, **values: str) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        path = f"/api/v1/namespaces/{SYSTEM}/secrets/{name}"
        self.stub.objects[path] = {"metadata": {"name": name, "resourceVersion": "1", "uid": name}, "data": data}

    def without(self, name: str) -> None:
        del self.stub.objects[f"/api/v1/namespaces/{SYSTEM}/secrets/{name}"]


@pytest.fixture
async def wired(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wired]:
    monkeypatch.setattr(kube_module, "MAX_BACKOFF", 0.02)
    stub = await ApiStub().start()
    access = stub.access()
    async with KubeClient(access) as hub:
        made = Wired(stub, hub)
        yield made
        await made.planes.close()
    await access.close()
    await stub.stop()


async def test_the_same_clients_while_nothing_changes(wired: Wired) -> None:
    wired.secret("eu", kubeconfig=kubeconfig())
    first = await wired.planes.access(data_plane())
    assert not first.local
    assert await wired.planes.access(data_plane()) is first


async def test_none_of_its_own_means_the_hub(wired: Wired) -> None:
    found = await wired.planes.access(data_plane(kubernetes=None))
    assert found.local
    assert isinstance(found.kube, KubeClient)


async def test_an_exchanged_kubeconfig_is_used_by_whoever_holds_the_client(wired: Wired) -> None:
    wired.secret("eu", kubeconfig=kubeconfig())
    held = (await wired.planes.access(data_plane())).kube
    assert isinstance(held, RemoteKube)
    wired.secret("eu", kubeconfig=kubeconfig(port=2))
    again = (await wired.planes.access(data_plane())).kube
    assert again is held
    assert held.access.server == "https://127.0.0.1:2"
    assert "eu" in wired.turns, "what waits for it is woken"


async def test_a_pass_that_read_an_older_generation_changes_nothing_back(wired: Wired) -> None:
    wired.secret("eu", kubeconfig=kubeconfig())
    wired.secret("eu2", kubeconfig=kubeconfig(port=2))
    newer = data_plane(2, kubernetes={"kubeconfigSecretRef": {"name": "eu2", "key": "kubeconfig"}})
    held = await wired.planes.access(newer)
    assert await wired.planes.access(data_plane(1)) is held
    assert isinstance(held.kube, RemoteKube)
    assert held.kube.access.server == "https://127.0.0.1:2"


async def test_another_data_plane_of_that_name_gets_another_client(wired: Wired) -> None:
    wired.secret("eu", kubeconfig=kubeconfig())
    first = (await wired.planes.access(data_plane())).kube
    second = (await wired.planes.access(data_plane(uid="u2"))).kube
    assert second is not first
    with pytest.raises(Unreachable, match="taken away"):
        await first.get("Namespace", "n")


@pytest.mark.parametrize("take_away", ["secret", "key", "data plane"])
async def test_what_was_taken_away_is_not_used_any_more(wired: Wired, take_away: str) -> None:
    wired.secret("eu", kubeconfig=kubeconfig())
    held = (await wired.planes.access(data_plane())).kube
    if take_away == "data plane":
        await wired.planes.forget("eu")
    else:
        wired.without("eu") if take_away == "secret" else wired.secret("eu", other="x")
        with pytest.raises(InvalidSpec):
            await wired.planes.access(data_plane())
    with pytest.raises(Unreachable, match="taken away"):
        await held.get("Namespace", "n")


async def test_a_missing_secret_and_key_are_named(wired: Wired) -> None:
    with pytest.raises(InvalidSpec) as caught:
        await wired.planes.access(data_plane())
    assert caught.value.path == "spec.kubernetes.kubeconfigSecretRef"
    assert f"Secret {SYSTEM}/eu does not exist: create it with key kubeconfig" in str(caught.value)
    wired.secret("eu", config="x")
    with pytest.raises(InvalidSpec, match=f"Secret {SYSTEM}/eu has no key kubeconfig"):
        await wired.planes.access(data_plane())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{s3cret", "is not YAML"),
        ("s3cret", "is not a mapping"),
        (kubeconfig(exec={"command": "s3cret"}), "users.exec"),
        (kubeconfig(tokenFile="/var/run/secrets/kubernetes.io/serviceaccount/token"), "users.tokenFile"),
    ],
)
async def test_a_kubeconfig_that_is_not_used_is_named_by_secret_and_key(wired: Wired, content: str, says: str) -> None:
    wired.secret("eu", kubeconfig=content)
    with pytest.raises(KubeconfigRefused) as caught:
        await wired.planes.access(data_plane())
    assert caught.value.path == "spec.kubernetes.kubeconfigSecretRef"
    assert f"key kubeconfig of Secret {SYSTEM}/eu" in str(caught.value)
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
