"""Processes are known by pid, start and boot together: nobody else's is ever taken for ours, let alone ended."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tools.devcluster import netns, process
from tools.devcluster.errors import DevclusterError
from tools.devcluster.process import Component, Running, Supervisor

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """A supervisor whose "namespace" is the one we are in, so that no root is needed."""
    monkeypatch.setattr(netns, "path", lambda _name: Path("/proc/self/ns/net"))
    monkeypatch.setattr(netns, "holds", lambda _name, _pid: True)
    monkeypatch.setattr(netns, "members", lambda _name: [])
    monkeypatch.setattr(process, "_enter", lambda _namespace: ())
    (tmp_path / "run").mkdir()
    return Supervisor(namespace="unit", run=tmp_path / "run", logs=tmp_path / "logs")


def component(argv: tuple[str, ...] = SLEEPER, **more: object) -> Component:
    return Component(name="part", argv=argv, ready=lambda: True, stop_order=1, **more)  # type: ignore[arg-type]


def test_starts_once_and_stops(keeper: Supervisor) -> None:
    part = component()
    assert keeper.ensure(part) is True
    first = keeper.running("part")
    assert first is not None
    assert keeper.ensure(part) is False
    assert keeper.running("part") == first
    assert keeper.stop("part") is True
    assert process.start_time(first.pid) is None
    assert keeper.record("part") is None
    assert keeper.stop("part") is False


def test_starts_again_after_sigkill(keeper: Supervisor) -> None:
    keeper.ensure(component())
    first = keeper.running("part")
    assert first is not None
    process.end(first, seconds=0.0)
    assert keeper.running("part") is None
    assert keeper.ensure(component()) is True
    second = keeper.running("part")
    assert second is not None and second.pid != first.pid
    keeper.stop("part")


def test_a_changed_command_line_environment_or_file_restarts_it(keeper: Supervisor, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("a")
    part = component(files=(config,))
    keeper.ensure(part)
    assert keeper.ensure(replace(part, env={"X": "1"})) is True
    assert keeper.ensure(replace(part, env={"X": "1"})) is False
    config.write_text("b")
    assert keeper.ensure(replace(part, env={"X": "1"})) is True
    keeper.stop("part")


def test_what_ignores_sigterm_is_killed(keeper: Supervisor) -> None:
    keeper.ensure(component(STUBBORN))
    assert process.wait_for(lambda: "up" in keeper.tail("part"), seconds=10)
    began = time.monotonic()
    assert keeper.stop("part", seconds=0.5) is True
    assert time.monotonic() - began < 8


def test_a_pid_that_now_belongs_to_a_stranger_is_left_alone(keeper: Supervisor) -> None:
    stranger = subprocess.Popen(SLEEPER)
    try:
        start = process.start_time(stranger.pid)
        assert start is not None
        stale = Running(pid=stranger.pid, start=start - 1, boot=process.boot_id(), fingerprint="", since=0.0)
        assert not stale.alive()
        assert not replace(stale, start=start, boot="an earlier boot").alive()
        process.end(stale, seconds=0.0)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_was_never_noted_down_is_ended_first(
    keeper: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray, stranger = subprocess.Popen(SLEEPER), subprocess.Popen((*SLEEPER, "more"))
    monkeypatch.setattr(netns, "members", lambda _name: [stray.pid, stranger.pid])
    try:
        keeper.ensure(component(("env", *SLEEPER)))
        assert stray.wait(timeout=10) != 0
        assert stranger.poll() is None
    finally:
        keeper.stop("part")
        for child in (stray, stranger):
            child.kill()
            child.wait()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
def test_an_illegible_record_counts_as_none(keeper: Supervisor, text: str) -> None:
    (keeper.run / "part.json").write_text(text)
    assert keeper.record("part") is None
    assert keeper.ensure(component()) is True
    keeper.stop("part")


def test_death_while_starting_is_reported_at_once_with_the_log(keeper: Supervisor) -> None:
    part = Component(
        name="part",
        argv=(sys.executable, "-c", "raise SystemExit('no such flag')"),
        ready=lambda: False,
        stop_order=1,
        ready_seconds=60,
    )
    keeper.ensure(part)
    began = time.monotonic()
    with pytest.raises(DevclusterError, match="no such flag"):
        keeper.wait_ready(part)
    assert time.monotonic() - began < 30


def test_never_ready_says_why(keeper: Supervisor) -> None:
    def not_yet() -> bool:
        raise ConnectionRefusedError("nobody listens")

    part = Component(name="part", argv=SLEEPER, ready=not_yet, stop_order=1, ready_seconds=0.3)
    keeper.ensure(part)
    with pytest.raises(DevclusterError, match="nobody listens"):
        keeper.wait_ready(part)
    keeper.stop("part")


def test_the_representation_of_a_component_hides_its_environment() -> None:
    assert "hunter2" not in repr(component(env={"PASSWORD": "hunter2"}))
