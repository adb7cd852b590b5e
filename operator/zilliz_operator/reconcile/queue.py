"""The work queue between watches and reconcilers.

Events only *wake* a key; what to do is decided from what is. A key is never reconciled twice at once, a wake-up during a pass
leads to exactly one more pass, failures back off with jitter for ever, and the number of passes at a time is bounded here and
nowhere else (Kopf's own worker limit starves: an idle worker keeps its slot). It is bounded for each lane: a data plane that
answers slowly or not at all takes its own slots and nobody else's.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 300.0


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One object to reconcile: kind, namespace ("" when cluster-scoped) and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace + '/' if self.namespace else ''}{self.name}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass says about the next one: `again_in` seconds, or None to sleep until woken or swept. `alive` False: it is gone.

    `sweep_in`: seconds until something outside should be looked at again; nobody waits for it.
    """

    again_in: float | None = None
    alive: bool = True
    sweep_in: float | None = None

    def next_look(self, sweep: float) -> float:
        """Seconds until the next pass, at the latest after `sweep`."""
        wishes = (sweep, self.again_in, max(1.0, self.sweep_in) if self.sweep_in is not None else None)
        return min(wish for wish in wishes if wish is not None)


Reconciler = Callable[[Key], Awaitable[Outcome]]


def backoff(failures: int, *, jitter: float) -> float:
    """Seconds before try number `failures` + 1; `jitter` in [0, 1) spreads 50 %."""
    return min(MAX_BACKOFF_SECONDS, 2.0 ** min(failures, 9)) * (0.75 + jitter / 2)


class WorkQueue:
    """Keys waiting for a pass. `add` may be called from any task of the loop; `run` works until cancelled."""

    def __init__(
        self,
        reconcile: Reconciler,
        *,
        concurrency: int,
        jitter: Callable[[], float],
        settle_seconds: float = 0.2,
        lane: Callable[[Key], str] = lambda _: "",
    ) -> None:
        self._reconcile = reconcile
        self._lane = lane
        self._concurrency = concurrency
        self._jitter = jitter
        self._settle = settle_seconds
        self._timers: dict[Key, tuple[float, asyncio.TimerHandle]] = {}
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._lanes: dict[str, deque[Key]] = {}
        """Keys whose lane has no slot free, in the order they came."""
        self._taken: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._halted = False
        self._queued: set[Key] = set()
        self._running: set[Key] = set()
        self._dirty: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self.passes = 0
        self.errors = 0

    def add(self, key: Key, *, after: float = 0.0) -> None:
        """Wake `key` after `after` seconds; an earlier wake-up already set wins."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(after, self._settle)
        pending = self._timers.get(key)
        if pending is not None:
            if pending[0] <= due:
                return
            pending[1].cancel()
        self._timers[key] = (due, loop.call_at(due, self._fire, key))

    def forget(self, key: Key) -> None:
        """Drop the timers and failure count of an object that is gone."""
        self._failures.pop(key, None)
        pending = self._timers.pop(key, None)
        if pending is not None:
            pending[1].cancel()

    def _fire(self, key: Key) -> None:
        self._timers.pop(key, None)
        if key in self._running:
            self._dirty.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    @property
    def depth(self) -> int:
        return len(self._queued)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs (timers for later do not count)."""
        return not self._queued and not self._running

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                key = await self._ready.get()
                if self._halted:
                    continue
                lane = self._lane(key)
                if self._taken[lane] < self._concurrency:
                    self._taken[lane] += 1
                    task = group.create_task(self._work(key, lane))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                else:
                    self._lanes.setdefault(lane, deque()).append(key)

    async def halt(self) -> None:
        """Begin no more passes and cancel those that run; `run` itself goes on until it is cancelled."""
        self._halted = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, key: Key, lane: str) -> None:
        """One slot of a lane: this key, then those that wait for a slot."""
        waiting = self._lanes.setdefault(lane, deque())
        try:
            await self._turn(key)
            while waiting:
                await self._turn(waiting.popleft())
        finally:
            self._taken[lane] -= 1
            if not self._taken[lane]:
                del self._taken[lane]
                self._lanes.pop(lane, None)

    async def _turn(self, key: Key) -> None:
        self._queued.discard(key)
        self._running.add(key)
        try:
            await self._pass(key)
        finally:
            self._running.discard(key)
            if key in self._dirty:
                self._dirty.discard(key)
                self.add(key)

    async def _pass(self, key: Key) -> None:
        self.passes += 1
        try:
            outcome = await self._reconcile(key)
        except asyncio.CancelledError:
            raise
        except Exception:
            # A reconciler turns every foreseen failure into a condition; what arrives here is a bug or a lost API server.
            self.errors += 1
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = backoff(failures, jitter=self._jitter())
            log.exception("a pass failed", extra={"object": str(key), "retry_in_seconds": round(delay, 1)})
            self.add(key, after=delay)
        else:
            self._failures.pop(key, None)
            if outcome.again_in is not None:
                self.add(key, after=outcome.again_in)
