"""Talking to the running HAProxy over its master's socket.

Two things need it. Maps and lists are swapped in every worker at once, old ones included, so that a key that was
revoked is refused on connections that outlive a reload. And what is in force is read back from the worker itself,
never assumed.
"""

import socket
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 64
"""Entries a command: each command must fit in HAProxy's buffer."""


class RuntimeFailure(Exception):
    """HAProxy did not answer, or not as it should. Never carries an entry of a map."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One HAProxy worker process."""

    pid: int
    old: bool


@dataclass(frozen=True, slots=True)
class Processes:
    """What the master says about its workers."""

    master: int
    reloads: int
    workers: tuple[Worker, ...]

    @property
    def current(self) -> Worker | None:
        return next((worker for worker in self.workers if not worker.old), None)


class Runtime:
    """The master's command line."""

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        self._path = path
        self._timeout = timeout

    def ask(self, command: str) -> str:
        """Send one command line and return the answer."""
        answer = bytearray()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(self._timeout)
                link.connect(str(self._path))
                link.sendall(command.encode() + b"\n")
                link.shutdown(socket.SHUT_WR)
                while block := link.recv(65536):
                    answer += block
        except OSError as error:
            raise RuntimeFailure(f"HAProxy does not answer on its socket: {error}") from None
        return answer.decode(errors="replace").strip("\n")

    def processes(self) -> Processes:
        """Master and workers, as `show proc` lists them."""
        master = reloads = 0
        workers: list[Worker] = []
        old = False
        for line in self.ask("show proc").splitlines():
            if line.startswith("# old workers"):
                old = True
            words = line.split()
            if len(words) < 3 or not words[0].isdigit():
                continue
            if words[1] == "master":
                master, reloads = int(words[0]), int(words[2])
            elif words[1] == "worker":
                workers.append(Worker(int(words[0]), old))
        if not master:
            raise RuntimeFailure("HAProxy's master does not list itself")
        return Processes(master, reloads, tuple(workers))

    def info(self, worker: Worker) -> dict[str, str]:
        """The worker's own description of itself."""
        lines = self.ask(f"@!{worker.pid} show info").splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def servers_state(self, worker: Worker) -> bytes:
        """Addresses and health of the servers, for the next worker to start from."""
        return self.ask(f"@!{worker.pid} show servers state").encode() + b"\n"

    def entries(self, worker: Worker, name: str) -> list[str]:
        """What a map or list holds in the worker's memory."""
        answer = self.ask(f"@!{worker.pid} show {_kind(name)} {name}")
        found: list[str] = []
        for line in answer.splitlines():
            if not line:
                continue
            address, _, entry = line.partition(" ")
            if not address.startswith("0x"):
                raise RuntimeFailure(f"HAProxy does not show {name}")
            found.append(entry)
        return found

    def swap(self, worker: Worker, name: str, entries: list[str]) -> None:
        """Replace a whole map or list in one step; readers see the old or the new one."""
        kind, at = _kind(name), f"@!{worker.pid} "
        version = self.ask(f"{at}prepare {kind} {name}").rpartition(":")[2].strip()
        if not version.isdigit():
            raise RuntimeFailure(f"HAProxy does not prepare {name}")
        for start in range(0, len(entries), _CHUNK):
            chunk = entries[start : start + _CHUNK]
            if kind == "map":
                command = f"{at}add map @{version} {name} <<\n" + "\n".join(chunk) + "\n"
            else:
                command = ";".join(f"{at}add acl @{version} {name} {entry}" for entry in chunk)
            if self.ask(command).strip():
                raise RuntimeFailure(f"HAProxy refuses an entry of {name}")
        if self.ask(f"{at}commit {kind} @{version} {name}").strip():
            raise RuntimeFailure(f"HAProxy does not commit {name}")


def _kind(name: str) -> str:
    return "map" if name.endswith(".map") else "acl"
