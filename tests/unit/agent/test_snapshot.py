"""What the agent reads from the mounts, and what it keeps of it."""

import stat
from pathlib import Path

import pytest

from tests.gateway.pki import Authority
from tests.unit.desired.test_gateway_door import PLAIN
from zilliz_operator.agent.snapshot import (
    Incomplete,
    Snapshot,
    Store,
    fingerprint,
    number_of,
    read_generation,
    read_mounts,
)
from zilliz_operator.desired.door import render


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    issued = Authority("ca").issue("door")
    return issued.cert, issued.key


@pytest.fixture
def mounts(tmp_path: Path, pair: tuple[str, str]) -> Path:
    files = render(PLAIN)
    volumes = {
        "config": files.config,
        "maps": files.maps,
        "tls": {"tls.crt": pair[0], "tls.key": pair[1]},
        "client": {"tls.crt": pair[0], "tls.key": pair[1], "ca.crt": pair[0]},
        "operator-ca": {"ca.crt": pair[0]},
    }
    for volume, content in volumes.items():
        (tmp_path / "mounts" / volume).mkdir(parents=True)
        for name, text in content.items():
            (tmp_path / "mounts" / volume / name).write_text(text)
    return tmp_path / "mounts"


def test_the_hash_is_the_operators(mounts: Path) -> None:
    assert read_mounts(mounts).config_hash == render(PLAIN).hash


@pytest.mark.parametrize(
    "missing",
    ["config/haproxy.cfg", "config/allow.map", "maps/users.map", "tls/tls.key", "client/ca.crt", "operator-ca/ca.crt"],
)
def test_what_is_missing_is_named(mounts: Path, missing: str) -> None:
    (mounts / missing).unlink()
    with pytest.raises(Incomplete, match=missing.replace(".", r"\.") if "/tls" not in missing else "tls"):
        read_mounts(mounts)


def test_a_later_operators_files_are_what_its_configuration_names(mounts: Path) -> None:
    """A gateway keeps the image it was born with; an upgrade of the operator must not leave it standing."""
    (mounts / "maps/passwords.map").unlink()
    written = (mounts / "config/haproxy.cfg").read_text().replace("maps/passwords.map", "maps/secrets-v2.map")
    (mounts / "config/haproxy.cfg").write_text(written + "# not config/of-a-comment.map\n")
    with pytest.raises(Incomplete, match=r"maps/secrets-v2\.map is missing"):
        read_mounts(mounts)
    (mounts / "maps/secrets-v2.map").write_text("")
    assert "maps/secrets-v2.map" in read_mounts(mounts).live_files


def test_a_certificate_without_key_is_incomplete(mounts: Path, pair: tuple[str, str]) -> None:
    (mounts / "tls/tls.key").write_text(pair[0])
    with pytest.raises(Incomplete, match="no certificate with its key"):
        read_mounts(mounts)


@pytest.mark.parametrize(
    "touched", ["config/allow.map", "maps/keys.map", "tls/tls.crt", "client/tls.key", "operator-ca/ca.crt"]
)
def test_every_mounted_file_is_watched(mounts: Path, touched: str) -> None:
    before = fingerprint(mounts)
    assert fingerprint(mounts) == before
    (mounts / touched).write_text((mounts / touched).read_text() + "\n")
    assert fingerprint(mounts) != before


def test_lists_are_live_and_the_rest_needs_a_reload(mounts: Path) -> None:
    before = read_mounts(mounts)
    assert before.live_files == [
        "maps/users.map",
        "maps/user-ends.map",
        "maps/passwords.map",
        "maps/keys.map",
        "config/lbs.acl",
        "config/denied-users.acl",
        "config/allow.map",
    ]
    (mounts / "config/allow.map").write_text("192.0.2.0/24\n")
    after = read_mounts(mounts)
    assert (after.load_hash == before.load_hash, after.config_hash == before.config_hash) == (True, False)
    (mounts / "config/haproxy.cfg").write_text("# other\n")
    assert read_mounts(mounts).load_hash != before.load_hash


def test_generations_come_back_as_they_were_and_only_the_owner_reads_them(mounts: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    first, second = store.write(read_mounts(mounts)), store.write(read_mounts(mounts))
    assert store.current() is None
    store.make_current(first)
    store.make_current(second)
    assert (number_of(first), number_of(second), store.current()) == (1, 2, second)
    assert read_generation(second).digest == read_mounts(mounts).digest
    for path in [*second.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, f"{path.name} is {mode:o}"
    store.forget(keep=second)
    assert not first.exists() and second.exists()
    assert number_of(store.write(read_mounts(mounts))) == 3


def test_entries_are_what_haproxy_understands() -> None:
    snapshot = Snapshot({"maps/x.map": b"# no\n\n a   b c \nd e\n", "config/y.acl": b"10.0.0.0/8\n"})
    assert snapshot.entries("maps/x.map") == ["a b c", "d e"]
    assert snapshot.entries("config/y.acl") == ["10.0.0.0/8"]
    assert snapshot.entries("config/none.acl") == []


def test_a_snapshot_does_not_print_what_it_holds(mounts: Path) -> None:
    assert "pw-viewer" not in repr(read_mounts(mounts))
