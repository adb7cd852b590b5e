"""The operator's own settings: from the environment, with words for what is wrong."""

import pytest

from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.handlers.config import from_environment
from zilliz_operator.reconcile.sweeps import SECONDS


def test_the_sweeps_have_periods_of_their_own() -> None:
    found = from_environment({})
    assert (found.sweep_seconds, found.cloud_sweep_seconds) == (300.0, SECONDS)
    found = from_environment({"ZILLIZ_SWEEP_SECONDS": "60", "ZILLIZ_CLOUD_SWEEP_SECONDS": "900"})
    assert (found.sweep_seconds, found.cloud_sweep_seconds) == (60.0, 900.0)


@pytest.mark.parametrize("name", ["ZILLIZ_SWEEP_SECONDS", "ZILLIZ_CLOUD_SWEEP_SECONDS"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5"])
def test_a_period_that_is_no_whole_number_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidSpec, match=f"{name}.*whole number above 0"):
        from_environment({name: value})
