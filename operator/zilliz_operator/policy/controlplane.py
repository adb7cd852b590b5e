"""Single sign-on at the Kubernetes API itself: what an API server must be told about the issuers of a DataPlane.

For servers of one's own a structured AuthenticationConfiguration, for EKS the one call that it has for this. Both give users and
groups the prefixes that the operator binds with, so that a name from outside never is one of Kubernetes' own.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.people import MFA_KEY, SYSTEM, SsoNames
from zilliz_operator.api.sso import SsoIssuer

Manifest = dict[str, Any]

OLDEST: Final = (1, 30)
"""The first Kubernetes whose API server reads the file without an alpha feature gate."""
STABLE: Final = (1, 34)
"""The first with `apiserver.config.k8s.io/v1`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command was asked for."""

    issuers: Sequence[SsoIssuer]
    audience: str
    """Of tokens for the Kubernetes API: another one than the doors', so that neither token opens the other."""
    username_claim: str
    names: SsoNames
    require_mfa: bool = False
    """Refuse tokens without a second factor altogether, reading included."""
    ca_pem: str = ""
    """Authority of the issuers' certificates; empty: public ones."""


def config_version(kubernetes: str) -> str:
    """The version of the file for a Kubernetes version such as `v1.33.2`."""
    found = re.match(r"v?(\d+)\.(\d+)", kubernetes)
    if found is None:
        raise InvalidSpec("--kubernetes-version", f"is no version: {kubernetes!r}; write it as 1.34")
    version = int(found[1]), int(found[2])
    if version < OLDEST:
        raise InvalidSpec("--kubernetes-version", f"{kubernetes} reads no such file: 1.30 is the first that does")
    return "v1" if version >= STABLE else "v1beta1"


def configuration(request: Request, *, version: str) -> Manifest:
    """The AuthenticationConfiguration of a self-managed API server."""
    return {
        "apiVersion": f"apiserver.config.k8s.io/{version}",
        "kind": "AuthenticationConfiguration",
        "jwt": [_authenticator(issuer, request) for issuer in request.issuers],
    }


def _authenticator(issuer: SsoIssuer, request: Request) -> Manifest:
    trust = {"certificateAuthority": request.ca_pem} if request.ca_pem else {}
    mappings: Manifest = {
        "username": {"claim": request.username_claim, "prefix": request.names.user_prefix},
        "groups": {"claim": issuer.groups_claim, "prefix": request.names.groups_prefix},
    }
    rules = []
    if issuer.mfa is not None:
        mappings["extra"] = [{"key": MFA_KEY, "valueExpression": evidence(issuer)}]
    if request.require_mfa:
        if issuer.mfa is None:
            raise InvalidSpec("spec.sso[].mfa", f"of {issuer.issuer} is absent: say how it tells a second factor")
        rules.append({"expression": f"size({evidence(issuer)}) > 0", "message": "the token shows no second factor"})
    return {
        "issuer": {"url": issuer.issuer, "audiences": [request.audience], **trust},
        "claimMappings": mappings,
        **({"claimValidationRules": rules} if rules else {}),
        "userValidationRules": [
            {
                "expression": f"user.username != {_text(request.names.user_prefix)}",
                "message": "the token names nobody",
            },
            {"expression": f'!user.username.startsWith("{SYSTEM}")', "message": f"{SYSTEM} names are Kubernetes' own"},
            {
                "expression": f'user.groups.all(group, !group.startsWith("{SYSTEM}"))',
                "message": f"{SYSTEM} groups are Kubernetes' own",
            },
        ],
    }


def evidence(issuer: SsoIssuer) -> str:
    """CEL: those values that show a second factor and that the claim has, as a list. The claim may be a list (amr) or one text (acr).

    An API server knows no `in` for its claims, and nothing of their types: `dyn` and the optional index are what it does know.
    """
    assert issuer.mfa is not None
    claim = f'claims[?{_text(issuer.mfa.claim)}].orValue("")'
    wanted = "[" + ", ".join(_text(value) for value in issuer.mfa.values) + "]"
    return f"{wanted}.filter(v, type({claim}) == list ? v in dyn({claim}) : dyn({claim}) == v)"


def _text(value: str) -> str:
    """A text in CEL, whose escapes are those of JSON."""
    return json.dumps(value)


def eks(request: Request, *, cluster: str, region: str = "") -> str:
    """The same for EKS, which reads no such file: shell text, with what it cannot do."""
    issuer, *others = request.issuers
    fields = {
        "identityProviderConfigName": "zilliz-sso",
        "issuerUrl": issuer.issuer,
        "clientId": request.audience,
        "usernameClaim": request.username_claim,
        "usernamePrefix": request.names.user_prefix,
        "groupsClaim": issuer.groups_claim,
        "groupsPrefix": request.names.groups_prefix,
    }
    said = [
        "# EKS takes one OIDC identity provider for each cluster, and it must be reachable from the internet.",
        "# EKS hands no other claims on: the API server never learns of a second factor. Let the identity provider demand one of whom",
        f"# it signs in for the client {request.audience}. Policies with requireMFA refuse all writes of whom they name.",
    ]
    if request.require_mfa:
        said += _required(issuer, fields)
    if others:
        said.append(f"# Left out, for it takes one only: {', '.join(other.issuer for other in others)}")
    options = ",".join(f"{key}={value}" for key, value in fields.items())
    where = f" --region {region}" if region else ""
    command = f"aws eks associate-identity-provider-config --cluster-name {cluster}{where} --oidc '{options}'"
    look = f"aws eks list-identity-provider-configs --cluster-name {cluster}{where}"
    return "\n".join([*said, command, look]) + "\n"


def _required(issuer: SsoIssuer, fields: dict[str, str]) -> list[str]:
    """What EKS can ask of a token: that a claim is one certain text. A list, as amr is, never equals it."""
    mfa = issuer.mfa
    if mfa is None or len(mfa.values) != 1 or mfa.claim == "amr":
        return [
            "# --require-mfa has no effect here: EKS compares claims that are one text with one value, and spec.sso[].mfa is no such."
        ]
    fields["requiredClaims"] = f"{{{mfa.claim}={mfa.values[0]}}}"
    return [
        f"# Tokens whose claim {mfa.claim} is not the text {mfa.values[0]} are refused; this holds if it is a text, not a list."
    ]


def by_plane(planes: Mapping[str, Sequence[SsoIssuer]], name: str) -> Sequence[SsoIssuer]:
    """The issuers of a DataPlane, or why there is none."""
    if name not in planes:
        raise InvalidSpec("--dataplane", f"there is no DataPlane {name}: one of {', '.join(sorted(planes)) or 'none'}")
    if not planes[name]:
        raise InvalidSpec("spec.sso", f"of DataPlane {name} is empty: name your identity provider there")
    return planes[name]
