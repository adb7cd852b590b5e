"""Single sign-on issuers of a DataPlane: whose tokens the doors take, and how they are read."""

import re
from typing import Annotated, Final

from pydantic import Field

from zilliz_operator.api.base import Model
from zilliz_operator.api.fields import SecretRef, Url, https_rule
from zilliz_operator.api.rules import FORBIDDEN, Rule

_CLAIM: Final = r"^[A-Za-z0-9_:-]+([.][A-Za-z0-9_:-]+){0,3}$"
_WORD: Final = r"^[A-Za-z0-9._:/@=+,~-]+$"
_ISSUER: Final = r"^https?://[A-Za-z0-9._:/@=+,~%-]+$"
_PREFIX: Final = r"^[!-~]*$"

Claim = Annotated[str, Field(min_length=1, max_length=64)]


class Mfa(Model):
    """How the issuer says that a second factor was used."""

    claim: Claim
    """Claim of the token, usually amr: a text, or a list of which the first 10 entries count."""
    values: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(min_length=1, max_length=16)
    ]
    """Values of which one must be there."""


class SsoIssuer(Model):
    """A single sign-on issuer whose tokens the doors accept."""

    issuer: Url
    """The token's iss, to the letter."""
    audience: Annotated[str, Field(min_length=1, max_length=256)]
    """The token's aud, or an entry of it."""
    jwks_secret_ref: SecretRef | None = None
    """Secret of the operator's namespace with the issuer's keys (JWKS). They are trusted for as long as they are there."""
    jwks_url: Url | None = None
    """https URL of the issuer's keys (JWKS). They are read every minute, and trusted for a day or two after the last time
    that worked."""
    ca_secret_ref: SecretRef | None = None
    """Secret of the operator's namespace with the CA that signed the certificate at jwksURL. Absent: the public CAs."""
    username_claim: Claim = "sub"
    """Claim that names the bearer, for subjects of kind User and for the audit line. A dot leads into an object. With email,
    a token that says email_verified false is refused."""
    groups_claim: Claim = "groups"
    """Claim that lists the groups, 200 at most. A dot leads into an object: realm_access.roles."""
    prefix: Annotated[str, Field(max_length=64)] = ""
    """What AccessPolicies write before this issuer's names and groups. Needed where there are several issuers, so that none
    can speak for another's people."""
    mfa: Mfa | None = None
    """How the issuer says that a second factor was used. Absent: policies with requireMFA admit nobody of this
    issuer."""


def _matches(pattern: str, path: str, message: str) -> Rule:
    return Rule(
        path,
        f"self.matches('{pattern}')",
        message,
        check=lambda text: re.fullmatch(pattern, text) is not None,
    )


def _prefixes_differ(spec: object) -> bool:
    prefixes = [issuer.prefix for issuer in spec.sso]  # type: ignore[attr-defined]
    return len(set(prefixes)) == len(prefixes)


_CLAIM_MESSAGE: Final = (
    "has letters, digits, _ - : and dots that lead into objects, four names at most: the gateway cannot read a claim whose own "
    "name has a dot or a slash; have the issuer write another one"
)
_WORD_MESSAGE: Final = "has letters, digits and . _ : / @ = + , ~ - only: have the issuer use such a value"

SSO_RULES: Final = (
    Rule(
        "spec.sso[]",
        "has(self.jwksSecretRef) != has(self.jwksURL)",
        "needs exactly one of jwksSecretRef and jwksURL",
        check=lambda issuer: (issuer.jwks_secret_ref is None) != (issuer.jwks_url is None),
    ),
    Rule(
        "spec.sso[]",
        "!has(self.caSecretRef) || has(self.jwksURL)",
        "caSecretRef is for jwksURL only: remove it",
        reason=FORBIDDEN,
        check=lambda issuer: issuer.ca_secret_ref is None or issuer.jwks_url is not None,
        field_path=".caSecretRef",
    ),
    Rule(
        "spec",
        "!has(self.sso) || self.sso.all(a, self.sso.exists_one(b, "
        "(has(a.prefix) ? a.prefix : '') == (has(b.prefix) ? b.prefix : '')))",
        "two issuers of sso have the same prefix, so each could speak for the other's people: give all but one a prefix of its "
        "own, and write it before their names in AccessPolicies",
        check=_prefixes_differ,
        field_path=".sso",
    ),
    https_rule("spec.sso[].issuer"),
    _matches(
        _ISSUER, "spec.sso[].issuer", "has letters, digits and . _ : / @ = + , ~ % - only: write it as the issuer does"
    ),
    https_rule("spec.sso[].jwksURL"),
    _matches(_WORD, "spec.sso[].audience", _WORD_MESSAGE),
    _matches(_WORD, "spec.sso[].mfa.values[]", _WORD_MESSAGE),
    _matches(
        _PREFIX, "spec.sso[].prefix", "has visible ASCII characters only, and no space: choose such a prefix, as corp:"
    ),
    *(
        _matches(_CLAIM, f"spec.sso[].{field}", _CLAIM_MESSAGE)
        for field in ("usernameClaim", "groupsClaim", "mfa.claim")
    ),
)
