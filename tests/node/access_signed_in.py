"""The same people at the Kubernetes API by tokens of an identity provider, and those whose token is not good enough.

What impersonation cannot show: that the API server believes such a token, under which name and groups, and when it does not.
"""

import http.client
import json
import ssl
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tests.apiserver.client import MERGE, Answer, Manifest, path_of
from tests.node import may_kubernetes as table
from tests.node.access_kubernetes import DONE, REFUSED, Asks, Row, bound, outcome, places_of, samples
from tests.node.harness import ROOT, Cluster, Product, ours
from tests.node.may_kubernetes import Person
from tools.devcluster import netns
from tools.devcluster.issuer import Issuer, serve
from tools.devcluster.pki import write_private

AUDIENCE = "kubernetes"
STRANGER = "not signed in"
FACTOR: Mapping[str, Any] = {"amr": ["pwd", "mfa"]}
CAREFUL = "careful@acme.test"
"""Whose policy asks for a second factor."""
BY_TOKEN = ", by token"


def rows(product: Product, cluster: Cluster, other: Cluster, *, issuer: Issuer) -> list[Row]:
    """Everybody whom the identity provider knows, as the table says; and tokens that fail. `issuer`: the data plane's."""
    places = places_of(cluster, other)
    people = [person for person in table.PEOPLE if person.kind != "ServiceAccount"]
    with (
        bound(product, cluster),
        samples(product, places),
        _careful(product, cluster),
        _known(product, issuer),
        _connection(product) as connection,
    ):
        asks = _ByToken(product, connection, places, cluster, issuer=issuer)
        found = [replace(row, person=row.person + BY_TOKEN) for each in people for row in asks.table(each)]
        return [*found, *_failing(asks, issuer, cluster)]


class _ByToken(Asks):
    """One person's requests after another's, with a token of theirs."""

    def __init__(
        self,
        product: Product,
        connection: http.client.HTTPSConnection,
        places: Mapping[str, str],
        cluster: Cluster,
        *,
        issuer: Issuer,
    ) -> None:
        super().__init__(product.api, connection, places, cluster)
        self._issuer = issuer
        self._tokens: dict[str, str] = {}

    def request(self, person: Person, method: str, path: str, body: Manifest | None) -> Answer:
        if person.name not in self._tokens:
            self._tokens[person.name] = self._issuer.token({**claims(person), **FACTOR}, audience=AUDIENCE)
        token = self._tokens[person.name]
        return self.with_token(token, method, path + ("" if method == "GET" else "?dryRun=All"), body)

    def with_token(self, token: str, method: str, path: str, body: Manifest | None = None) -> Answer:
        content = MERGE if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": content}
        self._connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
        response = self._connection.getresponse()
        data = response.read()
        try:
            return Answer(response.status, json.loads(data))
        except ValueError:
            return Answer(response.status, {"message": data.decode(errors="replace")})


def claims(person: Person) -> Mapping[str, Any]:
    """What the identity provider says of somebody."""
    if person.kind == "Group":
        return {"email": "somebody@acme.test", "groups": [person.name]}
    return {"email": person.name}


def _failing(asks: _ByToken, issuer: Issuer, cluster: Cluster) -> Iterator[Row]:
    """Tokens of somebody who may write, each with what is wrong with it; and the second factor."""
    admin: Mapping[str, Any] = {"email": "projectadmin@acme.test", **FACTOR}
    good = issuer.token(admin, audience=AUDIENCE)
    head, body, _ = good.split(".")
    impostor = Issuer(issuer.directory / "impostor", issuer.port)
    for said, token in (
        ("a token that has ended", issuer.token(admin, audience=AUDIENCE, seconds=-60)),
        ("a token for the doors", issuer.token(admin, audience="milvus")),
        ("a token that another key signed", impostor.token(admin, audience=AUDIENCE)),
        ("a token that nobody signed", f"{head}.{body}."),
        ("a token of another issuer", issuer.token({**admin, "iss": "https://127.0.0.1:1"}, audience=AUDIENCE)),
    ):
        yield from _both(asks, cluster, said, token, (STRANGER, STRANGER))
    careful = {"email": CAREFUL}
    for said, more, expected in (
        ("requireMFA, token without a second factor", {"amr": ["pwd"]}, (DONE, REFUSED)),
        ("requireMFA, token with one", FACTOR, (DONE, DONE)),
    ):
        token = issuer.token({**careful, **more}, audience=AUDIENCE)
        yield from _both(asks, cluster, said, token, expected)


def _both(asks: _ByToken, cluster: Cluster, said: str, token: str, expected: Sequence[str]) -> Iterator[Row]:
    """Reading and writing the cluster."""
    note = {"metadata": {"annotations": {"tried": "by a report"}}}
    listing = asks.with_token(token, "GET", path_of("ZillizCluster", namespace=cluster.project))
    path = path_of("ZillizCluster", cluster.name, namespace=cluster.project)
    writing = asks.with_token(token, "PATCH", f"{path}?dryRun=All", note)
    for action, answer, wanted in zip(("list", "patch"), (listing, writing), expected, strict=True):
        seen = STRANGER if answer.status == 401 else outcome(answer)
        yield Row(person=said, place=table.OWN, kind="ZillizCluster", action=action, expected=wanted, seen=seen)


@contextmanager
def _careful(product: Product, cluster: Cluster) -> Iterator[None]:
    spec = {
        "level": "Project",
        "role": "DataAdmin",
        "requireMFA": True,
        "subjects": [{"kind": "User", "name": CAREFUL}],
    }
    product.apply(ours("AccessPolicy", "may-careful", cluster.project, spec))
    try:
        product.wait_condition("AccessPolicy", "may-careful", cluster.project)
        yield
    finally:
        product.api.delete("AccessPolicy", "may-careful", namespace=cluster.project)


@contextmanager
def _known(product: Product, issuer: Issuer) -> Iterator[None]:
    """The issuer answers on the node, and its API server is told of it by `zilliz-operator sso render`."""
    with product.inside():
        server = serve(issuer)
    try:
        command = ("sso", "render", "--dataplane", "default", "--ca-file", str(issuer.authority))
        rendered = product.run(
            *("env", f"PYTHONPATH={ROOT / 'operator'}", f"KUBECONFIG={product.layout.kubeconfig}"),
            *(sys.executable, "-m", "zilliz_operator.cli", *command),
        )
        write_private(product.layout.authentication, rendered.encode())
        with _connection(product) as connection:
            asks = _ByToken(product, connection, {}, Cluster(product, "none", "none"), issuer=issuer)
            review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
            path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
            product.wait_for(
                lambda: asks.with_token(issuer.token({"email": "x"}, audience=AUDIENCE), "POST", path, review).ok,
                what="the API server accepts the issuer's tokens",
                every=1.0,
            )
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _connection(product: Product) -> Iterator[http.client.HTTPSConnection]:
    """To the API server, with no certificate of our own."""
    host, _, port = product.layout.server.removeprefix("https://").partition(":")
    context = ssl.create_default_context(cafile=str(product.layout.pki / "kube.crt"))
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
    with netns.inside(product.layout.name):
        connection.connect()
    try:
        yield connection
    finally:
        connection.close()
