"""Names, ARNs and marks on the object store, shared by the buckets and by the identities that may use them."""

from collections.abc import Mapping
from typing import Final

from zilliz_operator.api import names
from zilliz_operator.api.dataplane import IdentityMode, Provider

from .context import BACKUP, GATEWAY, MILVUS, ClusterContext

BUCKET_USERS: Final[Mapping[str, tuple[str, ...]]] = {
    "data": (MILVUS, BACKUP),
    "audit": (GATEWAY,),
    "backup": (BACKUP,),
}
"""Bucket's purpose → components whose identities its policy does not shut out. What they may do there, those say."""

IAM_PATH = "/zilliz-byoc/"
"""Where our roles, users and policies are in AWS IAM, so that the operator's own rights can end there."""


def bucket_name(ctx: ClusterContext, purpose: str) -> str:
    """The bucket's name for `purpose` data, audit or backup."""
    prefix = ctx.data_plane.object_storage.bucket_prefix
    return names.bucket_name(prefix=prefix, cluster_id=ctx.cluster_id, purpose=purpose)


def role_name(ctx: ClusterContext, component: str) -> str:
    """The name of the role or user; unique in an account as the bucket's name is."""
    return f"{ctx.data_plane.object_storage.bucket_prefix}{ctx.cluster_id}-{component}"


def role_arn(ctx: ClusterContext, component: str) -> str:
    """The ARN of the role that `component`'s ServiceAccount assumes."""
    return f"arn:{partition(ctx)}:iam::{account(ctx) or ''}:role{iam_path(ctx)}{role_name(ctx, component)}"


def user_arn(ctx: ClusterContext, component: str, *, account: str) -> str:
    """The ARN of the user whose key pair `component` has."""
    return f"arn:{partition(ctx)}:iam::{account}:user{iam_path(ctx)}{role_name(ctx, component)}"


def principal_arn(ctx: ClusterContext, component: str, *, account: str) -> str:
    """Who `component` is to AWS: its role with IRSA, its user with access keys. `account`: the operator's own."""
    if ctx.data_plane.object_storage.identity is IdentityMode.IRSA:
        return role_arn(ctx, component)
    return user_arn(ctx, component, account=account)


def iam_path(ctx: ClusterContext) -> str:
    """Other stores drop a path in silence: there we ask for none."""
    return IAM_PATH if ctx.data_plane.object_storage.provider is Provider.AWS else "/"


def aws_domain(region: str) -> str:
    """The domain of AWS' services in a region; China has its own."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def partition(ctx: ClusterContext) -> str:
    """`aws`, `aws-cn`, `aws-us-gov`, as the identity provider's ARN or else the region says; S3-compatible stores all
    write `aws`."""
    storage = ctx.data_plane.object_storage
    if storage.provider is not Provider.AWS:
        return "aws"
    if storage.oidc_provider_arn:
        return storage.oidc_provider_arn.split(":")[1]
    return names.partition(ctx.data_plane.region or "")


def account(ctx: ClusterContext) -> str | None:
    """The AWS account the data plane lives in, as far as it was declared."""
    arn = ctx.data_plane.object_storage.oidc_provider_arn
    return arn.split(":")[4] if arn else None


def tags(ctx: ClusterContext) -> tuple[tuple[str, str], ...]:
    """The marks of ownership on anything we make outside Kubernetes."""
    return (
        (names.CLUSTER_UID_LABEL, ctx.uid),
        (names.CLUSTER_ID_LABEL, ctx.cluster_id),
        (names.CLUSTER_LABEL, ctx.name),
        (names.PROJECT_LABEL, ctx.project),
    )
