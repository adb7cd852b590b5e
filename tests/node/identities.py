"""The table of who may do what on which bucket, by calls to the node's object store with the keys that the clusters really have.

`rows` is all that a report needs: each has what the table says and what the store answered. Nothing here asserts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.iam.calls import UNKNOWN_HERE, answers, attempts
from tests.iam.world import ACTIONS, MAY
from tests.node.harness import Cluster, Product
from zilliz_operator.api import names
from zilliz_operator.desired.context import MILVUS

ASKED = tuple(action for action in ACTIONS if action not in UNKNOWN_HERE)
STRANGER = "isolation-stranger"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call."""

    asker: str
    bucket: str
    action: str
    expected: bool
    seen: bool

    @property
    def differs(self) -> bool:
        return self.expected != self.seen

    def __str__(self) -> str:
        said = {True: "done", False: "refused"}
        return f"{self.asker}, {self.action} on {self.bucket}: {said[self.seen]}, expected {said[self.expected]}"


@dataclass(frozen=True)
class Bucket:
    """One bucket of a cluster, with the version of each object that calls are about."""

    cluster: str
    purpose: str
    name: str
    versions: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.purpose} bucket of {self.cluster}"


def rows(product: Product, clusters: Sequence[Cluster]) -> list[Row]:
    """Every key that the clusters have, a key of nobody's, and no key at all: every call on every bucket of each of them."""
    found = []
    with stranger(product) as foreign:
        askers = [(each.name, _own_keys(product, each)) for each in clusters]
        clients = [(f"Milvus of {name}", name, product.s3(keys)) for name, keys in askers]
        clients += [
            ("another user of the store", "", product.s3(foreign)),
            ("nobody, without a key", "", product.anonymous_s3()),
        ]
        for bucket in _buckets(product, clusters):
            for said, name, client in clients:
                allowed = MAY.get((MILVUS, bucket.purpose), frozenset()) if name == bucket.cluster else frozenset()
                calls = attempts(client, bucket.name, bucket.versions)
                for action in ASKED:
                    seen = answers(calls[action])
                    row = Row(asker=said, bucket=str(bucket), action=action, expected=action in allowed, seen=seen)
                    found.append(row)
    return found


def _own_keys(product: Product, cluster: Cluster) -> tuple[str, str]:
    stored = product.secret("store-credentials", cluster.namespace)
    return stored["accessKeyId"], stored["secretAccessKey"]


@contextmanager
def stranger(product: Product) -> Iterator[tuple[str, str]]:
    """A user of the same store to whom nobody gave anything."""
    iam = product.iam()
    iam.create_user(UserName=STRANGER)
    pair = iam.create_access_key(UserName=STRANGER)["AccessKey"]
    try:
        yield pair["AccessKeyId"], pair["SecretAccessKey"]
    finally:
        iam.delete_access_key(UserName=STRANGER, AccessKeyId=pair["AccessKeyId"])
        iam.delete_user(UserName=STRANGER)


def _buckets(product: Product, clusters: Sequence[Cluster]) -> list[Bucket]:
    """All buckets of the clusters, each with the objects that calls are about."""
    s3, found = product.s3(), []
    existing = {each["Name"] for each in s3.list_buckets()["Buckets"]}
    for cluster in clusters:
        prefix = cluster.bucket.removesuffix(f"{cluster.id}-data")
        for purpose in ("data", "audit", "backup"):
            name = names.bucket_name(prefix=prefix, cluster_id=cluster.id, purpose=purpose)
            if name in existing:
                versions = {
                    key: s3.put_object(Bucket=name, Key=key, Body=b"v")["VersionId"]
                    for key in ("seen", "old", "removed")
                }
                found.append(Bucket(cluster.name, purpose, name, versions))
    return found
