"""One consistent copy of everything HAProxy reads.

The kubelet swaps mounted directories under our feet, so HAProxy never reads them: each change is copied whole into a
new *generation* directory in the pod's memory, checked there, and only then made current. What was hashed is what
was loaded.
"""

import hashlib
import os
import re
import shutil
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from zilliz_operator.api.confighash import CONFIG_PREFIX, MAPS_PREFIX, config_hash

STATE_HEADER = b"1\n"
_FILE = re.compile(rb"(?<![\w./-])(?:config|maps)/[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_KEY_MARK = b"PRIVATE KEY-----"


class Incomplete(Exception):
    """The mounts do not (yet) hold a whole configuration; the text says what is missing."""


@dataclass(frozen=True)
class Snapshot:
    """Files by their path in a generation directory."""

    files: Mapping[str, bytes] = field(repr=False)

    @cached_property
    def config_hash(self) -> str:
        """The name of this configuration, as the operator computes it too."""
        return config_hash(
            {name: data for name, data in self.files.items() if name.startswith((CONFIG_PREFIX, MAPS_PREFIX))}
        )

    @cached_property
    def load_hash(self) -> str:
        """What only a reload can change."""
        return config_hash({name: data for name, data in self.files.items() if not is_live(name)})

    @cached_property
    def digest(self) -> str:
        return config_hash(self.files)

    @cached_property
    def certificate(self) -> str:
        """SHA-256 of the certificate that clients see."""
        return hashlib.sha256(_leaf(self.files["tls/door.pem"])).hexdigest()

    @property
    def live_files(self) -> list[str]:
        """Files that a running worker can swap, users before the keys that need them."""
        return sorted((name for name in self.files if is_live(name)), reverse=True)

    def entries(self, name: str) -> list[str]:
        """The lines of a map or list as HAProxy understands them."""
        lines = (line.strip() for line in self.files.get(name, b"").decode().splitlines())
        return [" ".join(line.split(None, 1)) for line in lines if line and not line.startswith("#")]


def _named(configuration: bytes) -> set[str]:
    """The files that a configuration reads. No list of our own: this gateway may be older than the operator that wrote it."""
    lines = [line for line in configuration.splitlines() if not line.lstrip().startswith(b"#")]
    return {found.decode() for line in lines for found in _FILE.findall(line)}


def is_live(name: str) -> bool:
    return name.endswith((".map", ".acl"))


def fingerprint(mounts: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Something that differs as soon as any mounted file does; cheap enough to ask twice a second."""
    seen: list[tuple[str, int, int, int]] = []
    for path in sorted(mounts.glob("*/*")):
        if path.name.startswith(".."):
            continue
        try:
            real = path.resolve(strict=True)
            status = real.stat()
        except OSError:
            continue
        seen.append((str(real), status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(seen)


def read_mounts(mounts: Path) -> Snapshot:
    """Copy the mounts into memory; raises Incomplete while something is missing or being swapped."""
    before = fingerprint(mounts)
    files = {CONFIG_PREFIX + name: data for name, data in _directory(mounts / "config").items()}
    files |= {MAPS_PREFIX + name: data for name, data in _directory(mounts / "maps").items()}
    for name in ("config/haproxy.cfg", *sorted(_named(files.get("config/haproxy.cfg", b"")))):
        if name not in files:
            raise Incomplete(f"{name} is missing")
    files["tls/door.pem"] = _pair(mounts / "tls")
    files["tls/client.pem"] = _pair(mounts / "client")
    files["tls/upstream-ca.crt"] = _read(mounts / "client/ca.crt")
    files["tls/client-ca.crt"] = _read(mounts / "operator-ca/ca.crt") + b"\n" + files.get("config/client-ca.crt", b"")
    if fingerprint(mounts) != before:
        raise Incomplete("the mounted files changed while they were read")
    snapshot = Snapshot(files)
    _ = snapshot.certificate
    return snapshot


def read_generation(directory: Path) -> Snapshot:
    """The snapshot that a generation directory was made from."""
    files = {str(path.relative_to(directory)): path.read_bytes() for path in directory.glob("*/*")}
    return Snapshot(files)


def number_of(directory: Path) -> int:
    return int(directory.name.removeprefix("gen-"))


class Store:
    """The generation directories and the link to the current one."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._link = run / "current"

    def current(self) -> Path | None:
        try:
            return self._link.resolve(strict=True)
        except OSError:
            return None

    def write(self, snapshot: Snapshot) -> Path:
        """A new generation, not current yet."""
        taken = [number_of(path) for path in self._run.glob("gen-*")]
        number = max(taken, default=0) + 1
        directory = self._run / f"gen-{number}"
        for name, data in snapshot.files.items():
            _write(directory / name, data)
        _write(directory / "state", STATE_HEADER)
        _write(directory / "agent.cfg", _overlay(directory, f"{number} {snapshot.load_hash}").encode())
        return directory

    def make_current(self, directory: Path) -> None:
        """Point the link at a generation, in one step."""
        fresh = self._run / "current.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(directory.name)
        fresh.replace(self._link)

    def forget(self, *, keep: Path | None) -> None:
        """Remove every generation but one; workers hold what they need in memory."""
        for path in self._run.glob("gen-*"):
            if path != keep:
                shutil.rmtree(path, ignore_errors=True)


def _overlay(directory: Path, description: str) -> str:
    """Our lines before the operator's: where this generation's files are, and the mark by which its worker is known."""
    return (
        "global\n"
        f'    description "{description}"\n'
        f"    crt-base {directory}\n"
        f"    ca-base {directory}\n"
        f"    server-state-file {directory}/state\n"
        # For signon.lua, which must name a certificate that HAProxy knows.
        f"    setenv GATEWAY_CERTIFICATE {directory}/tls/door.pem\n"
    )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)


def _directory(directory: Path) -> dict[str, bytes]:
    if not directory.is_dir():
        raise Incomplete(f"{directory} is missing")
    return {path.name: _read(path) for path in directory.iterdir() if not path.name.startswith("..") and path.is_file()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Incomplete(f"{path} cannot be read: {error.strerror}") from None


def _pair(directory: Path) -> bytes:
    """Certificate and key in one file, as HAProxy wants them."""
    certificate, key = _read(directory / "tls.crt"), _read(directory / "tls.key")
    if b"BEGIN CERTIFICATE" not in certificate or _KEY_MARK not in key:
        raise Incomplete(f"{directory} holds no certificate with its key")
    return certificate.rstrip() + b"\n" + key.rstrip() + b"\n"


def _leaf(pem: bytes) -> bytes:
    start, end = pem.find(ssl.PEM_HEADER.encode()), pem.find(ssl.PEM_FOOTER.encode())
    try:
        return ssl.PEM_cert_to_DER_cert(pem[start : end + len(ssl.PEM_FOOTER)].decode())
    except ValueError:
        raise Incomplete("the certificate is no PEM text") from None
