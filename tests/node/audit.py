"""Who wrote what at the API server, counted in its audit log, whatever the writer says of itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Entry:
    """One request, answered."""

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    body: dict[str, Any]
    agent: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}".strip("/")
        return f"{self.user} {self.verb} {self.resource} {where}: {self.code}"


@dataclass(frozen=True)
class AuditLog:
    """The log file; a place in it is a number of bytes."""

    path: Path

    def mark(self) -> int:
        """The place where it ends now."""
        return self.path.stat().st_size

    def entries(self, *, since: int, until: int | None = None) -> Iterator[Entry]:
        """Requests answered between two places. The log must not have been rotated meanwhile."""
        end = self.mark() if until is None else until
        assert end >= since, f"{self.path} was rotated"
        with self.path.open("rb") as log:
            log.seek(since)
            for line in log.read(end - since).split(b"\n")[:-1]:
                event = json.loads(line)
                if event["stage"] == "ResponseComplete":
                    yield _entry(event)

    def writes(self, *, since: int, until: int | None = None, user: str = "") -> list[Entry]:
        """Requests that write (refused or not), of one user or of all."""
        found = self.entries(since=since, until=until)
        return [each for each in found if each.verb in WRITES and user in ("", each.user)]


def _entry(event: dict[str, Any]) -> Entry:
    target = event.get("objectRef") or {}
    subresource = f"/{target['subresource']}" if target.get("subresource") else ""
    return Entry(
        user=event["user"]["username"],
        verb=event["verb"],
        resource=target.get("resource", event.get("requestURI", "")) + subresource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=int((event.get("responseStatus") or {}).get("code", 0)),
        body=event.get("requestObject") or {},
        agent=event.get("userAgent", ""),
    )
