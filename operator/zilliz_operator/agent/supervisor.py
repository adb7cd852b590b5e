"""Process 1 of a gateway pod: starts, reaps, restarts and softly stops HAProxy and the agent, and passes audit
lines on.

HAProxy is this process' child and writes into pipes that this process holds open, so the agent can die and come back
without HAProxy noticing. TERM becomes HAProxy's soft stop (USR1): TERM to HAProxy itself would cut every connection.
"""

import contextlib
import fcntl
import os
import signal
import threading
import time
from dataclasses import dataclass, field

from zilliz_operator.agent.door import NOTICE_FD
from zilliz_operator.agent.events import event
from zilliz_operator.agent.lastuse import LastUse, write_used
from zilliz_operator.agent.relay import Counts, Relay, write_counts
from zilliz_operator.agent.settings import Settings, haproxy_environment

_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
_PIPE_BYTES = 1024 * 1024
_TICK = 0.2
_FIRST_PAUSE, _LAST_PAUSE, _STEADY = 0.1, 5.0, 10.0
_REPEAT = 5.0
_DRAIN_SECONDS = 5.0
_USED_SECONDS = 5.0
"""How often the last uses are written down for the agent, if anything is new."""


@dataclass(slots=True)
class Child:
    """One process to keep alive."""

    name: str
    command: list[str]
    environment: dict[str, str]
    descriptors: dict[int, int]
    """Descriptor in the child → ours."""
    pid: int = 0
    started: float = 0.0
    pause: float = _FIRST_PAUSE
    not_before: float = field(default=0.0)

    def start(self, now: float) -> None:
        actions = [(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in self.descriptors.items()]
        self.started = now
        try:
            self.pid = os.posix_spawnp(
                self.command[0],
                self.command,
                self.environment,
                file_actions=actions,
                setsigmask=(),
                setsigdef=(*_WATCHED, signal.SIGPIPE),
            )
        except OSError as error:
            event("start-failed", level="error", process=self.name, message=str(error))
            self.ended(now)

    def ended(self, now: float) -> None:
        """Come back, after a pause that grows while it keeps dying young."""
        self.pause = _FIRST_PAUSE if now - self.started > _STEADY else min(self.pause * 2, _LAST_PAUSE)
        self.not_before = now + self.pause
        self.pid = 0

    def send(self, number: signal.Signals) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Supervisor:
    """Runs until it has been told to stop and everything has stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        audit, audit_in = _pipe()
        notice, notice_in = _pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(audit_in, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._pipe_ends = [audit_in, notice_in]
        self._used = LastUse()
        self._relay = Relay(audit, 1, other=lambda text: event("haproxy", message=text), seen=self._used.see)
        self._told = Counts()
        self._told_used: dict[str, int] = {}
        self._tell_used_at = 0.0
        nothing = _high(os.open(os.devnull, os.O_RDONLY))
        self._agent = Child("agent", settings.agent_command(), dict(os.environ), {0: nothing, NOTICE_FD: notice})
        self._haproxy = Child(
            "haproxy",
            settings.haproxy_command(),
            haproxy_environment(os.environ),
            {0: nothing, 1: audit_in, 2: notice_in},
        )
        self._soft_at = self._hard_at = self._drained_by = float("inf")
        self._stopping = False

    def run(self) -> int:
        """The loop of process 1. Returns the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        for work in (self._relay.fill, self._relay.drain):
            threading.Thread(target=work, daemon=True).start()
        while True:
            now = time.monotonic()
            self._reap(now)
            self._tell_counts()
            self._tell_used(now)
            if self._stopping:
                if self._stopped(now):
                    return 0
            else:
                self._keep_alive(now)
            got = signal.sigtimedwait(_WATCHED, _TICK)
            if got and got.si_signo in (signal.SIGTERM, signal.SIGINT) and not self._stopping:
                self._begin_stop()

    def _tell_counts(self) -> None:
        seen = self._relay.counts.copy()
        if seen != self._told:
            self._told = seen
            with contextlib.suppress(OSError):
                write_counts(self._settings.counts, seen)

    def _tell_used(self, now: float) -> None:
        if now < self._tell_used_at:
            return
        self._tell_used_at = now + _USED_SECONDS
        used = self._used.snapshot()
        if used != self._told_used:
            self._told_used = used
            with contextlib.suppress(OSError):
                write_used(self._settings.used, used)

    def _reap(self, now: float) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for child in (self._agent, self._haproxy):
                if child.pid == pid:
                    level = "info" if self._stopping else "error"
                    event("ended", level=level, process=child.name, pid=pid, code=os.waitstatus_to_exitcode(status))
                    child.ended(now)

    def _keep_alive(self, now: float) -> None:
        if self._agent.pid and self._silent(now):
            event("agent-silent", level="error", pid=self._agent.pid)
            self._agent.send(signal.SIGKILL)
            self._agent.started = now
        for child, ready in ((self._agent, True), (self._haproxy, (self._settings.current / "agent.cfg").exists())):
            if not child.pid and ready and now >= child.not_before:
                child.start(now)

    def _silent(self, now: float) -> bool:
        if now - self._agent.started < self._settings.silent_seconds:
            return False
        try:
            age = time.time() - self._settings.heartbeat.stat().st_mtime  # Not monotonic: a file's time never is.
        except OSError:
            return True
        return age > self._settings.silent_seconds

    def _begin_stop(self) -> None:
        now = time.monotonic()
        event("stopping")
        self._stopping = True
        self._soft_at = now + (self._settings.leave_seconds if self._haproxy.pid else 0)
        self._hard_at = self._soft_at + self._settings.stop_seconds
        self._agent.send(signal.SIGTERM)

    def _stopped(self, now: float) -> bool:
        """One step of the stop; whether it is over. HAProxy first, then what it left in its pipes."""
        if self._haproxy.pid:
            if now >= self._hard_at:
                self._haproxy.send(signal.SIGKILL)
            elif now >= self._soft_at:
                # Repeated, because a reload under way could have swallowed the first.
                self._haproxy.send(signal.SIGUSR1)
                self._soft_at = now + _REPEAT
            return False
        for end in self._pipe_ends:
            os.close(end)
        self._pipe_ends.clear()
        self._drained_by = min(self._drained_by, now + _DRAIN_SECONDS)
        if now >= self._drained_by:
            self._agent.send(signal.SIGKILL)
            return not self._agent.pid
        return self._relay.done.is_set() and not self._agent.pid


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    return _high(reader), _high(writer)


def _high(descriptor: int) -> int:
    """The same file far above the numbers that children get theirs as, so that none overwrites another."""
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(descriptor)
    return high
