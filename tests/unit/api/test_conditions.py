"""The words of a status: complete, helpful, and in force everywhere they are used."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from zilliz_operator.api.conditions import (
    CLUSTER_PROMISES,
    CONDITION_MEANINGS,
    REASONS,
    Condition,
    ConditionType,
    Reason,
)

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
SOURCE = Path(__file__).parents[3] / "operator" / "zilliz_operator"


def test_every_type_and_reason_is_explained() -> None:
    assert CONDITION_MEANINGS.keys() == set(ConditionType)
    assert REASONS.keys() == set(Reason)
    assert set(CLUSTER_PROMISES) <= set(ConditionType)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_says_what_it_means_and_what_helps(reason: Reason) -> None:
    info = REASONS[reason]
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reason)
    assert info.summary.endswith(".")
    assert info.remedy.endswith((".", ">"))
    assert not info.terminal or info.remedy != "Nothing to do."


def test_no_reason_or_type_is_written_as_bare_text_elsewhere() -> None:
    """A misspelt reason would be one that no page explains."""
    for path in SOURCE.rglob("*.py"):
        if path.parent.name != "api":
            assert not re.search(r'reason\s*[=:]\s*f?"[A-Z]', path.read_text()), path


def test_time_moves_only_with_the_status() -> None:
    first = Condition("Ready", "False", Reason.PROGRESSING).since(None, NOW)
    later = NOW + timedelta(minutes=1)
    assert Condition("Ready", "False", Reason.WAITING_FOR_PODS).since(first, later).last_transition_time == NOW
    assert Condition("Ready", "True", Reason.READY).since(first, later).last_transition_time == later


def test_round_trip() -> None:
    condition = Condition(ConditionType.READY, "True", Reason.READY, "12 promises kept", 3, NOW)
    assert condition.is_true
    assert condition.to_dict() == {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "12 promises kept",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-11-24T10:00:00Z",
    }
    assert Condition.from_dict(condition.to_dict()) == condition
