"""Bounded pools of threads for the synchronous libraries (boto3, pymilvus, ssl), one for each lane.

A lane is a data plane: one whose gateways or store swallow connections keeps its own threads waiting, and nobody else's. A
thread cannot be cancelled: whoever runs work here gives the library a time-out below the caller's own patience, so that a
thread always comes back by itself.
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

LANE: contextvars.ContextVar[str] = contextvars.ContextVar("lane", default="")
"""The lane of the task that runs; set by whoever begins a pass."""

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    def __init__(self, size: int = 12) -> None:
        """`size`: threads of one lane at most. They are made when there is work for them."""
        self.size = size
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._closed = False

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in the pool with this task's context (its logs carry the same names)."""
        call = functools.partial(contextvars.copy_context().run, functools.partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._pool(LANE.get()), call)

    def forget(self, lane: str) -> None:
        """A lane that is not needed any more; work that is on its way there still ends."""
        pool = self._pools.pop(lane, None)
        if pool is not None:
            pool.shutdown(wait=False)

    def close(self) -> None:
        """Take no more work; threads that still run end with their library's time-outs."""
        self._closed = True
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _pool(self, lane: str) -> ThreadPoolExecutor:
        if self._closed:
            raise RuntimeError("the threads are closed")
        if lane not in self._pools:
            self._pools[lane] = ThreadPoolExecutor(max_workers=self.size, thread_name_prefix=f"zilliz-{lane}")
        return self._pools[lane]
