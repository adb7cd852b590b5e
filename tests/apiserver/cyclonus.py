"""The foreign analyser of network policies, asked as a program."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tests.unit.desired.reach import Question
from tests.unit.desired.semantics import Peer
from tools.devcluster import build
from zilliz_operator.api.flows import Party

SECONDS = 60


def answers(
    policies: Sequence[Mapping[str, Any]], questions: Sequence[Question], peers: Mapping[Party, Peer]
) -> dict[Question, bool]:
    """What it says to each question."""
    asked = [
        {
            "source": _peer(peers[each.source]),
            "target": _peer(peers[each.target]),
            "port": each.port,
            "protocol": each.protocol,
        }
        for each in questions
    ]
    said = _ask({"policies": list(policies), "questions": asked})
    assert len(said) == len(questions), said
    return dict(zip(questions, said, strict=True))


def _ask(given: Mapping[str, Any]) -> list[bool]:
    program = build.binary("cyclonus")
    done = subprocess.run(
        [str(program)], input=json.dumps(given), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[bool] = json.loads(done.stdout)
    return found


def _peer(peer: Peer) -> dict[str, Any]:
    return {
        "address": peer.address,
        "namespace": peer.namespace,
        "labels": dict(peer.labels),
        "namespaceLabels": peer.namespace_labels if peer.namespace else {},
    }
