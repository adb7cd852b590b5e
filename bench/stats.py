"""Percentiles of measured times. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: always a value that was really measured."""
    if not values:
        raise ValueError("no values: nothing was measured")
    if not 0 < percent <= 100:
        raise ValueError(f"percent {percent}: must be above 0 and at most 100")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A series of times in the unit they came in."""

    count: int
    p50: float
    p95: float
    p99: float
    slowest: float


def summary(values: Sequence[float]) -> Summary:
    """What a table says of a series."""
    return Summary(
        count=len(values),
        p50=percentile(values, 50),
        p95=percentile(values, 95),
        p99=percentile(values, 99),
        slowest=max(values),
    )
