"""Children: what is applied, what waits, what is taken away."""

import pytest

from tests.fake.world import FakeWorld
from zilliz_operator.api import names
from zilliz_operator.api.exceptions import NameTaken, NotReady
from zilliz_operator.reconcile import children
from zilliz_operator.reconcile.ports import Manifest

UID = "0b5a5f0e-6a5e-4f0e-9a57-000000000001"


def config(name: str, **data: str) -> Manifest:
    labels = names.labels(name="search", project="team-a", uid=UID)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "monitoring", "labels": labels},
        "data": data,
    }


async def observed(world: FakeWorld) -> children.Live:
    return await children.observe(world.kube, namespace="monitoring", uid=UID)


async def test_one_that_is_being_deleted_holds_up_no_other_and_is_said() -> None:
    world = FakeWorld()
    await children.apply(world.kube, await observed(world), [config("a", x="1"), config("b", x="1")], uid=UID)
    held = {"finalizers": ["example.com/hold"]}
    world.kube.edit("ConfigMap", "a", "monitoring", lambda o: o["metadata"].update(held))
    world.kube.remove("ConfigMap", "a", "monitoring")
    with pytest.raises(children.Held, match=r"ConfigMap a .* example\.com/hold"):
        await children.apply(world.kube, await observed(world), [config("a", x="2"), config("b", x="2")], uid=UID)
    assert world.kube.must("ConfigMap", "b", "monitoring")["data"] == {"x": "2"}
    assert world.kube.must("ConfigMap", "a", "monitoring")["data"] == {"x": "1"}


@pytest.mark.parametrize("finalizer", ["foregroundDeletion", "service.kubernetes.io/load-balancer-cleanup"])
async def test_kubernetes_own_finalizers_are_no_strangers(finalizer: str) -> None:
    world = FakeWorld()
    await children.apply(world.kube, await observed(world), [config("a", x="1")], uid=UID)
    world.kube.edit("ConfigMap", "a", "monitoring", lambda o: o["metadata"].update({"finalizers": [finalizer]}))
    world.kube.remove("ConfigMap", "a", "monitoring")
    with pytest.raises(NotReady) as raised:
        await children.apply(world.kube, await observed(world), [config("a", x="1")], uid=UID)
    assert not isinstance(raised.value, children.Held)


async def test_an_object_that_lost_its_mark_is_found_again_and_a_strangers_is_not() -> None:
    world = FakeWorld()
    await children.apply(world.kube, await observed(world), [config("a", x="1")], uid=UID)
    world.kube.edit("ConfigMap", "a", "monitoring", lambda o: o["metadata"].pop("labels"))
    assert (await observed(world)).get("ConfigMap", "a") is None
    await children.apply(world.kube, await observed(world), [config("a", x="1")], uid=UID)
    assert (await observed(world)).get("ConfigMap", "a")
    world.kube.put({"kind": "ConfigMap", "metadata": {"name": "b", "namespace": "monitoring"}, "data": {"x": "1"}})
    with pytest.raises(NameTaken, match="monitoring/b"):
        await children.apply(world.kube, await observed(world), [config("b", x="1")], uid=UID)


async def test_pruning_takes_only_the_kinds_it_is_told() -> None:
    world = FakeWorld()
    await children.apply(world.kube, await observed(world), [config("a", x="1"), config("b", x="1")], uid=UID)
    live = await observed(world)
    assert await children.prune_unwanted(world.kube, live, [config("a")], kinds=("Secret",)) == []
    assert await children.prune_unwanted(world.kube, live, [config("a")]) == ["ConfigMap/b"]
    assert await children.prune_unwanted(world.kube, live, []) == []
    assert world.kube.peek("ConfigMap", "a", "monitoring")
