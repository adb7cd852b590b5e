"""The Secrets of a cluster's namespace, made from values that are given: nothing here invents a credential."""

from collections.abc import Mapping

from .context import ClusterContext
from .manifest import Manifest, manifest, secret_data

ROOT_SECRET = "milvus-root"  # noqa: S105 - the name of a Secret
TECHNICAL_USERS_SECRET = "technical-users"  # noqa: S105
STORE_SECRET = "store-credentials"  # noqa: S105
ACCESS_KEY_ID = "accessKeyId"
SECRET_ACCESS_KEY = "secretAccessKey"  # noqa: S105 - the name of a key
ROOT_NEXT = "root-next"
"""Root's new password, until Milvus is seen to take it."""
TECHNICAL_SEED = "technical-seed"
PREVIOUS_ACCESS_KEY_ID = "previousAccessKeyId"
"""While a rotation is on its way: the key before it, whose id alone is kept, so that it is known when it may go."""


def root_secret(ctx: ClusterContext, *, password: str, db_admin: str, coming: str | None = None) -> Manifest:
    """Root's password, which only the operator uses, and the one of `db_admin`, the cluster's first user. `coming`: root's new one,
    until Milvus takes it."""
    values = {"password": password, "db_admin": db_admin} | ({ROOT_NEXT: coming} if coming else {})
    return _secret(ctx, ROOT_SECRET, values)


def technical_users(ctx: ClusterContext, *, seed: str) -> Manifest:
    """What the passwords behind API keys are derived from. They open nothing from outside."""
    return _secret(ctx, TECHNICAL_USERS_SECRET, {TECHNICAL_SEED: seed})


def store_credentials(
    ctx: ClusterContext, *, access_key_id: str, secret_access_key: str, previous: str | None = None
) -> Manifest:
    """The key pair of Milvus' identity; the Milvus operator knows it by other names."""
    values = {ACCESS_KEY_ID: access_key_id, SECRET_ACCESS_KEY: secret_access_key}
    if previous is not None:
        values[PREVIOUS_ACCESS_KEY_ID] = previous
    if not ctx.built_in:
        values |= {"accesskey": access_key_id, "secretkey": secret_access_key}
    return _secret(ctx, STORE_SECRET, values)


def _secret(ctx: ClusterContext, name: str, values: Mapping[str, str]) -> Manifest:
    labels = ctx.labels("credentials")
    return manifest(
        "Secret", name=name, namespace=ctx.namespace, labels=labels, type="Opaque", data=secret_data(values)
    )
