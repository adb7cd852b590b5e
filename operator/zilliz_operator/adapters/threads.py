"""One bounded pool of threads for the synchronous libraries (boto3, pymilvus, ssl).

A thread cannot be cancelled: whoever runs work here gives the library a time-out below the caller's own patience, so
that a thread always comes back by itself.
"""

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    def __init__(self, size: int = 12) -> None:
        self.size = size
        self._executor = ThreadPoolExecutor(max_workers=size, thread_name_prefix="zilliz")

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in the pool with this task's context (its logs carry the same names)."""
        call = functools.partial(contextvars.copy_context().run, functools.partial(function, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Take no more work; threads that still run end with their library's time-outs."""
        self._executor.shutdown(wait=False, cancel_futures=True)
