"""AccessApplied: Milvus' own users and roles. Root's default password goes first; nobody is let in before it is seen refused.

The server applies grants with a delay and can lose close opposite calls, so there is one writer per cluster, everything is read
back on the next pass, and a key or user is refused at the door before it is removed here.
"""

from collections.abc import Sequence

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.exceptions import Unavailable
from zilliz_operator.api.rolenames import is_our_role
from zilliz_operator.desired import access as desired_access
from zilliz_operator.policy import access as planned
from zilliz_operator.policy.status import FALSE, ON_ITS_WAY, TRUE, UNKNOWN, StepResult
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import DoorAddress, Grant
from zilliz_operator.reconcile.steps import door, passwords, users
from zilliz_operator.reconcile.steps import root as root_password
from zilliz_operator.reconcile.steps.errors import SOON
from zilliz_operator.reconcile.vault import ROOT

TYPE = ConditionType.ACCESS_APPLIED
PUBLIC = "public"
LATE = 1.0
"""Seconds until a user is asked after again."""
NAMED = 10
"""Strangers that the message names; status.foreign has more of them."""
PUBLIC_KEEPS = "any user still sees the server's version, and segments and replicas of every collection"
"""What servers before 2.5 tell everybody who can log in, with no grant that could be taken away."""


async def apply(p: Pass) -> StepResult:
    """Secure root, strip `public`, then make roles and users what the policies want."""
    if p.ctx.suspended:
        return StepResult(TYPE, UNKNOWN, Reason.SUSPENDED, "suspended: users and roles are kept as they are")
    found = await door.doors(p)
    if not found:
        return door.nobody_to_ask(p, TYPE)
    try:
        return await _through(p, found[0].address)
    except Unavailable as error:
        workload = p.result(ConditionType.WORKLOAD_READY)
        starting = not found[0].ready or (workload is not None and workload.reason in ON_ITS_WAY)
        reason = Reason.WAITING_FOR_PODS if starting else Reason.MILVUS_UNAVAILABLE
        message = "Milvus is starting" if starting else str(error)
        return StepResult(TYPE, UNKNOWN, reason, message, again_in=SOON)


async def _through(p: Pass, address: DoorAddress) -> StepResult:
    waits = await root_password.secure(p, address)
    if waits is not None:
        return waits
    root = p.vault.password(ROOT)
    shown = await p.world.milvus.roles(address, password=root)
    plans = planned.roles(
        wanted=(wanted := _wanted_roles(p)),
        found=desired_access.as_shown(shown, version=p.ctx.version),
        ours=frozenset(filter(is_our_role, shown)),
    )
    coming, going = ([plan for plan in plans if (plan.role in wanted) is here] for here in (True, False))
    seen = await users.look(p, address, root)
    await users.drop(p, address, root, seen)  # first: whom a policy let go must not wait for what others get
    await _carry_out(p, address, root, coming)
    ours = {role: grants for role, grants in wanted.items() if role != PUBLIC}
    late = await users.apply(p, address, root, seen, roles=ours)
    await _carry_out(p, address, root, going)
    p.foreign = planned.foreign(users=seen.users, roles=shown.keys(), ours=seen.ours, named=seen.named)
    if any(plan.unfinished for plan in plans):
        message = "roles are being corrected: what must come follows what had to go"
        return StepResult(TYPE, FALSE, Reason.PROGRESSING, message, again_in=planned.SPACING)
    if late:
        named = ", ".join(late[:NAMED]) + (f" and {len(late) - NAMED} more" if late[NAMED:] else "")
        message = f"Milvus is asked, as each user, whether what policies give is in force: not seen yet for {named}"
        return StepResult(TYPE, FALSE, Reason.PROGRESSING, message, again_in=LATE)
    return StepResult(TYPE, TRUE, Reason.APPLIED, _said(p, roles=len(wanted) - 1, users_=len(seen.wanted)))


def _wanted_roles(p: Pass) -> dict[str, frozenset[Grant]]:
    """Our roles with exactly their grants, and none at all for `public`, whose defaults come back at every server start."""
    in_use = {role for each in p.entitled.live for role in each.roles}
    custom = {role: grants for role, grants in p.custom.roles.items() if role in in_use}
    ours = {**desired_access.roles(p.ctx.version), **custom}
    return {**desired_access.marked(ours, version=p.ctx.version), PUBLIC: frozenset()}


async def _carry_out(p: Pass, address: DoorAddress, root: str, plans: Sequence[planned.RolePlan]) -> None:
    """One round. Opposite calls for one role are never made close together."""
    milvus = p.world.milvus
    for plan in plans:
        if plan.create:
            await milvus.create_role(address, password=root, role=plan.role)
            p.written.append(f"role {plan.role}")
        if plan.revoke:
            await milvus.revoke(address, password=root, role=plan.role, grants=plan.revoke)
            p.written.append(f"revoke {len(plan.revoke)} from {plan.role}")
        if plan.grant:
            await milvus.grant(address, password=root, role=plan.role, grants=plan.grant)
            p.written.append(f"grant {len(plan.grant)} to {plan.role}")
        if plan.drop and p.world.leads():
            await milvus.drop_role(address, password=root, role=plan.role)
            p.written.append(f"-role {plan.role}")


def _said(p: Pass, *, roles: int, users_: int) -> str:
    foreign = [f"{each.kind.lower()} {each.name}" for each in p.foreign or ()]
    named = foreign[:NAMED] + ([f"{len(foreign) - NAMED} more"] if foreign[NAMED:] else [])
    left = "" if p.ctx.version_at_least("2.5.0") else f" ({PUBLIC_KEEPS})"
    return (
        f"default root password refused; public has no grants{left}; {roles} roles and {users_} users as the policies want"
        + (f"; not made by us, left alone: {', '.join(named)}" if named else "")
        + (f"; {reset}" if (reset := passwords.told(p)) else "")
    )
