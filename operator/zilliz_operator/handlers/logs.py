"""Structured logs: one JSON object a line on stderr, so that a log store needs no parsing rules.

Secrets never reach a logger: exceptions of ours carry none, and request bodies are not logged anywhere.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """`time level logger message`, then whatever `extra=` gave, then the traceback as one string."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key, value in vars(record).items():
            if key not in _STANDARD and not key.startswith(("k8s_", "settings", "_")):
                line[key] = value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
        if record.exc_info:
            line["exception"] = "".join(traceback.format_exception(*record.exc_info)).strip()
        return json.dumps(line, ensure_ascii=False)


def configure(level: str) -> None:
    """Send every logger's records to stderr as JSON. `level` is a name such as "info"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Kopf narrates every cycle at info; botocore and urllib3 print requests at debug.
    for name, floor in {"kopf": "WARNING", "botocore": "WARNING", "urllib3": "WARNING", "pymilvus": "CRITICAL"}.items():
        logging.getLogger(name).setLevel(floor)
    logging.getLogger("aiohttp.access").setLevel("WARNING")
