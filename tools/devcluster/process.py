"""Starting, recognising and ending the cluster's processes.

A process is known by pid *and* start time *and* boot, so that a pid that the machine gave to somebody else is never
touched. What a component runs with is fingerprinted: a changed command line or configuration restarts it on `up`.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.devcluster import netns
from tools.devcluster.errors import DevclusterError

BASE_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
POLL_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Component:
    """A long-running part of the cluster. Lower `stop_order` stops first."""

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    stop_order: int
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: Path | None = None
    files: tuple[Path, ...] = ()  # what it reads at start: a change restarts it
    ready_seconds: float = 60.0
    stop_seconds: float = 10.0
    before: Callable[[], None] | None = None  # cleared away before each start

    def fingerprint(self) -> str:
        """What the component would run with now."""
        parts = [json.dumps([self.argv, sorted(self.env.items())]).encode()]
        parts += [file.read_bytes() if file.exists() else b"" for file in self.files]
        return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process we started, as written down."""

    pid: int
    start: int  # clock ticks after boot
    boot: str
    fingerprint: str
    since: float

    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return self.boot == boot_id() and start_time(self.pid) == self.start


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """Starts and stops components of one cluster; remembers them in `run`."""

    namespace: str
    run: Path
    logs: Path

    def record(self, name: str) -> Running | None:
        """What was written down about a component; None if nothing legible was."""
        try:
            return Running(**json.loads((self.run / f"{name}.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def running(self, name: str) -> Running | None:
        """The component's process if it lives, in the cluster's namespace."""
        known = self.record(name)
        return known if known and known.alive() and netns.holds(self.namespace, known.pid) else None

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def ensure(self, component: Component) -> bool:
        """Start the component unless it runs as wanted. True if it was started."""
        known, wanted = self.record(component.name), component.fingerprint()
        if known and known.alive():
            if known.fingerprint == wanted and netns.holds(self.namespace, known.pid):
                return False
            end(known, seconds=component.stop_seconds)
        # an `up` that was killed between starting and noting it down leaves a process without a record
        end_all(
            [pid for pid in netns.members(self.namespace) if _runs(pid, component.argv)], seconds=component.stop_seconds
        )
        if component.before:
            component.before()
        self._start(component, fingerprint=wanted)
        return True

    def _start(self, component: Component, *, fingerprint: str) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.log(component.name).open("ab") as log:
            log.write(f"--- started {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
            log.flush()
            try:
                child = subprocess.Popen(
                    [*_enter(self.namespace), *component.argv],
                    env={**BASE_ENVIRONMENT, **component.env},
                    cwd=component.cwd or "/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                raise DevclusterError(f"{component.name}: cannot be started: {error}") from error
        started = start_time(child.pid)
        if started is None:
            raise DevclusterError(f"{component.name}: ended at once; see {self.log(component.name)}")
        note = {"pid": child.pid, "start": started, "boot": boot_id(), "fingerprint": fingerprint, "since": time.time()}
        part = self.run / f"{component.name}.part"
        part.write_text(json.dumps(note))
        part.replace(self.run / f"{component.name}.json")

    def wait_ready(self, component: Component) -> None:
        """Wait until the component says it is ready; its death ends the wait at once."""
        deadline = time.monotonic() + component.ready_seconds
        while (reason := complaint(component)) is not None:
            if self.running(component.name) is None:
                raise DevclusterError(f"{component.name} ended while starting:\n{self.tail(component.name)}")
            if time.monotonic() > deadline:
                raise DevclusterError(
                    f"{component.name} is not ready after {component.ready_seconds:.0f} s ({reason}):\n{self.tail(component.name)}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self, name: str, *, seconds: float = 10.0) -> bool:
        """End a component, by force if it does not go; True if it ran. Its record goes too."""
        known = self.record(name)
        alive = known is not None and known.alive()
        if known and alive:
            end(known, seconds=seconds)
        (self.run / f"{name}.json").unlink(missing_ok=True)
        return alive

    def tail(self, name: str, *, lines: int = 15) -> str:
        """The last lines of a component's log, with the place to read on."""
        log = self.log(name)
        text = log.read_text(errors="replace").splitlines()[-lines:] if log.exists() else []
        return "\n".join(["  " + line[:300] for line in text] + [f"  (whole log: {log})"])


def healthy(component: Component) -> bool:
    """The component's own check; any error means no."""
    return complaint(component) is None


def complaint(component: Component) -> str | None:
    """Why the component is not ready; None if it is."""
    try:
        return None if component.ready() else "its check says no"
    except Exception as error:  # a check may fail in as many ways as the thing it checks
        return f"{type(error).__name__}: {error}"


def _enter(namespace: str) -> tuple[str, ...]:
    # nsenter becomes the command it is given, so the pid stays the same
    return ("nsenter", f"--net={netns.path(namespace)}", "--")


def _runs(pid: int, argv: Sequence[str]) -> bool:
    """Whether the process is what `argv` becomes (wrappers such as unshare replace themselves by its tail)."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return False
    return line != [""] and tuple(line) == tuple(argv)[-len(line) :]


def boot_id() -> str:
    return BOOT_ID.read_text().strip()


def start_time(pid: int) -> int | None:
    """Start of a process in clock ticks after boot; None if it does not run (a zombie does not)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # the command's name is in parentheses and may hold anything, so count from the last one
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def end(known: Running, *, seconds: float) -> None:
    """TERM, then KILL after `seconds`; returns when the process is gone."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        if not known.alive():
            return
        os.kill(known.pid, number)
        if wait_for(lambda: not known.alive(), seconds=patience):
            return
    raise DevclusterError(f"process {known.pid} does not end, not even by SIGKILL")


def end_all(pids: Sequence[int], *, seconds: float) -> None:
    """End processes found in our namespace (children that outlived their parent)."""
    found = [
        Running(pid=pid, start=start, boot=boot_id(), fingerprint="", since=0.0)
        for pid in pids
        if pid != os.getpid() and (start := start_time(pid)) is not None
    ]
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        for known in found:
            if known.alive():
                os.kill(known.pid, number)
        if wait_for(lambda: not any(known.alive() for known in found), seconds=patience):
            return


def wait_for(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Poll until the condition holds; False when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
