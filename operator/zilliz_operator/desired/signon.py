"""Single sign-on in the gateway's files: issuers and their keys in the configuration, everything else in one map.

Issuers and keys change seldom and need a reload. Who gets what, and until when keys are trusted, is in `maps/sso.map`, which a
running gateway swaps as a whole. The ends are looked up by time, so in a map of their own; both carry the same mark, and a
request that finds two different ones is told to try again. Names and key ids are known by their SHA-256: whatever characters
they have, none can say more in a file than it should.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.signon import (
    ALGORITHMS,
    MAX_ARRAY,
    MAX_CUSTOM_ROLES,
    MAX_GROUPS,
    PREDEFINED,
    IssuerKeys,
    Masks,
    speaks_for,
)

BLOCK: Final = 16
"""Groups looked at before asking whether there are more."""
HINTS: Final = {
    "sso_not_configured": "this cluster takes no tokens of single sign-on",
    "unknown_issuer": "the cluster does not take tokens of this issuer",
    "bad_algorithm": "only RS256 to RS512 and ES256 to ES512 are taken",
    "sso_keys_stale": "the issuer's signing keys could not be read for too long",
    "unknown_signing_key": "the issuer has not published the key that signed it - a new one is known within two minutes",
    "bad_signature": "the issuer did not sign this",
    "wrong_audience": "the token is meant for another service",
    "token_expired": "log in again",
    "token_not_yet_valid": "the token begins in the future - check the clock",
    "email_not_verified": "the issuer has not verified this e-mail address",
    "mfa_required": "log in again with a second factor",
    "no_role": "no policy gives anything to this name or its groups here now",
    "too_many_groups": "have the issuer put fewer groups into the token",
    "token_too_large": "the token has more than 16 KB - have the issuer put fewer claims into it",
    "sso_changing": "keys or access lists are changing - try again",
}
"""What the bearer of a refused token reads after the reason."""
_URL = re.compile(r"https://[!-~]{1,504}")
_WORD = re.compile(r"[A-Za-z0-9._:/@=+,~-]{1,256}")
_CLAIM = re.compile(r"[A-Za-z0-9_:-]+(\.[A-Za-z0-9_:-]+){0,3}")
_QUOTED = re.compile(r"[\"'\\$#`{}|\s]")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorIssuer:
    """One issuer whose tokens are taken."""

    issuer: str
    audience: str
    username_claim: str = "sub"
    groups_claim: str = "groups"
    prefix: str = ""
    """What policies write before this issuer's names and groups."""
    mfa_claim: str | None = None
    mfa_values: tuple[str, ...] = ()
    keys: IssuerKeys = field(default_factory=IssuerKeys)

    @property
    def id(self) -> str:
        """Of all that decides how its tokens are read, so that a worker with other settings finds nothing in a newer map."""
        said = [self.issuer, self.audience, self.username_claim, self.groups_claim, self.prefix, self.mfa_claim or ""]
        return _sha(json.dumps([*said, *self.mfa_values]))[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSso:
    """Whose tokens are taken, and whom they make their bearers."""

    issuers: tuple[DoorIssuer, ...]
    masks: Masks = field(default_factory=Masks)

    # --- for the template
    @property
    def claims(self) -> list[tuple[str, str]]:
        """Each claim that lists groups, with the ids of its issuers."""
        found: dict[str, list[str]] = {}
        for issuer in self.issuers:
            found.setdefault(issuer.groups_claim, []).append(issuer.id)
        return [(claim, " ".join(sorted(ids))) for claim, ids in sorted(found.items())]

    @property
    def blocks(self) -> list[list[int]]:
        return [list(range(start, min(start + BLOCK, MAX_GROUPS))) for start in range(0, MAX_GROUPS, BLOCK)]

    @property
    def max_groups(self) -> int:
        return MAX_GROUPS

    @property
    def positions(self) -> list[str]:
        """Where a claim's value may be: itself, or an entry of its list."""
        return ["", *(f"[{index}]" for index in range(MAX_ARRAY))]

    @property
    def algorithms(self) -> str:
        return " ".join(ALGORITHMS)

    @property
    def slots(self) -> list[int]:
        """The bit of every role that there can be: always the same lines, so that policies change maps alone."""
        return [1 << bit for bit in range(len(PREDEFINED) + MAX_CUSTOM_ROLES)]

    @property
    def checks(self) -> list[tuple[str, str]]:
        """Every key with every algorithm it may be used with."""
        keys = (key for issuer in self.issuers for key in issuer.keys.keys)
        return sorted({(key.fingerprint, algorithm) for key in keys for algorithm in key.algorithms})


def key_file(fingerprint: str) -> str:
    return f"sso-{fingerprint}.pem"


def config_files(sso: DoorSso) -> dict[str, str]:
    """The keys, which HAProxy reads at its start."""
    return {key_file(key.fingerprint): key.pem for issuer in sso.issuers for key in issuer.keys.keys}


def map_files(sso: DoorSso) -> dict[str, str]:
    lines = sorted(set(_lines(sso)))
    # What the ends mean depends on the bits, so they go into the mark as well.
    mark = _sha("\n".join([*lines, repr(sso.masks.live)]))[:16]
    return {
        "sso.map": "".join(f"{line}\n" for line in [*lines, f"mark {mark}"]),
        "sso-live.map": "".join(f"{line}\n" for line in _live(sso.masks, mark)),
    }


def _lines(sso: DoorSso) -> Iterator[str]:
    yield f"nomfa {sso.masks.without_mfa}"
    yield from (f"slot.{index} {mask}" for index, mask in enumerate(sso.masks.slots))
    yield from (f"user.{bits} {user}" for bits, user in sso.masks.users)
    prefixes = [issuer.prefix for issuer in sso.issuers]
    for issuer in sso.issuers:
        yield f"issuer.{issuer.id} {issuer.keys.trusted_until if issuer.keys.keys else 0}"
        for key in issuer.keys.keys:
            kid = "none" if key.kid is None else _sha(key.kid)
            yield from (f"{kid}.{issuer.id}.{algorithm} {key.fingerprint}" for algorithm in key.algorithms)
        for member in sso.masks.members:
            if speaks_for(issuer.prefix, member.name, prefixes):
                name = _sha(member.name.removeprefix(issuer.prefix))
                yield f"{name}.{'g' if member.group else 'u'}.{issuer.id} {member.mask}"


def _live(masks: Masks, mark: str) -> Iterator[str]:
    for (start, mask), following in zip(masks.live, [*masks.live[1:], None], strict=True):
        end = "" if following is None else str(following[0] - 1)
        yield f"{start}:{end} {mark}:{mask}"


def check(sso: DoorSso, *, technical_users: Sequence[str]) -> None:
    """Raises InvalidSpec for anything that could say more in a file than it should."""
    for issuer in sso.issuers:
        where = f"sso[{issuer.issuer}]"
        if not _URL.fullmatch(issuer.issuer) or _QUOTED.search(issuer.issuer):
            raise InvalidSpec(where, "its issuer must be an https URL without quotes, spaces or any of \\ $ # ` { } |")
        for what, text in (("audience", issuer.audience), *(("mfa value", value) for value in issuer.mfa_values)):
            if not _WORD.fullmatch(text):
                raise InvalidSpec(
                    where, f"its {what} has other characters than letters, digits and . _ : / @ = + , ~ -"
                )
        for claim in (issuer.username_claim, issuer.groups_claim, *filter(None, [issuer.mfa_claim])):
            if not _CLAIM.fullmatch(claim):
                raise InvalidSpec(where, f"claim {claim!r} has other characters than letters, digits, _ : - and dots")
        for key in issuer.keys.keys:
            if not re.fullmatch(r"[0-9a-f]{32}", key.fingerprint) or not set(key.algorithms) <= set(ALGORITHMS):
                raise InvalidSpec(where, "has a key that the gateway cannot use")
            if "PRIVATE KEY" in key.pem:
                raise InvalidSpec(where, "has a private key among its keys")
    if missing := sorted({user for _, user in sso.masks.users} - set(technical_users)):
        raise InvalidSpec("sso", f"tokens would act as {missing[0]!r}, which is no technical user")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
