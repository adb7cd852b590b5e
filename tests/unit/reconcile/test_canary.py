"""When the canary knocks, at whom, and what it keeps of the answer."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.desired.samples import context, data_plane
from zilliz_operator.api import names
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.reconcile.canary import CONFIRMED, EVERY, SETTLED, SILENT, Canary, Look
from zilliz_operator.reconcile.children import Live
from zilliz_operator.reconcile.queue import Key

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DOOR, METRICS, MILVUS = ("10.244.0.11", 19530), ("10.244.0.11", 9530), ("10.244.0.12", 9091)
CTX = context()
KEY = Key("ZillizCluster", CTX.project, CTX.name)


class Plugin:
    """Network and clock at once; `open` says which targets take a connection."""

    def __init__(self) -> None:
        self.open = {DOOR}
        self.asked: list[set[tuple[str, int]]] = []
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    async def opened(self, targets: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        self.asked.append(set(targets))
        return {target: "10.244.0.2" for target in targets if target in self.open}


def pod(name: str, component: str, address: str, *, age: timedelta = timedelta(hours=1), ready: bool = True) -> Any:
    status: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    status |= {"podIP": address} if address else {}
    metadata = {
        "name": name,
        "labels": {"app.kubernetes.io/component": component},
        "creationTimestamp": f"{NOW - age:%Y-%m-%dT%H:%M:%SZ}",
    }
    return {"kind": "Pod", "metadata": metadata, "status": status}


def alive(*pods: Any) -> Live:
    live = Live()
    for each in pods or (pod("gateway-1", "gateway", DOOR[0]), pod("milvus-0", "milvus", MILVUS[0])):
        live.put(each)
    return live


@pytest.fixture
def plugin() -> Plugin:
    return Plugin()


@pytest.fixture
def canary(plugin: Plugin) -> Canary:
    return Canary(plugin, plugin)


async def look(canary: Canary, live: Live, *, ctx: ClusterContext = CTX, accused: bool = False) -> Look:
    return await canary.look(ctx, live, accused=accused)


async def test_it_knocks_at_what_is_shut_to_us_and_at_the_door(canary: Canary, plugin: Plugin) -> None:
    assert (await look(canary, alive())).found.enforced
    assert plugin.asked == [{DOOR, METRICS, MILVUS}]


async def test_an_answer_is_kept_for_a_while_and_asked_anew_after(canary: Canary, plugin: Plugin) -> None:
    for seconds in (0.0, 60.0, EVERY.total_seconds() - 1):
        plugin.time = NOW + timedelta(seconds=seconds)
        assert (await look(canary, alive())) == await look(canary, alive())
    assert len(plugin.asked) == 1
    plugin.time = NOW + EVERY
    await look(canary, alive())
    assert len(plugin.asked) == 2
    canary.forget(KEY)
    await look(canary, alive())
    assert len(plugin.asked) == 3


async def test_each_cluster_is_asked_for_itself(canary: Canary, plugin: Plugin) -> None:
    other = context({"kind": "ZillizCluster", "metadata": {"name": "other"}, "spec": {}})
    await look(canary, alive())
    await look(canary, alive(), ctx=other)
    assert len(plugin.asked) == 2


async def test_an_open_port_is_seen_twice_before_anybody_is_accused(canary: Canary, plugin: Plugin) -> None:
    plugin.open = {DOOR, MILVUS}
    first = await look(canary, alive())
    assert first.found.opened and not first.found.certain
    assert first.again_in == CONFIRMED.total_seconds()
    plugin.time += CONFIRMED
    second = await look(canary, alive())
    assert second.found.certain
    assert second.found.opened == ("9091 of milvus-0",)


async def test_in_between_enforced_begins_anew(canary: Canary, plugin: Plugin) -> None:
    for open_, certain in (({DOOR, MILVUS}, False), ({DOOR}, True), ({DOOR, MILVUS}, False)):
        plugin.open = open_
        assert (await look(canary, alive())).found.certain == certain
        plugin.time += EVERY


async def test_what_was_said_before_needs_no_second_look(canary: Canary, plugin: Plugin) -> None:
    plugin.open = {DOOR, MILVUS}
    assert (await look(canary, alive(), accused=True)).found.certain


@pytest.mark.parametrize(("age", "asked"), [(SETTLED, True), (SETTLED - timedelta(seconds=1), False)])
async def test_a_new_pod_is_spared(canary: Canary, plugin: Plugin, age: timedelta, asked: bool) -> None:
    plugin.open = {DOOR, METRICS, MILVUS}
    found = await look(
        canary, alive(pod("gateway-1", "gateway", DOOR[0], age=age), pod("milvus-0", "milvus", MILVUS[0], age=age))
    )
    assert bool(plugin.asked) == asked == bool(found.found.opened)
    if not asked:
        assert found.again_in == 1.0


async def test_old_ones_are_asked_beside_a_new_one(canary: Canary, plugin: Plugin) -> None:
    new = pod("gateway-2", "gateway", "10.244.0.13", age=timedelta(seconds=1))
    await look(canary, alive(pod("gateway-1", "gateway", DOOR[0]), new))
    assert plugin.asked == [{DOOR, METRICS}]


@pytest.mark.parametrize("gone", ["no address", "leaving"])
async def test_whoever_is_not_there_is_not_asked(canary: Canary, plugin: Plugin, gone: str) -> None:
    milvus = pod("milvus-0", "milvus", "" if gone == "no address" else MILVUS[0])
    if gone == "leaving":
        milvus["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    await look(canary, alive(pod("gateway-1", "gateway", DOOR[0]), milvus))
    assert plugin.asked == [{DOOR, METRICS}]


async def test_without_pods_there_is_nothing_to_ask_and_no_reason_to_hurry(canary: Canary, plugin: Plugin) -> None:
    await look(canary, alive())
    found = await look(canary, alive(pod("milvus-0", "milvus", "")))
    assert (found.found.enforced, found.found.opened, found.again_in) == (False, (), None)
    assert len(plugin.asked) == 1


async def test_after_silence_it_waits_a_little_and_asks_anew(canary: Canary, plugin: Plugin) -> None:
    """A door that is not reached at all (it may be on another network) must not cost every pass a second."""
    plugin.open = set()
    for _ in range(3):
        found = await look(canary, alive())
        assert (found.found.enforced, found.found.opened, found.again_in) == (False, (), None)
    assert len(plugin.asked) == 1
    plugin.time += SILENT
    plugin.open = {DOOR}
    assert (await look(canary, alive())).found.enforced


async def test_where_the_operator_may_scrape_metrics_they_are_no_canary(canary: Canary, plugin: Plugin) -> None:
    plane = data_plane()
    plane["spec"]["network"]["monitoringNamespace"] = "zilliz-system"
    assert (await look(canary, alive(), ctx=context({}, plane))).found.enforced
    assert plugin.asked == [{DOOR, MILVUS}]
    assert METRICS[1] == names.METRICS_PORT
