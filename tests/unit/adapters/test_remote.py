"""A remote cluster's handle: exchanged under way, dead without costing anybody more than once, alive again by itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from tests.unit.adapters.apistub import ApiStub, always, drop, status
from zilliz_operator.adapters import remote
from zilliz_operator.adapters.remote import RemoteKube
from zilliz_operator.api.exceptions import Rejected, Unavailable, Unreachable
from zilliz_operator.api.rights import Access

OBJECT = "/api/v1/namespaces/n/configmaps/c"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "TIMEOUT", 5.0)
    monkeypatch.setattr(remote, "ATTEMPTS", 1)


class Handle:
    """A handle to a stub, and the turns it told of."""

    def __init__(self, stub: ApiStub, **credentials: Any) -> None:
        self.turns: list[bool] = []
        self.kube = RemoteKube(
            stub.access(**credentials),
            on_turn=lambda: self.turns.append(self.kube.answers),
            look_every=0.01,
            look_again=0.01,
        )

    async def get(self) -> Any:
        return await self.kube.get("ConfigMap", "c", "n")


@contextlib.asynccontextmanager
async def looking(handle: Handle) -> AsyncIterator[None]:
    task = asyncio.create_task(handle.kube.look())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def with_version(stub: ApiStub) -> ApiStub:
    stub.objects["/version"] = {"gitVersion": "v1.36.0"}
    stub.objects[OBJECT] = {"metadata": {"name": "c", "uid": "u", "resourceVersion": "1"}}
    return stub


async def test_once_it_is_dead_nobody_waits_for_it_again_and_the_words_stay(stub: ApiStub) -> None:
    handle = Handle(with_version(stub))
    stub.fault = drop
    with pytest.raises(Unreachable) as first:
        await handle.get()
    asked = len(stub.seen)
    for _ in range(20):
        with pytest.raises(Unreachable) as again:
            await handle.get()
        assert str(again.value) == str(first.value)
    assert len(stub.seen) == asked, "a dead cluster is asked by the regular look alone"
    assert handle.turns == [False]
    await handle.kube.close()


async def test_the_regular_look_finds_it_dead_and_alive_again(stub: ApiStub) -> None:
    handle = Handle(with_version(stub))
    async with looking(handle):
        stub.fault = drop
        await until(lambda: handle.turns == [False])
        stub.fault = None
        await until(lambda: handle.turns == [False, True])
        assert (await handle.get())["metadata"]["uid"] == "u"
    await handle.kube.close()


@pytest.mark.parametrize(("code", "error"), [(500, Unavailable), (503, Unavailable), (403, Rejected), (401, Rejected)])
async def test_an_answer_of_any_kind_is_no_outage(stub: ApiStub, code: int, error: type[Exception]) -> None:
    handle = Handle(with_version(stub))
    stub.fault = always(code)
    with pytest.raises(error):
        await handle.get()
    assert handle.kube.answers
    assert handle.turns == []
    await handle.kube.close()


async def test_a_kubeconfig_is_exchanged_under_load_and_no_call_fails(stub: ApiStub) -> None:
    """Calls in flight end by the old one; it is closed after the last of them."""
    with_version(stub)
    held, release = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse | None:
        if request.headers.get("Authorization") == "Bearer old" and request.query.get("labelSelector"):
            held.set()
            await release.wait()
        return web.json_response({"items": []}) if request.query.get("labelSelector") else None

    stub.fault = slow
    handle = Handle(stub, token="old")
    in_flight = asyncio.create_task(handle.kube.list("ConfigMap", "n", labels={"a": "b"}))
    await held.wait()
    before = handle.kube.access
    await handle.kube.use(stub.access(token="new"))
    answers = [await handle.get() for _ in range(20)]
    assert all(answer["metadata"]["uid"] == "u" for answer in answers)
    assert {s.authorization for s in stub.seen if s.path == OBJECT} == {"Bearer new"}
    connector = before.connector()
    assert not connector.closed, "a call is still on its way"
    release.set()
    assert await in_flight == []
    assert connector.closed
    assert handle.turns == []
    await handle.kube.close()


async def test_a_new_kubeconfig_is_tried_although_the_old_one_led_nowhere(stub: ApiStub) -> None:
    handle = Handle(with_version(stub), token="old")
    stub.fault = drop
    with pytest.raises(Unreachable):
        await handle.get()
    stub.fault = None
    await handle.kube.use(stub.access(token="new"))
    assert (await handle.get())["metadata"]["uid"] == "u"
    await handle.kube.close()


async def test_one_that_was_taken_away_is_not_used_any_more(stub: ApiStub) -> None:
    handle = Handle(with_version(stub))
    await handle.get()
    await handle.kube.close()
    with pytest.raises(Unreachable, match="taken away"):
        await handle.get()


async def test_missing_rights_are_those_that_neither_the_list_nor_the_question_grants(stub: ApiStub) -> None:
    rules = [
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"]},
    ]
    beside_rbac = {("delete", "", "namespaces")}

    async def answer(request: web.Request) -> web.StreamResponse | None:
        spec = (await request.json())["spec"]
        if request.path.endswith("selfsubjectrulesreviews"):
            return web.json_response({"status": {"resourceRules": rules, "incomplete": True}}, status=201)
        asked = spec["resourceAttributes"]
        allowed = (asked["verb"], asked["group"], asked["resource"]) in beside_rbac
        return web.json_response({"status": {"allowed": allowed}}, status=201)

    stub.fault = answer
    handle = Handle(stub)
    needed = [
        Access("list", "", "pods"),
        Access("create", "apps", "statefulsets"),
        Access("delete", "", "namespaces"),
        Access("get", "", "secrets"),
        Access("patch", "", "pods"),
    ]
    assert await handle.kube.missing_rights(needed) == needed[3:]
    assert len(stub.seen) == 1 + 3, "what the list grants is not asked for again"
    await handle.kube.close()


async def test_a_refused_question_is_a_refusal(stub: ApiStub) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return status(401, "Unauthorized")

    stub.fault = refuse
    handle = Handle(stub)
    with pytest.raises(Rejected):
        await handle.kube.missing_rights([Access("get", "", "pods")])
    await handle.kube.close()
