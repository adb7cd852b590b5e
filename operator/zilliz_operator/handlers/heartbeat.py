"""Whether the watches are alive: each kind's watch must have been opened anew, and answered with 200, not long ago.

Kopf's own probe answers 200 while a watch waits in an endless back-off; this one does not.
"""

import time
from collections.abc import Callable, Iterable

import aiohttp

from zilliz_operator.handlers import metrics
from zilliz_operator.handlers.settings import WATCH_SERVER_TIMEOUT

STALE_AFTER = WATCH_SERVER_TIMEOUT + 120.0
"""Seconds: a watch lives at most WATCH_SERVER_TIMEOUT, a listing and a few back-offs fit in the rest."""


class Heartbeat:
    """An aiohttp middleware that notes every watch that the API server accepted."""

    def __init__(self, plurals: Iterable[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._opened: dict[str, float] = dict.fromkeys(plurals, clock())
        self._seen: set[str] = set()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        if request.url.query.get("watch") == "true" and response.status == 200:
            plural = request.url.path.rstrip("/").rpartition("/")[2]
            self._opened[plural] = self._clock()
            self._seen.add(plural)
        return response

    def stale(self) -> dict[str, float]:
        """Kinds whose watch was last opened too long ago → seconds since."""
        now = self._clock()
        ages = {plural: now - opened for plural, opened in self._opened.items()}
        for plural, age in ages.items():
            metrics.WATCH_AGE.labels(plural).set(age)
        return {plural: age for plural, age in ages.items() if age > STALE_AFTER}

    @property
    def all_open(self) -> bool:
        """Every kind's watch was opened at least once: the operator sees what happens."""
        return self._seen >= set(self._opened)
