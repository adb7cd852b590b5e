"""Names, ARNs and marks on the object store, shared by the bucket and by the identity that may use it."""

from zilliz_operator.api import names

from .context import ClusterContext


def bucket_name(ctx: ClusterContext, purpose: str) -> str:
    """The bucket's name for `purpose` data, audit or backup."""
    prefix = ctx.data_plane.object_storage.bucket_prefix
    return names.bucket_name(prefix=prefix, cluster_id=ctx.cluster_id, purpose=purpose)


def role_name(ctx: ClusterContext, component: str) -> str:
    """The name of the role or user; unique in an account as the bucket's name is."""
    return f"{ctx.data_plane.object_storage.bucket_prefix}{ctx.cluster_id}-{component}"


def role_arn(ctx: ClusterContext, component: str) -> str:
    """The ARN of the role that `component`'s ServiceAccount assumes."""
    return f"arn:{partition(ctx)}:iam::{account(ctx) or ''}:role/{role_name(ctx, component)}"


def partition(ctx: ClusterContext) -> str:
    """`aws`, `aws-cn`, `aws-us-gov`, as the identity provider's ARN says; S3-compatible stores all write `aws`."""
    arn = ctx.data_plane.object_storage.oidc_provider_arn
    return arn.split(":")[1] if arn else "aws"


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
