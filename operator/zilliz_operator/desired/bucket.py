"""What a cluster's bucket must be: one frozen dataclass an aspect, compared with `==` against what a store reports.

A store that cannot do an aspect is no reason to leave it out here: the adapter reports it "unsupported" and the
condition says so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api.dataplane import Provider

from .context import MILVUS, ClusterContext
from .store import account, bucket_name, partition, role_arn, tags

ABORT_MULTIPART_DAYS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """Default encryption of new objects. Always AES-256: by the store's own key, or by a KMS key of the customer's."""

    algorithm: str = "AES256"
    kms_key_arn: str | None = None

    def configuration(self) -> dict[str, Any]:
        """As `PutBucketEncryption` takes it. The bucket key keeps KMS calls (and their bill) down."""
        default: dict[str, Any] = {"SSEAlgorithm": self.algorithm}
        if self.kms_key_arn is not None:
            default["KMSMasterKeyID"] = self.kms_key_arn
        return {
            "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": self.kms_key_arn is not None}]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioning:
    """Keeps what a mistake overwrote or deleted."""

    status: str = "Enabled"

    def configuration(self) -> dict[str, Any]:
        return {"Status": self.status}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """`BucketOwnerEnforced` turns ACLs off: nothing can be shared by an ACL."""

    object_ownership: str = "BucketOwnerEnforced"

    def configuration(self) -> dict[str, Any]:
        return {"Rules": [{"ObjectOwnership": self.object_ownership}]}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAccessBlock:
    """All four switches, always."""

    block_public_acls: bool = True
    ignore_public_acls: bool = True
    block_public_policy: bool = True
    restrict_public_buckets: bool = True

    def configuration(self) -> dict[str, bool]:
        return {
            "BlockPublicAcls": self.block_public_acls,
            "IgnorePublicAcls": self.ignore_public_acls,
            "BlockPublicPolicy": self.block_public_policy,
            "RestrictPublicBuckets": self.restrict_public_buckets,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One statement of a bucket policy. We only ever deny: what is allowed comes from the identity."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(operator, key, values), all of which must hold."""

    def statement(self) -> dict[str, Any]:
        condition: dict[str, dict[str, Any]] = {}
        for operator, key, values in self.condition:
            condition.setdefault(operator, {})[key] = values[0] if len(values) == 1 else list(values)
        return {
            "Sid": self.sid,
            "Effect": "Deny",
            "Principal": "*",
            "Action": self.actions[0] if len(self.actions) == 1 else list(self.actions),
            "Resource": list(self.resources),
            "Condition": condition,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPolicy:
    denials: tuple[Denial, ...]

    def document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [denial.statement() for denial in self.denials]}

    def json(self) -> str:
        return json.dumps(self.document(), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """Old versions leave after the grace they are kept for; pieces of uploads that were never finished leave too."""

    noncurrent_days: int
    abort_multipart_days: int = ABORT_MULTIPART_DAYS

    def configuration(self) -> dict[str, Any]:
        return {
            "Rules": [
                {
                    "ID": "noncurrent-versions",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": self.noncurrent_days},
                },
                {
                    "ID": "unfinished-uploads",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": self.abort_multipart_days},
                },
            ]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket with every aspect. `tags` hold our UID: without it a bucket is never touched."""

    name: str
    region: str | None
    uid: str
    encryption: Encryption
    versioning: Versioning
    ownership: Ownership
    public_access_block: PublicAccessBlock
    policy: BucketPolicy
    lifecycle: Lifecycle
    tags: tuple[tuple[str, str], ...]

    def tag_map(self) -> Mapping[str, str]:
        return dict(self.tags)


def data_bucket(ctx: ClusterContext) -> Bucket:
    """The bucket that holds the vectors."""
    name = bucket_name(ctx, "data")
    key = ctx.spec.storage.kms_key_arn
    return Bucket(
        name=name,
        region=ctx.data_plane.region,
        uid=ctx.uid,
        encryption=Encryption(algorithm="aws:kms", kms_key_arn=key) if key else Encryption(),
        versioning=Versioning(),
        ownership=Ownership(),
        public_access_block=PublicAccessBlock(),
        policy=BucketPolicy(denials=_denials(ctx, name)),
        lifecycle=Lifecycle(noncurrent_days=ctx.spec.storage.noncurrent_version_days),
        tags=tags(ctx),
    )


def _denials(ctx: ClusterContext, name: str) -> tuple[Denial, ...]:
    everything = (f"arn:{partition(ctx)}:s3:::{name}", f"arn:{partition(ctx)}:s3:::{name}/*")
    plain_http = Denial(
        sid="DenyPlainHttp",
        actions=("s3:*",),
        resources=everything,
        condition=(("Bool", "aws:SecureTransport", ("false",)),),
    )
    if ctx.data_plane.object_storage.provider is not Provider.AWS:
        return (plain_http,)  # other stores take more conditions without judging them: not claimed, so not written
    old_tls = Denial(
        sid="DenyTlsBelow12",
        actions=("s3:*",),
        resources=everything,
        condition=(("NumericLessThan", "s3:TlsVersion", ("1.2",)),),
    )
    owner = account(ctx)
    if owner is None:
        return plain_http, old_tls
    foreign_account = Denial(
        sid="DenyForeignAccounts",
        actions=("s3:*",),
        resources=everything,
        condition=(
            ("StringNotEquals", "aws:PrincipalAccount", (owner,)),
            ("BoolIfExists", "aws:PrincipalIsAWSService", ("false",)),
        ),
    )
    foreign_reader = Denial(
        sid="DenyObjectsToOtherIdentities",
        actions=("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"),
        resources=(everything[1],),
        condition=(("ArnNotEquals", "aws:PrincipalArn", (role_arn(ctx, MILVUS),)),),
    )
    return plain_http, old_tls, foreign_account, foreign_reader
