"""Percentiles are values that were measured, at any count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import Summary, percentile, summary


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(1, 1.0), (50, 50.0), (95, 95.0), (99, 99.0), (100, 100.0)],
)
def test_nearest_rank_of_a_hundred(percent: float, expected: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], percent) == expected


def test_one_value_is_every_percentile() -> None:
    assert summary([7.0]) == Summary(count=1, p50=7.0, p95=7.0, p99=7.0, slowest=7.0)


def test_a_rare_slow_one_shows_at_the_99th_only() -> None:
    found = summary([1.0] * 98 + [50.0, 60.0])
    assert (found.p50, found.p95, found.p99, found.slowest) == (1.0, 1.0, 50.0, 60.0)


@given(values=st.lists(st.floats(0, 1e6), min_size=1), percent=st.floats(0.1, 100))
def test_at_least_that_share_is_not_slower(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-6


@pytest.mark.parametrize("percent", [0, -1, 100.5])
def test_a_percent_that_is_none_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        percentile([1.0], percent)


def test_nothing_measured_is_no_number() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)
