"""Step results → conditions, by the rules that kstatus tools and people read them by."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.conditions import REASONS, Condition, ConditionType, Reason
from zilliz_operator.policy.status import (
    FALSE,
    MESSAGE_LIMIT,
    ON_ITS_WAY,
    TRUE,
    UNKNOWN,
    StepResult,
    conditions,
    summarize,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
T = ConditionType
KEPT = StepResult(T.NAMESPACE_ISOLATED, TRUE, Reason.KEPT, "ours alone")
WAITS = StepResult(T.CERTIFICATE_VALID, FALSE, Reason.WAITING_FOR_CERTIFICATE, "not issued yet")
DOWN = StepResult(T.STORAGE_SECURED, UNKNOWN, Reason.OBJECT_STORE_UNAVAILABLE, "no answer")
WRONG = StepResult(T.ENDPOINT_VERIFIED, FALSE, Reason.PROBE_FAILED, "TLS 1.1 accepted")
TAKEN = StepResult(T.IDENTITY_SCOPED, FALSE, Reason.NAME_TAKEN, "somebody else's")
REST = StepResult(T.ALLOWLIST_IN_FORCE, UNKNOWN, Reason.SUSPENDED, "no gateway runs")
STOPPING = StepResult(T.WORKLOAD_READY, FALSE, Reason.WAITING_FOR_PODS, "stopping: milvus-0")

results = st.lists(
    st.builds(
        StepResult,
        st.sampled_from(list(T)[:12]),
        st.sampled_from([TRUE, FALSE, UNKNOWN]),
        st.sampled_from(list(Reason)),
        st.text(max_size=50),
    ),
    max_size=8,
    unique_by=lambda r: r.type,
)


def made(given: list[StepResult], *, previous: tuple[Condition, ...] = (), now: datetime = NOW) -> dict[str, Condition]:
    return {c.type: c for c in conditions(given, previous=previous, generation=3, now=now)}


def test_all_kept_is_ready_and_nothing_else() -> None:
    found = made([KEPT])
    assert list(found) == [T.NAMESPACE_ISOLATED, T.READY]
    assert found[T.READY].reason == Reason.READY


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([KEPT, WAITS], WAITS),
        ([DOWN, WAITS], DOWN),
        ([DOWN, WAITS, WRONG], WRONG),
        ([WRONG, DOWN, TAKEN], TAKEN),
        ([WAITS, KEPT], WAITS),
        ([REST, STOPPING], STOPPING),
        ([REST, WAITS, DOWN], DOWN),
        ([KEPT, REST], REST),
    ],
)
def test_ready_names_the_cause(given: list[StepResult], expected: StepResult) -> None:
    found = summarize(given)
    assert (found.status, found.reason) == (expected.status, expected.reason)
    assert found.message == f"{expected.type}: {expected.message}"


def test_stalled_only_for_what_a_person_must_cure() -> None:
    assert T.STALLED in made([TAKEN])
    assert T.RECONCILING not in made([TAKEN])
    assert T.RECONCILING in made([DOWN])
    assert T.STALLED not in made([DOWN])


def test_suspended_is_neither_work_nor_trouble() -> None:
    found = made([StepResult(T.WORKLOAD_READY, UNKNOWN, Reason.SUSPENDED, "suspended")])
    assert not {T.RECONCILING, T.STALLED} & set(found)


def test_paused_says_how_to_go_on_and_hides_what_would_be_done() -> None:
    given = conditions([DOWN], previous=(), generation=3, now=NOW, paused=True)
    found = {c.type: c for c in given}
    assert "byoc.zilliz.com/paused" in found[T.PAUSED].message
    assert not {T.RECONCILING, T.STALLED} & set(found)


def test_times_move_with_the_status_alone() -> None:
    first = conditions([KEPT], previous=(), generation=3, now=NOW)
    later = NOW + timedelta(hours=1)
    told = StepResult(T.NAMESPACE_ISOLATED, TRUE, Reason.KEPT_WITH_LIMITS, "another text")
    assert made([told], previous=first, now=later)[T.NAMESPACE_ISOLATED].last_transition_time == NOW
    broken = StepResult(T.NAMESPACE_ISOLATED, FALSE, Reason.NAME_TAKEN, "x")
    assert made([broken], previous=first, now=later)[T.NAMESPACE_ISOLATED].last_transition_time == later


@given(results)
def test_nothing_changes_at_rest(given: list[StepResult]) -> None:
    first = conditions(given, previous=(), generation=3, now=NOW)
    stored = tuple(Condition.from_dict(c.to_dict()) for c in first)
    again = conditions(given, previous=stored, generation=3, now=NOW + timedelta(days=1))
    assert [c.to_dict() for c in again] == [c.to_dict() for c in first]


@given(results)
def test_ready_is_true_only_when_everything_is_and_an_unready_object_says_what_it_is_at(
    given: list[StepResult],
) -> None:
    found = {c.type: c for c in conditions(given, previous=(), generation=3, now=NOW)}
    assert found[T.READY].is_true == all(r.kept for r in given)
    assert not {T.RECONCILING, T.STALLED} <= set(found)
    if not found[T.READY].is_true and found[T.READY].reason != Reason.SUSPENDED:
        assert {T.RECONCILING, T.STALLED} & set(found)
    if found[T.READY].is_true:
        assert not {T.RECONCILING, T.STALLED} & set(found)
    assert {c.observed_generation for c in found.values()} == {3}


def test_a_message_fits() -> None:
    long = StepResult(T.NAMESPACE_ISOLATED, TRUE, Reason.KEPT, "x" * 10_000)
    assert len(made([long])[T.NAMESPACE_ISOLATED].message) == MESSAGE_LIMIT


def test_what_is_on_its_way_is_never_for_a_person_to_cure() -> None:
    assert not [reason for reason in ON_ITS_WAY if REASONS[reason].terminal]
