"""Kopf's settings, each with the reason it is not the default.

Kopf is our watcher, queue and finalizer engine; what it would do by default beyond that (give up after a minute, copy whole
specs into annotations, react to labels) is turned off here.
"""

from collections.abc import Iterator
from typing import Any

import kopf

from zilliz_operator.api import names

WATCH_SERVER_TIMEOUT = 240
"""Seconds after which the API server ends a watch, so that each one is reopened (and seen to work) this often."""


class Forever:
    """Back-offs without an end. Not `Sized` on purpose: Kopf gives up at the end of a list, and a dead watch ends the operator."""

    def __iter__(self) -> Iterator[float]:
        delay = 1.0
        while True:
            yield delay
            delay = min(30.0, delay * 2)


class GenerationOnly(kopf.DiffBaseStorage):
    """Remember the handled generation, not the spec: no copy of a spec in metadata, and a label edit wakes nobody."""

    key = names.PREFIX + "handled-generation"

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> Any:
        return {"metadata": {"generation": body.metadata.get("generation")}}

    def fetch(self, *, body: kopf.Body) -> Any:
        value = body.metadata.annotations.get(self.key)
        return None if value is None else {"metadata": {"generation": int(value)}}

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        patch.metadata.annotations[self.key] = str(essence["metadata"]["generation"])


def operator_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = names.FINALIZER
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    settings.persistence.diffbase_storage = GenerationOnly()
    # An idle worker must not hold its slot, and slots are not bounded here: our own queue is.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.1
    settings.queueing.exit_timeout = 10
    settings.networking.error_backoffs = Forever()
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.watching.server_timeout = WATCH_SERVER_TIMEOUT
    settings.watching.client_timeout = WATCH_SERVER_TIMEOUT + 30
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    # Events are ours to write, with the reasons of our conditions; Kopf's would be one per log line.
    settings.posting.enabled = False
    # Kinds are known at build time and checked before start: no rights on CRDs and namespaces are needed to scan them.
    settings.scanning.disabled = True
    return settings
