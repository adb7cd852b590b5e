"""Access as evidence: two clusters in two projects on a fresh node, everybody tries everything, and the page is written.

`make access-report` writes docs/evidence/access.md. It ends with 1 when anything was seen that the tables do not say.
"""

import datetime as dt
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from tests.node import access, access_kubernetes, access_signed_in, access_tokens
from tests.node.evidence import conditions, neighbours, publish, say, table
from tests.node.harness import ROOT, Product
from tests.node.may_kubernetes import NOT_OURS
from zilliz_operator.api.conditions import ConditionType

PAGE = ROOT / "docs" / "evidence" / "access.md"
NAME = "zbyoc-access"
EVIDENCE = (ConditionType.ACCESS_APPLIED, ConditionType.ALLOWLIST_IN_FORCE)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that the page shows."""

    date: dt.datetime
    machine: str
    revision: str
    clusters: Sequence[str]
    evidence: Sequence[tuple[str, str, str]]
    door: Sequence[access.Row]
    kubernetes: Sequence[access_kubernetes.Row]

    @property
    def differences(self) -> int:
        return sum(row.differs for row in (*self.door, *self.kubernetes))


DOOR = """## Through the door

Calls by an unmodified pymilvus over gRPC and by REST, on collections `docs` and `notes` of database `default` and `docs` of database
`shop`. A refusal is Milvus' own (`denied`, `unauthenticated`), the gateway's, by its reason, or `unreachable`: packets that nobody
answers."""
KUBERNETES = f"""## At the Kubernetes API

Requests in everybody's name, by impersonation and again by tokens of an identity provider, on every kind of ours
and on {", ".join(NOT_OURS)}; writing as a dry run,
which admission judges, too. Done means: not refused by right or rule."""
HANDED = """### Who may hand out what

An AccessPolicy with that role, written into the own project; with OrganizationOwner, into the organization."""


def page(found: Found) -> str:
    """The whole page."""
    subjects = {(row.kind, row.subject) for row in found.door}
    people = {row.person for row in found.kubernetes}
    parts = [
        "# Access, tried\n\nWritten by `make access-report`, never by hand. Who may do what, expected and seen.",
        table(
            ("what", "value"),
            [
                ("date", f"{found.date:%Y-%m-%d %H:%M} UTC"),
                ("machine", found.machine),
                ("this project", found.revision),
                ("clusters", " and ".join(found.clusters)),
                ("subjects at the door", str(len(subjects))),
                ("calls through the door", str(len(found.door))),
                ("people at the Kubernetes API", str(len(people))),
                ("requests to it", str(len(found.kubernetes))),
            ],
        ),
        "## What the clusters say of themselves",
        table(("cluster", "condition", "evidence"), found.evidence),
        DOOR,
        *_door(found.door),
        KUBERNETES,
        table(PEOPLE, _people(found.kubernetes)),
        HANDED,
        table(("who", "may hand out, expected", "seen", "differences"), _handed(found.kubernetes)),
        f"differences: {found.differences}",
    ]
    return "\n\n".join(parts) + "\n"


ACTIONS = ("way", "action", "expected", "seen", "differences")
PEOPLE = ("who", "where", "done as expected", "requests refused as expected", "differences")


def _door(rows: Sequence[access.Row]) -> Iterable[str]:
    """A table for each subject that is let in, and one of all those that are not."""
    groups: dict[tuple[str, str], list[access.Row]] = defaultdict(list)
    for row in rows:
        groups[row.kind, row.subject].append(row)
    refused = {who: each for who, each in groups.items() if len({row.expected for row in each}) == 1}
    for (kind, subject), each in groups.items():
        if (kind, subject) not in refused:
            yield f"### {kind}: {subject}"
            yield table(ACTIONS, _actions(each))
    yield "### Those who are not let in"
    yield table(
        ("who", "calls", "expected", "seen", "differences"),
        [
            (
                f"{kind}: {subject}",
                str(len(each)),
                each[0].expected,
                _words(sorted({r.seen for r in each})),
                _wrong(each),
            )
            for (kind, subject), each in refused.items()
        ],
    )


def _actions(rows: Sequence[access.Row]) -> list[tuple[str, ...]]:
    groups: dict[tuple[str, str], list[access.Row]] = defaultdict(list)
    for row in rows:
        groups[row.attempt.way, row.attempt.action].append(row)
    return [
        (way, action, _where(each, "expected"), _where(each, "seen"), _wrong(each))
        for (way, action), each in sorted(groups.items(), key=lambda item: (item[0][0], _weight(item[1]), item[0][1]))
    ]


def _weight(rows: Sequence[access.Row]) -> int:
    """What is allowed comes first."""
    return -sum(row.expected == access.may.DONE for row in rows)


def _where(rows: Sequence[access.Row], which: str) -> str:
    """`done` for all places alike, or place by place."""
    outcomes: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        outcomes[getattr(row, which)].append(row.attempt.place)
    if len(outcomes) == 1:
        return next(iter(outcomes))
    return "; ".join(f"{outcome}: {_words(places)}" for outcome, places in sorted(outcomes.items(), reverse=True))


def _people(rows: Sequence[access_kubernetes.Row]) -> list[tuple[str, ...]]:
    groups: dict[tuple[str, str], list[access_kubernetes.Row]] = defaultdict(list)
    for row in rows:
        if row.action != access_kubernetes.HAND_OUT:
            groups[row.person, row.place].append(row)
    lines = []
    for (person, place), each in groups.items():
        verbs: dict[str, list[str]] = defaultdict(list)
        for row in each:
            if not row.differs and row.seen == access_kubernetes.DONE:
                verbs[row.kind].append(row.action)
        same: Mapping[str, list[str]] = defaultdict(list)
        for kind, actions in verbs.items():
            same[_words(actions)].append(kind)
        done = "; ".join(f"{actions} {_words(kinds)}" for actions, kinds in same.items())
        refused = sum(not row.differs and row.seen != access_kubernetes.DONE for row in each)
        lines.append((person, place, done, str(refused), _wrong(each)))
    return lines


def _handed(rows: Sequence[access_kubernetes.Row]) -> list[tuple[str, ...]]:
    groups: dict[str, list[access_kubernetes.Row]] = defaultdict(list)
    for row in rows:
        if row.action == access_kubernetes.HAND_OUT:
            groups[row.person].append(row)
    done = access_kubernetes.DONE
    return [
        (
            person,
            _words([row.kind for row in each if row.expected == done]) or "nothing",
            _words([row.kind for row in each if row.seen == done]) or "nothing",
            _wrong(each),
        )
        for person, each in groups.items()
    ]


def _wrong(rows: Iterable[access.Row | access_kubernetes.Row]) -> str:
    return "; ".join(str(row) for row in rows if row.differs)


def _words(words: Sequence[str]) -> str:
    return ", ".join(words)


def probe(product: Product) -> Found:
    """Make the two clusters, and try everything."""
    first, second = neighbours(product)
    first.patch(deletionProtection=False)  # so that only rights decide who may delete it, in a dry run
    with tempfile.TemporaryDirectory() as made, access_tokens.trusted(product, Path(made)) as issuer:
        say("everybody at the Kubernetes API")
        kubernetes = access_kubernetes.rows(product, first, second)
        say("and again with tokens of an identity provider")
        kubernetes += access_signed_in.rows(product, first, second, issuer=issuer)
        say("everybody at the door")
        door = access.rows(product, first, second, issuer=issuer, directory=Path(made))
    return Found(
        date=dt.datetime.now(dt.UTC),
        machine=machine.describe(),
        revision=machine.revision(),
        clusters=[f"{each.project}/{each.name}" for each in (first, second)],
        evidence=conditions((first, second), EVIDENCE),
        door=door,
        kubernetes=kubernetes,
    )


if __name__ == "__main__":
    sys.exit(publish(NAME, PAGE, probe=probe, page=page))
