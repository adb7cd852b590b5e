"""Single sign-on of one cluster: whose tokens its doors take, and which technical users they make their bearers."""

from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.rolenames import technical_user
from zilliz_operator.desired.signon import DoorIssuer, DoorSso
from zilliz_operator.policy import signon as planned
from zilliz_operator.policy.entitlements import Judged
from zilliz_operator.policy.signon import PEOPLE, Given, Plan
from zilliz_operator.reconcile import signon
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.signon import Kept


def plan(entitled: Judged) -> Plan:
    """The bits for everybody whom policies name by group or user."""
    given = [
        Given(
            policy=each.policy,
            group=each.subject.kind is PEOPLE[0],
            name=each.subject.name,
            roles=each.roles,
            ends=each.ends,
            require_mfa=each.require_mfa,
        )
        for each in entitled.live
        if each.subject.kind in PEOPLE
    ]
    return planned.plan(given, user=technical_user)


def technical_users(p: Pass) -> dict[str, frozenset[str]]:
    """User behind tokens → its roles, for every set of roles that a token may end up with."""
    if not p.ctx.data_plane.sso:
        return {}
    return {technical_user(roles): roles for roles in plan(p.entitled).role_sets}


async def door(p: Pass) -> DoorSso | None:
    """What the gateways need; None where the data plane has no issuer."""
    if not p.ctx.data_plane.sso:
        return None
    known = await signon.known(p.world, p.data_plane)
    return DoorSso(issuers=issuers(p.data_plane, known), masks=plan(p.entitled).masks)


def issuers(plane: DataPlane, known: dict[str, Kept]) -> tuple[DoorIssuer, ...]:
    return tuple(
        DoorIssuer(
            issuer=str(each.issuer),
            audience=each.audience,
            username_claim=each.username_claim,
            groups_claim=each.groups_claim,
            prefix=each.prefix,
            mfa_claim=each.mfa.claim if each.mfa else None,
            mfa_values=each.mfa.values if each.mfa else (),
            keys=known[str(each.issuer)].keys,
        )
        for each in plane.spec.sso
    )
