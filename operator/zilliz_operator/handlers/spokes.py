"""A remote data plane while it is in use: its client, the regular look at it, and the watches of clusters' children there.

Everything here runs beside the passes and only ever wakes them. A spoke that is cut off stops its own watches and nothing else:
the probes of the operator's health do not know of it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.kube import RequestHook
from zilliz_operator.adapters.remote import RemoteKube
from zilliz_operator.adapters.watch import ObjectWatch, Seen
from zilliz_operator.handlers import metrics, watches

log = logging.getLogger(__name__)

OnChild = Callable[[Seen], None]
OnTurn = Callable[[str], None]
"""Told the name of a data plane that began or ceased to answer."""


class Spoke:
    """One remote data plane. Made inside the event loop; `close()` ends everything of it."""

    def __init__(
        self, name: str, access: ClusterAccess, *, on_request: RequestHook, on_child: OnChild, on_turn: OnTurn
    ) -> None:
        self.name = name
        self._on_turn = on_turn
        self.kube = RemoteKube(access, on_request=on_request, on_turn=self._turned)
        self._watches = [
            ObjectWatch(kind, selector=watches.selector_of(kind), on_change=on_child) for kind in watches.CHILD_KINDS
        ]
        self._following: list[asyncio.Task[None]] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._looking = _task(self.kube.look(), f"look at data plane {name}")
        self._follow()

    async def use(self, access: ClusterAccess) -> None:
        """Go on by another kubeconfig; the old connections are closed once their last call has ended."""
        log.info("data plane %s: its kubeconfig was exchanged", self.name)
        self._stop_following()
        await self.kube.use(access)
        self._follow()
        self._on_turn(self.name)

    async def close(self) -> None:
        self._looking.cancel()
        self._stop_following()
        await asyncio.gather(self._looking, *self._ending, return_exceptions=True)
        await self.kube.close()
        with contextlib.suppress(KeyError):
            metrics.DATA_PLANE_CONNECTED.remove(self.name)

    # ---- inside

    def _turned(self) -> None:
        self._stop_following()
        if self.kube.answers:
            self._follow()  # anew: what hung in an outage would hang on
        metrics.DATA_PLANE_CONNECTED.labels(self.name).set(int(self.kube.answers))
        self._on_turn(self.name)

    def _follow(self) -> None:
        metrics.DATA_PLANE_CONNECTED.labels(self.name).set(1)
        access = self.kube.access
        self._following = [
            _task(watch.run(access), f"watch {watch.kind} of data plane {self.name}") for watch in self._watches
        ]

    def _stop_following(self) -> None:
        for task in self._following:
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        self._following = []


def _task(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """A task whose unforeseen end is at least in the log."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_say_if_it_failed)
    return task


def _say_if_it_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s ended", task.get_name(), exc_info=task.exception())
