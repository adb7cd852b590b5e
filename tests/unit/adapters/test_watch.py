"""Following one kind on a remote cluster: everything that changed is told, what happened during an outage too."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.watch import ObjectWatch, Seen

MARK = "app.kubernetes.io/managed-by=zilliz-operator"


class Server:
    """Lists what it holds and streams what it is told to."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.version = 1
        self.queries: list[dict[str, str]] = []
        self.refuse = 0
        self.streams: list[asyncio.Queue[dict[str, Any] | None]] = []

    def put(self, name: str, **labels: str) -> dict[str, Any]:
        self.version += 1
        metadata = {"name": name, "namespace": "n", "resourceVersion": str(self.version), "labels": labels}
        self.items[name] = {"metadata": metadata}
        return self.items[name]

    def tell(self, type: str, item: dict[str, Any]) -> None:
        for stream in self.streams:
            stream.put_nowait({"type": type, "object": item})

    def end(self) -> None:
        for stream in self.streams:
            stream.put_nowait(None)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        form = "PartialObjectMetadata" + ("" if request.query.get("watch") else "List")
        if request.headers["Accept"] != f"application/json;as={form};g=meta.k8s.io;v=v1":
            return web.json_response({}, status=406)  # no Secret's data travels
        if self.refuse:
            return web.json_response({}, status=self.refuse)
        if request.query.get("watch") != "true":
            body = {"metadata": {"resourceVersion": str(self.version)}, "items": list(self.items.values())}
            return web.json_response(body)
        response = web.StreamResponse()
        await response.prepare(request)
        stream: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.streams.append(stream)
        try:
            while (event := await stream.get()) is not None:
                await response.write(json.dumps(event).encode() + b"\n")
        finally:
            self.streams.remove(stream)
        return response


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, str]]:
    made = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


class Follower:
    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.watch = ObjectWatch("ConfigMap", selector=MARK, on_change=self.seen.append, backoff=0.01)

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.seen]

    @contextlib.asynccontextmanager
    async def following(self, url: str) -> AsyncIterator[None]:
        access = ClusterAccess(server=url)
        task = asyncio.create_task(self.watch.run(access))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await access.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_what_is_there_changes_and_goes_is_told_with_its_labels(server: tuple[Server, str]) -> None:
    api, url = server
    api.put("a", team="x")
    follower = Follower()
    async with follower.following(url):
        await until(lambda: api.streams)
        assert [(s.kind, s.namespace, s.name, s.labels) for s in follower.seen] == [
            ("ConfigMap", "n", "a", {"team": "x"})
        ]
        api.tell("ADDED", api.put("b"))
        api.tell("BOOKMARK", {"metadata": {"resourceVersion": "99"}})
        api.tell("DELETED", api.items["b"])
        await until(lambda: follower.names == ["a", "b", "b"])
    assert all(query["labelSelector"] == MARK for query in api.queries)


async def test_one_that_loses_its_labels_is_told_by_those_it_had(server: tuple[Server, str]) -> None:
    api, url = server
    api.put("a", uid="u1")
    follower = Follower()
    async with follower.following(url):
        await until(lambda: api.streams)
        bare = {"metadata": {"name": "a", "namespace": "n", "resourceVersion": "7"}}
        api.tell("DELETED", bare)
        await until(lambda: len(follower.seen) == 2)
    assert follower.seen[1].labels == {"uid": "u1"}


async def test_a_watch_goes_on_where_it_ended(server: tuple[Server, str]) -> None:
    api, url = server
    follower = Follower()
    async with follower.following(url):
        await until(lambda: api.streams)
        api.tell("BOOKMARK", {"metadata": {"resourceVersion": "42"}})
        api.end()
        await until(lambda: any(query.get("resourceVersion") == "42" for query in api.queries))
    assert sum("watch" not in query for query in api.queries) == 1, "no second list"


async def test_what_changed_in_an_outage_is_told_afterwards_and_nothing_else(server: tuple[Server, str]) -> None:
    api, url = server
    for name in ("kept", "changed", "gone"):
        api.put(name, was=name)
    follower = Follower()
    async with follower.following(url):
        await until(lambda: api.streams)
    follower.seen.clear()
    api.put("changed", was="changed")
    api.put("new")
    del api.items["gone"]
    async with follower.following(url):
        await until(lambda: len(follower.seen) >= 3)
        await until(lambda: api.streams)
    assert sorted(follower.names) == ["changed", "gone", "new"]
    assert next(s.labels for s in follower.seen if s.name == "gone") == {"was": "gone"}


async def test_an_expired_version_leads_to_a_new_list(server: tuple[Server, str]) -> None:
    api, url = server
    follower = Follower()
    async with follower.following(url):
        await until(lambda: api.streams)
        api.put("missed")
        api.tell("ERROR", {"kind": "Status", "code": 410})
        await until(lambda: follower.names == ["missed"])


@pytest.mark.parametrize("code", [403, 404, 410, 500, 503])
async def test_a_refusal_is_tried_again(server: tuple[Server, str], code: int) -> None:
    api, url = server
    api.refuse = code
    follower = Follower()
    async with follower.following(url):
        await until(lambda: len(api.queries) >= 2)
        api.refuse = 0
        api.put("a")
        await until(lambda: "a" in follower.names)


async def test_garbage_in_the_stream_is_no_end(server: tuple[Server, str]) -> None:
    api, url = server
    follower = Follower()
    async with follower.following(url):
        await until(lambda: api.streams)
        api.tell("ERROR", {"kind": "Status", "code": 500})
        await until(lambda: sum("watch" not in query for query in api.queries) == 2)
