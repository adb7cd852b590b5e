"""Tokens of single sign-on, and what each should come to at a door. Data alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.node import may
from tests.node.may import Right

AUDIENCE = "milvus"
SECOND_FACTOR: Mapping[str, Any] = {"amr": ["pwd", "mfa"]}

PEOPLE: Mapping[str, Mapping[str, Any]] = {
    "viewers": {"role": "DataViewer"},
    "operators": {"role": "DataOperator"},
    "admins": {"role": "DataAdmin", "requireMFA": True},
    "writers": {"grants": [dict(grant) for grant in may.GRANTS["writer-of-docs"].grants]},
    "late": {"role": "DataAdmin"},
    "gone": {"role": "DataAdmin"},
}
"""Group → the policy that names it. That of `late` ends, that of `gone` is deleted, before the tokens are tried."""
ANNA = "00u-anna"
"""A person whom a policy with DataViewer names."""
WRITERS = may.GRANTS["writer-of-docs"].rights


@dataclass(frozen=True, kw_only=True)
class Token:
    """What a token says beside what a good one of somebody in no group does, and what that gives."""

    said: str
    claims: Mapping[str, Any] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    signer: str = "issuer"
    """`stranger`: somebody else who says the issuer's name. `impostor`: who also says the key's id. `nobody`: unsigned."""
    stranger: bool = False
    """Comes from an address that is not on the list."""
    rights: tuple[Right, ...] = ()
    refused: str = ""


def _groups(*names: str) -> dict[str, Any]:
    return {"groups": [*names]}


TOKENS: tuple[Token, ...] = (
    Token(said="group viewers", claims=_groups("viewers"), rights=may.VIEWER),
    Token(said="group operators", claims=_groups("operators"), rights=may.OPERATOR),
    Token(said="group admins, with a second factor", claims=_groups("admins") | SECOND_FACTOR, rights=may.ADMIN),
    Token(said="group writers, with grants of their own", claims=_groups("writers"), rights=WRITERS),
    Token(said="groups viewers and writers", claims=_groups("viewers", "writers"), rights=may.VIEWER + WRITERS),
    Token(
        said="groups strangers, viewers, operators", claims=_groups("x", "viewers", "operators"), rights=may.OPERATOR
    ),
    Token(
        said="groups viewers and admins, without a second factor",
        claims=_groups("viewers", "admins"),
        rights=may.VIEWER,
    ),
    Token(said="a person named in a policy", claims={"sub": ANNA}, rights=may.VIEWER),
    Token(said="group admins, without a second factor", claims=_groups("admins"), refused="mfa_required"),
    Token(said="a group that no policy names", claims=_groups("accounting"), refused="no_role"),
    Token(said="no group at all", refused="no_role"),
    Token(said="a group of a policy that was deleted", claims=_groups("gone"), refused="no_role"),
    Token(said="a group of a policy whose time is over", claims=_groups("late"), refused="no_role"),
    Token(said="expired", claims=_groups("viewers") | {"exp": 1_600_000_000}, refused="token_expired"),
    Token(said="not yet valid", claims=_groups("viewers") | {"nbf": 4_000_000_000}, refused="token_not_yet_valid"),
    Token(said="for another audience", claims=_groups("viewers") | {"aud": "kubernetes"}, refused="wrong_audience"),
    Token(
        said="of another issuer",
        claims=_groups("viewers") | {"iss": "https://idp.other.test"},
        refused="unknown_issuer",
    ),
    Token(
        said="signed by a stranger",
        claims=_groups("admins") | SECOND_FACTOR,
        signer="stranger",
        refused="unknown_signing_key",
    ),
    Token(
        said="signed by an impostor",
        claims=_groups("admins") | SECOND_FACTOR,
        signer="impostor",
        refused="bad_signature",
    ),
    Token(
        said="not signed, alg none",
        claims=_groups("admins") | SECOND_FACTOR,
        header={"alg": "none"},
        signer="nobody",
        refused="bad_algorithm",
    ),
    Token(
        said="group viewers, from an address not on the list",
        claims=_groups("viewers"),
        stranger=True,
        refused="unreachable",
    ),
)
