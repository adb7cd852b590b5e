"""One pass over one cluster: what was read once at its start, and what its steps learn for each other.

Mutable on purpose and short-lived: it is made at the start of a pass and thrown away at its end, so nothing is ever remembered
that could be observed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy
from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import ZillizError
from zilliz_operator.api.people import SSO_NAMES, SsoNames
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.desired.access import CustomRoles
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.policy.access import Foreign
from zilliz_operator.policy.entitlements import Judged
from zilliz_operator.policy.status import StepResult
from zilliz_operator.reconcile.canary import Canary
from zilliz_operator.reconcile.children import Live
from zilliz_operator.reconcile.lastuse import LastUses
from zilliz_operator.reconcile.ports import (
    Clock,
    CloudNetwork,
    DoorAddress,
    DoorProbe,
    Knocker,
    Kube,
    Manifest,
    MilvusAdmin,
    ObjectStore,
    Secrets,
    SigningKeys,
)
from zilliz_operator.reconcile.sweeps import Sweeps
from zilliz_operator.reconcile.vault import Vault

BROKEN_BY_OTHERS = frozenset({Reason.POLICIES_NOT_ENFORCED, Reason.WIDENED_BY_OTHERS})
"""Our part is in place, and going on makes nothing worse: an address taken off a list must reach the gateways all the more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlaneAccess:
    """A data plane as a pass reaches it. `local`: it is the operator's own Kubernetes cluster.

    What a missing Secret keeps from being made is the error that names it, raised when it is asked for: only the steps that need
    it fail, and a door is still closed when it must be.
    """

    kube: Kube
    local: bool
    found_store: ObjectStore | ZillizError
    found_store_ca: str | ZillizError
    found_door_ca: str | ZillizError
    found_cloud: CloudNetwork | ZillizError | None = None

    @property
    def store(self) -> ObjectStore:
        if isinstance(self.found_store, ZillizError):
            raise self.found_store
        return self.found_store

    @property
    def store_ca_pem(self) -> str:
        """The authority of the object store's certificate; empty: the public ones."""
        if isinstance(self.found_store_ca, ZillizError):
            raise self.found_store_ca
        return self.found_store_ca

    @property
    def door_ca_pem(self) -> str:
        """The authority that clients of doors should trust; empty: what the door's own Secret says."""
        if isinstance(self.found_door_ca, ZillizError):
            raise self.found_door_ca
        return self.found_door_ca

    @property
    def cloud(self) -> CloudNetwork | None:
        """The network of the data plane's cloud; None where it is in none."""
        if isinstance(self.found_cloud, ZillizError):
            raise self.found_cloud
        return self.found_cloud


class DataPlanes(Protocol):
    async def access(self, data_plane: DataPlane) -> DataPlaneAccess:
        """Clients for a data plane. Raises CredentialsMissing or KubeconfigRefused, naming Secret and key, when its Kubernetes cannot
        be reached at all for them."""
        ...

    async def forget(self, name: str) -> None:
        """Its DataPlane is gone: close what belongs to it."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside, as ports."""

    hub: Kube
    data_planes: DataPlanes
    milvus: MilvusAdmin
    probe: DoorProbe
    signing_keys: SigningKeys
    knocker: Knocker
    clock: Clock
    randomness: Secrets
    operator_namespace: str
    operator_image: str
    gateway_image: str
    leads: Any
    """Callable: whether this replica still leads. Asked before whatever cannot be undone."""
    sweeps: Sweeps
    """What the cloud answered last."""
    last_uses: LastUses = field(default_factory=LastUses)
    """What the gateways told of the credentials' use."""
    api_key_limit: int = 100
    """API keys that the organization may have."""
    sso: SsoNames = SSO_NAMES
    """How the Kubernetes API names people."""


@dataclass(slots=True)
class Pass:
    """The state of one pass."""

    world: World
    raw: Manifest
    cluster: ZillizCluster
    data_plane: DataPlane
    plane: DataPlaneAccess
    ctx: ClusterContext
    live: Live
    vault: Vault
    allowlists: Sequence[Allowlist]
    policies: Sequence[AccessPolicy]
    entitled: Judged
    """Every subject of those policies, and what it holds here."""
    custom: CustomRoles
    """The roles of those policies that have grants of their own."""
    subject_secrets: dict[str, Manifest]
    """Secrets of the project that policies' subjects name, by name; those that exist."""
    canary: Canary
    public_issuer: bool = False
    """The door's issuer proves names in public DNS: its certificate carries no name from inside Kubernetes."""
    results: list[StepResult] = field(default_factory=list)
    wanted: list[Manifest] = field(default_factory=list)
    """Every child that this pass wants to exist; what is live and not here is pruned at the end."""
    written: list[str] = field(default_factory=list)
    config_hash: str = ""
    passwords_reset: list[str] = field(default_factory=list)
    """Users whose password in Milvus was not ours in this pass."""
    in_force: int = 0
    certificate_sha256: str = ""
    certificate_not_after: Any = None
    allow_cidrs: int = 0
    allow_workloads: int = 0
    allow_anywhere: bool = False
    foreign: Sequence[Foreign] | None = None
    """Users and roles in Milvus that others made; None: not looked at."""
    repeat_at_once: bool = False
    """Something learned in this pass changes what an earlier step would have done."""
    private_link: dict[str, Any] | None = None
    """status.privateLink: None once nothing of one exists any more."""
    trouble: StepResult | None = None
    """What went wrong beside the promises; it keeps the cluster from being Ready."""
    complete: bool = True
    """False when some step could not say what it wants: then nothing is pruned."""

    @property
    def kube(self) -> Kube:
        return self.plane.kube

    @property
    def touched(self) -> tuple[Any, ...]:
        """Changes when a person changes anything of the object, and stays while only we write to it."""
        metadata = self.cluster.metadata
        notes = {key: value for key, value in metadata.annotations.items() if not key.startswith(names.PREFIX)}
        return metadata.generation, notes, metadata.labels

    def result(self, type: ConditionType) -> StepResult | None:
        return next((r for r in self.results if r.type is type), None)

    def kept(self, *types: ConditionType) -> bool:
        return all((found := self.result(type)) is not None and found.kept for type in types)

    def stands(self, type: ConditionType) -> bool:
        """Whether what is built on this promise may go on: it is kept, or only others break it."""
        found = self.result(type)
        return found is not None and (found.kept or found.reason in BROKEN_BY_OTHERS)


@dataclass(frozen=True, slots=True)
class Door:
    """One gateway pod, and how to dial it."""

    pod: str
    ready: bool
    address: DoorAddress
