"""The work queue: each key once, one more pass for what happens during one, patience without end, and a bound on all of it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from zilliz_operator.reconcile.queue import MAX_BACKOFF_SECONDS, Key, Outcome, WorkQueue, backoff

A, B = Key("ZillizCluster", "team-a", "a"), Key("ZillizCluster", "team-a", "b")


class Recorded:
    """A reconciler that a test steers."""

    def __init__(self) -> None:
        self.calls: list[Key] = []
        self.running = 0
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.outcomes: list[Outcome | Exception] = []

    async def __call__(self, key: Key) -> Outcome:
        self.calls.append(key)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            outcome = self.outcomes.pop(0) if self.outcomes else Outcome()
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        finally:
            self.running -= 1


@contextlib.asynccontextmanager
async def working(
    reconcile: Recorded, *, concurrency: int = 4, lane: Callable[[Key], str] = lambda _: ""
) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(reconcile, concurrency=concurrency, jitter=lambda: 0.0, settle_seconds=0.001, lane=lane)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def timers(queue: WorkQueue) -> dict[Key, float]:
    """Key → seconds until it is due."""
    now = asyncio.get_running_loop().time()
    return {key: due - now for key, (due, _) in queue._timers.items()}


async def test_many_wakes_are_one_pass() -> None:
    work = Recorded()
    async with working(work) as queue:
        for _ in range(50):
            queue.add(A)
        await until(lambda: len(work.calls) == 1 and queue.idle)
        assert timers(queue) == {}
        assert queue.passes == 1


async def test_a_wake_during_a_pass_is_one_more_pass_afterwards_and_never_beside_it() -> None:
    work = Recorded()
    work.gate.clear()
    async with working(work) as queue:
        queue.add(A)
        await until(lambda: work.running == 1)
        for _ in range(20):
            queue.add(A)
        await until(lambda: A in queue._dirty)
        assert work.calls == [A]
        work.gate.set()
        await until(lambda: len(work.calls) == 2 and queue.idle and not timers(queue))
        assert work.most == 1
        assert work.calls == [A, A]


async def test_no_more_passes_at_a_time_than_allowed_and_all_get_their_turn() -> None:
    work = Recorded()
    work.gate.clear()
    keys = [Key("ZillizCluster", "team-a", str(number)) for number in range(20)]
    async with working(work, concurrency=3) as queue:
        for key in keys:
            queue.add(key)
        await until(lambda: work.running == 3 and queue.depth == 17)
        assert not queue.idle
        work.gate.set()
        await until(lambda: len(work.calls) == 20 and queue.idle)
        assert work.most == 3
        assert set(work.calls) == set(keys)


async def test_one_that_hangs_holds_up_no_other() -> None:
    hang = asyncio.Event()
    seen: list[Key] = []

    async def reconcile(key: Key) -> Outcome:
        if key == A:
            await hang.wait()
        seen.append(key)
        return Outcome()

    queue = WorkQueue(reconcile, concurrency=2, jitter=lambda: 0.0, settle_seconds=0.001)
    task = asyncio.create_task(queue.run())
    queue.add(A)
    queue.add(B)
    await until(lambda: B in seen)
    assert A not in seen
    hang.set()
    await until(lambda: A in seen)
    task.cancel()


async def test_the_earlier_of_two_wake_ups_counts() -> None:
    work = Recorded()
    async with working(work) as queue:
        queue.add(A, after=100)
        queue.add(A, after=50)
        assert 49 < timers(queue)[A] <= 50
        queue.add(A, after=200)
        assert 49 < timers(queue)[A] <= 50
        queue.add(A)
        await until(lambda: work.calls == [A])


async def test_again_in_is_a_wake_up_and_none_is_sleep() -> None:
    work = Recorded()
    work.outcomes = [Outcome(again_in=0.0), Outcome(again_in=77.0)]
    async with working(work) as queue:
        queue.add(A)
        await until(lambda: len(work.calls) == 2 and queue.idle)
        assert 76 < timers(queue)[A] <= 77
        queue.add(A)
        await until(lambda: len(work.calls) == 3 and queue.idle)
        assert timers(queue) == {}


async def test_failures_wait_longer_and_longer_and_one_success_forgets_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Recorded()
    work.outcomes = [RuntimeError("first"), RuntimeError("second"), Outcome(), RuntimeError("third")]
    waits = []
    async with working(work) as queue:
        with caplog.at_level(logging.ERROR):
            for number in range(1, 5):
                queue.add(A)
                await until(lambda n=number: len(work.calls) == n and queue.idle)  # type: ignore[misc]
                waits.append(round(timers(queue).get(A, 0.0), 1))
    assert waits == [1.5, 3.0, 0.0, 1.5]
    assert queue.errors == 3
    assert [vars(record)["object"] for record in caplog.records] == ["ZillizCluster/team-a/a"] * 3


async def test_a_failure_of_one_is_no_failure_of_another() -> None:
    work = Recorded()
    work.outcomes = [RuntimeError("A"), Outcome()]
    async with working(work, concurrency=1) as queue:
        queue.add(A)
        await until(lambda: len(work.calls) == 1)
        queue.add(B)
        await until(lambda: len(work.calls) == 2 and queue.idle)
        assert list(timers(queue)) == [A]


async def test_who_is_woken_while_it_backs_off_is_tried_at_once() -> None:
    work = Recorded()
    work.outcomes = [RuntimeError("broken"), Outcome()]
    async with working(work) as queue:
        queue.add(A)
        await until(lambda: len(work.calls) == 1 and A in timers(queue))
        queue.add(A)
        await until(lambda: len(work.calls) == 2 and queue.idle)
        assert timers(queue) == {}


async def test_what_is_gone_is_forgotten() -> None:
    work = Recorded()
    work.outcomes = [RuntimeError("broken")]
    async with working(work) as queue:
        queue.add(A)
        await until(lambda: A in timers(queue) and len(work.calls) == 1)
        queue.forget(A)
        assert timers(queue) == {}
        assert queue._failures == {}


async def test_it_ends_when_it_is_cancelled_in_the_middle_of_a_pass() -> None:
    work = Recorded()
    work.gate.clear()
    async with working(work) as queue:
        queue.add(A)
        await until(lambda: work.running == 1)
    assert work.running == 0
    assert queue.errors == 0


@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_backoff_grows_to_five_minutes_and_never_ends(jitter: float) -> None:
    waits = [backoff(failures, jitter=jitter) for failures in range(1, 1000)]
    assert waits == sorted(waits)
    assert waits[0] <= 2.5
    assert 0.75 * MAX_BACKOFF_SECONDS <= waits[-1] <= 1.25 * MAX_BACKOFF_SECONDS


def test_a_key_reads_well() -> None:
    assert str(A) == "ZillizCluster/team-a/a"
    assert str(Key("DataPlane", "", "default")) == "DataPlane/default"


async def test_a_lane_that_hangs_takes_its_own_slots_and_nobody_elses() -> None:
    hanging = asyncio.Event()
    done: list[Key] = []

    async def reconcile(key: Key) -> Outcome:
        if key.namespace == "dead":
            await hanging.wait()
        done.append(key)
        return Outcome()

    dead = [Key("ZillizCluster", "dead", str(number)) for number in range(20)]
    alive = [Key("ZillizCluster", "alive", str(number)) for number in range(20)]
    queue = WorkQueue(
        reconcile, concurrency=2, jitter=lambda: 0.0, settle_seconds=0.001, lane=lambda key: key.namespace
    )
    task = asyncio.create_task(queue.run())
    for key in (*dead, *alive):
        queue.add(key)
    await until(lambda: set(done) == set(alive))
    assert queue.depth == 18
    hanging.set()
    await until(lambda: queue.idle)
    assert sorted(done) == sorted([*dead, *alive])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_lane_bounds_its_own_passes() -> None:
    work = Recorded()
    work.gate.clear()
    async with working(work, concurrency=2, lane=lambda key: key.namespace) as queue:
        for namespace in ("a", "b"):
            for number in range(5):
                queue.add(Key("ZillizCluster", namespace, str(number)))
        await until(lambda: work.running == 4 and queue.depth == 6)
        work.gate.set()
        await until(lambda: queue.idle and len(work.calls) == 10)
        assert work.most == 4


async def test_halting_ends_what_runs_and_begins_nothing_more() -> None:
    work = Recorded()
    work.gate.clear()
    async with working(work) as queue:
        queue.add(A)
        await until(lambda: work.running == 1)
        await queue.halt()
        assert work.running == 0
        queue.add(B)
        await until(lambda: timers(queue) == {})
        await asyncio.sleep(0)
        assert work.calls == [A]
