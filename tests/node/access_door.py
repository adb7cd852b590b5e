"""A cluster's door as somebody with a token meets it: who they are, what they try, and what came of it."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.node import may
from tests.node.harness import Cluster, Host
from tests.node.may import Attempt, Right
from zilliz_operator.api.names import GATEWAY_PORT

SECONDS_A_SUBJECT = 60.0


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Somebody with a token. `refused`: the reason that meets every attempt; else the rights decide."""

    kind: str
    name: str
    token: str = field(repr=False)
    rights: tuple[Right, ...] = ()
    refused: str = ""
    stranger: bool = False
    """Comes from an address that is not on the list."""

    @property
    def attempts(self) -> Sequence[Attempt]:
        return may.KNOCKS if self.refused else may.ATTEMPTS

    def expects(self, attempt: Attempt) -> str:
        return self.refused or may.expected(self.rights, attempt)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One attempt."""

    kind: str
    subject: str
    attempt: Attempt
    expected: str
    seen: str

    @property
    def differs(self) -> bool:
        return self.expected != self.seen

    def __str__(self) -> str:
        attempt = self.attempt
        return f"{attempt.action} {attempt.place} over {attempt.way}: {self.seen}, expected {self.expected}"


@dataclass(frozen=True)
class Door:
    """A cluster's door, with a key of its own that may do everything: it prepares what others try."""

    cluster: Cluster

    def asked(self, subjects: Sequence[Subject], *, keeper: bool, furnish: bool = False) -> dict[str, Any]:
        """What the client's process reads."""
        connection = self.cluster.connection
        return {
            "uri": connection["uri"],
            "host": connection["host"],
            "ca": connection["ca.crt"],
            "address": self.cluster.address,
            "port": GATEWAY_PORT,
            "unheard": any(subject.stranger for subject in subjects),
            "keeper": self.cluster.key["token"] if keeper else "",
            "bystander": self.cluster.product.secret(f"{self.cluster.name}-user", self.cluster.project)["username"],
            "furnish": furnish,
            "collections": {database: list(names) for database, names in may.COLLECTIONS.items()},
            "subjects": [{"name": str(n), "token": s.token, "attempts": s.attempts} for n, s in enumerate(subjects)],
        }

    def furnish(self, host: Host) -> None:
        """Make the collections that attempts are about."""
        self._run(host, self.asked((), keeper=True, furnish=True), seconds=120.0)

    def tried(self, subjects: Sequence[Subject], host: Host) -> list[Row]:
        """What came of everything that they try from there."""
        within = any(not subject.refused for subject in subjects)
        said = self._run(host, self.asked(subjects, keeper=within), seconds=SECONDS_A_SUBJECT * (1 + len(subjects)))
        found = []
        for number, way, action, database, collection, seen in map(json.loads, said.splitlines()):
            subject, attempt = subjects[int(number)], Attempt(way, action, database, collection)
            expected = subject.expects(attempt)
            found.append(Row(kind=subject.kind, subject=subject.name, attempt=attempt, expected=expected, seen=seen))
        return found

    def _run(self, host: Host, asked: Mapping[str, Any], *, seconds: float) -> str:
        return host.run(sys.executable, "-m", "tests.node.attempts", input=json.dumps(asked), seconds=seconds)
