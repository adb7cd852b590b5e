"""containerd from outside: images in, and everything of the pods away again."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from tools.devcluster import cgroups, process, render
from tools.devcluster.errors import DevclusterError
from tools.devcluster.layout import Layout

Progress = Callable[[str], None]
CNI_CACHE = Path("/var/lib/cni/results")
SHIM_SOCKETS = Path("/run/containerd/s")
POD_LOG_LINKS = Path("/var/log/containers")


class Archive(Protocol):
    """An image archive, as the image builder gives it."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def digest(self) -> str: ...


def import_images(layout: Layout, archives: Iterable[Archive], progress: Progress) -> None:
    """Bring the archives into containerd under their names, but for those that are there already."""
    present = images(layout)
    for archive in archives:
        if present.get(archive.name) != archive.digest:
            progress(f"importing {archive.name}")
            _ctr(layout, "images", "import", str(archive.path))
            found = images(layout)
            if found.get(archive.name) != archive.digest:
                raise DevclusterError(
                    f"{archive.path} was imported, yet {archive.name} is {found.get(archive.name, 'not there')}"
                )


def images(layout: Layout) -> dict[str, str]:
    """Name → digest of every image that containerd has."""
    rows = [line.split() for line in _ctr(layout, "images", "ls").splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def kill_pods(layout: Layout) -> None:
    """End every container and shim of this cluster, whether containerd lives or not."""
    process.end_all(_in_cgroup(layout.cgroup), seconds=0.0)
    process.end_all(_shims(layout), seconds=0.5)


def sandboxes(record: dict[str, Any]) -> list[str]:
    """Names of the network namespaces in one record of CNI's cache: newer ones name it outright, Debian's by its interfaces."""
    outright = [record["netns"]] if record.get("netns") else []
    interfaces = (record.get("result") or {}).get("interfaces") or ()
    return sorted({Path(path).name for path in (*outright, *(each.get("sandbox") for each in interfaces)) if path})


def forget_pods(layout: Layout) -> list[str]:
    """Remove what pods leave on the machine outside the state directory; names of their network namespaces."""
    namespaces = []
    prefix = f"{layout.name}-{render.CNI_NETWORK}-"
    for record in CNI_CACHE.glob(f"{prefix}*"):
        with contextlib.suppress(ValueError):  # half-written: its namespace holds nothing yet
            namespaces += sandboxes(json.loads(record.read_text()))
        record.unlink(missing_ok=True)
        container = record.name.removeprefix(prefix).removesuffix("-eth0")
        record.with_name(f"cni-loopback-{container}-lo").unlink(missing_ok=True)
    for address in layout.containerd.glob("state-*/io.containerd.runtime.v2.task/k8s.io/*/address"):
        socket = Path(address.read_text().strip().removeprefix("unix://"))
        if socket.is_relative_to(SHIM_SOCKETS):
            socket.unlink(missing_ok=True)
    if POD_LOG_LINKS.is_dir():
        for link in POD_LOG_LINKS.iterdir():
            if link.is_symlink() and link.readlink().is_relative_to(layout.pod_logs):
                link.unlink()
    return namespaces


def mounts_below(directory: Path) -> list[str]:
    """Mount points below a directory, deepest last mounted first."""
    points = [line.split()[1].replace("\\040", " ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in reversed(points) if Path(point).is_relative_to(directory)]


def unmount_below(directory: Path) -> None:
    """Unmount everything below a directory, lazily: nobody uses it any more."""
    for point in mounts_below(directory):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def _in_cgroup(name: str) -> list[int]:
    found: set[int] = set()
    for tree in cgroups.trees():
        for listing in (tree / name.lstrip("/")).rglob("cgroup.procs"):
            try:
                found |= {int(pid) for pid in listing.read_text().split()}
            except OSError:
                continue  # vanished meanwhile
    return sorted(found)


def _shims(layout: Layout) -> list[int]:
    socket = str(layout.containerd_socket).encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"containerd-shim" in argv[0] and socket in argv:
                found.append(int(entry.name))
    return found


def _ctr(layout: Layout, *arguments: str) -> str:
    command = ["ctr", "--address", str(layout.containerd_socket), "--namespace", "k8s.io", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DevclusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-1000:]}")
    return done.stdout
