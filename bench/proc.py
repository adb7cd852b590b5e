"""Memory and CPU of a container's processes, from the kernel's own books in /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_CONTAINER = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Of one process: resident memory in bytes, and the CPU time it has had in clock ticks."""

    command: str
    resident: int
    ticks: int


def resident_bytes(status: str) -> int:
    """VmRSS of /proc/PID/status; 0 for a kernel thread or a zombie, which have none."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def command_name(status: str) -> str:
    """Name of /proc/PID/status."""
    found = re.search(r"^Name:\s+(.*)$", status, re.MULTILINE)
    return found[1] if found else "?"


def cpu_ticks(stat: str) -> int:
    """User and system time of /proc/PID/stat. The name before them is in parentheses and may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def container_id(cgroup: str) -> str | None:
    """The container that /proc/PID/cgroup names, with either driver of cgroups."""
    found = _CONTAINER.search(cgroup)
    return found[1] if found else None


def cpu_percent(before: Mapping[int, Usage], after: Mapping[int, Usage], *, seconds: float, hertz: int) -> float:
    """Share of one core between two looks at the same processes; one that started in between counts from its start."""
    spent = sum(usage.ticks - (before[pid].ticks if pid in before else 0) for pid, usage in after.items())
    return 100 * spent / hertz / seconds


def hertz() -> int:
    """Clock ticks a second."""
    return os.sysconf("SC_CLK_TCK")


def of_container(container: str, *, root: Path = PROC) -> dict[int, Usage]:
    """Every process of a container, by pid."""
    found = {}
    for entry in root.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if container_id((entry / "cgroup").read_text()) == container:
                status = (entry / "status").read_text()
                found[int(entry.name)] = Usage(
                    command=command_name(status),
                    resident=resident_bytes(status),
                    ticks=cpu_ticks((entry / "stat").read_text()),
                )
        except OSError:
            continue  # ended meanwhile
    return found


def resident_of(usages: Mapping[int, Usage]) -> int:
    """Resident memory of them all. Pages that they share are counted more than once."""
    return sum(usage.resident for usage in usages.values())


def package_version(pid: int, package: str, *, root: Path = PROC) -> str:
    """Version of a Debian package in the image that a process runs from."""
    try:
        books = (root / str(pid) / "root" / "var/lib/dpkg/status").read_text(errors="replace")
    except OSError:
        return "unknown"
    found = re.search(rf"^Package: {re.escape(package)}$.*?^Version: (\S+)$", books, re.MULTILINE | re.DOTALL)
    return found[1] if found else "unknown"
