"""Everything that one cluster is on its data plane, in the order in which it is made.

The reconciler makes the same objects step by step, as each step's evidence comes in; here they are in one list, for
whoever wants to see the whole before it exists.
"""

from dataclasses import dataclass, field

from . import certificate, credentials, gateway, identity, namespace, network, quota, workload
from .context import ClusterContext
from .door import DoorFiles
from .manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedInputs:
    """What the specs alone do not say."""

    admission: network.Admission
    door_files: DoorFiles = field(repr=False)
    gateway_image: str
    root_password: str = field(repr=False)
    db_admin_password: str = field(repr=False)
    technical_seed: str = field(repr=False)
    access_key_id: str = ""
    """Empty where the identity needs no key pair."""
    secret_access_key: str = field(default="", repr=False)
    store_ca_pem: str = ""
    tls_fingerprint: str = ""
    store_key_digest: str = ""
    restarted_at: str = ""
    public_issuer: bool = False
    stateful_set: Manifest | None = None


def children(ctx: ClusterContext, observed: ObservedInputs) -> list[Manifest]:
    """The complete list. Raises InvalidSpec for what the data plane's engine cannot do."""
    return [
        namespace.namespace(ctx),
        *quota.quota(ctx),
        *network.policies(ctx, observed.admission),
        *identity.service_accounts(ctx),
        *certificate.certificates(ctx, public_issuer=observed.public_issuer),
        *secrets(ctx, observed),
        *gateway.objects(ctx, files=observed.door_files, image=observed.gateway_image),
        *milvus(ctx, observed),
    ]


def secrets(ctx: ClusterContext, observed: ObservedInputs) -> list[Manifest]:
    """The cluster namespace's Secrets, but for those of cert-manager and of the gateway."""
    found = [
        credentials.root_secret(ctx, password=observed.root_password, db_admin=observed.db_admin_password),
        credentials.technical_users(ctx, seed=observed.technical_seed),
    ]
    if observed.access_key_id:
        pair = (observed.access_key_id, observed.secret_access_key)
        found.append(credentials.store_credentials(ctx, access_key_id=pair[0], secret_access_key=pair[1]))
    return found


def milvus(ctx: ClusterContext, observed: ObservedInputs) -> list[Manifest]:
    """Milvus by the data plane's engine."""
    return workload.objects(
        ctx,
        store_ca_pem=observed.store_ca_pem,
        tls_fingerprint=observed.tls_fingerprint,
        store_key_digest=observed.store_key_digest,
        restarted_at=observed.restarted_at,
        live=observed.stateful_set,
    )
