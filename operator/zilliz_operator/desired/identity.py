"""Who a cluster is: its ServiceAccounts in Kubernetes, and the one identity that may touch its bucket.

Where the store knows roles (AWS with IRSA) the identity is a role that exactly one ServiceAccount may assume; elsewhere
it is a user with a key pair. Both carry the same policy: this bucket, these actions, nothing else.
"""

import json
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api.dataplane import IdentityMode

from .context import BACKUP, GATEWAY, MILVUS, ClusterContext
from .manifest import Manifest, manifest
from .store import bucket_name, partition, role_arn, role_name, tags

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"

BUCKET_ACTIONS = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
KMS_ACTIONS = ("kms:Decrypt", "kms:GenerateDataKey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing an identity may do."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]

    def statement(self) -> dict[str, Any]:
        return {"Sid": self.sid, "Effect": "Allow", "Action": list(self.actions), "Resource": list(self.resources)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who may assume a role: one ServiceAccount of one namespace, with a token made for STS."""

    provider_arn: str
    issuer: str
    namespace: str
    service_account: str
    audience: str = "sts.amazonaws.com"

    def document(self) -> dict[str, Any]:
        subject = f"system:serviceaccount:{self.namespace}:{self.service_account}"
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Federated": self.provider_arn},
                    "Action": "sts:AssumeRoleWithWebIdentity",
                    "Condition": {"StringEquals": {f"{self.issuer}:sub": subject, f"{self.issuer}:aud": self.audience}},
                }
            ],
        }

    def json(self) -> str:
        return _canonical(self.document())


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreIdentity:
    """One identity on the store: a role `name` with `trust` (IRSA), or a user `name` with a key pair (AccessKeys).

    The policy is a *managed* one (some stores refuse part of these actions inline) named `policy_name`, attached to it
    alone.
    """

    kind: IdentityMode
    name: str
    policy_name: str
    bucket: str
    statements: tuple[Statement, ...]
    trust: Trust | None
    permissions_boundary_arn: str | None
    uid: str
    tags: tuple[tuple[str, str], ...]

    def policy_document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [statement.statement() for statement in self.statements]}

    def policy_json(self) -> str:
        return _canonical(self.policy_document())


def milvus_identity(ctx: ClusterContext) -> StoreIdentity:
    """The identity Milvus uses on the data bucket."""
    storage = ctx.data_plane.object_storage
    bucket = bucket_name(ctx, "data")
    name = role_name(ctx, MILVUS)
    irsa = storage.identity is IdentityMode.IRSA
    return StoreIdentity(
        kind=storage.identity,
        name=name,
        policy_name=name,
        bucket=bucket,
        statements=bucket_statements(ctx, bucket),
        trust=_trust(ctx, MILVUS) if irsa else None,
        permissions_boundary_arn=storage.permissions_boundary_arn,
        uid=ctx.uid,
        tags=tags(ctx),
    )


def bucket_statements(ctx: ClusterContext, bucket: str) -> tuple[Statement, ...]:
    """The least a Milvus server needs on its bucket."""
    arn = f"arn:{partition(ctx)}:s3:::{bucket}"
    statements = (
        Statement(sid="Bucket", actions=BUCKET_ACTIONS, resources=(arn,)),
        Statement(sid="Objects", actions=OBJECT_ACTIONS, resources=(f"{arn}/*",)),
    )
    key = ctx.spec.storage.kms_key_arn
    return (*statements, Statement(sid="Key", actions=KMS_ACTIONS, resources=(key,))) if key else statements


def service_accounts(ctx: ClusterContext) -> list[Manifest]:
    """One ServiceAccount a role; none mounts a token for the API server."""
    return [_service_account(ctx, component) for component in (MILVUS, GATEWAY, BACKUP)]


def _service_account(ctx: ClusterContext, component: str) -> Manifest:
    irsa = ctx.data_plane.object_storage.identity is IdentityMode.IRSA and component == MILVUS
    return manifest(
        "ServiceAccount",
        name=component,
        namespace=ctx.namespace,
        labels=ctx.labels(component),
        annotations={ROLE_ANNOTATION: role_arn(ctx, component)} if irsa else None,
        automountServiceAccountToken=False,
    )


def _trust(ctx: ClusterContext, service_account: str) -> Trust:
    provider = ctx.data_plane.object_storage.oidc_provider_arn or ""
    return Trust(
        provider_arn=provider,
        issuer=provider.partition(":oidc-provider/")[2],
        namespace=ctx.namespace,
        service_account=service_account,
    )


def _canonical(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
