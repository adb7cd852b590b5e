"""The endpoint service of a cluster's load balancer: which one is ours, what to change in it, and what it is then.

Ownership is written on the thing itself. The service carries the cluster's UID, set in the call that makes it. A principal has
no mark of its own, so the service carries one tag a principal that we put: set before the principal is allowed and removed once
it is seen to be gone, so that a crash between two calls never makes a principal of ours look like a stranger's. A stranger's stays.

A connection is accepted when its account is one of the allowed principals'. One whose account nobody allows any more is ended:
AWS itself would keep it. Those of accounts that a stranger allowed are the stranger's to judge.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from zilliz_operator.api import names
from zilliz_operator.api.cloud import (
    AcceptConnections,
    AllowPrincipals,
    Change,
    ConfigureService,
    CreateService,
    DeleteService,
    DisallowPrincipals,
    EndpointConnection,
    EndpointService,
    LoadBalancer,
    RejectConnections,
    TagService,
    UntagService,
)
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.exceptions import NameTaken
from zilliz_operator.policy.status import FALSE, TRUE, StepResult

TYPE: Final = ConditionType.PRIVATE_LINK_READY
PRINCIPAL_TAG: Final = names.PREFIX + "principal-"
OURS: Final = "allowed by the operator"
WAITING: Final = frozenset({"pendingacceptance", "pending"})
CONNECTED: Final = frozenset({*WAITING, "available", "partial"})
"""States of a connection that is open or may become so, in lower case: the API spells them in more than one."""
MOST_NAMED: Final = 5
SOON: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The endpoint service as the spec asks for it."""

    uid: str
    tags: tuple[tuple[str, str], ...]
    load_balancer: str
    acceptance_required: bool
    principals: tuple[str, ...]


def mark(principal: str) -> str:
    """The key of the tag that says a principal is ours. A digest: an ARN has signs that a tag may not have."""
    return PRINCIPAL_TAG + sha256(principal.encode()).hexdigest()[:16]


def owned(found: Iterable[EndpointService], *, uid: str) -> list[EndpointService]:
    """Those with our UID on them, in a fixed order."""
    return sorted((s for s in found if s.tags.get(names.CLUSTER_UID_LABEL) == uid), key=lambda s: s.id)


def choose(found: Sequence[EndpointService], *, uid: str, load_balancer: str) -> EndpointService | None:
    """Our service, the one in front of our load balancer first; None when there is none yet.

    Raises NameTaken when a stranger's stands in front of it: a load balancer belongs to one service at a time.
    """
    for service in sorted(found, key=lambda s: s.id):
        if load_balancer in service.load_balancers and service.tags.get(names.CLUSTER_UID_LABEL) != uid:
            raise NameTaken(
                f"endpoint service {service.id}",
                f"stands in front of this cluster's load balancer {load_balancer} and does not carry the tag "
                f"{names.CLUSTER_UID_LABEL}={uid}; it was not touched. Delete it, or take the load balancer out of it",
            )
    ours = owned(found, uid=uid)
    return next((s for s in ours if load_balancer in s.load_balancers), ours[0] if ours else None)


def birth(wanted: Wanted) -> CreateService:
    """The first call: marked as ours, with a mark for each principal to come."""
    return CreateService(
        load_balancer=wanted.load_balancer,
        acceptance_required=wanted.acceptance_required,
        tags=(*wanted.tags, *_marks(wanted.principals)),
    )


def changes(service: EndpointService, wanted: Wanted) -> list[Change]:
    """What to change, in the order that a crash may interrupt anywhere; empty at rest."""
    plan: list[Change] = []
    others = tuple(arn for arn in service.load_balancers if arn != wanted.load_balancer)
    missing = () if wanted.load_balancer in service.load_balancers else (wanted.load_balancer,)
    differs = service.acceptance_required != wanted.acceptance_required
    if others or missing or differs:
        acceptance = wanted.acceptance_required if differs else None
        plan.append(
            ConfigureService(
                service=service.id,
                add_load_balancers=missing,
                remove_load_balancers=others,
                acceptance_required=acceptance,
            )
        )
    return [*plan, *_principals(service, wanted), *_connections(service, wanted)]


def removal(services: Sequence[EndpointService]) -> list[Change]:
    """What ends services of ours: connections first, since a service with connections cannot be deleted."""
    plan: list[Change] = []
    for service in services:
        open_ = tuple(c.endpoint for c in _sorted(service.connections) if c.state.lower() in CONNECTED)
        if open_:
            plan.append(RejectConnections(service=service.id, endpoints=open_))
        if service.state.lower() not in ("deleting", "deleted"):
            plan.append(DeleteService(service=service.id))
    return plan


def foreign(service: EndpointService, wanted: Wanted) -> list[str]:
    """Principals that somebody else put: neither asked for nor marked as ours."""
    return sorted(p for p in service.principals if p not in wanted.principals and mark(p) not in service.tags)


def unfit(balancer: LoadBalancer) -> str:
    """Why no endpoint service can stand in front of this load balancer; empty when one can."""
    if balancer.type != "network":
        return f"it is of type {balancer.type}, and PrivateLink needs a network load balancer"
    if balancer.scheme != "internal":
        return f"its scheme is {balancer.scheme}, and a private door must be internal"
    return ""


def judge(service: EndpointService, wanted: Wanted) -> StepResult:
    """The condition, of a service in which nothing is left to change."""
    state = service.state.lower()
    if state != "available":
        reason = Reason.CLOUD_UNAVAILABLE if state == "failed" else Reason.WAITING_FOR_ADDRESS
        message = f"endpoint service {service.name} is {service.state}"
        return StepResult(TYPE, FALSE, reason, message, again_in=SOON)
    strangers = foreign(service, wanted)
    if strangers:
        message = (
            f"endpoint service {service.name} also allows {_listed(strangers)}, put there by somebody else and left alone: add "
            "it to spec.privateLink.allowedPrincipals, or take it out of the service in AWS. "
            f"{_connected(service, wanted)}"
        )
        return StepResult(TYPE, FALSE, Reason.FOREIGN_PRINCIPAL, message)
    waits = "each endpoint is accepted by the operator" if wanted.acceptance_required else "AWS accepts their endpoints"
    message = (
        f"endpoint service {service.name}: {len(wanted.principals)} principals may connect, {waits}. "
        f"{_connected(service, wanted)}"
    )
    return StepResult(TYPE, TRUE, Reason.KEPT, message)


def accounts(principals: Iterable[str]) -> frozenset[str]:
    """The accounts of principals; `*` for one that does not tell (everybody, or a deleted role's id)."""
    return frozenset(
        parts[4] if len(parts := principal.split(":", 5)) == 6 and parts[4].isdigit() else "*"
        for principal in principals
    )


def _marks(principals: Iterable[str]) -> tuple[tuple[str, str], ...]:
    return tuple((mark(principal), OURS) for principal in sorted(set(principals)))


def _principals(service: EndpointService, wanted: Wanted) -> list[Change]:
    tags: Mapping[str, str] = service.tags
    present, asked = set(service.principals), set(wanted.principals)
    unmarked = [pair for pair in (*wanted.tags, *_marks(asked)) if tags.get(pair[0]) != pair[1]]
    ours = {p for p in present if mark(p) in tags}
    kept = {mark(p) for p in asked | present}  # one taken back is unmarked once it is seen to be gone
    stale = sorted(key for key in tags if key.startswith(PRINCIPAL_TAG) and key not in kept)
    plan: list[Change] = []
    if unmarked:
        plan.append(TagService(service=service.id, tags=tuple(unmarked)))
    if asked - present:
        plan.append(AllowPrincipals(service=service.id, principals=tuple(sorted(asked - present))))
    if ours - asked:
        plan.append(DisallowPrincipals(service=service.id, principals=tuple(sorted(ours - asked))))
    if stale:
        plan.append(UntagService(service=service.id, keys=tuple(stale)))
    return plan


def _connections(service: EndpointService, wanted: Wanted) -> list[Change]:
    allowed, theirs = accounts(wanted.principals), accounts(foreign(service, wanted))
    accept, refuse = [], []
    for connection in _sorted(service.connections):
        state = connection.state.lower()
        if connection.account in allowed:
            if state == "pendingacceptance":
                accept.append(connection.endpoint)
        elif state in CONNECTED and not theirs & {connection.account, "*"}:
            refuse.append(connection.endpoint)
    plan: list[Change] = []
    if accept:
        plan.append(AcceptConnections(service=service.id, endpoints=tuple(accept)))
    if refuse:
        plan.append(RejectConnections(service=service.id, endpoints=tuple(refuse)))
    return plan


def _connected(service: EndpointService, wanted: Wanted) -> str:
    """Connections by their state, and those that are not ours to accept by their id."""
    if not service.connections:
        return "No endpoint is connected"
    states = sorted({c.state for c in service.connections})
    counted = ", ".join(f"{sum(c.state == state for c in service.connections)} {state}" for state in states)
    allowed = accounts(wanted.principals)
    left = [
        f"{c.endpoint} of account {c.account} ({c.state})"
        for c in _sorted(service.connections)
        if c.account not in allowed and c.state.lower() in CONNECTED
    ]
    said = f"; not accepted by us, their account is not on the list: {_listed(left)}" if left else ""
    return f"Endpoints: {counted}{said}"


def _sorted(connections: Iterable[EndpointConnection]) -> list[EndpointConnection]:
    return sorted(connections, key=lambda c: c.endpoint)


def _listed(said: Sequence[str]) -> str:
    more = f" and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
    return ", ".join(said[:MOST_NAMED]) + more
