"""The cluster's own cgroup, on machines with cgroup v1 (one tree a controller) and v2 (one tree)."""

from __future__ import annotations

import contextlib
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def ensure(name: str) -> None:
    """Make the cgroup in every tree, with every controller handed down."""
    for tree in trees():
        if (tree / "cgroup.controllers").exists():
            _hand_down(tree)
        group = tree / name.lstrip("/")
        group.mkdir(exist_ok=True)
        if (group / "cgroup.controllers").exists():
            _hand_down(group)


def remove(name: str) -> bool:
    """Remove the cgroup and those below it; False while a process of it is still ending."""
    for group in (tree / name.lstrip("/") for tree in trees()):
        below = [path for path in group.rglob("*") if path.is_dir()]
        for path in sorted([group, *below], key=lambda p: len(p.parts), reverse=True):
            with contextlib.suppress(OSError):
                path.rmdir()
    return not any((tree / name.lstrip("/")).exists() for tree in trees())


def trees() -> list[Path]:
    """Mount points of the cgroup file systems."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [
        Path(fields[1])
        for fields in mounts
        if fields[2] in {"cgroup", "cgroup2"} and Path(fields[1]).is_relative_to(ROOT)
    ]


def _hand_down(group: Path) -> None:
    wanted = set((group / "cgroup.controllers").read_text().split())
    for controller in sorted(wanted - set((group / "cgroup.subtree_control").read_text().split())):
        (group / "cgroup.subtree_control").write_text(f"+{controller}")
