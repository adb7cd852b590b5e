"""Binaries are keyed by their pins, and a build that fails says what to read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.devcluster import build
from tools.devcluster.build import MODULES_IN_ORDER, Module
from tools.devcluster.errors import DevclusterError


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    monkeypatch.setattr(build, "MODULES", tmp_path / "modules")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "modules" / "thing"
    source.mkdir(parents=True)
    (source / "go.mod").write_text("module x\n")
    (source / "go.sum").write_text("sum\n")
    return Module(name="thing", binaries=("thing",), seconds=1)


def fake_go(directory: Path, script: str) -> Path:
    go = directory / "go"
    go.write_text(f"#!/bin/sh\n{script}\n")
    go.chmod(0o755)
    return go


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_the_key_changes_with_every_source(module: Module, name: str) -> None:
    before = module.key()
    (module.source / name).write_text("other\n")
    assert module.key() != before


def test_the_key_ignores_what_is_not_built(module: Module) -> None:
    before = module.key()
    (module.source / "README.md").write_text("words")
    assert module.key() == before


def test_the_key_changes_with_the_flags(module: Module) -> None:
    other = Module(name="thing", binaries=("thing",), seconds=1, ldflags="-X a=b")
    assert other.key() != module.key()


def test_builds_once(module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'case "$1" in build) shift; while [ "$1" != -o ]; do shift; done; mkdir -p "$2"; echo bin > "$2/thing"; echo >> LOG;; esac'
    go = fake_go(tmp_path, script.replace("LOG", str(tmp_path / "builds")))
    monkeypatch.setattr(build, "go_toolchain", lambda _progress: go)
    build.ensure(module, lambda _text: None)
    build.ensure(module, lambda _text: None)
    assert module.present()
    assert len((tmp_path / "builds").read_text().splitlines()) == 1


def test_a_failing_build_names_its_log_and_leaves_nothing(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = fake_go(tmp_path, "echo 'missing go.sum entry' >&2; exit 1")
    monkeypatch.setattr(build, "go_toolchain", lambda _progress: go)
    with pytest.raises(DevclusterError, match=r"build-thing.log(.|\n)*missing go.sum entry"):
        build.ensure(module, lambda _text: None)
    assert not module.present()
    assert [p.name for p in module.directory().parent.iterdir()] == [".lock"]


def test_an_old_go_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for directory, version in ((old, "go1.25.9"), (new, "go1.26.0")):
        directory.mkdir()
        fake_go(directory, f"echo {version}")
    monkeypatch.setattr(build.shutil, "which", lambda _name: str(old / "go"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build._version(str(old / "go")) < build.GO_MINIMUM <= build._version(str(new / "go"))


def test_every_module_is_pinned_and_its_versions_are_ours() -> None:
    for module in MODULES_IN_ORDER:
        text = (module.source / "go.mod").read_text()
        assert text.startswith(f"module example.test/devcluster/{module.name}\n")
        assert (module.source / "go.sum").stat().st_size > 0
    assert (
        f"k8s.io/kubernetes v{build.KUBERNETES_VERSION}" in (build.BY_BINARY["kubelet"].source / "go.mod").read_text()
    )


def test_a_cluster_does_not_wait_for_what_only_tests_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    all_, needed = build.missing(), build.missing(to_run=True)
    assert {module.name for module in all_} - {module.name for module in needed} == {"cyclonus"}


def test_an_unknown_binary_is_named() -> None:
    with pytest.raises(DevclusterError, match="kube-apiserver"):
        build.binary("nonsense")


def test_builds_never_change_the_pins() -> None:
    environment = build._environment()
    assert environment["GOFLAGS"] == "-mod=readonly"
    assert environment["CGO_ENABLED"] == "0"
    assert environment["PATH"] == os.environ["PATH"]
