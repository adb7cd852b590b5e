"""Everybody who could come to a cluster's door, made real: policies, keys, users, and what each of them tries.

`rows` is all that a report needs: each has what the table says and what was seen. Nothing here asserts.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.node import access_tokens, may
from tests.node.access_door import Door, Row, Subject
from tests.node.harness import Cluster, Host, Manifest, Product, ours
from tests.node.may import Right
from tools.devcluster.issuer import Issuer

ADDRESSES = tuple(f"10.200.0.{last}" for last in range(200, 230))
"""Hosts that the allowlist admits, beside the office. The door counts failures by address, so failures are spread over them."""
FAILERS_A_HOST = 2
SHORT_LIFE = dt.timedelta(seconds=60)
KEY, USER = "API key", "user and password"
TWICE = "writer-of-docs"
"""The grants that somebody has beside DataViewer, by a policy of their own."""
WRONG = "wrong-Wrong-0-wrong"


def rows(product: Product, cluster: Cluster, other: Cluster, *, issuer: Issuer, directory: Path) -> list[Row]:
    """Everybody at the door of `cluster`. `issuer`: one that the doors trust, with its keys in the directory.

    Policies that this makes are gone afterwards; the collections stay.
    """
    door, policies, people = Door(cluster), Policies(product, cluster), access_tokens.People(product, cluster)
    try:
        soon = dt.datetime.now(dt.UTC) + SHORT_LIFE
        named = policies.subjects(soon)
        people.admit(until=soon)
        people.end()
        tokens = access_tokens.subjects(issuer, directory)
        door.furnish(product.office)
        within = [*named, *insiders(cluster), *(each for each in tokens if not each.refused)]
        found = door.tried(within, product.office)
        without = [*policies.ended(soon), *outsiders(product, cluster, other)]
        without += [each for each in tokens if each.refused]
        return found + [row for host, group in _placed(product, without) for row in door.tried(group, host)]
    finally:
        people.remove()
        policies.remove()


def _placed(product: Product, subjects: Sequence[Subject]) -> Iterator[tuple[Host, list[Subject]]]:
    """Who is refused from where: a few to each host."""
    yield product.stranger, [each for each in subjects if each.stranger]
    failing = [each for each in subjects if not each.stranger]
    groups = _groups(failing, FAILERS_A_HOST)
    for address, group in zip(ADDRESSES[: len(groups)], groups, strict=True):
        yield product.host(f"host-{address.rpartition('.')[2]}", address), list(group)


def _groups(subjects: Sequence[Subject], size: int) -> list[Sequence[Subject]]:
    return [subjects[start : start + size] for start in range(0, len(subjects), size)]


class Policies:
    """The policies of the table on one cluster."""

    PREFIX = "may"

    def __init__(self, product: Product, cluster: Cluster) -> None:
        self._product, self._cluster = product, cluster
        self._made: list[str] = []
        self._ending: tuple[tuple[Subject, ...], tuple[Subject, ...]] = ((), ())

    def subjects(self, soon: dt.datetime) -> list[Subject]:
        """Everybody whom the policies name; some that will not be named for long are made beside them."""
        self._list_addresses()
        self.make("one-too-many", role="DataViewer")
        self.make("short", role="DataViewer", expiresAt=soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
        grants = may.GRANTS[TWICE]
        self.make("twice", role="DataViewer")
        self.make("twice-more", who="twice", grants=[dict(grant) for grant in grants.grants])
        found = self.named()
        gone = self.pair("one-too-many", said="of a policy that was deleted")
        late = self.pair("short", said="of a policy whose time is over")
        self._ending = (gone, late)
        return [*found, *self.pair("twice", may.VIEWER + grants.rights, f"of two policies, DataViewer and {TWICE}")]

    def named(self) -> list[Subject]:
        """The key and the user of each role and of each policy with grants."""
        for role in may.ROLES:
            self.make(role.lower(), role=role)
        for name, custom in may.GRANTS.items():
            self.make(name, grants=[dict(grant) for grant in custom.grants])
        self.wait()
        found = [each for role, rights in may.ROLES.items() for each in self.pair(role.lower(), rights, role)]
        return found + [each for name, custom in may.GRANTS.items() for each in self.pair(name, custom.rights, name)]

    def wait(self) -> None:
        """Until all of them are in force."""
        for name in self._made:
            self._product.wait_condition("AccessPolicy", name, self._cluster.project)

    def ended(self, soon: dt.datetime) -> list[Subject]:
        """Those of a policy that is deleted, and of one whose time is over."""
        gone, late = self._ending
        self.delete("one-too-many")
        self._product.wait_for(lambda: dt.datetime.now(dt.UTC) > soon, what="the short policy's time is over")
        self._product.wait_condition(
            "AccessPolicy", f"{self.PREFIX}-short", self._cluster.project, status="False", reason="PolicyExpired"
        )
        self._cluster.wait_condition("AccessApplied")
        refusals = {(False, KEY): "unknown_key", (True, KEY): "expired_key"}
        return [
            Subject(
                kind=s.kind, name=s.name, token=s.token, refused=refusals.get((s in late, s.kind), "unauthenticated")
            )
            for s in (*gone, *late)
        ]

    def pair(self, name: str, rights: tuple[Right, ...] = (), said: str = "") -> tuple[Subject, Subject]:
        """The key and the user of a policy."""
        read, secret = self._product.secret, f"{self.PREFIX}-{name}"
        key = read(f"{secret}-key", self._cluster.project)["token"]
        user = read(f"{secret}-user", self._cluster.project)
        return (
            Subject(kind=KEY, name=said, token=key, rights=rights),
            Subject(kind=USER, name=said, token=f"{user['username']}:{user['password']}", rights=rights),
        )

    def make(self, name: str, *, who: str = "", **spec: Any) -> None:
        """A policy with a key and a user. `who`: the name of another one, whose key and user it names, too."""
        wide = spec.get("role") == "ProjectAdmin"
        reach: Manifest = (
            {"level": "Project"} if wide else {"level": "Cluster", "clusters": {"names": [self._cluster.name]}}
        )
        full, subject = f"{self.PREFIX}-{name}", f"{self.PREFIX}-{who or name}"
        subjects = [
            {"kind": "ApiKey", "name": subject, "secretName": f"{subject}-key"},
            {"kind": "ClusterUser", "name": subject.replace("-", "_"), "secretName": f"{subject}-user"},
        ]
        self._product.apply(ours("AccessPolicy", full, self._cluster.project, {**reach, **spec, "subjects": subjects}))
        self._made.append(full)

    def _list_addresses(self) -> None:
        entries = [{"cidr": f"{address}/32"} for address in ADDRESSES]
        self._product.apply(ours("Allowlist", self.PREFIX, self._cluster.project, {"entries": entries}))
        self._product.wait_condition("Allowlist", self.PREFIX, self._cluster.project)

    def delete(self, name: str) -> None:
        full = f"{self.PREFIX}-{name}"
        self._product.delete("AccessPolicy", full, self._cluster.project)
        self._made.remove(full)

    def remove(self) -> None:
        for name in self._made:
            self._product.api.delete("AccessPolicy", name, namespace=self._cluster.project)
        self._product.api.delete("Allowlist", self.PREFIX, namespace=self._cluster.project)


def insiders(cluster: Cluster) -> list[Subject]:
    """Whom no policy names and who may come in all the same."""
    connection = cluster.connection
    token = f"{connection['username']}:{connection['password']}"
    return [Subject(kind=USER, name="of the connection Secret", token=token, rights=may.ADMIN)]


def outsiders(product: Product, cluster: Cluster, other: Cluster) -> list[Subject]:
    """Those whom no policy of the cluster names, and good keys at the wrong place."""
    connection, read = cluster.connection, product.secret
    root = read("milvus-root", cluster.namespace)["password"]
    inner = dict(line.split(maxsplit=1) for line in read("gateway-maps", cluster.namespace)["users.map"].splitlines())
    theirs = read(f"{other.name}-user", other.project)
    own = read(f"{cluster.name}-user", cluster.project)
    admin = (connection["username"], connection["password"])
    secrets = (
        (KEY, "of another cluster", other.key["token"], "unknown_key"),
        (KEY, "made up", "A" * 43, "unknown_key"),
        (KEY, "none at all", "", "no_token"),
        (USER, "of another cluster", f"{theirs['username']}:{theirs['password']}", "unauthenticated"),
        (USER, "with a wrong password", f"{own['username']}:{WRONG}", "unauthenticated"),
        (USER, "root, with its password", f"root:{root}", "user_not_from_outside"),
        (USER, "root, with Milvus' default password", "root:Milvus", "user_not_from_outside"),
        (USER, "a technical user, with its password", f"zt_admin:{inner['zt_admin']}", "user_not_from_outside"),
    )
    found = [Subject(kind=kind, name=name, token=token, refused=refused) for kind, name, token, refused in secrets]
    lost = {"refused": "unreachable", "stranger": True}
    return [
        *found,
        Subject(kind=KEY, name="DataAdmin, from an address not on the list", token=cluster.key["token"], **lost),
        Subject(kind=USER, name="DataAdmin, from an address not on the list", token=":".join(admin), **lost),
    ]
