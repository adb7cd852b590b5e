"""What everybody may do at the Kubernetes API of the node, by requests that are really made, as dry runs, in everybody's name.

`rows` is all that a report needs: each has what the table says and what was seen. Nothing here asserts.
"""

import http.client
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.apiserver.client import MERGE, Answer, Api, path_of
from tests.node import may_kubernetes as table
from tests.node.harness import OPERATOR_NAMESPACE, Cluster, Manifest, Product, ours
from tests.node.may_kubernetes import Person

PREFIX = "oidc:"
SAMPLE = "may-sample"
DONE, REFUSED = "done", "refused"
HAND_OUT = "hand out"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request."""

    person: str
    place: str
    kind: str
    action: str
    expected: str
    seen: str

    @property
    def differs(self) -> bool:
        return self.expected != self.seen

    def __str__(self) -> str:
        return f"{self.action} {self.kind} in {self.place}: {self.seen}, expected {self.expected}"


def rows(product: Product, cluster: Cluster, other: Cluster) -> list[Row]:
    """Everybody, every kind, every verb, everywhere; and who may hand out what. What this makes is gone afterwards."""
    places = places_of(cluster, other)
    with bound(product, cluster), samples(product, places):
        api = product.api
        connection = api.connect()
        try:
            asks = Asks(api, connection, places, cluster)
            return [row for person in table.PEOPLE for row in (*asks.table(person), *asks.hand_out(person))]
        finally:
            connection.close()


def places_of(cluster: Cluster, other: Cluster) -> Mapping[str, str]:
    """Place of the table → namespace."""
    return {
        table.OWN: cluster.project,
        table.OTHER: other.project,
        table.ORGANIZATION: OPERATOR_NAMESPACE,
        table.DATA: cluster.namespace,
    }


@contextmanager
def bound(product: Product, cluster: Cluster) -> Iterator[None]:
    """The policies that bind them, in force."""
    made: list[tuple[str, str]] = []
    try:
        for number, person in enumerate(table.PEOPLE):
            if person.level:
                namespace = OPERATOR_NAMESPACE if person.level == "Organization" else cluster.project
                name = f"may-person-{number}"
                product.apply(policy(name, namespace, person, cluster.name))
                made.append((name, namespace))
        for name, namespace in made:
            product.wait_condition("AccessPolicy", name, namespace)
        yield
    finally:
        for name, namespace in made:
            product.api.delete("AccessPolicy", name, namespace=namespace)


def policy(name: str, namespace: str, person: Person, cluster: str) -> Manifest:
    """The AccessPolicy that gives somebody their role."""
    subject = {"kind": person.kind, "name": person.name}
    if person.kind == "ServiceAccount":
        subject["namespace"] = namespace
    chosen: Manifest = {"clusters": {"names": [cluster]}} if person.level == "Cluster" else {}
    return ours(
        "AccessPolicy", name, namespace, {"level": person.level, "role": person.role, "subjects": [subject], **chosen}
    )


@contextmanager
def samples(product: Product, places: Mapping[str, str]) -> Iterator[None]:
    """Something of each other kind to change and to remove, so that only rights decide. It does nothing."""
    namespaces = (places[table.OWN], places[table.OTHER])
    made = [
        (kind, namespace) for kind in ("Allowlist", "ConfigMap", "Secret", "ServiceAccount") for namespace in namespaces
    ]
    try:
        for kind, namespace in made:
            product.api.apply(manifest(kind, SAMPLE, namespace, "")).must()
        yield
    finally:
        for kind, namespace in made:
            product.api.delete(kind, SAMPLE, namespace=namespace)


def manifest(kind: str, name: str, namespace: str, cluster: str) -> Manifest:
    """The smallest object of a kind that admission would take."""
    rbac = "rbac.authorization.k8s.io"
    reference = {"roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"}}
    subject = {"subjects": [{"apiGroup": rbac, "kind": "User", "name": "mallory"}]}
    chosen = {"clusters": {"names": [cluster or "none"]}}
    level = "Organization" if namespace == OPERATOR_NAMESPACE else "Project"
    somebody = {"level": level, "role": "DataViewer", "subjects": [{"kind": "Group", "name": "anybody"}]}
    specs: dict[str, Manifest] = {
        "ZillizCluster": {"size": {"cuSize": 1}},
        "Allowlist": {**chosen, "entries": [{"cidr": "203.0.113.0/24"}]},
        "AccessPolicy": somebody,
        "BackupPolicy": {**chosen, "frequency": [1]},
        "Backup": {"cluster": cluster or "none"},
        "Restore": {"backup": "none", "cluster": cluster or "none"},
    }
    if kind in specs:
        return ours(kind, name, namespace, specs[kind])
    bodies: dict[str, Manifest] = {
        "Pod": {"spec": {"containers": [{"name": "x", "image": "x"}]}},
        "RoleBinding": {**reference, **subject},
        "ClusterRoleBinding": {**reference, **subject},
    }
    metadata = {
        "name": name,
        **({} if kind in (*table.CLUSTER_SCOPED, "ClusterRoleBinding") else {"namespace": namespace}),
    }
    version = f"{rbac}/v1" if kind.endswith("RoleBinding") else "v1"
    version = "byoc.zilliz.com/v1alpha1" if kind in table.OURS else version
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **bodies.get(kind, {})}


class Asks:
    """One person's requests after another's."""

    def __init__(
        self, api: Api, connection: http.client.HTTPSConnection, places: Mapping[str, str], cluster: Cluster
    ) -> None:
        self._api, self._connection, self._places, self._cluster = api, connection, places, cluster

    def table(self, person: Person) -> Iterator[Row]:
        for place, kind in ((place, kind) for place in table.PLACES for kind in table.KINDS):
            scoped = kind in (*table.CLUSTER_SCOPED, "ClusterRoleBinding")
            if scoped and place != table.OWN:
                continue
            letters = person.may.get((place, kind), "")
            for letter, verb in table.VERBS.items():
                answer = self._ask(person, verb, kind, "" if scoped else self._places[place])
                expected = DONE if letter in letters else REFUSED
                where = "cluster scope" if scoped else place
                yield Row(
                    person=person.said, place=where, kind=kind, action=verb, expected=expected, seen=outcome(answer)
                )

    def hand_out(self, person: Person) -> Iterator[Row]:
        for role in (*table.ROLES, table.CUSTOM):
            level = "Organization" if role == "OrganizationOwner" else "Project"
            namespace = OPERATOR_NAMESPACE if level == "Organization" else self._cluster.project
            subjects = [{"kind": "Group", "name": "anybody"}]
            given: Manifest = {"role": role, "subjects": subjects}
            if role == table.CUSTOM:
                key = {"kind": "ApiKey", "name": "anybody", "secretName": "anybody-key"}
                given = {"grants": [{"privileges": ["Search"]}], "subjects": [key]}
            made = ours("AccessPolicy", "may-handed-out", namespace, {"level": level, **given})
            answer = self.request(person, "POST", path_of("AccessPolicy", namespace=namespace), made)
            mine = person.hands_out | ({role} if person.role == role == "OrganizationOwner" else set())
            expected = DONE if role in mine else REFUSED
            place = "organization" if level == "Organization" else table.OWN
            yield Row(
                person=person.said, place=place, kind=role, action=HAND_OUT, expected=expected, seen=outcome(answer)
            )

    def _ask(self, person: Person, verb: str, kind: str, namespace: str) -> Answer:
        if verb == "list":
            return self.request(person, "GET", path_of(kind, namespace=namespace), None)
        if verb == "create":
            body = manifest(kind, "may-created", namespace, self._cluster.name)
            return self.request(person, "POST", path_of(kind, namespace=namespace), body)
        path = path_of(kind, self._name(kind, namespace), namespace=namespace)
        if verb == "patch":
            return self.request(person, "PATCH", path, {"metadata": {"annotations": {"tried": "by a report"}}})
        return self.request(person, "DELETE", path, None)

    def _name(self, kind: str, namespace: str) -> str:
        """Something that is there, where there is any."""
        if kind == "ZillizCluster" and namespace == self._cluster.project:
            return self._cluster.name
        if kind == "DataPlane":
            return "default"
        return SAMPLE

    def request(self, person: Person, method: str, path: str, body: Manifest | None) -> Answer:
        query = None if method == "GET" else {"dryRun": "All"}
        content = MERGE if method == "PATCH" else "application/json"
        user, groups = identity(person, self._cluster.project)
        return self._api.request(
            method, path, body=body, content=content, query=query, user=user, groups=groups, over=self._connection
        )


def identity(person: Person, project: str) -> tuple[str, Sequence[str]]:
    """As the API server knows them."""
    everybody = ["system:authenticated"]
    if person.kind == "Group":
        return f"{PREFIX}somebody@acme.test", [f"{PREFIX}{person.name}", *everybody]
    if person.kind == "ServiceAccount":
        return f"system:serviceaccount:{project}:{person.name}", ["system:serviceaccounts", *everybody]
    return f"{PREFIX}{person.name}", everybody


def outcome(answer: Answer) -> str:
    """What came of a request. Nothing there to change is no refusal: rights are asked for first."""
    if answer.ok or answer.status == 404:
        return DONE
    if answer.status == 403:
        return REFUSED
    return f"{answer.status} {answer.message}"[:200]
