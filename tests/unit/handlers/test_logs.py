"""One JSON object a line, whatever is logged."""

import json
import logging
import sys
from datetime import datetime
from typing import Any

import pytest

from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.handlers import config, logs


def line(record: logging.LogRecord) -> dict[str, Any]:
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def record(message: str, *args: object, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("zilliz.test", logging.WARNING, __file__, 1, message, args, None)
    made.__dict__.update(extra)
    return made


def test_a_record_is_an_object_with_what_was_given() -> None:
    found = line(record("changed %s", "it", object="ZillizCluster/a/b", writes=3, ok=True, nothing=None))
    assert found | {"time": ""} == {
        "time": "",
        "level": "warning",
        "logger": "zilliz.test",
        "message": "changed it",
        "object": "ZillizCluster/a/b",
        "writes": 3,
        "ok": True,
        "nothing": None,
    }
    assert datetime.fromisoformat(found["time"]).utcoffset() is not None


def test_anything_else_is_its_text_and_lines_stay_one() -> None:
    found = line(record("first\nsecond ü", thing={"a": object}))
    assert found["message"] == "first\nsecond ü"
    assert isinstance(found["thing"], str)


def test_a_traceback_is_one_string() -> None:
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        made = record("failed")
        made.exc_info = sys.exc_info()
    found = line(made)
    assert found["exception"].startswith("Traceback")
    assert "broken" in found["exception"]


def test_what_kopf_attaches_stays_out() -> None:
    assert not {"k8s_ref", "settings", "_private"} & set(line(record("x", k8s_ref={}, settings=1, _private=2)))


@pytest.fixture
def untouched_logging() -> Any:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])


def test_configured_once_for_all_loggers(untouched_logging: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    logging.getLogger("anything").info("seen")
    logging.getLogger("kopf.objects").info("not seen")
    logging.getLogger("anything").debug("not seen")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(each)["message"] for each in lines] == ["seen"]


def test_the_environment_is_the_configuration() -> None:
    found = config.from_environment(
        {"POD_NAMESPACE": "zs", "POD_NAME": "op-1", "ZILLIZ_WORKERS": "3", "ZILLIZ_LEADER_ELECTION": "false"}
    )
    assert (found.namespace, found.identity, found.workers, found.leader_election) == ("zs", "op-1", 3, False)
    assert config.from_environment({}).namespace == "zilliz-system"


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_wrong_number_is_refused_by_name(value: str) -> None:
    with pytest.raises(InvalidSpec, match="ZILLIZ_WORKERS"):
        config.from_environment({"ZILLIZ_WORKERS": value})
