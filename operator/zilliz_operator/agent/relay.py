"""Passing HAProxy's audit lines on without ever making it wait.

HAProxy writes into a pipe and drops lines when it is full. So one thread only empties the pipe into a bounded queue,
and another writes to stdout at whatever pace stdout allows; when the queue is full whole lines are dropped and
counted. It runs in process 1: the agent may die without losing a line. Refusals are counted here too, by the reason in
their line: what is counted is what was written, and a reload of HAProxy forgets none.
"""

import collections
import json
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

_BLOCK = 65536
_REFUSED = re.compile(rb'"decision":"denied","reason":"([a-z_]{1,40})"')
"""Not to be forged: a quote in anything that a client sends has a backslash before it."""
_BROKEN = re.compile(rb'"kind":"connection"')
_SLOWED = re.compile(rb'"guard":"slowed"')
_REASONS = 100


@dataclass(slots=True)
class Counts:
    """Lines that passed and lines that could not."""

    lines: int = 0
    dropped: int = 0
    slowed: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """By reason; `connection` for what never became a request."""

    def copy(self) -> "Counts":
        return Counts(self.lines, self.dropped, self.slowed, dict(self.refused))

    def see(self, line: bytes) -> None:
        """Count one line by what it says."""
        self.slowed += _SLOWED.search(line) is not None
        found = _REFUSED.search(line)
        reason = "connection" if _BROKEN.search(line) else found[1].decode() if found else ""
        if reason and (reason in self.refused or len(self.refused) < _REASONS):
            self.refused[reason] = self.refused.get(reason, 0) + 1


class Relay:
    """Copies whole audit lines from one descriptor to another. `seen` is given each block of them that was written; `done`: the
    source has ended and all is written."""

    def __init__(
        self,
        source: int,
        sink: int,
        *,
        other: Callable[[str], None],
        seen: Callable[[bytes], None] | None = None,
        limit_bytes: int = 8 * 1024 * 1024,
    ) -> None:
        self._source = source
        self._sink = sink
        self._other = other
        self._seen = seen
        self._limit = limit_bytes
        self._queue: collections.deque[bytes] = collections.deque()
        self._queued = 0
        self._ended = False
        self._turn = threading.Condition()
        self.counts = Counts()
        self.done = threading.Event()

    def fill(self) -> None:
        """Empty the source into the queue until it ends."""
        rest = b""
        while block := os.read(self._source, _BLOCK):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                self._sort(whole + newline)
        if rest:
            self._sort(rest + b"\n")
        with self._turn:
            self._ended = True
            self._turn.notify()

    def drain(self) -> None:
        """Write the queue out until the source has ended and the queue is empty."""
        while (chunk := self._take()) is not None:
            lines = chunk.count(b"\n")
            try:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(self._sink, view) :]
            except OSError:
                self.counts.dropped += lines
            else:
                self.counts.lines += lines
                if self._seen is not None:  # after the write, and not while the pipe is emptied
                    self._seen(chunk)
        self.done.set()

    def _sort(self, chunk: bytes) -> None:
        """HAProxy writes a few words of its own into the same log; only JSON is an audit line."""
        lines = chunk.splitlines(keepends=True)
        mine = [line for line in lines if line.startswith(b"{")]
        for line in lines if len(mine) < len(lines) else ():
            if not line.startswith(b"{"):
                self._other(line.decode(errors="replace").rstrip())
        for line in mine:
            self.counts.see(line)
        if mine:
            self._put(b"".join(mine))

    def _put(self, chunk: bytes) -> None:
        with self._turn:
            if self._queued + len(chunk) > self._limit:
                self.counts.dropped += chunk.count(b"\n")
                return
            self._queue.append(chunk)
            self._queued += len(chunk)
            self._turn.notify()

    def _take(self) -> bytes | None:
        with self._turn:
            while not self._queue and not self._ended:
                self._turn.wait()
            if not self._queue:
                return None
            chunk = self._queue.popleft()
            self._queued -= len(chunk)
            return chunk


def each_line(source: int, handle: Callable[[str], None]) -> None:
    """Call `handle` with every line of a descriptor until it ends."""
    with os.fdopen(source, "rb", closefd=False) as lines:
        for line in lines:
            handle(line.decode(errors="replace").rstrip("\n"))


def write_counts(path: Path, counts: Counts) -> None:
    """For the agent, which tells the operator."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(counts)))
    fresh.replace(path)


def read_counts(path: Path) -> Counts:
    """What `write_counts` wrote last; zeros before that."""
    with suppress(OSError, ValueError, TypeError):
        return Counts(**json.loads(path.read_text()))
    return Counts()
