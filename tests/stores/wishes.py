"""What is wanted from a store in these tests: the product's own builders, for a cluster that never ran."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tests.unit.desired.samples import context, data_plane
from zilliz_operator.api import names
from zilliz_operator.api.dataplane import IdentityMode
from zilliz_operator.api.outside import Caller
from zilliz_operator.desired import identity as i
from zilliz_operator.desired.bucket import bucket as b
from zilliz_operator.desired.bucket.encryption import Encryption
from zilliz_operator.desired.bucket.lifecycle import Lifecycle
from zilliz_operator.desired.bucket.object_lock import ObjectLock
from zilliz_operator.desired.bucket.ownership import Ownership
from zilliz_operator.desired.bucket.policy import BucketPolicy, Denial
from zilliz_operator.desired.bucket.public_access import PublicAccessBlock
from zilliz_operator.desired.bucket.versioning import Versioning

OPERATOR = Caller(account="123456789012", arns=("arn:aws:iam::123456789012:role/zilliz-operator",))


def marks(uid: str) -> tuple[tuple[str, str], ...]:
    return ((names.CLUSTER_UID_LABEL, uid), (names.CLUSTER_ID_LABEL, names.cluster_id(uid)))


def aws_plane(region: str) -> dict[str, Any]:
    return data_plane(cloud="aws", region=region, objectStorage={"provider": "AWS"})


def three(uid: str, *, plane: Mapping[str, Any] | None = None, **spec: Any) -> tuple[b.Bucket, ...]:
    """The buckets of a cluster as the product wants them: data, audit, backup."""
    ctx = dataclasses.replace(context(spec, plane), uid=uid, cluster_id=names.cluster_id(uid))
    return b.buckets(ctx, operator=OPERATOR)


def bucket(uid: str, *, kms: str | None = None, region: str = "us-east-1") -> b.Bucket:
    """One that any store can be asked for."""
    name = names.bucket_name(prefix="", cluster_id=names.cluster_id(uid), purpose="data")
    everything = (f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*")
    plain_http = Denial(
        sid=names.policy_mark(uid),
        actions=("s3:*",),
        resources=everything,
        condition=(("Bool", "aws:SecureTransport", ("false",)),),
    )
    return b.Bucket(
        name=name,
        region=region,
        uid=uid,
        encryption=Encryption(algorithm="aws:kms", kms_key_arn=kms) if kms else Encryption(),
        policy=BucketPolicy(denials=(plain_http,)),
        public_access_block=PublicAccessBlock(),
        ownership=Ownership(),
        versioning=Versioning(),
        object_lock=ObjectLock(),
        lifecycle=Lifecycle(noncurrent_days=30),
        tags=marks(uid),
    )


def identity(uid: str, *, irsa: bool = False, boundary: str | None = None, path: str | None = None) -> i.StoreIdentity:
    cluster_id = names.cluster_id(uid)
    name = bucket(uid).name
    arn = f"arn:aws:s3:::{name}"
    trust = i.Trust(
        provider_arn="arn:aws:iam::123456789012:oidc-provider/oidc.example/id/1",
        issuer="oidc.example/id/1",
        namespace=names.cluster_namespace(cluster_id),
        service_account="milvus",
    )
    return i.StoreIdentity(
        kind=IdentityMode.IRSA if irsa else IdentityMode.ACCESS_KEYS,
        component="milvus",
        name=f"{cluster_id}-milvus",
        path=path or ("/zilliz-byoc/" if irsa else "/"),
        policy_name=f"{cluster_id}-milvus",
        allowed=f"use bucket {name}",
        statements=(
            i.Statement(sid="Bucket", actions=i.BUCKET_ACTIONS, resources=(arn,)),
            i.Statement(sid="Objects", actions=i.OBJECT_ACTIONS, resources=(f"{arn}/*",)),
        ),
        trust=trust if irsa else None,
        permissions_boundary_arn=boundary,
        uid=uid,
        tags=marks(uid),
    )
