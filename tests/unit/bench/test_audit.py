"""Each request of the operator counts once, for the pod that made it, inside the window only."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench import audit
from bench.idle import writes

USER = "system:serviceaccount:zilliz-system:zilliz-operator"
START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
END = START + timedelta(seconds=30)


def line(*, id: str, at: float = 1.0, user: str = USER, pod: str | None = "a", verb: str = "get", **event: Any) -> str:
    extra = {"authentication.kubernetes.io/pod-name": [pod]} if pod else {}
    received = (START + timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    base = {
        "auditID": id,
        "verb": verb,
        "requestURI": "/apis/x",
        "user": {"username": user, "extra": extra},
        "objectRef": {"resource": "leases"},
        "requestReceivedTimestamp": received,
    }
    return json.dumps({**base, **event})


def tally(*lines: str) -> dict[str, Counter[str]]:
    return audit.tally(lines, user=USER, since=START, until=END)


def test_requests_are_counted_by_pod_and_kind() -> None:
    found = tally(line(id="1"), line(id="2"), line(id="3", verb="patch"), line(id="4", pod="b"))
    assert found == {"a": Counter({"get leases": 2, "patch leases": 1}), "b": Counter({"get leases": 1})}


def test_a_watch_is_one_request_though_its_start_and_end_are_logged() -> None:
    found = tally(
        line(id="1", verb="watch", stage="ResponseStarted"), line(id="1", verb="watch", stage="ResponseComplete")
    )
    assert found["a"].total() == 1


def test_others_do_not_count() -> None:
    assert tally(line(id="1", user="admin"), line(id="2", user=USER + "-other")) == {}


@pytest.mark.parametrize(("at", "counted"), [(-0.001, False), (0.0, True), (29.999, True), (30.0, False)])
def test_the_window_begins_with_its_start_and_ends_before_its_end(at: float, *, counted: bool) -> None:
    assert bool(tally(line(id="1", at=at))) is counted


def test_what_is_no_event_is_passed_over() -> None:
    assert tally("", "{", "[]", "null", '{"auditID": "1"}', '{"user": "x"}', line(id="1")) == {
        "a": Counter({"get leases": 1})
    }


def test_a_request_without_object_is_named_by_its_path_and_one_without_pod_is_kept() -> None:
    assert tally(line(id="1", objectRef=None, pod=None)) == {"?": Counter({"get /apis/x": 1})}


def test_reading_goes_on_where_it_ended_and_starts_over_in_a_new_file(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_text("one\ntwo\n")
    assert list(audit.read_from(log, offset=4)) == ["two\n"]
    assert list(audit.read_from(log, offset=8)) == []
    log.write_text("new\n")
    assert list(audit.read_from(log, offset=8)) == ["new\n"]


def test_writes_leave_out_reads_and_the_lease() -> None:
    counts = Counter({"get pods": 5, "watch pods": 2, "patch leases": 6, "update leases": 1, "patch zillizclusters": 1})
    assert writes(counts) == Counter({"patch zillizclusters": 1})
