"""The machine's size is read from the kernel's own words."""

from __future__ import annotations

import pytest

from bench import machine


def test_memory() -> None:
    assert machine.memory_total("MemTotal:       24683656 kB\nMemFree: 1 kB\n") == 24683656 * 1024
    with pytest.raises(ValueError, match="MemTotal"):
        machine.memory_total("MemFree: 1 kB\n")


def test_processor() -> None:
    assert machine.cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n") == "Some CPU @ 3 GHz"
    assert machine.cpu_model("processor\t: 0\n") == "unknown processor"


def test_this_machine_is_described() -> None:
    assert "cores" in machine.describe() and "GiB" in machine.describe()
