"""What AWS would answer, judged from the policy documents themselves: identity policies, a boundary, a bucket's policy, a role's trust.

Written from AWS' published rules of evaluation and on nothing of the product's, so that it judges what the product wrote and not what
the product meant. It knows the operators and elements in use; anything else is an error and never a guess.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]


class Unjudged(Exception):
    """A policy says something that this evaluator does not know: no answer is given, since it would be a guess."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Somebody who asks. `arn` None: nobody we know (anonymous). `policies` are its own; `boundary` caps them."""

    arn: str | None
    account: str | None
    policies: tuple[Document, ...] = ()
    boundary: Document | None = None
    federated: str | None = None
    """The provider that vouches, when somebody asks for a role by a web token."""


ANONYMOUS = Principal(arn=None, account=None)


@dataclass(frozen=True, kw_only=True)
class Request:
    principal: Principal
    action: str
    resource: str
    owner: str
    """The account that owns the resource."""
    context: Mapping[str, str] = field(default_factory=dict)

    def keys(self) -> dict[str, str]:
        """Condition keys in lower case: their names are judged without case."""
        own = {} if self.principal.arn is None else {"aws:PrincipalArn": self.principal.arn}
        if self.principal.account is not None:
            own["aws:PrincipalAccount"] = self.principal.account
        whole = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "aws:PrincipalIsAWSService": "false"}
        return {key.lower(): value for key, value in {**whole, **own, **self.context}.items()}


def allowed(request: Request, resource_policy: Document | None = None) -> bool:
    """Whether the request goes through."""
    who = request.principal
    by_identity = _verdict(who.policies, request, judge_principal=False)
    by_resource = _verdict([resource_policy] if resource_policy else [], request, judge_principal=True)
    by_boundary = "Allow" if who.boundary is None else _verdict([who.boundary], request, judge_principal=False)
    if "Deny" in (by_identity, by_resource, by_boundary):
        return False
    own = by_identity == "Allow" == by_boundary
    if who.arn is None or who.federated is not None:
        return by_resource == "Allow"
    if who.account != request.owner:  # both accounts have to agree
        return own and by_resource == "Allow"
    return own or by_resource == "Allow"


def assumable(role_trust: Document, *, provider: str, claims: Mapping[str, str], action: str) -> bool:
    """Whether a web token of `provider` with these claims (`issuer:sub`, `issuer:aud`) becomes the role."""
    who = Principal(arn=None, account=None, federated=provider)
    return allowed(Request(principal=who, action=action, resource="*", owner="", context=claims), role_trust)


def _verdict(documents: Iterable[Document], request: Request, *, judge_principal: bool) -> str | None:
    """Deny beats Allow; None: nothing speaks of it."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in _statements(document)
        if _applies(statement, request, judge_principal=judge_principal)
    }
    return "Deny" if "Deny" in effects else "Allow" if "Allow" in effects else None


def _statements(document: Document) -> Sequence[Mapping[str, Any]]:
    assert document["Version"] == "2012-10-17"
    found = document["Statement"]
    return found if isinstance(found, list) else [found]


def _applies(statement: Mapping[str, Any], request: Request, *, judge_principal: bool) -> bool:
    known = {
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "NotPrincipal",
        "Condition",
    }
    if set(statement) - known:
        raise Unjudged(f"elements {set(statement) - known}")
    if judge_principal != ("Principal" in statement or "NotPrincipal" in statement):
        raise ValueError("a resource's policy names principals, an identity's does not")
    return (
        _principal_fits(statement, request.principal)
        and _listed_fits(statement, "Action", request.action, fold=True)
        and _listed_fits(statement, "Resource", request.resource, fold=False)
        and _conditions_hold(statement.get("Condition") or {}, request.keys())
    )


def _principal_fits(statement: Mapping[str, Any], who: Principal) -> bool:
    if "Principal" in statement:
        return _names(statement["Principal"], who)
    return not _names(statement["NotPrincipal"], who) if "NotPrincipal" in statement else True


def _names(principals: Any, who: Principal) -> bool:
    if principals == "*":
        return True
    for kind, values in principals.items():
        for value in _list(values):
            if kind == "AWS":
                if re.fullmatch(r"(arn:[a-z-]+:iam::)?[0-9]{12}(:root)?", value):
                    raise Unjudged(f"a whole account as principal, which delegates: {value}")
                if value in ("*", who.arn):
                    return True
            elif kind == "Federated":
                if who.federated is not None and value == who.federated:
                    return True
            elif kind != "Service":
                raise Unjudged(f"principal {kind}")
    return False


def _listed_fits(statement: Mapping[str, Any], element: str, value: str, *, fold: bool) -> bool:
    if element in statement:
        return any(like(value, pattern, fold=fold) for pattern in _list(statement[element]))
    if f"Not{element}" in statement:
        return not any(like(value, pattern, fold=fold) for pattern in _list(statement[f"Not{element}"]))
    return element == "Resource"  # a trust policy speaks of its own role


def like(value: str, pattern: str, *, fold: bool = False) -> bool:
    """`*` is any text, `?` any character."""
    if "${" in pattern:
        raise Unjudged(f"policy variables: {pattern}")
    parts = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(parts, value, re.DOTALL | (re.IGNORECASE if fold else 0)) is not None


def _conditions_hold(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    return all(
        _condition_holds(operator, context.get(key.lower()), [str(v) for v in _list(values)])
        for operator, keys in condition.items()
        for key, values in keys.items()
    )


_POSITIVE = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringLike": lambda value, wanted: like(value, wanted),
    "ArnEquals": lambda value, wanted: _arn_like(value, wanted),
    "ArnLike": lambda value, wanted: _arn_like(value, wanted),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "NumericLessThan": lambda value, wanted: float(value) < float(wanted),
}
_NEGATIVE = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _condition_holds(operator: str, value: str | None, wanted: Sequence[str]) -> bool:
    """A key that is not there fails what must be equal, and passes what must differ and what asks `IfExists`."""
    if operator == "Null":
        return (value is None) == (wanted == ["true"])
    plain = operator.removesuffix("IfExists")
    positive = _NEGATIVE.get(plain, plain)
    if positive not in _POSITIVE:
        raise Unjudged(f"condition operator {operator}")
    if value is None:
        return plain in _NEGATIVE or plain != operator
    matches = any(_POSITIVE[positive](value, each) for each in wanted)
    return matches != (plain in _NEGATIVE)


def _arn_like(value: str, pattern: str) -> bool:
    """Each of an ARN's six parts by itself: a wildcard does not reach over a colon."""
    parts, wanted = value.split(":", 5), pattern.split(":", 5)
    return len(parts) == len(wanted) and all(like(a, b) for a, b in zip(parts, wanted, strict=True))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
