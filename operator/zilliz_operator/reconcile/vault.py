"""A cluster's generated credentials, kept twice on purpose.

The copy in the operator's namespace is the truth; the Secrets in the cluster namespace are made from it. So a Secret deleted there
is repaired without a new password, and a recycled cluster can be brought back. When the copy itself is lost it is filled again from
the cluster namespace; only when both are gone are new credentials made.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from zilliz_operator.api import names
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.desired.manifest import manifest, secret_data
from zilliz_operator.policy import drift
from zilliz_operator.reconcile.ports import KeyPair, Kube, Manifest, Secrets

ROOT = "root"
DB_ADMIN = "db_admin"
ACCESS_KEY_ID = "accessKeyId"
SECRET_ACCESS_KEY = "secretAccessKey"  # noqa: S105 - the name of a key
ROOT_SECURED = names.PREFIX + "root-secured"


def vault_name(cluster_id: str) -> str:
    return f"credentials-{cluster_id}"


@dataclass(frozen=True, slots=True)
class Vault:
    """`values`: root, db_admin, each technical user's password, and the store's key pair. `root_secured`: the default password was
    changed and seen refused."""

    values: Mapping[str, str] = field(repr=False)
    root_secured: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)
    """Annotations: the specs that this cluster was last begun with (`reconcile.accepted`)."""

    def password(self, user: str) -> str:
        return self.values[user]

    @property
    def key_pair(self) -> KeyPair | None:
        if ACCESS_KEY_ID not in self.values:
            return None
        return KeyPair(self.values[ACCESS_KEY_ID], self.values[SECRET_ACCESS_KEY])

    def with_key_pair(self, pair: KeyPair) -> "Vault":
        keys = {ACCESS_KEY_ID: pair.access_key_id, SECRET_ACCESS_KEY: pair.secret_access_key}
        return replace(self, values={**self.values, **keys})

    def secured(self) -> "Vault":
        return replace(self, root_secured=True)

    def manifest(self, ctx: ClusterContext, *, namespace: str) -> Manifest:
        return manifest(
            "Secret",
            name=vault_name(ctx.cluster_id),
            namespace=namespace,
            labels=ctx.labels("credentials"),
            annotations={**self.marks, ROOT_SECURED: str(self.root_secured).lower()},
            type="Opaque",
            data=secret_data(self.values),
        )


def decoded(secret: Manifest | None) -> dict[str, str]:
    """A Secret's values as text; empty when there is none."""
    data = (secret or {}).get("data") or {}
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}


def fill(
    stored: Manifest | None,
    *,
    fallbacks: Mapping[str, str],
    users: tuple[str, ...],
    marks: Mapping[str, str],
    randomness: Secrets,
) -> Vault:
    """The vault with every user's password in it: what is stored, else what the cluster namespace still has, else new."""
    known = {**fallbacks, **decoded(stored)}
    for user in (ROOT, DB_ADMIN, *users):
        if not known.get(user):
            known[user] = randomness.password()
    annotations = (stored or {}).get("metadata", {}).get("annotations") or {}
    return Vault(known, root_secured=annotations.get(ROOT_SECURED) == "true", marks=marks)


async def keep(hub: Kube, vault: Vault, ctx: ClusterContext, *, namespace: str) -> bool:
    """Write the vault if it differs from what is stored; returns whether it wrote."""
    wanted = vault.manifest(ctx, namespace=namespace)
    stored = await hub.get("Secret", wanted["metadata"]["name"], namespace)
    if stored is not None and not drift.needs_apply(wanted, stored):
        return False
    await hub.apply(drift.stamped(wanted))
    return True
