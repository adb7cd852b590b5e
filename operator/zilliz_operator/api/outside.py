"""What crosses the border between reconcilers and the outside world: plain values that both sides compare with `==`.

They live here because adapters return them and policies judge them, and neither may import the ports of `reconcile`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key of an object store."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AspectResult:
    """One aspect of a bucket or identity: what was found or done.

    `state`: "kept", "repaired", "unsupported" (the store cannot: `detail` says what), or "differs" (written, and read
    back otherwise).
    """

    name: str
    state: str
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is in force."""
        return self.state in ("kept", "repaired")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who we are at a cloud, by its own answer.

    `arns`: patterns that `aws:PrincipalArn` of our calls matches, and nobody else's.
    """

    account: str
    arns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """One privilege of a role.

    `object_type`: Global, Collection or User (v1), or "" where privileges stand alone (v2).
    """

    privilege: str
    object_type: str
    object_name: str = "*"
    database: str = "default"


@dataclass(frozen=True, slots=True)
class DoorAddress:
    """How to reach one door: an address to connect to, the name to verify, and our client certificate."""

    host: str
    port: int
    server_name: str
    ca_pem: str
    client_cert_pem: str
    client_key_pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a gateway's agent says is in force."""

    pod: str
    config: str
    certificate: str
    reloads: int
    last_error: str = ""
    used: Mapping[str, datetime] = field(default_factory=dict)
    """`api_key:<key id>` or `password:<key id>` → the minute in which that credential was last let in."""


@dataclass(frozen=True, slots=True)
class DoorFinding:
    """What a probe of one door saw. `checks`: whether each promise held; `evidence`: in the words of the condition."""

    address: str
    certificate_sha256: str
    certificate_not_after: datetime | None
    checks: Mapping[str, bool]
    evidence: Mapping[str, str]
