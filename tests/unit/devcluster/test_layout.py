"""Where a cluster lives is decided by its name and two variables, and bad names are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.devcluster.errors import DevclusterError
from tools.devcluster.layout import Layout, cache_root, layout


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZBYOC_NAME", raising=False)
    monkeypatch.delenv("ZBYOC_STATE", raising=False)
    found = layout()
    assert (found.name, found.root) == ("zbyoc", Path("/var/lib/zilliz-byoc/zbyoc"))
    assert found.server == "https://10.200.0.1:6443"


def test_environment_and_argument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZBYOC_NAME", "second")
    monkeypatch.setenv("ZBYOC_STATE", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert layout().root == tmp_path / "second"
    assert layout(name="third").root == tmp_path / "third"
    assert cache_root() == tmp_path / "cache" / "zilliz-byoc"


@pytest.mark.parametrize("name", ["", "A", "1a", "a/b", "../x", "a" * 25, "a b"])
def test_bad_names_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZBYOC_NAME", name)
    if name == "":
        assert layout().name == "zbyoc"
        return
    with pytest.raises(DevclusterError, match="cluster name"):
        layout()


def test_directories_with_keys_are_private(tmp_path: Path) -> None:
    found = Layout(name="x", root=tmp_path)
    modes = dict(found.directories())
    for secret in (found.pki, found.config, found.store, found.etcd, found.cloud):
        assert modes[secret] == 0o700
