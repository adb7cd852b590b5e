"""The operator while nothing happens: memory, CPU, and what it asks of the API server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from bench import audit, proc
from bench.world import OPERATOR_NAMESPACE, OPERATOR_USER, World, container_of

QUIET_SECONDS = 15.0
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    """One operator pod over the window."""

    role: str
    resident: int
    cpu_percent: float
    requests_per_minute: float
    writes_per_minute: float
    most_frequent: tuple[tuple[str, int], ...]


def measure(world: World, *, seconds: float, say: Callable[[str], None]) -> list[Replica]:
    """Leader first."""
    leader = world.leader()
    pods = sorted(world.pods(OPERATOR_NAMESPACE), key=lambda pod: pod["metadata"]["name"] != leader)
    containers = {pod["metadata"]["name"]: container_of(pod) for pod in pods if pod["status"]["phase"] == "Running"}
    say(f"the operator at rest, {seconds:.0f} s")
    offset = world.layout.audit_log.stat().st_size
    since = datetime.now(UTC)
    began = time.monotonic()
    before = {name: proc.of_container(container) for name, container in containers.items()}
    time.sleep(seconds)
    after = {name: proc.of_container(container) for name, container in containers.items()}
    window, until = time.monotonic() - began, datetime.now(UTC)
    lines = audit.read_from(world.layout.audit_log, offset=offset)
    counts = audit.tally(lines, user=OPERATOR_USER, since=since, until=until)
    return [
        Replica(
            role="leader" if name == leader else "standby",
            resident=proc.resident_of(after[name]),
            cpu_percent=proc.cpu_percent(before[name], after[name], seconds=window, hertz=proc.hertz()),
            requests_per_minute=_per_minute(counts.get(name, Counter()), window),
            writes_per_minute=_per_minute(writes(counts.get(name, Counter())), window),
            most_frequent=tuple(counts.get(name, Counter()).most_common(3)),
        )
        for name in containers
    ]


def writes(counts: Counter[str]) -> Counter[str]:
    """Those that change something, but for the lease by which the leader is known, which must be renewed."""
    return Counter(
        {what: number for what, number in counts.items() if what.split()[0] in WRITES and what.split()[1] != "leases"}
    )


def settle(world: World) -> None:
    """Wait until the operator has written nothing for a while, so that rest is what is measured."""
    log, offset, quiet_since = world.layout.audit_log, world.layout.audit_log.stat().st_size, time.monotonic()

    def quiet() -> bool:
        nonlocal offset, quiet_since
        size = log.stat().st_size
        counts = audit.tally(
            audit.read_from(log, offset=offset),
            user=OPERATOR_USER,
            since=datetime.min.replace(tzinfo=UTC),
            until=datetime.max.replace(tzinfo=UTC),
        )
        offset = size
        if any(writes(counter) for counter in counts.values()):
            quiet_since = time.monotonic()
        return time.monotonic() - quiet_since > QUIET_SECONDS

    world.budget.until(quiet, what="the operator to come to rest", seconds=90, every=1.0)


def _per_minute(counts: Counter[str], seconds: float) -> float:
    return counts.total() * 60 / seconds
