"""The Kubernetes cluster of a remote data plane: one handle that outlives kubeconfigs and outages.

A pass holds the handle, never a client, so a kubeconfig may be exchanged in the middle of it: calls in flight end where they
began, the next ones use the new client, and the old one is closed after its last call. Once nothing answers, every call fails
at once with the same words until the regular look finds the cluster again: a dead data plane costs a worker one time-out, not
one a call.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import aiohttp

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.kube import KubeClient, RequestHook
from zilliz_operator.api.exceptions import Unreachable, ZillizError
from zilliz_operator.api.rights import Access

Manifest = dict[str, Any]
T = TypeVar("T")
Turn = Callable[[], None]
"""Called when the cluster stops answering, and when it answers again: `answers` says which."""

log = logging.getLogger(__name__)

TIMEOUT, ATTEMPTS = 10.0, 2
LOOK_EVERY = 15.0
"""Seconds between two looks at a cluster that answers."""
LOOK_LIMIT = 5.0
LOOK_AGAIN_FIRST, LOOK_AGAIN_MOST = 1.0, 30.0
"""Seconds until the next look at one that does not."""


class _Link:
    """One kubeconfig's client and connections, and how many calls are on their way."""

    def __init__(self, access: ClusterAccess, on_request: RequestHook | None) -> None:
        self.access = access
        self.client = KubeClient(access, on_request=on_request, timeout=TIMEOUT, attempts=ATTEMPTS)
        self.in_flight = 0
        self.retired = False

    async def close(self) -> None:
        await self.client.close()
        await self.access.close()


class RemoteKube:
    """Implements the port `Kube`. `look()` runs beside it for as long as it lives."""

    def __init__(
        self,
        access: ClusterAccess,
        *,
        on_request: RequestHook | None = None,
        on_turn: Turn,
        look_every: float = LOOK_EVERY,
        look_again: float = LOOK_AGAIN_FIRST,
    ) -> None:
        self._on_request = on_request
        self._on_turn = on_turn
        self._every, self._again = look_every, look_again
        self._link = _Link(access, on_request)
        self._lost = ""
        self._closed = False
        self._look_now = asyncio.Event()

    @property
    def what(self) -> str:
        return self._link.client.what

    @property
    def access(self) -> ClusterAccess:
        return self._link.access

    @property
    def answers(self) -> bool:
        """Whether it answered when it was last asked."""
        return not self._lost

    async def use(self, access: ClusterAccess) -> None:
        """From now on by this access. What is on its way ends by the old one."""
        before, self._link = self._link, _Link(access, self._on_request)
        self._lost = ""
        self._look_now.set()
        await self._retire(before)

    async def close(self) -> None:
        """A pass that still holds it is told so."""
        self._closed, self._lost = True, "is not used any more: its DataPlane or its kubeconfig was taken away"
        await self._retire(self._link)

    async def look(self) -> None:
        """Ask for its version now and again, for ever; more often while it does not answer."""
        misses = 0
        while True:
            self._look_now.clear()
            with contextlib.suppress(
                ZillizError
            ):  # `_by` tells of an outage; a refusal is an answer, and passes say what
                await self._by(lambda client: client.version(limit=LOOK_LIMIT), even_if_lost=True)
            misses = 0 if self.answers else misses + 1
            wait = self._every if self.answers else min(LOOK_AGAIN_MOST, self._again * 2 ** min(misses - 1, 8))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait * random.uniform(0.75, 1.25)):  # noqa: S311 - jitter, not a secret
                    await self._look_now.wait()

    # ---- the port

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        return await self._by(lambda client: client.get(kind, name, namespace))

    async def list(
        self, kind: str, namespace: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        return await self._by(lambda client: client.list(kind, namespace, labels=labels))

    async def apply(self, manifest: Manifest) -> Manifest:
        return await self._by(lambda client: client.apply(manifest))

    async def create(self, manifest: Manifest) -> Manifest:
        return await self._by(lambda client: client.create(manifest))

    async def delete(self, kind: str, name: str, namespace: str | None = None, *, uid: str) -> None:
        await self._by(lambda client: client.delete(kind, name, namespace, uid=uid))

    async def merge_patch(
        self, kind: str, name: str, namespace: str | None, patch: Manifest, *, subresource: str = ""
    ) -> Manifest:
        return await self._by(lambda client: client.merge_patch(kind, name, namespace, patch, subresource=subresource))

    async def event(self, regarding: Manifest, *, type: str, reason: str, message: str) -> None:
        await self._by(lambda client: client.event(regarding, type=type, reason=reason, message=message))

    async def version(self) -> str:
        return await self._by(lambda client: client.version())

    async def missing_rights(self, needed: Sequence[Access]) -> Sequence[Access]:
        return await self._by(lambda client: client.missing_rights(needed))

    # ---- inside

    async def _by(self, call: Callable[[KubeClient], Awaitable[T]], *, even_if_lost: bool = False) -> T:
        link = self._link
        if self._closed or (self._lost and not even_if_lost):
            raise Unreachable(self.what, self._lost)
        link.in_flight += 1
        try:
            found = await call(link.client)
        except Unreachable as error:
            if link is not self._link:  # its kubeconfig was exchanged meanwhile: says nothing about the new one
                raise
            self._lose(_cause(error))
            raise Unreachable(self.what, self._lost) from error
        except ZillizError:
            self._found(link)
            raise
        else:
            self._found(link)
            return found
        finally:
            link.in_flight -= 1
            if link.retired and not link.in_flight:
                await link.close()

    def _lose(self, why: str) -> None:
        if not self._lost and not self._closed:
            self._lost = f"does not answer ({why})"
            log.warning("%s %s", self.what, self._lost)
            self._look_now.set()
            self._on_turn()

    def _found(self, link: _Link) -> None:
        if self._lost and link is self._link and not self._closed:
            self._lost = ""
            log.info("%s answers again", self.what)
            self._on_turn()

    async def _retire(self, link: _Link) -> None:
        link.retired = True
        if not link.in_flight:
            await link.close()


def _cause(error: Unreachable) -> str:
    """In words that are the same each time: an outage must not move a status."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not of the kubeconfig's authority"
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, aiohttp.ClientConnectorError):
        return cause.os_error.strerror or type(cause.os_error).__name__
    return type(cause).__name__
