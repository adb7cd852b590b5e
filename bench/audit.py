"""Requests of the operator's replicas to the API server, counted in the API server's own audit log. Pure but for `read_from`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_POD_NAME = "authentication.kubernetes.io/pod-name"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request, however many stages of it were logged."""

    id: str
    user: str
    pod: str
    verb: str
    resource: str
    received: datetime


def parse(line: str) -> Request | None:
    """A line of the log; None for one that is no request (the log's last line may be half-written)."""
    try:
        event = json.loads(line)
        user = event["user"]
        target = event.get("objectRef") or {}
        pod = (user.get("extra") or {}).get(_POD_NAME) or ["?"]
        return Request(
            id=event["auditID"],
            user=user["username"],
            pod=pod[0],
            verb=event["verb"],
            resource=target.get("resource", event["requestURI"]),
            received=datetime.fromisoformat(event["requestReceivedTimestamp"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def tally(lines: Iterable[str], *, user: str, since: datetime, until: datetime) -> dict[str, Counter[str]]:
    """Pod → "verb resource" → how often between the two moments."""
    seen: set[str] = set()
    counts: dict[str, Counter[str]] = {}
    for request in filter(None, map(parse, lines)):
        if request.user == user and since <= request.received < until and request.id not in seen:
            seen.add(request.id)
            counts.setdefault(request.pod, Counter())[f"{request.verb} {request.resource}"] += 1
    return counts


def read_from(log: Path, *, offset: int) -> Iterator[str]:
    """What was written after `offset`; all of it if the log was begun anew meanwhile."""
    with log.open("rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(offset if offset <= size else 0)
        for line in handle:
            yield line.decode(errors="replace")
