"""`zilliz-operator doctor`: is this installation whole, and does the cluster under it keep what only the cluster can keep?

Four answers: *ok* and *fail* were seen; *warn* is less than it could be; *unknown* was not to be seen from here, and says where to look.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from zilliz_operator.cli.checks import Finding, Patient, State, examine
from zilliz_operator.cli.reading import with_kube

MARKS = {State.OK: "✓", State.WARN: "!", State.FAIL: "✗", State.UNKNOWN: "?"}


def text(findings: Sequence[Finding]) -> str:
    """For a terminal: a line for each look, below it what was seen and what helps."""
    lines = []
    for finding in findings:
        lines += [f"{MARKS[finding.state]} {finding.state:<8} {finding.title}", f"    {finding.said}"]
        if finding.remedy:
            lines.append(f"    → {finding.remedy}")
    counts = (f"{sum(f.state is state for f in findings)} {state}" for state in MARKS)
    return "\n".join([*lines, "", ", ".join(counts)])


def command(options: argparse.Namespace) -> int:
    """Print it; 1 when any look fails."""
    findings = with_kube(
        options,
        lambda kube: examine(Patient(kube=kube, namespace=options.operator_namespace, account=options.service_account)),
    )
    if options.output == "json":
        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        print(text(findings))
    return 1 if any(finding.state is State.FAIL for finding in findings) else 0
