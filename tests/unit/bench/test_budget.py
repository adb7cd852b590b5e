"""No wait outlives the run's time, and what there is no time for says so."""

from __future__ import annotations

import pytest

from bench.budget import Budget
from bench.errors import BenchError, OutOfTime


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_is_spent_and_left() -> None:
    clock = Clock()
    budget = Budget(60, now=clock)
    clock.now += 20
    assert (budget.spent, budget.left) == (20, 40)


def test_a_phase_starts_only_if_there_is_time() -> None:
    clock = Clock()
    budget = Budget(60, now=clock)
    budget.need(60, "search")
    clock.now += 70
    with pytest.raises(OutOfTime, match="search takes about 30 s, 0 s were left"):
        budget.need(30, "search")


def test_a_condition_that_holds_is_not_waited_for() -> None:
    Budget(0, now=Clock()).until(lambda: True, what="nothing", seconds=0)


def test_a_wait_ends_at_its_own_deadline_with_an_error() -> None:
    clock = Clock()

    def never() -> bool:
        clock.now += 6
        return False

    with pytest.raises(BenchError, match="waited 10 s in vain for rain") as caught:
        Budget(60, now=clock).until(never, what="rain", seconds=10, every=0)
    assert not isinstance(caught.value, OutOfTime)


def test_a_wait_ends_with_the_runs_time() -> None:
    clock = Clock()

    def never() -> bool:
        clock.now += 6
        return False

    with pytest.raises(OutOfTime, match="rain"):
        Budget(5, now=clock).until(never, what="rain", seconds=10, every=0)


def test_a_server_that_does_not_answer_is_asked_again() -> None:
    answers = iter([TimeoutError("slow"), ConnectionRefusedError("down"), True])

    def ask() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    Budget(60, now=Clock()).until(ask, what="it", seconds=10, every=0)
    assert next(answers, None) is None


def test_a_server_that_never_answers_is_named_in_the_error() -> None:
    clock = Clock()

    def ask() -> bool:
        clock.now += 6
        raise TimeoutError("slow")

    with pytest.raises(BenchError, match=r"waited 10 s in vain for it \(last: TimeoutError: slow\)"):
        Budget(60, now=clock).until(ask, what="it", seconds=10, every=0)
