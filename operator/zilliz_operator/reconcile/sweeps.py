"""When to ask the cloud again about what it answered last.

Nothing there wakes us, and looking at one cluster takes dozens of calls: asking at every pass would make each as slow as
the cloud. So an answer that everything is as it should be holds until the next sweep of the cloud, and every cluster has
its own jitter, so that thousands are not swept in one second. It is forgotten at once when something else is wanted, when
a person touches the object, and when the process ends. An answer that is not good is never kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from zilliz_operator.reconcile.ports import Clock

T = TypeVar("T")
SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class _Kept:
    question: Any
    answer: Any
    until: datetime


class Sweeps:
    """Answers by (owner, what). `jitter` in [0, 1) spreads 50 % round `seconds`."""

    def __init__(self, *, clock: Clock, jitter: Callable[[], float], seconds: float = SECONDS) -> None:
        self._clock = clock
        self._jitter = jitter
        self._seconds = seconds
        self._kept: dict[tuple[str, str], _Kept] = {}

    def recall(self, owner: str, what: str, question: Any) -> Any:
        """The answer to the same question, None when there is none or the next sweep is due."""
        kept = self._kept.get((owner, what))
        if kept is None or kept.question != question or kept.until <= self._clock.now():
            return None
        return kept.answer

    def keep(self, owner: str, what: str, question: Any, answer: T) -> T:
        after = timedelta(seconds=self._seconds * (0.75 + self._jitter() / 2))
        self._kept[owner, what] = _Kept(question, answer, self._clock.now() + after)
        return answer

    def due_in(self, owner: str) -> float | None:
        """Seconds until something of this owner must be looked at, None when nothing was kept."""
        due = [kept.until for (of, _), kept in self._kept.items() if of == owner]
        return max(0.0, (min(due) - self._clock.now()).total_seconds()) if due else None

    def forget(self, owner: str, what: str | None = None) -> None:
        """Drop what is known of an owner, or one part of it."""
        for key in [key for key in self._kept if key[0] == owner and what in (None, key[1])]:
            del self._kept[key]
