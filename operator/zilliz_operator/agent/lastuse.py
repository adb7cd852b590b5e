"""Which credential was used when, read off the audit lines as they pass.

Only the minute of the last use is kept, for a bounded number of credentials, so that it costs a search per block of lines and
no growing memory. It is a convenience beside the audit trail: it may be lost with the pod, and never holds a line up.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

MOST = 1000
"""Credentials that are remembered; beyond it the one that was used longest ago is forgotten."""
_GRAIN = 60
# The fields stand in this order in every line, and json() of HAProxy escapes every quote within a value, so that none can pretend to
# be another; slashes it escapes too. A line that was refused says another decision.
_USED = re.compile(
    rb'"auth":"(api_key|password)","subject":"[^"\n]*","key_id":"([A-Za-z0-9](?:[A-Za-z0-9._@-]|\\?/){0,127})",'
    rb'"milvus_user":"[^"\n]*","decision":"allowed"'
)


class LastUse:
    """Credential → the minute in which it was last let in, in seconds since 1970."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._used: dict[str, int] = {}

    def see(self, lines: bytes) -> None:
        """Look through whole audit lines."""
        minute = int(self._clock()) // _GRAIN * _GRAIN
        for kind, key_id in _USED.findall(lines):
            name = f"{kind.decode()}:{key_id.decode()}".replace("\\/", "/")
            if self._used.get(name) == minute:
                continue
            self._used.pop(name, None)  # the order of the dict is the order of use
            self._used[name] = minute
            if len(self._used) > MOST:
                self._used.pop(next(iter(self._used)))

    def snapshot(self) -> dict[str, int]:
        """A copy; may be asked by another thread than the one that sees."""
        for _ in range(10):
            with suppress(RuntimeError):  # it grew meanwhile
                return dict(self._used)
        return {}


def write_used(path: Path, used: Mapping[str, int]) -> None:
    """For the agent, which tells the operator."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(used))
    fresh.replace(path)


def read_used(path: Path) -> dict[str, int]:
    """What `write_used` wrote last; nothing before that."""
    with suppress(OSError, ValueError, AttributeError):
        return {str(name): int(minute) for name, minute in json.loads(path.read_text()).items()}
    return {}
