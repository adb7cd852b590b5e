"""Isolation as evidence: two clusters in two projects on a fresh node, everybody knocks, every key is tried, and the page is written.

`make isolation-report` writes docs/evidence/isolation.md. It ends with 1 when anything was seen that the tables do not say.
"""

import datetime as dt
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import machine
from tests.node import identities, matrix
from tests.node.evidence import conditions, neighbours, publish, say, table
from tests.node.harness import ROOT, Product
from zilliz_operator.api.conditions import ConditionType

PAGE = ROOT / "docs" / "evidence" / "isolation.md"
NAME = "zbyoc-isolation"
EVIDENCE = (
    ConditionType.NAMESPACE_ISOLATED,
    ConditionType.NETWORK_ISOLATED,
    ConditionType.STORAGE_SECURED,
    ConditionType.IDENTITY_SCOPED,
    ConditionType.ALLOWLIST_IN_FORCE,
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that the page shows."""

    date: dt.datetime
    machine: str
    revision: str
    clusters: Sequence[str]
    evidence: Sequence[tuple[str, str, str]]
    """Cluster, condition with its state, message."""
    packets: Mapping[str, Sequence[matrix.Row]]
    """By the cluster whose pods are knocked at, and knock."""
    calls: Sequence[identities.Row]

    @property
    def differences(self) -> int:
        return sum(row.differs for row in (*self.knocks, *self.calls))

    @property
    def knocks(self) -> list[matrix.Row]:
        return [row for rows in self.packets.values() for row in rows]


def page(found: Found) -> str:
    """The whole page."""
    parts = [
        "# Isolation, probed\n\nWritten by `make isolation-report`, never by hand. Who reached what, expected and seen.",
        table(
            ("what", "value"),
            [
                ("date", f"{found.date:%Y-%m-%d %H:%M} UTC"),
                ("machine", found.machine),
                ("this project", found.revision),
                ("clusters", " and ".join(found.clusters)),
                ("connections tried", str(len(found.knocks))),
                ("calls to the object store", str(len(found.calls))),
            ],
        ),
        "## What the clusters say of themselves",
        table(("cluster", "condition", "evidence"), found.evidence),
        "## Packets\n\nTCP, from everybody to every port of every pod of the clusters, and from their pods to everything around. A port at "
        "which nobody listens counts as shut. Rows of one source, target and address family are one line.",
        *(
            part
            for cluster, rows in found.packets.items()
            for part in (f"### {cluster}", table(PACKETS, _packets(rows)))
        ),
        "## Calls to the object store\n\nWith the keys that the clusters' pods have, with those of another user of the same store, and "
        "without any.",
        table(("who", "bucket", "done as expected", "calls refused as expected", "differences"), _calls(found)),
        f"differences: {found.differences}",
    ]
    return "\n\n".join(parts) + "\n"


PACKETS = ("from", "to", "family", "open as expected", "ports shut as expected", "differences")


def _packets(found: Sequence[matrix.Row]) -> list[tuple[str, ...]]:
    groups: dict[tuple[str, str, str], list[matrix.Row]] = defaultdict(list)
    for row in found:
        groups[row.source, row.target, row.family].append(row)
    lines = []
    for (source, target, family), rows in sorted(groups.items()):
        good = [row for row in rows if not row.differs]
        opened = ", ".join(str(row.port) for row in sorted(good, key=lambda row: row.port) if row.seen)
        wrong = "; ".join(str(row) for row in rows if row.differs)
        lines.append((source, target, family, opened, str(sum(not row.seen for row in good)), wrong))
    return lines


def _calls(found: Found) -> list[tuple[str, ...]]:
    groups: dict[tuple[str, str], list[identities.Row]] = defaultdict(list)
    for row in found.calls:
        groups[row.asker, row.bucket].append(row)
    lines = []
    for (asker, bucket), rows in sorted(groups.items()):
        good = [row for row in rows if not row.differs]
        done = ", ".join(row.action.removeprefix("s3:") for row in good if row.seen)
        wrong = "; ".join(str(row) for row in rows if row.differs)
        lines.append((asker, bucket, done, str(sum(not row.seen for row in good)), wrong))
    return lines


def probe(product: Product) -> Found:
    """Make the two clusters, and try everything."""
    first, second = neighbours(product)
    say("packets: everybody at everything")
    pairs = ((first, second), (second, first))
    packets = {f"{each.project}/{each.name}": matrix.rows(product, each, another) for each, another in pairs}
    say("calls to the object store")
    calls = identities.rows(product, (first, second))
    return Found(
        date=dt.datetime.now(dt.UTC),
        machine=machine.describe(),
        revision=machine.revision(),
        clusters=[f"{each.project}/{each.name}" for each in (first, second)],
        evidence=conditions((first, second), EVIDENCE),
        packets=packets,
        calls=calls,
    )


if __name__ == "__main__":
    sys.exit(publish(NAME, PAGE, probe=probe, page=page))
