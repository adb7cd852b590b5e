"""Who a cluster is: its ServiceAccounts in Kubernetes, and the identities that may touch its buckets, one a role of pod.

Where the store knows roles (AWS with IRSA) an identity is a role that exactly one ServiceAccount may assume; elsewhere it
is a user with a key pair. Both carry the same policy: these buckets, these actions, nothing else.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from zilliz_operator.api.dataplane import IdentityMode, Provider

from .context import BACKUP, GATEWAY, MILVUS, ClusterContext
from .manifest import Manifest, manifest
from .store import aws_domain, bucket_name, iam_path, partition, role_arn, role_name, tags

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
REGIONAL_STS_ANNOTATION = "eks.amazonaws.com/sts-regional-endpoints"
"""The region's own STS, for that is where the network policies lead."""

LIST_ACTIONS = ("s3:GetBucketLocation", "s3:ListBucket")
BUCKET_ACTIONS = (*LIST_ACTIONS, "s3:ListBucketMultipartUploads")
OBJECT_ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)
READ_KEY, WRITE_KEY = "kms:Decrypt", "kms:GenerateDataKey"

KEYED: Final = (MILVUS,)
"""Who gets a key pair where there are no roles. Nothing in the gateway's pods uses the store yet, and no pod makes backups: a
key that nobody uses is only a key to lose. A role holds nothing that could be lost, so with IRSA everybody has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing an identity may do."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """(operator, key, values), all of which must hold."""

    def statement(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        for operator, key, values in self.condition:
            found.setdefault("Condition", {}).setdefault(operator, {})[key] = list(values)
        return found


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
    alone. `allowed` says in words what it allows.
    """

    kind: IdentityMode
    component: str
    name: str
    path: str
    policy_name: str
    allowed: str
    statements: tuple[Statement, ...]
    trust: Trust | None
    permissions_boundary_arn: str | None
    uid: str
    tags: tuple[tuple[str, str], ...]

    def policy_document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [statement.statement() for statement in self.statements]}

    def policy_json(self) -> str:
        return _canonical(self.policy_document())


def identities(ctx: ClusterContext) -> tuple[StoreIdentity, ...]:
    """Every identity of the cluster on this store."""
    chosen = KEYED if takes_keys(ctx) else tuple(IDENTITIES)
    return tuple(IDENTITIES[component](ctx) for component in chosen)


def takes_keys(ctx: ClusterContext) -> bool:
    """Whether identities are users with key pairs here."""
    return ctx.data_plane.object_storage.identity is IdentityMode.ACCESS_KEYS


def milvus_identity(ctx: ClusterContext) -> StoreIdentity:
    """Milvus reads and writes its data."""
    data = bucket_name(ctx, "data")
    statements = (*_use(ctx, data), *_key(ctx, (READ_KEY, WRITE_KEY), data))
    return _identity(ctx, MILVUS, allowed=f"use bucket {data}", statements=statements)


def gateway_identity(ctx: ClusterContext) -> StoreIdentity:
    """The agent adds audit objects. It can neither read, list nor remove one: a gateway that was broken into cannot cover
    its tracks."""
    audit = bucket_name(ctx, "audit")
    add = Statement(sid="AddObjects", actions=("s3:PutObject",), resources=(_objects(ctx, audit),))
    statements = (add, *_key(ctx, (WRITE_KEY,), audit))
    return _identity(ctx, GATEWAY, allowed=f"add objects to bucket {audit}", statements=statements)


def backup_identity(ctx: ClusterContext) -> StoreIdentity:
    """The backup tool copies: it reads the data and writes elsewhere."""
    data, backup = bucket_name(ctx, "data"), bucket_name(ctx, "backup")
    read = (
        Statement(sid="ReadBucket", actions=LIST_ACTIONS, resources=(_bucket(ctx, data),)),
        Statement(sid="ReadObjects", actions=("s3:GetObject",), resources=(_objects(ctx, data),)),
    )
    keys = (*_key(ctx, (READ_KEY,), data, backup), *_key(ctx, (WRITE_KEY,), backup))
    statements = (*read, *_use(ctx, backup), *keys)
    return _identity(ctx, BACKUP, allowed=f"read bucket {data} and use bucket {backup}", statements=statements)


IDENTITIES: Final[Mapping[str, Callable[[ClusterContext], StoreIdentity]]] = {
    MILVUS: milvus_identity,
    GATEWAY: gateway_identity,
    BACKUP: backup_identity,
}


def service_accounts(ctx: ClusterContext) -> list[Manifest]:
    """One ServiceAccount a role of pod; none mounts a token for the API server."""
    return [_service_account(ctx, component) for component in IDENTITIES]


def _service_account(ctx: ClusterContext, component: str) -> Manifest:
    annotations = {ROLE_ANNOTATION: role_arn(ctx, component), REGIONAL_STS_ANNOTATION: "true"}
    return manifest(
        "ServiceAccount",
        name=component,
        namespace=ctx.namespace,
        labels=ctx.labels(component),
        annotations=None if takes_keys(ctx) else annotations,
        automountServiceAccountToken=False,
    )


def _identity(ctx: ClusterContext, component: str, *, allowed: str, statements: tuple[Statement, ...]) -> StoreIdentity:
    storage = ctx.data_plane.object_storage
    name = role_name(ctx, component)
    return StoreIdentity(
        kind=storage.identity,
        component=component,
        name=name,
        path=iam_path(ctx),
        policy_name=name,
        allowed=allowed,
        statements=statements,
        trust=None if takes_keys(ctx) else _trust(ctx, component),
        permissions_boundary_arn=storage.permissions_boundary_arn,
        uid=ctx.uid,
        tags=tags(ctx),
    )


def _use(ctx: ClusterContext, bucket: str) -> tuple[Statement, ...]:
    """Read, write and remove objects; nothing about the bucket itself, no old version, no access list."""
    return (
        Statement(sid="Bucket", actions=BUCKET_ACTIONS, resources=(_bucket(ctx, bucket),)),
        Statement(sid="Objects", actions=OBJECT_ACTIONS, resources=(_objects(ctx, bucket),)),
    )


def _key(ctx: ClusterContext, actions: tuple[str, ...], *buckets: str) -> tuple[Statement, ...]:
    """The customer's KMS key, through S3 and for these buckets alone.

    S3 tells KMS what it encrypts: the bucket where the bucket key is on, else the object.
    """
    storage, key = ctx.data_plane.object_storage, ctx.spec.storage.kms_key_arn
    if key is None or storage.provider is not Provider.AWS:
        return ()
    region = ctx.data_plane.region or ""
    encrypted = tuple(arn for bucket in buckets for arn in (_bucket(ctx, bucket), _objects(ctx, bucket)))
    condition = (
        ("StringEquals", "kms:ViaService", (f"s3.{region}.{aws_domain(region)}",)),
        ("StringLike", "kms:EncryptionContext:aws:s3:arn", encrypted),
    )
    sid = "Key" + "".join(action.partition(":")[2] for action in actions)
    return (Statement(sid=sid, actions=actions, resources=(key,), condition=condition),)


def _bucket(ctx: ClusterContext, name: str) -> str:
    return f"arn:{partition(ctx)}:s3:::{name}"


def _objects(ctx: ClusterContext, name: str) -> str:
    return f"{_bucket(ctx, name)}/*"


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
