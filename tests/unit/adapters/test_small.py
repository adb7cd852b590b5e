"""Clock, randomness and the thread pool."""

import asyncio
import contextvars
import re
import threading
from collections.abc import Callable
from datetime import timedelta

from zilliz_operator.adapters.clock import SystemClock
from zilliz_operator.adapters.randomness import SystemSecrets
from zilliz_operator.adapters.threads import LANE, Threads


def test_the_clock_is_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


def test_passwords_have_every_class_and_nothing_that_needs_quoting() -> None:
    passwords = {SystemSecrets().password() for _ in range(500)}
    assert len(passwords) == 500
    for password in passwords:
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.~@%+=-]{23}", password)
        assert all(re.search(group, password) for group in ("[A-Z]", "[a-z]", "[0-9]", "[_.~@%+=-]"))


def test_tokens_carry_256_bits() -> None:
    assert re.fullmatch(r"zbk_[A-Za-z0-9_-]{43}", SystemSecrets().token())


async def test_the_pool_is_bounded_and_keeps_the_context() -> None:
    threads = Threads(size=2)
    name = contextvars.ContextVar("name", default="unset")
    name.set("mine")
    running, most, lock, release = 0, 0, threading.Lock(), threading.Event()

    def work() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait(5)
        with lock:
            running -= 1
        return name.get()

    tasks = [asyncio.create_task(threads.run(work)) for _ in range(6)]
    while running < 2:
        await asyncio.sleep(0.01)
    release.set()
    assert await asyncio.gather(*tasks) == ["mine"] * 6
    assert most == 2
    threads.close()


async def test_a_lane_that_waits_keeps_nobody_else_waiting() -> None:
    threads = Threads(size=2)
    release = threading.Event()

    async def in_lane(lane: str, work: Callable[[], object]) -> object:
        LANE.set(lane)
        return await threads.run(work)

    stuck = [asyncio.create_task(in_lane("dead", lambda: release.wait(30))) for _ in range(4)]
    async with asyncio.timeout(10):
        assert await asyncio.create_task(in_lane("alive", lambda: "done")) == "done"
    assert not any(task.done() for task in stuck)
    threads.forget("dead")
    release.set()
    await asyncio.gather(*stuck)
    threads.close()
