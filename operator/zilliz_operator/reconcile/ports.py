"""What reconciling needs from the outside world, as protocols.

Reconcilers see only these; adapters satisfy them structurally and tests put fakes in their place. Every method may raise the
exceptions of `zilliz_operator.api.exceptions`: `Unavailable` (an outage: retry), `Rejected` (our credentials or rights are
wrong), `NotReady` (not there yet), `NameTaken` (someone else owns it), `Conflict` (changed under us).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from zilliz_operator.api.cloud import Change, EndpointService, LoadBalancer, VpcPair, VpcView
from zilliz_operator.api.outside import AspectResult, Attestation, Caller, DoorAddress, DoorFinding, Grant, KeyPair
from zilliz_operator.api.rights import Access

__all__ = [
    "AspectResult",
    "Attestation",
    "Caller",
    "Clock",
    "CloudNetwork",
    "DoorAddress",
    "DoorFinding",
    "DoorProbe",
    "Grant",
    "KeyPair",
    "Knocker",
    "Kube",
    "Manifest",
    "MilvusAdmin",
    "ObjectStore",
    "Secrets",
    "SigningKeys",
]

Manifest = dict[str, Any]


class Clock(Protocol):
    def now(self) -> datetime:
        """The current time, timezone-aware UTC."""
        ...


class Secrets(Protocol):
    """Randomness as an argument."""

    def password(self) -> str:
        """24 characters, upper, lower, digit and special, safe in a map file (no space, no colon, no quote, no backslash)."""
        ...

    def token(self) -> str:
        """An API key: "zbk_" + 43 URL-safe characters (256 bits)."""
        ...


class Kube(Protocol):
    """One Kubernetes cluster. Kinds are keys of `api.kinds.KINDS`."""

    @property
    def what(self) -> str:
        """For messages: `Kubernetes API https://…`."""
        ...

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """The live object, or None when it does not exist."""
        ...

    async def list(
        self, kind: str, namespace: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        """All objects of a kind (in a namespace, or everywhere) whose labels equal `labels`. Empty when the kind is not installed."""
        ...

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply with our field manager, forced. Returns the live object."""
        ...

    async def create(self, manifest: Manifest) -> Manifest:
        """Create; raises Conflict when the name exists."""
        ...

    async def delete(self, kind: str, name: str, namespace: str | None = None, *, uid: str) -> None:
        """Delete with a UID precondition; gone already is success; another UID raises Conflict."""
        ...

    async def merge_patch(
        self, kind: str, name: str, namespace: str | None, patch: Manifest, *, subresource: str = ""
    ) -> Manifest:
        """JSON merge patch of an object or its `status`."""
        ...

    async def version(self) -> str:
        """Of Kubernetes, as `v1.36.0`; it is told to those whose credentials are accepted."""
        ...

    async def missing_rights(self, needed: Sequence[Access]) -> Sequence[Access]:
        """Those of `needed` that our credentials do not give us everywhere. Writes nothing."""
        ...

    async def event(self, regarding: Manifest, *, type: str, reason: str, message: str) -> None:
        """Record a Kubernetes Event about an object (type Normal or Warning)."""
        ...


class ObjectStore(Protocol):
    """Buckets of one data plane, and the identities that clusters use on them."""

    async def caller(self) -> Caller | None:
        """Who we are there, for policies that shut out everybody else. None: policies of this store name nobody."""
        ...

    async def check(self) -> str:
        """Ask the store something that only its administrator may, and say what answered, for evidence."""
        ...

    async def ensure_bucket(self, desired: Any) -> Sequence[AspectResult]:
        """Make the bucket (a `desired.bucket.bucket.Bucket`) exist and every aspect hold. Writes only what differs.
        Raises NameTaken when a bucket of that name is not tagged with our UID."""
        ...

    async def ensure_identity(self, desired: Any) -> Sequence[AspectResult]:
        """Make one identity (a `desired.identity.StoreIdentity`) exist with exactly its policy: a user, or a role that one
        ServiceAccount may assume."""
        ...

    async def access_keys(self, desired: Any) -> Mapping[str, bool]:
        """Every access key of the identity → whether it is active. Empty where identities need no key (IRSA)."""
        ...

    async def make_key_pair(self, desired: Any, *, keep: Collection[str]) -> KeyPair:
        """Remove every key of the identity but `keep`, then make a new pair."""
        ...

    async def remove_keys(self, desired: Any, *, keep: Collection[str]) -> None:
        """Remove every key of the identity but `keep`; no such identity is success."""
        ...

    async def remove_identity(self, desired: Any) -> None:
        """Remove the identity and all its keys; gone already is success."""
        ...


class CloudNetwork(Protocol):
    """The network of one data plane in its cloud."""

    async def vpcs(self, pair: VpcPair, *, patient: bool) -> VpcView:
        """What was seen of two VPCs, at most a sweep period ago (`patient`) or a moment ago (not `patient`)."""
        ...

    async def load_balancer(self, host: str) -> LoadBalancer | None:
        """The load balancer that answers by this name; None when there is none (yet)."""
        ...

    async def endpoint_services(self, *, uid: str) -> Sequence[EndpointService]:
        """Every endpoint service of the account and region; those tagged with `uid` with their principals and connections."""
        ...

    async def change(self, change: Change) -> None:
        """One write. What is gone already is success; NotReady for a service whose connections are still being closed."""
        ...


class MilvusAdmin(Protocol):
    """Milvus' own users and roles, through the door, as root with our client certificate. One writer per cluster: calls are serial."""

    async def version(self, door: DoorAddress, *, password: str) -> str: ...

    async def login_works(self, door: DoorAddress, *, user: str, password: str) -> bool:
        """True when the server accepts the password, False when it refuses it; Unavailable when it cannot be asked."""
        ...

    async def held(self, door: DoorAddress, *, user: str, password: str, marks: Sequence[str]) -> frozenset[str] | None:
        """Which of the roles with these marks the server lets the user act by now, asked as the user: it may know less or more
        than `users` and `roles` show. None when it refuses the password."""
        ...

    async def change_password(self, door: DoorAddress, *, user: str, old: str, new: str) -> None: ...

    async def query_works(self, door: DoorAddress, *, password: str) -> str:
        """Ask a real question (databases, collections, load state) and return what was seen, for evidence."""
        ...

    async def users(self, door: DoorAddress, *, password: str) -> Mapping[str, frozenset[str]]:
        """User → roles."""
        ...

    async def roles(self, door: DoorAddress, *, password: str) -> Mapping[str, frozenset[Grant]]:
        """Role → grants, `public` included, `admin` left out."""
        ...

    async def create_user(self, door: DoorAddress, *, password: str, user: str, user_password: str) -> None: ...

    async def drop_user(self, door: DoorAddress, *, password: str, user: str) -> None: ...

    async def set_user_password(self, door: DoorAddress, *, password: str, user: str, user_password: str) -> None:
        """Reset by the superuser."""
        ...

    async def create_role(self, door: DoorAddress, *, password: str, role: str) -> None: ...

    async def drop_role(self, door: DoorAddress, *, password: str, role: str) -> None: ...

    async def grant(self, door: DoorAddress, *, password: str, role: str, grants: Sequence[Grant]) -> None: ...

    async def revoke(self, door: DoorAddress, *, password: str, role: str, grants: Sequence[Grant]) -> None: ...

    async def add_role(self, door: DoorAddress, *, password: str, user: str, role: str) -> None: ...

    async def remove_role(self, door: DoorAddress, *, password: str, user: str, role: str) -> None: ...


class DoorProbe(Protocol):
    async def attest(self, door: DoorAddress) -> Attestation: ...

    async def probe(
        self, door: DoorAddress, *, expected_certificate_sha256: str, outsider_expected: bool
    ) -> DoorFinding:
        """Knock as an outsider and as ourselves. Checks: certificate, tls11_refused, weak_cipher_refused, anonymous_refused,
        wrong_credentials_refused, and (when `outsider_expected`: our address is not on the list) outsider_refused."""
        ...


class SigningKeys(Protocol):
    """Identity providers, as far as we ask them anything."""

    async def read(self, url: str, *, ca_pem: str | None) -> bytes:
        """The document at an https URL, 256 KiB at most. `ca_pem` None: the public authorities are trusted. Raises Unavailable, in
        words that stay the same while the trouble does."""
        ...


class Knocker(Protocol):
    async def opened(self, targets: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        """Those of the addresses and ports that take a TCP connection from where we run, each with our own address on it.
        Whoever refuses, is silent or cannot be reached is left out; nothing is raised."""
        ...
