"""`zilliz-operator posture`: the security page, sentence by sentence, with what carries it and what is seen now.

Three answers only. *kept*: this release keeps the sentence whole and every cluster's condition says so now. *broken*: it should be
kept, and some condition says False. *not yet*: this release keeps it in part or not at all, or nothing was seen so far.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zilliz_operator.api.promises import PROMISES, Claim, Promise
from zilliz_operator.cli.reading import clusters, with_kube

KEPT, BROKEN, NOT_YET = "kept", "broken", "not yet"
MARKS = {KEPT: "✓", BROKEN: "✗", NOT_YET: "…"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence as it stands now."""

    id: str
    section: str
    sentence: str
    state: str
    condition: str
    evidence: tuple[str, ...]
    tests: tuple[str, ...]
    note: str


def judge(promise: Promise, found: Sequence[dict[str, Any]]) -> Finding:
    """A promise against the conditions of all clusters."""
    seen = list(_conditions(promise, found))
    evidence = tuple(f"{name}: {condition.get('message', '')}" for name, condition in seen)
    statuses = {condition["status"] for _, condition in seen}
    silent = len(seen) < len(found)
    if promise.claim is Claim.NOT_YET:  # its condition may be False for the sake of what this release does keep
        state = NOT_YET
    elif "False" in statuses:
        state = BROKEN
    elif promise.claim is not Claim.KEPT or not seen or silent or statuses != {"True"}:
        state = NOT_YET
    else:
        state = KEPT
    return Finding(
        id=promise.id,
        section=promise.section,
        sentence=promise.sentence,
        state=state,
        condition=str(promise.condition or ""),
        evidence=evidence,
        tests=promise.tests,
        note=promise.status_note,
    )


def _conditions(promise: Promise, found: Sequence[dict[str, Any]]) -> Iterable[tuple[str, dict[str, Any]]]:
    for cluster in found:
        name = f"{cluster['metadata']['namespace']}/{cluster['metadata']['name']}"
        for condition in (cluster.get("status") or {}).get("conditions") or ():
            if promise.condition is not None and condition["type"] == promise.condition:
                yield name, condition


def findings(found: Sequence[dict[str, Any]]) -> list[Finding]:
    """Every sentence that promises something."""
    return [judge(promise, found) for promise in PROMISES if promise.claim is not Claim.NONE]


def text(all_findings: Sequence[Finding]) -> str:
    """For a terminal: sections, sentences, and below each its evidence or what is missing."""
    lines, section = [], ""
    for finding in all_findings:
        if finding.section != section:
            section = finding.section
            lines += ["", section]
        lines.append(f"  {MARKS[finding.state]} {finding.state:<8} {finding.sentence}")
        if finding.condition:
            lines.append(
                f"      condition {finding.condition}" + (f", tests: {len(finding.tests)}" if finding.tests else "")
            )
        lines += [f"      {line}" for line in finding.evidence]
        if finding.state != KEPT:
            lines.append(f"      {finding.note}")
    counts = {state: sum(f.state == state for f in all_findings) for state in MARKS}
    return "\n".join([*lines, "", ", ".join(f"{count} {state}" for state, count in counts.items())]).lstrip("\n")


def command(options: argparse.Namespace) -> int:
    """Print it; 1 when anything is broken."""
    found = with_kube(options, lambda kube: clusters(kube, namespace=options.namespace))
    result = findings(found)
    if options.output == "json":
        print(json.dumps([asdict(finding) for finding in result], indent=2, ensure_ascii=False))
    else:
        print(text(result))
    return 1 if any(finding.state == BROKEN for finding in result) else 0
