"""A cluster's generated credentials, kept twice on purpose.

The copy in the operator's namespace is the truth; the Secrets in the cluster namespace are made from it. So a Secret deleted there
is repaired without a new password, and a recycled cluster can be brought back. When the copy itself is lost it is filled again from
the cluster namespace; only when both are gone are new credentials made.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.rolenames import TECHNICAL_PREFIX
from zilliz_operator.desired.context import MILVUS, ClusterContext
from zilliz_operator.desired.credentials import (
    ACCESS_KEY_ID,
    PREVIOUS_ACCESS_KEY_ID,
    ROOT_NEXT,
    SECRET_ACCESS_KEY,
    TECHNICAL_SEED,
)
from zilliz_operator.desired.identity import KEYED
from zilliz_operator.desired.manifest import manifest, secret_data
from zilliz_operator.policy import drift, rotation
from zilliz_operator.policy.storekeys import Cause, Held, Marks
from zilliz_operator.reconcile.ports import KeyPair, Kube, Manifest, Secrets

ROOT = "root"
SEED_BEFORE = "technical-seed-before"
"""The seed before, until every user in Milvus has the password that follows from the new one."""
DB_ADMIN = "db_admin"
RENEWED = (ROOT, DB_ADMIN, TECHNICAL_SEED)
"""What is made anew on request or by age, each with marks of its own."""
ROOT_SECURED = names.PREFIX + "root-secured"
CLUSTER_USERS = names.PREFIX + "cluster-users"
"""Annotation: Milvus users made for policies and not dropped yet. Written before one is made and after it is dropped."""
KEY_MADE, KEY_CAUSE, KEY_ASKED = "store-key-made", "store-key-cause", "store-key-asked"

__all__ = [
    "ACCESS_KEY_ID",
    "DB_ADMIN",
    "ROOT",
    "ROOT_NEXT",
    "SECRET_ACCESS_KEY",
    "SEED_BEFORE",
    "Vault",
    "decoded",
    "fill",
    "keep",
    "vault_name",
]


def vault_name(cluster_id: str) -> str:
    return f"credentials-{cluster_id}"


@dataclass(frozen=True, slots=True)
class Vault:
    """`values`: root, db_admin, the technical users' seed, and the store's key pairs. `root_secured`: the default password was
    changed and seen refused."""

    values: Mapping[str, str] = field(repr=False)
    root_secured: bool = False
    marks: Mapping[str, str] = field(default_factory=dict)
    """Annotations: the specs that this cluster was last begun with (`reconcile.accepted`)."""
    keys: Mapping[str, Marks] = field(default_factory=dict)
    """Of each component with a key pair: when and why that was made."""
    users: frozenset[str] = frozenset()
    """Milvus users made for policies and not dropped yet. Any other user of a name that a policy chose is somebody else's."""
    renewals: Mapping[str, rotation.Marks] = field(default_factory=dict)
    """Of each of `RENEWED`: when it was made, and which request it answered."""

    def password(self, user: str) -> str:
        """What root and a technical user, and what people as db_admin, log in with."""
        return self.inner(user) if user.startswith(TECHNICAL_PREFIX) else self.values[user]

    def inner(self, user: str) -> str:
        """What Milvus knows a user by whom only the doors log in. It follows from the seed, so that a new user needs no write here."""
        return _derived(self.values[TECHNICAL_SEED], user)

    def inner_before(self, user: str) -> str | None:
        """The one before, while the seed is being changed."""
        seed = self.values.get(SEED_BEFORE)
        return _derived(seed, user) if seed else None

    def key_pair(self, component: str = MILVUS) -> KeyPair | None:
        """The key pair that `component` should run with."""
        key_id, secret = (self.values.get(_key(component, name)) for name in (ACCESS_KEY_ID, SECRET_ACCESS_KEY))
        return KeyPair(key_id, secret) if key_id and secret else None

    def previous_key(self, component: str = MILVUS) -> str | None:
        """The key before it, while somebody may still run with that."""
        return self.values.get(_key(component, PREVIOUS_ACCESS_KEY_ID)) or None

    def held(self, component: str = MILVUS) -> Held:
        pair = self.key_pair(component)
        return Held(
            current=pair.access_key_id if pair else None,
            previous=self.previous_key(component),
            marks=self.keys.get(component, Marks()),
        )

    def with_key_pair(self, component: str, pair: KeyPair, *, previous: str | None, marks: Marks) -> "Vault":
        keys = {
            ACCESS_KEY_ID: pair.access_key_id,
            SECRET_ACCESS_KEY: pair.secret_access_key,
            PREVIOUS_ACCESS_KEY_ID: previous,
        }
        rest = self.without_keys(component)
        values = {_key(component, name): value for name, value in keys.items() if value is not None}
        return replace(rest, values={**rest.values, **values}, keys={**rest.keys, component: marks})

    def without_keys(self, component: str) -> "Vault":
        gone = key_names(component)
        values = {name: value for name, value in self.values.items() if name not in gone}
        return replace(
            self, values=values, keys={each: marks for each, marks in self.keys.items() if each != component}
        )

    def with_users(self, users: frozenset[str]) -> "Vault":
        return replace(self, users=users)

    def secured(self) -> "Vault":
        return replace(self, root_secured=True)

    def root_changed(self) -> "Vault":
        """Milvus took root's new password."""
        values = dict(self.values)
        values[ROOT] = values.pop(ROOT_NEXT)
        return replace(self, values=values)

    def seed_settled(self) -> "Vault":
        """No user has a password of the seed before any more."""
        return replace(self, values={name: value for name, value in self.values.items() if name != SEED_BEFORE})

    def manifest(self, ctx: ClusterContext, *, namespace: str) -> Manifest:
        return manifest(
            "Secret",
            name=vault_name(ctx.cluster_id),
            namespace=namespace,
            labels=ctx.labels("credentials"),
            annotations={**self.marks, ROOT_SECURED: str(self.root_secured).lower(), **self._annotations()},
            type="Opaque",
            data=secret_data(self.values),
        )

    def _annotations(self) -> dict[str, str]:
        found: dict[str, str] = {CLUSTER_USERS: ",".join(sorted(self.users))} if self.users else {}
        for component, marks in self.keys.items():
            told = {KEY_MADE: utc(marks.made) if marks.made else "", KEY_CAUSE: marks.cause, KEY_ASKED: marks.asked}
            found |= {names.PREFIX + _key(component, name): str(value) for name, value in told.items() if value}
        for name, renewal in self.renewals.items():
            found |= rotation.annotations(renewal, of=_mark_prefix(name))
        return found


def key_names(component: str) -> frozenset[str]:
    """The vault's keys of `component`'s key pair."""
    return frozenset(_key(component, name) for name in (ACCESS_KEY_ID, SECRET_ACCESS_KEY, PREVIOUS_ACCESS_KEY_ID))


def _mark_prefix(name: str) -> str:
    return name.replace("_", "-") + "-"


def _key(component: str, name: str) -> str:
    return name if component == MILVUS else f"{component}-{name}"


def decoded(secret: Manifest | None) -> dict[str, str]:
    """A Secret's values as text; empty when there is none."""
    data = (secret or {}).get("data") or {}
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}


def fill(
    stored: Manifest | None,
    *,
    fallbacks: Mapping[str, str],
    marks: Mapping[str, str],
    randomness: Secrets,
) -> Vault:
    """The vault with everything in it: what is stored, else what the cluster namespace still has, else new."""
    kept = decoded(stored)
    spare = dict(fallbacks)
    for component in KEYED:
        if kept.get(_key(component, ACCESS_KEY_ID)):  # a pair and the key before it belong together: all of one place
            spare = {name: value for name, value in spare.items() if name not in key_names(component)}
    if kept.get(ROOT):  # the cluster namespace may lag behind a change that is done
        spare.pop(ROOT_NEXT, None)
    known = {**spare, **kept}
    for user in (ROOT, DB_ADMIN):
        if not known.get(user):
            known[user] = randomness.password()
    if not known.get(TECHNICAL_SEED):
        known[TECHNICAL_SEED] = randomness.token()
    annotations = (stored or {}).get("metadata", {}).get("annotations") or {}
    found = {component: _marks(component, annotations) for component in KEYED}
    keys = {component: each for component, each in found.items() if each is not None}
    renewals = {name: rotation.read(annotations, of=_mark_prefix(name)) for name in RENEWED}
    return Vault(
        known,
        root_secured=annotations.get(ROOT_SECURED) == "true",
        marks=marks,
        keys=keys,
        renewals=renewals,
        users=frozenset(annotations.get(CLUSTER_USERS, "").split(",")) - {""},
    )


def _derived(seed: str, user: str) -> str:
    """256 bits, with all classes of characters that a server may ask for, safe in a map file."""
    digest = hmac.new(seed.encode(), user.encode(), hashlib.sha256).digest()
    return "Zt1-" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _marks(component: str, annotations: Mapping[str, str]) -> Marks | None:
    """None: no mark at all, or none that can be read."""
    made, cause, asked = (
        annotations.get(names.PREFIX + _key(component, name), "") for name in (KEY_MADE, KEY_CAUSE, KEY_ASKED)
    )
    try:
        when = datetime.fromisoformat(made) if made else None
        return Marks(when, Cause(cause), asked) if cause and (when is None or when.tzinfo) else None
    except ValueError:
        return None


async def keep(hub: Kube, vault: Vault, ctx: ClusterContext, *, namespace: str) -> bool:
    """Write the vault if it differs from what is stored; returns whether it wrote."""
    wanted = vault.manifest(ctx, namespace=namespace)
    stored = await hub.get("Secret", wanted["metadata"]["name"], namespace)
    if stored is not None and not drift.needs_apply(wanted, stored):
        return False
    await hub.apply(drift.stamped(wanted))
    return True
