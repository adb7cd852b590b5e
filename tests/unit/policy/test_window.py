"""Maintenance windows: in local time, over midnight, and without one at any time."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.zillizcluster import MaintenanceWindow
from zilliz_operator.policy.window import DAYS, is_open


def window(**given_: object) -> MaintenanceWindow:
    return MaintenanceWindow.model_validate({"days": ["Sunday"], "start": "02:00", "hours": 4, **given_})


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-22T01:59:59+00:00", False),  # a Sunday
        ("2026-11-22T02:00:00+00:00", True),
        ("2026-11-22T05:59:59+00:00", True),
        ("2026-11-22T06:00:00+00:00", False),
        ("2026-11-23T03:00:00+00:00", False),
    ],
)
def test_begins_and_ends_on_time(moment: str, open_: bool) -> None:
    assert is_open(window(), datetime.fromisoformat(moment)) is open_


def test_reaches_over_midnight_into_a_day_that_is_not_listed() -> None:
    late = window(start="23:00")
    assert is_open(late, datetime(2026, 11, 23, 2, 59, tzinfo=UTC))
    assert not is_open(late, datetime(2026, 11, 23, 3, 0, tzinfo=UTC))


def test_is_judged_in_its_own_zone() -> None:
    berlin = window(timeZone="Europe/Berlin")
    assert is_open(berlin, datetime(2026, 11, 22, 1, 30, tzinfo=UTC))
    assert not is_open(berlin, datetime(2026, 11, 22, 5, 30, tzinfo=UTC))


def test_no_window_means_any_time() -> None:
    assert is_open(None, datetime(2026, 11, 22, tzinfo=UTC))


def test_an_unknown_zone_names_the_field() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.maintenanceWindow\.timeZone.*Mars/Olympus"):
        is_open(window(timeZone="Mars/Olympus"), datetime(2026, 11, 22, tzinfo=UTC))


@given(hours=st.integers(1, 24), days=st.sets(st.sampled_from(DAYS), min_size=1), minute=st.integers(0, 60 * 24 - 1))
def test_is_open_for_exactly_its_hours_a_week(hours: int, days: set[str], minute: int) -> None:
    each = window(hours=hours, days=sorted(days), start=f"{minute // 60:02}:{minute % 60:02}")
    monday = datetime(2026, 11, 23, tzinfo=UTC)
    quarters = sum(is_open(each, monday + timedelta(minutes=minute % 15 + 15 * n)) for n in range(7 * 24 * 4))
    assert quarters == len(days) * hours * 4
