"""The time of the whole run: every wait is bounded by what is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.errors import BenchError, OutOfTime


class Budget:
    """Seconds that all phases share. A phase that cannot start in time is left out, not hurried."""

    def __init__(self, total: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._end = self._began + total

    @property
    def left(self) -> float:
        return self._end - self._now()

    @property
    def spent(self) -> float:
        return self._now() - self._began

    def need(self, seconds: float, what: str) -> None:
        """Raise OutOfTime unless so many seconds are left."""
        if self.left < seconds:
            raise OutOfTime(f"{what} takes about {seconds:.0f} s, {max(self.left, 0):.0f} s were left")

    def until(self, condition: Callable[[], bool], *, what: str, seconds: float, every: float = 0.25) -> None:
        """Poll until the condition holds. Raises BenchError after `seconds`, OutOfTime at the end of the whole run.

        A server that does not answer in time is asked again: on a busy machine that is no failure of what is measured.
        """
        deadline = self._now() + seconds
        trouble = ""
        while True:
            try:
                if condition():
                    return
                trouble = ""
            except OSError as error:
                trouble = f" (last: {type(error).__name__}: {error})"
            if self.left <= 0:
                raise OutOfTime(f"the run's time ended while waiting for {what}{trouble}")
            if self._now() > deadline:
                raise BenchError(f"waited {seconds:.0f} s in vain for {what}{trouble}")
            time.sleep(every)
