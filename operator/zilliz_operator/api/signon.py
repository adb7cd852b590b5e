"""Single sign-on at the doors as plain data: who judges it (policy), who renders it (desired) and who fetches for it (adapters)
speak of the same things."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512")
EC_ALGORITHMS: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
ALGORITHMS: Final = (*RSA_ALGORITHMS, *EC_ALGORITHMS.values())
"""What the gateway's HAProxy can check. It has no PS256, PS384, PS512 and no EdDSA."""
MAX_GROUPS: Final = 200
"""Groups of one token that are looked at; a token with more is refused, and its bearer is told so."""
MAX_ARRAY: Final = 10
"""Entries of aud and of the second factor's claim that are looked at."""
PREDEFINED: Final = ("zr_viewer", "zr_operator", "zr_admin")
"""Milvus roles of which each holds all that those before it do."""
MAX_CUSTOM_ROLES: Final = 4
"""Roles of policies with custom grants that tokens may carry on one cluster: each doubles the technical users."""
MAX_CLASSES: Final = 60
"""Combinations of role, end and second factor on one cluster: one bit each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One public key of an issuer, as SubjectPublicKeyInfo in PEM. `kid` None: for tokens that name no key."""

    kid: str | None
    algorithms: tuple[str, ...]
    pem: str
    fingerprint: str
    """The first 32 hex digits of the SHA-256 of its DER form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKeys:
    """What is known of one issuer's keys. `trusted_until`: seconds since 1970."""

    keys: tuple[SigningKey, ...] = ()
    trusted_until: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Whom a policy names: a group or a user, with the bits of what it gives."""

    group: bool
    name: str
    mask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """Who gets which roles, in bits. A *class* is one combination of role, end and second factor: one bit of `mask`."""

    members: tuple[Member, ...] = ()
    live: tuple[tuple[int, int], ...] = ((0, 0),)
    """From that second on (since 1970) these classes hold; the first begins at 0."""
    without_mfa: int = 0
    """Classes that need no second factor."""
    slots: tuple[int, ...] = ()
    """For each role its classes. Its number here is its bit in `users`."""
    users: tuple[tuple[int, str], ...] = ()
    """Every set of roles, in bits, with the technical user that has exactly it."""


def speaks_for(prefix: str, name: str, prefixes: Iterable[str]) -> bool:
    """Whether the issuer with that prefix may say that a bearer has this name or group: none but the one with the longest prefix
    that the name begins with."""
    return name.startswith(prefix) and prefix == max((p for p in prefixes if name.startswith(p)), key=len)
