"""The kernel's books are read right, whatever a process calls itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import proc
from bench.proc import Usage

ID = "ec54d7f65799e9937d379f32e2966bf67644e0e254bb00c83c62ccf99441a0d3"
OTHER = "0" * 64
V1 = f"9:name=systemd:/bench/kubepods/burstable/poded3abb48/{ID}\n4:memory:/bench/kubepods/burstable/poded3abb48/{ID}\n"
V2 = f"0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-{ID}.scope\n"
STATUS = "Name:\thaproxy\nUmask:\t0022\nVmHWM:\t  30000 kB\nVmRSS:\t   26112 kB\nRssAnon:\t  146556 kB\n"
STAT = "42 (my ) name) S 1 42 42 0 -1 4194560 47026 0 64 0 381 73 11 7 20 0 4 0 622785 1112674304 49503"


@pytest.mark.parametrize("cgroup", [V1, V2])
def test_the_container_of_a_process(cgroup: str) -> None:
    assert proc.container_id(cgroup) == ID


@pytest.mark.parametrize("cgroup", ["", "0::/\n", "0::/user.slice/session-1.scope\n", f"0::/x/{ID}/below\n"])
def test_a_process_outside_containers_has_none(cgroup: str) -> None:
    assert proc.container_id(cgroup) is None


def test_resident_memory_and_name() -> None:
    assert proc.resident_bytes(STATUS) == 26112 * 1024
    assert proc.command_name(STATUS) == "haproxy"


def test_a_zombie_has_no_memory() -> None:
    assert proc.resident_bytes("Name:\tgone\nState:\tZ (zombie)\n") == 0


def test_cpu_time_is_user_and_system_of_the_process_alone() -> None:
    assert proc.cpu_ticks(STAT) == 381 + 73


def test_cpu_time_of_this_process_grows_with_work() -> None:
    before = proc.cpu_ticks(Path("/proc/self/stat").read_text())
    spent = os.times()
    while os.times().user - spent.user < 0.05:
        pass
    assert proc.cpu_ticks(Path("/proc/self/stat").read_text()) > before


def usage(ticks: int) -> Usage:
    return Usage(command="x", resident=1, ticks=ticks)


def test_cpu_percent_of_one_core() -> None:
    assert proc.cpu_percent({1: usage(100)}, {1: usage(130)}, seconds=30, hertz=100) == 1.0


def test_a_process_that_came_meanwhile_counts_and_one_that_went_does_not() -> None:
    before, after = {1: usage(100), 2: usage(500)}, {1: usage(100), 3: usage(60)}
    assert proc.cpu_percent(before, after, seconds=60, hertz=100) == 1.0


def test_processes_of_a_container_are_found_and_no_others(tmp_path: Path) -> None:
    for pid, owner in ((10, ID), (11, OTHER), (12, ID)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(V1.replace(ID, owner))
        (tmp_path / str(pid) / "status").write_text(STATUS)
        (tmp_path / str(pid) / "stat").write_text(STAT)
    (tmp_path / "13").mkdir()  # ended between the listing and the reading
    (tmp_path / "self").mkdir()
    found = proc.of_container(ID, root=tmp_path)
    assert sorted(found) == [10, 12]
    assert proc.resident_of(found) == 2 * 26112 * 1024


def test_version_of_a_package_in_the_processes_image(tmp_path: Path) -> None:
    books = tmp_path / "7/root/var/lib/dpkg/status"
    books.parent.mkdir(parents=True)
    books.write_text(
        "Package: haproxy-doc\nVersion: 9\n\nPackage: haproxy\nStatus: ok\nVersion: 2.6.12-1\n\nPackage: z\nVersion: 1\n"
    )
    assert proc.package_version(7, "haproxy", root=tmp_path) == "2.6.12-1"
    assert proc.package_version(7, "nginx", root=tmp_path) == "unknown"
    assert proc.package_version(8, "haproxy", root=tmp_path) == "unknown"
