"""The three buckets of a cluster: its data, its audit trail, its backups. They share every aspect but three.

The audit bucket locks its objects and lets them go by age; who may reach a bucket at all differs for each.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zilliz_operator.api.names import BUCKET_PURPOSES
from zilliz_operator.api.outside import Caller
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.desired.store import bucket_name, tags

from . import lifecycle, object_lock
from .encryption import Encryption, encryption
from .lifecycle import Lifecycle
from .object_lock import ObjectLock
from .ownership import Ownership
from .policy import BucketPolicy, bucket_policy
from .public_access import PublicAccessBlock
from .versioning import Versioning


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket with every aspect. `tags` hold our UID: without it a bucket is never touched."""

    name: str
    region: str | None
    uid: str
    encryption: Encryption
    policy: BucketPolicy
    public_access_block: PublicAccessBlock
    ownership: Ownership
    versioning: Versioning
    object_lock: ObjectLock
    lifecycle: Lifecycle
    tags: tuple[tuple[str, str], ...]

    def tag_map(self) -> Mapping[str, str]:
        return dict(self.tags)


def bucket(ctx: ClusterContext, purpose: str, *, operator: Caller | None) -> Bucket:
    """The bucket for `purpose` data, audit or backup. `operator`: who we are at the store, as it says itself."""
    audit = purpose == "audit"
    return Bucket(
        name=bucket_name(ctx, purpose),
        region=ctx.data_plane.region,
        uid=ctx.uid,
        encryption=encryption(ctx),
        policy=bucket_policy(ctx, purpose, operator=operator),
        public_access_block=PublicAccessBlock(),
        ownership=Ownership(),
        versioning=Versioning(),
        object_lock=object_lock.of_audit(ctx) if audit else ObjectLock(),
        lifecycle=lifecycle.of_lines(ctx) if audit else lifecycle.of_objects(ctx),
        tags=tags(ctx),
    )


def buckets(ctx: ClusterContext, *, operator: Caller | None) -> tuple[Bucket, ...]:
    """All three, the data's first."""
    return tuple(bucket(ctx, purpose, operator=operator) for purpose in BUCKET_PURPOSES)
