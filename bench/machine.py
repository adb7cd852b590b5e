"""The machine and the versions behind the numbers."""

from __future__ import annotations

import os
import re
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def memory_total(meminfo: str) -> int:
    """MemTotal of /proc/meminfo in bytes."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    if not found:
        raise ValueError("/proc/meminfo has no MemTotal")
    return int(found[1]) * 1024


def cpu_model(cpuinfo: str) -> str:
    """The processor's name, where the kernel knows one."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else "unknown processor"


def describe() -> str:
    """Cores, memory, processor."""
    total = memory_total(Path("/proc/meminfo").read_text()) / 2**30
    model = cpu_model(Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} cores ({model}), {total:.1f} GiB, Linux {os.uname().release}"


def load() -> float:
    """Runnable processes, mean of the last minute."""
    return os.getloadavg()[0]


def revision() -> str:
    """The commit that is measured, and whether files differ from it."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git(
            "status", "--porcelain", "--", "operator", "charts", "images", "tools", "bench", ":!bench/RESULTS.md"
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown revision"
    return commit + (" with uncommitted changes" if changed else "")


def client_version() -> str:
    return metadata.version("pymilvus")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
