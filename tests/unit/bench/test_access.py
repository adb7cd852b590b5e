"""What the bench makes of the times that it took, and how it waits for the first of each."""

import pytest

from bench import access, objects
from bench.errors import BenchError


def test_a_row_for_each_step() -> None:
    table = access.table({step: [0.5, 1.0, 2.0] for step in access.STEPS})
    assert [row[0] for row in table.rows] == [*access.STEPS]
    assert {row[1:] for row in table.rows} == {("3", "1.00 s", "2.00 s", "2.00 s")}


def test_each_is_timed_when_it_first_happens() -> None:
    asked: list[str] = []

    def happened(token: str) -> bool:
        asked.append(token)
        return asked.count(token) > {"k": 1, "u": 3}[token]

    took = access._first(happened, {"key": "k", "user": "u"}, 0.0, keys="a", users="b")
    assert took["a"] < took["b"]
    assert asked.count("k") == 2, "it is asked no more once it happened"


def test_waiting_in_vain_says_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "GIVE_UP_SECONDS", 0.0)
    with pytest.raises(BenchError, match="until the moon is blue"):
        access._until(lambda: False, what="the moon is blue")


def test_credentials_are_other_ones_when_none_is_as_before() -> None:
    before = {"key": "k1", "user": "u1"}
    assert access._other({"key": "k2", "user": "u1"}, before) == {}
    assert access._other({}, before) == {}
    assert access._other({"key": "k2", "user": "u2"}, before) == {"key": "k2", "user": "u2"}


def test_the_policy_names_a_key_and_a_user() -> None:
    spec = objects.people(project="p", name="bench-access-1")["spec"]
    assert [(each["kind"], each["name"]) for each in spec["subjects"]] == [
        ("ApiKey", "bench-access-1"),
        ("ClusterUser", "bench_access_1"),
    ]
