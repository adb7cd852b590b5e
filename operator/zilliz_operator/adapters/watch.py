"""Follows the objects of one kind on one Kubernetes cluster: list, watch, and list again, for ever.

Only their metadata is asked for: whom a change wakes follows from names and labels, and no Secret's data travels for that. What
was listed is remembered by resource version, so that a new list after an outage tells exactly what changed meanwhile, what
was deleted too.
"""

import asyncio
import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.kube import path_of

log = logging.getLogger(__name__)

LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
WATCH = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PAGE = 500
SERVER_TIMEOUT = 240
"""Seconds after which the server ends a watch."""
SILENCE = 90.0
"""Seconds without a word, bookmarks included, after which a watch is taken for dead."""
LIST_LIMIT = 20.0
BACKOFF_FIRST, BACKOFF_MOST = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """An object that appeared, changed or went."""

    kind: str
    namespace: str
    name: str
    labels: dict[str, str] = field(hash=False)


class _Expired(Exception):
    """The version from which to go on is too old for the server."""


class _Refused(Exception):
    """The server answered, and not with what was asked for."""


class ObjectWatch:
    """`run()` until cancelled, and again: what it knows stays, and what changed in between is told."""

    def __init__(
        self,
        kind: str,
        *,
        selector: str = "",
        namespace: str | None = None,
        on_change: Callable[[Seen], None],
        backoff: float = BACKOFF_FIRST,
    ) -> None:
        self.kind = kind
        self._query = {"labelSelector": selector} if selector else {}
        self._path = path_of(kind, "", namespace)
        self._on_change = on_change
        self._first = backoff
        self._known: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}

    async def run(self, access: ClusterAccess) -> None:
        """Never returns; whatever fails is tried again, less and less often."""
        failures = 0
        async with access.session() as session:
            while True:
                try:
                    version = await self._list(session, access.server)
                    failures = 0
                    while True:
                        version = await self._follow(session, access.server, version)
                except _Expired:
                    failures = max(failures, 1)
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError, _Refused) as error:
                    failures += 1
                    if failures == 1:
                        why = str(error) if isinstance(error, _Refused) else type(error).__name__
                        log.info("watch of %s at %s: %s; tries again", self.kind, access.server, why)
                pause = min(BACKOFF_MOST, self._first * 2 ** min(failures - 1, 8))
                await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311 - jitter, not a secret

    async def _list(self, session: aiohttp.ClientSession, server: str) -> str:
        found: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
        token = ""
        while True:
            query = {**self._query, "limit": str(PAGE), **({"continue": token} if token else {})}
            timeout = aiohttp.ClientTimeout(total=LIST_LIMIT, sock_connect=5.0)
            async with session.get(
                server + self._path, params=query, headers={"Accept": LIST}, timeout=timeout
            ) as response:
                _check(response)
                body: dict[str, Any] = await response.json(content_type=None)
            for item in body.get("items") or ():
                key, value = _entry(item)
                found[key] = value
            token = str(body["metadata"].get("continue") or "")
            if not token:
                break
        before, self._known = self._known, found
        for key, (_, labels) in before.items():
            if key not in found:
                self._tell(key, labels)
        for key, (version, labels) in found.items():
            if before.get(key, ("", {}))[0] != version:
                self._tell(key, labels)
        return str(body["metadata"]["resourceVersion"])

    async def _follow(self, session: aiohttp.ClientSession, server: str, version: str) -> str:
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(SERVER_TIMEOUT),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=SILENCE)
        async with session.get(
            server + self._path, params=query, headers={"Accept": WATCH}, timeout=timeout
        ) as response:
            _check(response)
            async for line in response.content:
                version = self._heard(json.loads(line))
        return version

    def _heard(self, event: dict[str, Any]) -> str:
        """Take an event; the version it stands for."""
        item = event["object"]
        if event["type"] == "ERROR":
            if item.get("code") == 410:
                raise _Expired
            raise _Refused("ended by the server")
        if event["type"] != "BOOKMARK":
            key, value = _entry(item)
            before = self._known.pop(key, None)
            if event["type"] != "DELETED":
                self._known[key] = value
            # One that lost our label is told as deleted, and as it was before by the labels that we knew.
            self._tell(key, {**(before[1] if before else {}), **value[1]})
        return str(item["metadata"]["resourceVersion"])

    def _tell(self, key: tuple[str, str], labels: dict[str, str]) -> None:
        self._on_change(Seen(self.kind, *key, labels))


def _entry(item: dict[str, Any]) -> tuple[tuple[str, str], tuple[str, dict[str, str]]]:
    metadata = item["metadata"]
    key = (str(metadata.get("namespace") or ""), str(metadata["name"]))
    return key, (str(metadata.get("resourceVersion") or ""), dict(metadata.get("labels") or {}))


def _check(response: aiohttp.ClientResponse) -> None:
    if response.status == 410:
        raise _Expired
    if response.status != 200:
        raise _Refused(f"answered {response.status}")
