"""Our client and our Lease against a real API server: what its stub in the unit tests only plays."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tools.devcluster.controlplane import ControlPlane
from zilliz_operator.adapters import kube as kube_module
from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.kube import KubeClient
from zilliz_operator.adapters.lease import LeaseElection, LeaseTimes
from zilliz_operator.api.exceptions import Conflict, InvalidSpec, NotReady

TIMES = LeaseTimes(lease=4.0, deadline=3.0, renew=1.0, request=0.9)


@pytest.fixture
async def kube(plane: ControlPlane, request: pytest.FixtureRequest) -> AsyncIterator[KubeClient]:
    with plane.inside():
        access = ClusterAccess.from_kubeconfig(plane.kubeconfig)
        async with KubeClient(access) as client:
            yield client
        await access.close()


@pytest.fixture
async def namespace(kube: KubeClient, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("_", "-")[:50].strip("-")
    await kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def config_map(namespace: str, name: str = "c", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": {"team": "a"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_apply_takes_back_what_is_no_longer_sent_and_leaves_others_fields(
    kube: KubeClient, namespace: str
) -> None:
    await kube.apply(config_map(namespace, ours="1", gone="1"))
    await kube.merge_patch("ConfigMap", "c", namespace, {"metadata": {"labels": {"theirs": "x"}}})
    live = await kube.apply(config_map(namespace, ours="2"))
    assert live["data"] == {"ours": "2"}
    again = await kube.apply(config_map(namespace, ours="2"))
    assert again["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]


async def test_lists_page_through_and_select(kube: KubeClient, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_module, "PAGE", 2)
    for index in range(5):
        await kube.apply(config_map(namespace, f"c{index}"))
    found = await kube.list("ConfigMap", namespace, labels={"team": "a"})
    assert [item["metadata"]["name"] for item in found] == [f"c{index}" for index in range(5)]
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "ConfigMap")}
    assert not await kube.list("ConfigMap", namespace, labels={"team": "b"})
    assert not await kube.list("PrometheusRule", namespace)


async def test_create_and_delete_mind_who_it_is(kube: KubeClient, namespace: str) -> None:
    made = await kube.create(config_map(namespace))
    with pytest.raises(Conflict):
        await kube.create(config_map(namespace))
    with pytest.raises(Conflict):
        await kube.delete("ConfigMap", "c", namespace, uid="00000000-0000-0000-0000-000000000000")
    await kube.delete("ConfigMap", "c", namespace, uid=made["metadata"]["uid"])
    await kube.delete("ConfigMap", "c", namespace, uid=made["metadata"]["uid"])
    assert await kube.get("ConfigMap", "c", namespace) is None


async def test_errors_are_told_apart(kube: KubeClient, namespace: str) -> None:
    with pytest.raises(NotReady, match="does not exist"):
        await kube.apply(config_map("absent"))
    wrong = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "namespace": namespace},
        "spec": {"ports": [{"port": 99999}]},
    }
    with pytest.raises(InvalidSpec) as caught:
        await kube.apply(wrong)
    assert caught.value.path == f"Service {namespace}/s spec.ports[0].port"
    live = await kube.get("Namespace", namespace)
    assert live is not None
    held = config_map(namespace) | {"metadata": {"name": "c", "namespace": namespace, "finalizers": ["test.io/hold"]}}
    await kube.apply(held)
    await kube.delete("Namespace", namespace, uid=live["metadata"]["uid"])
    with pytest.raises(NotReady, match="being deleted"):
        await kube.create(config_map(namespace, "late"))
    await kube.merge_patch("ConfigMap", "c", namespace, {"metadata": {"finalizers": None}})


async def test_an_event_is_recorded(kube: KubeClient, namespace: str) -> None:
    regarding = await kube.apply(config_map(namespace))
    await kube.event(regarding, type="Warning", reason="Tested", message="seen")
    (event,) = await kube.list("Event", namespace)
    assert (event["reason"], event["message"], event["type"]) == ("Tested", "seen", "Warning")
    assert event["involvedObject"]["uid"] == regarding["metadata"]["uid"]


async def test_discovery_and_version(kube: KubeClient) -> None:
    assert "configmaps" in await kube.resources("v1")
    assert await kube.resources("absent.io/v1") == frozenset()
    assert (await kube.version()).startswith("v1.")


async def test_one_of_two_leads_and_the_other_follows(kube: KubeClient, namespace: str) -> None:
    lost = asyncio.Event()

    def candidate(identity: str) -> LeaseElection:
        return LeaseElection(kube, name="l", namespace=namespace, identity=identity, on_lost=lost.set, times=TIMES)

    first, second = candidate("first"), candidate("second")
    await asyncio.wait_for(first.acquire(), 10)
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(TIMES.lease * 1.5)
    assert first.is_held()
    assert not waiting.done()
    await first.release()
    await asyncio.wait_for(waiting, 10)
    assert second.is_held()
    assert not first.is_held()
    assert not lost.is_set()
    await second.release()
