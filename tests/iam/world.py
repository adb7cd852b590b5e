"""Two clusters of one data plane, everybody who might ask for something of theirs, and what each may do: the table that the policies
are held to (by an evaluator) and a real store is held to (by calls)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.desired.context import BACKUP, GATEWAY, MILVUS, ClusterContext, context_for

ROLES = (MILVUS, GATEWAY, BACKUP)
PURPOSES = ("data", "audit", "backup")
LIST, GET, PUT, DELETE = "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"
MANAGE = (
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:DeleteBucket",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutBucketObjectLockConfiguration",
)
"""On the bucket itself."""
BEYOND = (
    "s3:DeleteObjectVersion",
    "s3:GetObjectVersion",
    "s3:PutObjectAcl",
    "s3:PutObjectRetention",
    "s3:BypassGovernanceRetention",
)
"""On objects, and nobody's but the operator's."""
ACTIONS = (LIST, GET, PUT, DELETE, *MANAGE, *BEYOND)

MAY: Mapping[tuple[str, str], frozenset[str]] = {
    (MILVUS, "data"): frozenset({LIST, GET, PUT, DELETE}),
    (GATEWAY, "audit"): frozenset({PUT}),
    (BACKUP, "data"): frozenset({LIST, GET}),
    (BACKUP, "backup"): frozenset({LIST, GET, PUT, DELETE}),
}
"""Role of pod and purpose of its own cluster's bucket → actions. What is not here is nobody's: any other bucket, any other cluster."""


@dataclass(frozen=True)
class Asked:
    """One cell of the matrix."""

    asker: str
    """The asking cluster's name, or "" for somebody outside."""
    role: str
    cluster: str
    purpose: str
    action: str

    @property
    def expected(self) -> bool:
        return self.asker == self.cluster and self.action in MAY.get((self.role, self.purpose), frozenset())


def cells(names: tuple[str, ...], actions: tuple[str, ...]) -> list[Asked]:
    """Every role of every cluster × every bucket of every cluster × action."""
    return [
        Asked(asker, role, cluster, purpose, action)
        for asker in names
        for role in ROLES
        for cluster in names
        for purpose in PURPOSES
        for action in actions
    ]


def clusters(plane: Mapping[str, Any], **spec: Any) -> dict[str, ClusterContext]:
    """Two clusters, in two projects, on this data plane."""
    parsed = DataPlane.parse(plane)
    found = {}
    for number, name in enumerate(("search", "orders"), start=1):
        metadata = {"name": name, "namespace": f"team-{number}", "uid": f"0b5a5f0e-6a5e-4f0e-9a57-{number:012d}"}
        cluster = ZillizCluster.parse({"kind": "ZillizCluster", "metadata": metadata, "spec": spec})
        version = parsed.spec.versions[0]
        found[name] = context_for(
            cluster, parsed, version=version.version, image=version.image, operator_namespace="zilliz-system"
        )
    return found
