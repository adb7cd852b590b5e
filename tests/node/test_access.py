"""Who may do what behind a real door, in front of a real Milvus: what roles and grants give, and how soon what ends is over.

The whole table, with everybody in it, is `make access-report`'s; here it is tried with a few of each kind. Deadlines of five seconds
are promises.
"""

import datetime as dt
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.node import access_tokens, direct, door, may
from tests.node.access import ADDRESSES, USER, Policies
from tests.node.access_door import Door
from tests.node.harness import OPERATOR_NAMESPACE, ROOT, Cluster, Host, Manifest, Product, ours
from zilliz_operator.api import names

IN_FORCE = 5.0
"""Seconds until what was taken away opens nothing any more, on open connections too."""
ROLES = ("DataViewer", "DataOperator")
GRANTS = ("reader-of-docs", "searcher-of-shop")
TOKENS = frozenset(
    {
        "group operators",
        "groups viewers and writers",
        "groups viewers and admins, without a second factor",
        "group admins, without a second factor",
        "expired",
    }
)
GRACE_MINUTES = 1
OPERATOR = "zilliz-operator"
LATE = "access-late"


@pytest.fixture(scope="module")
def cluster(product: Product, quickstart: Cluster) -> Iterator[Cluster]:
    """The shared cluster, with the collections that attempts are about, and a few hosts more on its list."""
    Door(quickstart).furnish(product.office)
    entries = [{"cidr": f"{address}/32"} for address in ADDRESSES]
    product.apply(ours("Allowlist", "access", quickstart.project, {"entries": entries}))
    product.wait_condition("Allowlist", "access", quickstart.project)
    yield quickstart
    product.delete("Allowlist", "access", quickstart.project)


@pytest.fixture(scope="module")
def rotation(product: Product, cluster: Cluster) -> "Iterator[Rotation]":
    """Credentials before and after a rotation that is under way. It begins early, because a grace period takes its time."""
    found = Rotation(product, cluster)
    found.begin()
    yield found
    product.delete("AccessPolicy", found.name, cluster.project)


def host(product: Product, number: int) -> Host:
    """One of the hosts on the list, by an address that no other test uses up."""
    address = ADDRESSES[number]
    return product.host(f"host-{address.rpartition('.')[2]}", address)


def wait_known(product: Product, cluster: Cluster, token: str) -> None:
    """Until the door lets somebody in. Asked from many addresses, because the door counts failures of each."""
    turns = itertools.cycle(range(len(ADDRESSES) // 2, len(ADDRESSES)))
    product.wait_for(
        lambda: door.rest(cluster, token=token, source=host(product, next(turns))).status == 200,
        what="the door knows the new credentials",
        deadline=30,
        every=0.5,
    )


@dataclass
class Rotation:
    """A policy whose user and key were made anew on demand."""

    product: Product
    cluster: Cluster
    name: str = "rotated"
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        grace = {"graceMinutes": GRACE_MINUTES}
        subjects = [
            {"kind": "ApiKey", "name": self.name, "secretName": f"{self.name}-key", **grace},
            {"kind": "ClusterUser", "name": self.name, "secretName": f"{self.name}-user", **grace},
        ]
        spec = {
            "level": "Cluster",
            "clusters": {"names": [self.cluster.name]},
            "role": "DataViewer",
            "subjects": subjects,
        }
        self.product.apply(ours("AccessPolicy", self.name, self.cluster.project, spec))
        self.product.wait_condition("AccessPolicy", self.name, self.cluster.project)
        self.before = self.tokens()
        asked = {"metadata": {"annotations": {f"{names.PREFIX}rotate": "once"}}}
        self.product.merge("AccessPolicy", self.name, asked, namespace=self.cluster.project)

        def renewed() -> bool:
            self.after = self.tokens()
            return not set(self.before.values()) & set(self.after.values())

        self.product.wait_for(renewed, what="both credentials were made anew")

    def tokens(self) -> dict[str, str]:
        key = self.product.secret(f"{self.name}-key", self.cluster.project)["token"]
        user = self.product.secret(f"{self.name}-user", self.cluster.project)
        return {"key": key, "user": f"{user['username']}:{user['password']}"}

    def until(self) -> list[str]:
        """When the old ones end, as the policy's status says."""
        status = self.product.get("AccessPolicy", self.name, self.cluster.project)["status"]
        return [each["previousUntil"] for each in status["subjects"] if each.get("previousUntil")]


def test_old_and_new_credentials_are_both_good_after_a_rotation(product: Product, rotation: Rotation) -> None:
    cluster, office = rotation.cluster, product.office
    new = {f"new {kind}": token for kind, token in rotation.after.items()}
    old = {f"old {kind}": token for kind, token in rotation.before.items()}

    wait_known(product, cluster, rotation.after["key"])
    said = door.grpc(cluster, new | old, source=office)
    assert {name: "ok" in answer for name, answer in said.items()} == dict.fromkeys([*new, *old], True)
    assert len(rotation.until()) == 2


def test_each_role_and_each_grant_gives_what_it_says_and_no_more(
    product: Product, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(may, "ROLES", {role: may.ROLES[role] for role in ROLES})
    monkeypatch.setattr(may, "GRANTS", {name: may.GRANTS[name] for name in GRANTS})
    policies = Policies(product, cluster)
    try:
        people = [each for each in policies.named() if each.kind == USER]
        rows = Door(cluster).tried(people, product.office)
    finally:
        policies.remove()
    assert [f"{row.subject}: {row}" for row in rows if row.differs] == []
    assert {row.subject for row in rows} == {*ROLES, *GRANTS}
    assert {row.seen for row in rows} == {may.DONE, may.DENIED}


def test_tokens_of_single_sign_on_give_what_their_groups_are_given(
    product: Product, cluster: Cluster, tmp_path: Path
) -> None:
    people = access_tokens.People(product, cluster)
    groups = ("viewers", "operators", "admins", "writers")
    try:
        with access_tokens.trusted(product, tmp_path) as issuer:
            people.admit(groups)
            tokens = [each for each in access_tokens.subjects(issuer, tmp_path) if each.name in TOKENS]
            rows = Door(cluster).tried(tokens, product.office)
    finally:
        people.remove()
    assert [f"{row.subject}: {row}" for row in rows if row.differs] == []
    assert {row.subject for row in rows} == TOKENS


class Watch:
    """What a client with open connections sees, from another process."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.seen: dict[str, list[tuple[str, float]]] = {
            f"{t} over {way}": [] for t in tokens for way in ("grpc", "rest")
        }

    def take(self, lines: Iterator[str]) -> None:
        for name, seen, at in map(json.loads, lines):
            self.seen[name].append((seen, at))

    def first(self) -> dict[str, str]:
        return {name: changes[0][0] if changes else "" for name, changes in self.seen.items()}

    def now(self) -> dict[str, str]:
        return {name: changes[-1][0] if changes else "" for name, changes in self.seen.items()}


@contextmanager
def watching(cluster: Cluster, source: Host, tokens: dict[str, str]) -> Iterator[Watch]:
    """Clients that call without pause over connections that stay open, meanwhile."""
    asked = {**Door(cluster).asked((), keeper=False), "tokens": tokens}
    words = [sys.executable, "-m", "tools.devcluster", "--name", cluster.product.name, "client", source.name]
    words += ["--address", str(source.address), "--", sys.executable, "-m", "tests.node.watching"]
    watch = Watch([*tokens])
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        assert process.stdin
        assert process.stdout
        threading.Thread(target=watch.take, args=(iter(process.stdout.readline, ""),), daemon=True).start()
        try:
            print(json.dumps(asked), file=process.stdin, flush=True)
            cluster.product.wait_for(lambda: all(watch.now().values()), what="every connection was used", deadline=60)
            yield watch
        finally:
            process.stdin.close()
            process.wait(10)


def test_what_is_revoked_is_refused_on_open_connections_within_five_seconds(product: Product, cluster: Cluster) -> None:
    policies = Policies(product, cluster)
    policies.make("revoked", role="DataViewer")
    policies.wait()
    key, user = policies.pair("revoked")
    other = {"another key": cluster.key["token"]}
    try:
        with watching(cluster, product.office, {"key": key.token, "user": user.token, **other}) as watch:
            assert set(watch.first().values()) == {"done"}
            began = time.time()
            policies.delete("revoked")
            gone = [name for name in watch.seen if not name.startswith("another")]

            def over() -> bool:
                return all(watch.now()[name] != "done" for name in gone)

            product.wait_for(over, what="nobody is let in any more", deadline=IN_FORCE + 5, every=0.05)
            took = {name: watch.seen[name][-1][1] - began for name in gone}
            assert {name: seconds for name, seconds in took.items() if seconds > IN_FORCE} == {}
            assert {name: seen for name, seen in watch.now().items() if name not in gone} == {
                f"another key over {way}": "done" for way in ("grpc", "rest")
            }
    finally:
        policies.remove()


def test_a_password_changed_behind_our_back_is_set_back(product: Product, cluster: Cluster, rotation: Rotation) -> None:
    """As Milvus knows the user, which nobody but the doors and the operator does."""
    user = rotation.name
    lines = product.secret("gateway-maps", cluster.namespace)["users.map"].splitlines()
    inner = dict(line.split(maxsplit=1) for line in lines)[user]
    direct.set_password(product, cluster, user=user, old=inner, new="Behind-0-our-back")
    product.merge("ZillizCluster", cluster.name, touched(), namespace=cluster.project)
    product.wait_for(
        lambda: direct.login(product, cluster, user=user, password="Behind-0-our-back") != "done",
        what="the foreign password is refused",
        deadline=60,
    )
    wait_known(product, cluster, rotation.after["user"])


def touched() -> Manifest:
    """An annotation of no meaning: the operator looks at once, and need not wait for its next round."""
    return {"metadata": {"annotations": {"tests/touched": str(time.time())}}}


def test_root_is_made_anew_on_demand_and_the_old_password_refused(product: Product, cluster: Cluster) -> None:
    before = product.secret("milvus-root", cluster.namespace)["password"]
    assert direct.login(product, cluster, user="root", password=before) == "done"
    asked = {"metadata": {"annotations": {f"{names.PREFIX}rotate-root": str(time.time())}}}
    product.merge("ZillizCluster", cluster.name, asked, namespace=cluster.project)

    def renewed() -> str:
        found = product.secret("milvus-root", cluster.namespace)["password"]
        return found if found != before else ""

    after = product.wait_for(renewed, what="root has a new password", deadline=60)
    product.wait_for(
        lambda: direct.login(product, cluster, user="root", password=after) == "done", what="root's new password works"
    )
    assert direct.login(product, cluster, user="root", password=before) == "unauthenticated"
    cluster.wait_condition("AccessApplied")
    assert door.rest(cluster, token=cluster.key["token"], source=product.office).status == 200


def test_guessers_are_held_off_and_nobody_else(product: Product, cluster: Cluster, rotation: Rotation) -> None:
    guesser, neighbour = host(product, 0), host(product, 1)
    wrong = [f"{rotation.name}:Guess-{number}-guess" for number in range(60)]
    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(lambda token: door.rest(cluster, token=token, source=guesser).status, wrong))
    assert set(said) == {401, 429}
    one_more = f"{rotation.name}:Guess-more-guess"
    assert {door.rest(cluster, token=one_more, source=guesser).status for _ in range(4)} == {429}
    for kind, token in rotation.after.items():
        assert door.rest(cluster, token=token, source=guesser).status == 200, f"a good {kind} is no guess"
    assert door.rest(cluster, token=one_more, source=neighbour).status == 401, "another address is heard"
    assert door.rest(cluster, token=rotation.after["user"], source=neighbour).status == 200


def stop_operators(product: Product) -> None:
    """At once: they have no time to prepare for what is to come."""
    product.merge("Deployment", OPERATOR, {"spec": {"replicas": 0}}, namespace=OPERATOR_NAMESPACE)
    label = f"app.kubernetes.io/name={OPERATOR}"
    product.kubectl(
        "delete", "pod", "-n", OPERATOR_NAMESPACE, "-l", label, "--force", "--grace-period=0", "--wait=false"
    )
    product.wait_for(
        lambda: not product.list("Pod", OPERATOR_NAMESPACE, labels={"app.kubernetes.io/name": OPERATOR}),
        what="no operator runs",
    )


def test_an_entry_ends_on_time_while_no_operator_runs(product: Product, cluster: Cluster) -> None:
    visitor = product.host("visitor", "10.200.0.240")
    end = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=30)
    entry = {"cidr": f"{visitor.address}/32", "expiresAt": end.strftime("%Y-%m-%dT%H:%M:%SZ")}
    product.apply(ours("Allowlist", LATE, cluster.project, {"entries": [entry]}))
    key = cluster.key["token"]
    try:
        product.wait_condition("Allowlist", LATE, cluster.project)
        stop_operators(product)
        assert door.rest(cluster, token=key, source=visitor).status == 200
        assert dt.datetime.now(dt.UTC) < end, "the machine is too slow for this test's clock"
        product.wait_for(lambda: dt.datetime.now(dt.UTC) > end, what="the entry's time is over")
        after = door.rest(cluster, token=key, source=visitor)
        assert (after.status, "ip_entry_ended" in after.message) == (403, True)
        assert door.rest(cluster, token=key, source=product.office).status == 200
    finally:
        product.merge("Deployment", OPERATOR, {"spec": {"replicas": 2}}, namespace=OPERATOR_NAMESPACE)
        product.delete("Allowlist", LATE, cluster.project)
        cluster.wait_condition("Ready")


def test_the_old_credentials_end_with_their_grace_period(product: Product, rotation: Rotation) -> None:
    """Begun by the first test of this page."""
    ends = [dt.datetime.fromisoformat(each) for each in rotation.until()]
    product.wait_for(
        lambda: not ends or dt.datetime.now(dt.UTC) > max(ends),
        what="the grace period is over",
        deadline=GRACE_MINUTES * 60 + 5,
    )
    said = door.grpc(rotation.cluster, rotation.before, source=host(product, 2))
    assert [answer for answer in said.values() if "refused" not in answer] == []
    said = door.grpc(rotation.cluster, rotation.after, source=host(product, 2))
    assert [answer for answer in said.values() if "ok" not in answer] == []
