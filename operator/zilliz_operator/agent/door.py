"""The supervised half of the gateway's agent: keeps HAProxy's configuration and answers the operator.

It may die at any moment: the supervisor holds HAProxy and its pipes, so the door stays open, and the next agent goes on
from the files and from what HAProxy says of itself.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from zilliz_operator.agent import attest, metrics
from zilliz_operator.agent.events import event
from zilliz_operator.agent.keeper import Keeper
from zilliz_operator.agent.lastuse import read_used
from zilliz_operator.agent.relay import each_line, read_counts
from zilliz_operator.agent.runtime import Runtime
from zilliz_operator.agent.settings import Settings, pod_name

NOTICE_FD = 3
_LEVELS = {"ALERT": "error", "EMERG": "error", "WARNING": "warning"}


def run(settings: Settings) -> int:
    """Work until told to stop, then until HAProxy has said its last word."""
    os.umask(0o077)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    keeper = Keeper(settings)
    answers = attest.server(
        port=settings.port, attest=lambda: _attestation(keeper, settings), metrics=lambda: _metrics(settings)
    )
    _thread("attest", answers.serve_forever)
    last_word = threading.Event()

    def listen() -> None:
        each_line(NOTICE_FD, lambda line: _notice(line, keeper))
        last_word.set()

    _thread("notices", listen)
    event("agent-started", pid=os.getpid())
    keeper.run(stopping)
    last_word.wait()
    return 0


def _attestation(keeper: Keeper, settings: Settings) -> Mapping[str, Any]:
    seen = keeper.in_force()
    counts = read_counts(settings.counts)
    return {
        "pod": pod_name(),
        "config": seen.config,
        "certificate": seen.certificate,
        "haproxy": seen.haproxy,
        "reloads": seen.reloads,
        "draining": seen.draining,
        "lastError": seen.last_error,
        "auditLines": counts.lines,
        "auditDropped": counts.dropped + seen.dropped,
        "used": read_used(settings.used),
    }


def _metrics(settings: Settings) -> str:
    held = metrics.held_addresses(Runtime(settings.socket), now=time.time())
    return metrics.text(read_counts(settings.counts), held=held)


def _notice(line: str, keeper: Keeper) -> None:
    """One of HAProxy's own messages: `[WARNING]  (12) : text`."""
    if "Loading failure" in line:
        keeper.load_failed.set()
    mark, _, text = line.partition(" : ")
    level = next((level for word, level in _LEVELS.items() if f"[{word}]" in mark), "info")
    event("haproxy", level=level, message=text or line)


def _thread(name: str, work: Callable[[], None]) -> None:
    """A thread whose failure ends the process: half an agent is worse than a new one."""

    def guarded() -> None:
        try:
            work()
        except Exception as error:
            event("agent-failed", level="error", thread=name, message=repr(error))
            os._exit(1)

    threading.Thread(target=guarded, name=name, daemon=True).start()
