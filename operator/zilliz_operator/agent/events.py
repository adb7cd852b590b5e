"""The agent's own log: one JSON object a line on stderr. Audit lines have stdout to themselves."""

import json
import os
import time
from typing import Any


def event(name: str, *, level: str = "info", **fields: Any) -> None:
    """Write one event. Never raises: a full or closed log must not stop the door."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    line = json.dumps({"time": stamp, "level": level, "event": name, **fields}, default=str)
    try:
        os.write(2, line.encode() + b"\n")
    except OSError:
        return
