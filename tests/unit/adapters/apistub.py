"""A small Kubernetes API on a real socket: objects, pages, optimistic locking, and faults on demand."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from zilliz_operator.adapters.access import ClusterAccess

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    content_type: str
    authorization: str | None
    body: Any


@dataclass
class ApiStub:
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    token: str | None = None
    fault: Fault | None = None
    url: str = ""
    peers: set[Any] = field(default_factory=set)
    version: int = 10

    async def start(self) -> "ApiStub":
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def stop(self) -> None:
        await self._runner.cleanup()

    def access(self, **credentials: Any) -> ClusterAccess:
        return ClusterAccess(server=self.url, **credentials)

    def writes(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method != "GET"]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.peers.add(request.transport.get_extra_info("peername") if request.transport else None)
        body = json.loads(raw) if raw else None
        self.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                request.headers.get("Content-Type", ""),
                request.headers.get("Authorization"),
                body,
            )
        )
        if self.fault is not None and (answer := await self.fault(request)) is not None:
            return answer
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return status(401, "Unauthorized")
        return self._serve(request, body)

    def _serve(self, request: web.Request, body: Any) -> web.StreamResponse:
        path = request.path
        if request.method == "POST":
            path = f"{path}/{body['metadata'].get('name') or body['metadata']['generateName'] + 'x'}"
            if path in self.objects:
                return status(409, "AlreadyExists")
        live = self.objects.get(path)
        if request.method in ("GET", "DELETE") and live is None:
            return status(404, "NotFound")
        if request.method == "GET":
            return web.json_response(live)
        if request.method == "DELETE":
            assert live is not None
            if body["preconditions"]["uid"] != live["metadata"]["uid"]:
                return status(409, "Conflict")
            del self.objects[path]
            return web.json_response({"kind": "Status", "status": "Success"})
        if request.method == "PUT":
            if live is None:
                return status(404, "NotFound")
            if body["metadata"].get("resourceVersion") not in (None, live["metadata"]["resourceVersion"]):
                return status(409, "Conflict")
        self.version += 1
        body["metadata"] = {**body.get("metadata", {}), "resourceVersion": str(self.version), "uid": f"uid-{path}"}
        self.objects[path] = body
        return web.json_response(body, status=200 if live else 201)


def status(
    code: int, reason: str, *, message: str = "", headers: dict[str, str] | None = None, **details: Any
) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message or reason}
    return web.json_response({**body, "details": details}, status=code, headers=headers)


def always(code: int, reason: str = "Fault", **more: Any) -> Fault:
    async def fault(_: web.Request) -> web.StreamResponse:
        return status(code, reason, **more)

    return fault


def times(count: int, code: int, **more: Any) -> Fault:
    """Fail the next `count` requests."""
    left = count

    async def fault(_: web.Request) -> web.StreamResponse | None:
        nonlocal left
        left -= 1
        return status(code, "Fault", **more) if left >= 0 else None

    return fault


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits this long")


async def drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()
