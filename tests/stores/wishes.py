"""What is wanted from a store in these tests: the product's own shapes, filled for a cluster that never ran."""

from zilliz_operator.api import names
from zilliz_operator.api.dataplane import IdentityMode
from zilliz_operator.desired import bucket as b
from zilliz_operator.desired import identity as i


def marks(uid: str) -> tuple[tuple[str, str], ...]:
    return ((names.CLUSTER_UID_LABEL, uid), (names.CLUSTER_ID_LABEL, names.cluster_id(uid)))


def bucket(uid: str, *, kms: str | None = None, region: str = "us-east-1") -> b.Bucket:
    name = names.bucket_name(prefix="", cluster_id=names.cluster_id(uid), purpose="data")
    everything = (f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*")
    plain_http = b.Denial(
        sid="DenyPlainHttp",
        actions=("s3:*",),
        resources=everything,
        condition=(("Bool", "aws:SecureTransport", ("false",)),),
    )
    return b.Bucket(
        name=name,
        region=region,
        uid=uid,
        encryption=b.Encryption(algorithm="aws:kms", kms_key_arn=kms) if kms else b.Encryption(),
        versioning=b.Versioning(),
        ownership=b.Ownership(),
        public_access_block=b.PublicAccessBlock(),
        policy=b.BucketPolicy(denials=(plain_http,)),
        lifecycle=b.Lifecycle(noncurrent_days=30),
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
