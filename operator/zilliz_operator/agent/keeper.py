"""Keeping HAProxy on the configuration that is mounted, and saying which one that is.

Order of a change: copy, check, swap maps and lists in every worker (revocation first), and reload only when
something else changed. A configuration counts as in force when the running worker itself shows it; anything less
leaves the old one in force and says why.
"""

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from zilliz_operator.agent.events import event
from zilliz_operator.agent.runtime import Processes, Runtime, RuntimeFailure, Worker
from zilliz_operator.agent.settings import Settings, haproxy_environment
from zilliz_operator.agent.snapshot import (
    Incomplete,
    Snapshot,
    Store,
    fingerprint,
    number_of,
    read_generation,
    read_mounts,
)

_STEP = 0.05
_PROOF_SECONDS = 5.0
_CHECK_SECONDS = 30.0
_LOAD_PAUSE, _LONGEST_PAUSE = 60.0, 900.0


class Refused(Exception):
    """HAProxy refuses a configuration; the text is its own words, without any secret."""


class NotLoaded(Refused):
    """It passed the check and did not start. Trying costs: HAProxy stops listening for the two seconds it tries."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What the running HAProxy was seen to have."""

    config: str = ""
    certificate: str = ""
    haproxy: str = "stopped"
    reloads: int = 0
    draining: int = 0
    dropped: int = 0
    last_error: str = ""


class Keeper:
    """One gateway's configuration, from mount to proof."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runtime = Runtime(settings.socket)
        self._store = Store(settings.run)
        self._lock = threading.Lock()
        self._seen: object = None
        self._last_error = ""
        self._wanted = ""
        self._retry_at = self._pause = 0.0
        self._proof_at = 0.0
        self.load_failed = threading.Event()
        """Set by whoever reads HAProxy's messages when it says that a load failed."""

    def run(self, stopping: threading.Event) -> None:
        """Watch until told to stop."""
        while not stopping.is_set():
            self.tick()
            self._settings.heartbeat.touch(mode=0o600)
            stopping.wait(self._settings.poll_seconds)

    def tick(self) -> None:
        """One look; acts only on a change, after a failure, or when the running HAProxy has drifted."""
        seen, now = fingerprint(self._settings.mounts), time.monotonic()
        if seen != self._seen or (self._last_error and now >= self._retry_at):
            self._seen = seen
            self._follow()
        elif now >= self._proof_at:
            self._mend()
        else:
            return
        self._proof_at = time.monotonic() + _PROOF_SECONDS

    def _follow(self) -> None:
        """Bring what is mounted into force."""
        try:
            snapshot = read_mounts(self._settings.mounts)
            if snapshot.digest != self._wanted:
                self._wanted, self._pause = snapshot.digest, 0.0
            with self._lock:
                self._bring(snapshot)
        except NotLoaded as error:
            self._pause = min(max(self._pause * 2, _LOAD_PAUSE), _LONGEST_PAUSE)
            self._failed(str(error), pause=self._pause)
        except (Incomplete, Refused, RuntimeFailure, OSError, subprocess.SubprocessError) as error:
            self._failed(str(error), pause=self._settings.retry_seconds)
        else:
            self._last_error = ""

    def _mend(self) -> None:
        """Has the running HAProxy lost what it was given? Then give it back. Not running is the supervisor's to cure."""
        with self._lock:
            current, processes = self._store.current(), self._processes_or_none()
            if current is None or processes is None:
                return
            snapshot = read_generation(current)
            if self._is_proven(snapshot):
                if snapshot.digest == self._wanted:
                    self._last_error = ""
                return
            event("configuration-drifted", level="warning", config=snapshot.config_hash)
            if self._swapped(snapshot, processes):
                return
            try:
                self._reload(processes)
                self._await_load(current, snapshot)
            except (Refused, OSError) as error:
                self._failed(str(error), pause=_LOAD_PAUSE)

    def in_force(self) -> InForce:
        """Ask the running HAProxy; takes no one's word for it."""
        if not self._lock.acquire(timeout=5.0):
            return InForce(haproxy="loading", last_error=self._last_error)
        try:
            return self._observe()
        finally:
            self._lock.release()

    def _observe(self) -> InForce:
        try:
            processes = self._runtime.processes()
            worker = processes.current
            if worker is None:
                return InForce(last_error=self._last_error or "HAProxy has no worker")
            snapshot = self._current_snapshot()
            proven = snapshot is not None and self._proven(snapshot)
            dropped = self._runtime.info(worker).get("DroppedLogs", "0")
        except RuntimeFailure as error:
            return InForce(last_error=self._last_error or str(error))
        return InForce(
            config=snapshot.config_hash if snapshot and proven else "",
            certificate=snapshot.certificate if snapshot and proven else "",
            haproxy="running",
            reloads=processes.reloads,
            draining=sum(worker.old for worker in processes.workers),
            dropped=int(dropped) if dropped.isdigit() else 0,
            last_error=self._last_error,
        )

    def _failed(self, message: str, *, pause: float) -> None:
        self._retry_at = time.monotonic() + pause
        if message != self._last_error:
            event("configuration-refused", level="error", message=message)
        self._last_error = message

    def _bring(self, snapshot: Snapshot) -> None:
        before = self._store.current()
        old = read_generation(before) if before else None
        if old and old.digest == snapshot.digest and self._is_proven(snapshot):
            return
        fresh = self._store.write(snapshot)
        try:
            self._check(fresh, snapshot)
            how = self._put_in_force(fresh, snapshot, before=before, old=old)
        except Exception:
            self._store.forget(keep=self._store.current())
            raise
        self._store.forget(keep=fresh)
        event("configuration-in-force", how=how, config=snapshot.config_hash, certificate=snapshot.certificate)

    def _put_in_force(self, fresh: Path, snapshot: Snapshot, *, before: Path | None, old: Snapshot | None) -> str:
        processes = self._processes_or_none()
        if before is None or old is None or processes is None:
            self._store.make_current(fresh)
            self._await_load(fresh, snapshot)
            return "start"
        if old.load_hash == snapshot.load_hash and self._swapped(snapshot, processes):
            self._store.make_current(fresh)
            return "swap"
        self._swap_everywhere(snapshot, processes)
        self._hand_over_state(fresh, processes)
        self._store.make_current(fresh)
        self._reload(processes)
        try:
            self._await_load(fresh, snapshot)
        except NotLoaded:
            self._store.make_current(before)
            self._swap_everywhere(old, self._answering() or processes)
            raise
        return "reload"

    def _reload(self, processes: Processes) -> None:
        self.load_failed.clear()
        os.kill(processes.master, signal.SIGUSR2)

    def _answering(self) -> Processes | None:
        """The processes, once the master is back from a reload."""
        deadline = time.monotonic() + _PROOF_SECONDS
        while (found := self._processes_or_none()) is None and time.monotonic() < deadline:
            time.sleep(_STEP)
        return found

    def _check(self, generation: Path, snapshot: Snapshot) -> None:
        """Let HAProxy itself judge the files."""
        command = [self._settings.haproxy, "-c", *self._settings.haproxy_files(generation)]
        environment = haproxy_environment(os.environ)
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
        )
        if done.returncode == 0:
            return
        alerts = [line for line in (done.stderr + done.stdout).splitlines() if "[ALERT]" in line]
        words = " | ".join(line.partition(" : ")[2] or line for line in alerts[:5])
        for secret in snapshot.files["maps/users.map"].decode().split():
            words = words.replace(secret, "***")
        raise Refused(words or f"HAProxy refuses the configuration (exit {done.returncode})")

    def _await_load(self, generation: Path, snapshot: Snapshot) -> None:
        """Wait until the worker of this very generation shows what it should."""
        deadline = time.monotonic() + self._settings.load_seconds
        while time.monotonic() < deadline:
            if self._is_proven(snapshot, generation):
                return
            if self.load_failed.is_set():
                raise NotLoaded("HAProxy failed to load the configuration; its messages are in this pod's log")
            time.sleep(_STEP)
        raise NotLoaded(f"HAProxy did not show the new configuration within {self._settings.load_seconds:.0f} s")

    def _current_snapshot(self) -> Snapshot | None:
        current = self._store.current()
        return read_generation(current) if current else None

    def _is_proven(self, snapshot: Snapshot, generation: Path | None = None) -> bool:
        try:
            return self._proven(snapshot, generation)
        except RuntimeFailure:
            return False

    def _proven(self, snapshot: Snapshot, generation: Path | None = None) -> bool:
        """Whether the running worker has exactly this, and every older one has stopped taking connections."""
        processes = self._runtime.processes()
        worker = processes.current
        if worker is None:
            return False
        number, _, load_hash = self._runtime.info(worker).get("description", "").partition(" ")
        if load_hash != snapshot.load_hash or (generation is not None and number != str(number_of(generation))):
            return False
        return self._holds(worker, snapshot) and all(self._is_leaving(old) for old in processes.workers if old.old)

    def _holds(self, worker: Worker, snapshot: Snapshot) -> bool:
        return all(
            sorted(self._runtime.entries(worker, name)) == sorted(snapshot.entries(name))
            for name in snapshot.live_files
        )

    def _is_leaving(self, worker: Worker) -> bool:
        try:
            return self._runtime.info(worker).get("Stopping", "1") == "1"
        except RuntimeFailure:
            return True  # It ended between the two questions.

    def _processes_or_none(self) -> Processes | None:
        try:
            return self._runtime.processes()
        except RuntimeFailure:
            return None

    def _swapped(self, snapshot: Snapshot, processes: Processes) -> bool:
        self._swap_everywhere(snapshot, processes)
        return self._is_proven(snapshot)

    def _swap_everywhere(self, snapshot: Snapshot, processes: Processes) -> None:
        """Give every worker the maps and lists. A failure shows in the proof; workers that are ending may miss it."""
        for worker in processes.workers:
            for name in snapshot.live_files:
                # One by one: an older worker may not have a file that is new, and must learn the others all the same.
                try:
                    entries = snapshot.entries(name)
                    if sorted(self._runtime.entries(worker, name)) != sorted(entries):
                        self._runtime.swap(worker, name, entries)
                except RuntimeFailure as error:
                    event("swap-failed", level="warning", worker=worker.pid, message=str(error))

    def _hand_over_state(self, generation: Path, processes: Processes) -> None:
        """Milvus' address and health, so that the next worker need not wait for a name server or a first check."""
        if processes.current is None:
            return
        try:
            (generation / "state").write_bytes(self._runtime.servers_state(processes.current))
        except RuntimeFailure as error:
            event("state-not-handed-over", level="warning", message=str(error))
