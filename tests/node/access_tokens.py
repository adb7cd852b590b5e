"""An issuer of single sign-on that the node's doors trust, the policies that name its people, and tokens of every kind."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.node import may_tokens
from tests.node.access_door import Subject
from tests.node.harness import OPERATOR_NAMESPACE, Cluster, Product, ours
from tests.node.may_tokens import ANNA, AUDIENCE, PEOPLE, Token
from tools.devcluster.issuer import Issuer

SECRET = "may-issuer"
KIND = "SSO token"
DATA_PLANE = "default"
PREFIX = "may-group"


@contextmanager
def trusted(product: Product, directory: Path) -> Iterator[Issuer]:
    """An issuer whose keys the doors of the data plane know, meanwhile."""
    issuer = Issuer(directory)
    keys = json.dumps(issuer.documents()["/keys"])
    metadata = {"name": SECRET, "namespace": OPERATOR_NAMESPACE}
    product.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"jwks": keys}})
    entry = {
        "issuer": issuer.url,
        "audience": AUDIENCE,
        "jwksSecretRef": {"name": SECRET, "key": "jwks"},
        "mfa": {"claim": "amr", "values": ["mfa", "hwk"]},
    }
    product.merge("DataPlane", DATA_PLANE, {"spec": {"sso": [entry]}})
    try:
        product.wait_condition("DataPlane", DATA_PLANE)
        yield issuer
    finally:
        product.merge("DataPlane", DATA_PLANE, {"spec": {"sso": None}})
        product.api.delete("Secret", SECRET, namespace=OPERATOR_NAMESPACE)


class People:
    """The policies that name groups and a person on one cluster."""

    def __init__(self, product: Product, cluster: Cluster) -> None:
        self._product, self._cluster = product, cluster
        self._made: list[str] = []

    def admit(self, groups: Iterable[str] = tuple(PEOPLE), *, until: dt.datetime | None = None) -> None:
        """Give each group what its policy says; that of `late` ends at `until`."""
        for group in groups:
            end = {"expiresAt": until.strftime("%Y-%m-%dT%H:%M:%SZ")} if until and group == "late" else {}
            self._policy(group, {"kind": "Group", "name": group}, {**PEOPLE[group], **end})
        self._policy("anna", {"kind": "User", "name": ANNA}, {"role": "DataViewer"})
        for name in self._made:
            self._product.wait_condition("AccessPolicy", name, self._cluster.project)

    def end(self) -> None:
        """Take away what ends before tokens are tried."""
        self._product.delete("AccessPolicy", f"{PREFIX}-gone", self._cluster.project)
        self._made.remove(f"{PREFIX}-gone")

    def remove(self) -> None:
        for name in self._made:
            self._product.api.delete("AccessPolicy", name, namespace=self._cluster.project)

    def _policy(self, name: str, subject: Mapping[str, str], spec: Mapping[str, Any]) -> None:
        full = f"{PREFIX}-{name}"
        reach = {"level": "Cluster", "clusters": {"names": [self._cluster.name]}}
        self._product.apply(
            ours("AccessPolicy", full, self._cluster.project, {**reach, **spec, "subjects": [dict(subject)]})
        )
        self._made.append(full)


def subjects(issuer: Issuer, directory: Path) -> list[Subject]:
    """A bearer of each token."""
    impostor = Issuer(directory / "impostor", issuer.port)
    return [
        Subject(
            kind=KIND,
            name=token.said,
            token=mint(token, issuer=issuer, impostor=impostor),
            rights=token.rights,
            refused=token.refused,
            stranger=token.stranger,
        )
        for token in may_tokens.TOKENS
    ]


def mint(token: Token, *, issuer: Issuer, impostor: Issuer) -> str:
    """The token that the table describes."""
    claims = {"sub": "00u-somebody", "amr": ["pwd"], **token.claims}
    if token.signer == "issuer":
        return issuer.token(claims, audience=AUDIENCE, header=token.header)
    if token.signer == "nobody":
        head, body, _ = issuer.token(claims, audience=AUDIENCE, header=token.header).split(".")
        return f"{head}.{body}."
    known = {"kid": key_id(issuer)} if token.signer == "impostor" else {}
    return impostor.token(claims, audience=AUDIENCE, header=known)


def key_id(issuer: Issuer) -> str:
    """The id of the key that the issuer signs with."""
    return str(issuer.documents()["/keys"]["keys"][0]["kid"])
