"""An answer of the cloud holds until the next sweep, and not a moment longer than somebody's reason to ask again."""

from datetime import UTC, datetime, timedelta

import pytest

from zilliz_operator.reconcile.queue import Outcome
from zilliz_operator.reconcile.sweeps import Sweeps

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def go_on(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sweeps(clock: Clock, jitter: float = 0.5) -> Sweeps:
    return Sweeps(clock=clock, jitter=lambda: jitter, seconds=100)


def test_it_answers_the_same_question_until_the_sweep(clock: Clock) -> None:
    known = sweeps(clock)
    assert known.recall("uid", "data", "?") is None
    assert known.keep("uid", "data", "?", "fine") == "fine"
    clock.go_on(99)
    assert known.recall("uid", "data", "?") == "fine"
    clock.go_on(1)
    assert known.recall("uid", "data", "?") is None


def test_another_question_bucket_or_owner_is_not_answered(clock: Clock) -> None:
    known = sweeps(clock)
    known.keep("uid", "data", "?", "fine")
    assert known.recall("uid", "data", "!") is None
    assert known.recall("uid", "audit", "?") is None
    assert known.recall("other", "data", "?") is None


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 75), (0.5, 100), (0.999, 124.95)])
def test_jitter_spreads_half_of_the_period_round_it(clock: Clock, jitter: float, seconds: float) -> None:
    known = sweeps(clock, jitter)
    known.keep("uid", "data", "?", "fine")
    assert known.due_in("uid") == pytest.approx(seconds)


def test_the_earliest_is_due_and_nothing_is_where_nothing_was_kept(clock: Clock) -> None:
    known = sweeps(clock)
    assert known.due_in("uid") is None
    known.keep("uid", "data", "?", "fine")
    clock.go_on(60)
    known.keep("uid", "audit", "?", "fine")
    assert known.due_in("uid") == 40
    clock.go_on(60)
    assert known.due_in("uid") == 0
    known.forget("uid", "data")
    assert known.due_in("uid") == 40
    known.forget("uid")
    assert known.due_in("uid") is None


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (Outcome(), 300.0),
        (Outcome(again_in=20.0), 20.0),
        (Outcome(again_in=86400.0), 300.0),
        (Outcome(sweep_in=120.0), 120.0),
        (Outcome(again_in=20.0, sweep_in=120.0), 20.0),
        (Outcome(sweep_in=0.0), 1.0),
    ],
)
def test_the_next_look_is_the_earliest_wish_and_never_later_than_the_sweep(outcome: Outcome, seconds: float) -> None:
    assert outcome.next_look(300.0) == seconds
