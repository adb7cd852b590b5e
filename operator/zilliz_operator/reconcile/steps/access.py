"""AccessApplied: Milvus' own users and roles. Root's default password goes first; nobody is let in before it is seen refused.

The server applies grants with a delay and can lose close opposite calls, so there is one writer per cluster, everything is read
back on the next pass, and a key or user is refused at the door before it is removed here.
"""

from collections.abc import Mapping

from zilliz_operator.api.accesspolicy import SubjectKind
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.exceptions import Unavailable
from zilliz_operator.api.rolenames import ADMIN_ROLE
from zilliz_operator.desired import access as desired_access
from zilliz_operator.policy import access as planned
from zilliz_operator.policy.entitlements import credentials, technical_users
from zilliz_operator.policy.status import FALSE, ON_ITS_WAY, TRUE, UNKNOWN, StepResult
from zilliz_operator.reconcile import vault
from zilliz_operator.reconcile.accesspolicy import made_by
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import DoorAddress, Grant
from zilliz_operator.reconcile.steps import door
from zilliz_operator.reconcile.steps.errors import LATER, SOON
from zilliz_operator.reconcile.vault import ROOT, decoded

TYPE = ConditionType.ACCESS_APPLIED
DEFAULT_ROOT_PASSWORD = "Milvus"  # noqa: S105 - the server's published default, which this step removes


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
    milvus, root = p.world.milvus, p.vault.password(ROOT)
    if not await milvus.login_works(address, user=ROOT, password=root):
        if not await milvus.login_works(address, user=ROOT, password=DEFAULT_ROOT_PASSWORD):
            message = (
                "Milvus accepts neither root's stored password nor the default one: somebody changed it. "
                f"Put the right one into key {ROOT} of Secret {p.world.operator_namespace}/"
                f"{vault.vault_name(p.ctx.cluster_id)}"
            )
            return StepResult(TYPE, FALSE, Reason.ROOT_PASSWORD_UNKNOWN, message, again_in=LATER)
        await milvus.change_password(address, user=ROOT, old=DEFAULT_ROOT_PASSWORD, new=root)
        p.written.append("root password")
    if not p.vault.root_secured:
        if await milvus.login_works(address, user=ROOT, password=DEFAULT_ROOT_PASSWORD):
            return StepResult(TYPE, FALSE, Reason.PROGRESSING, "the default password is still accepted", again_in=SOON)
        p.vault = p.vault.secured()
        await vault.keep(p.world.hub, p.vault, p.ctx, namespace=p.world.operator_namespace)
        p.repeat_at_once = True
    unfinished = await _roles(p, address, root)
    users = await _users(p, address, root)
    if unfinished:
        message = "roles are being corrected: what must come follows what had to go"
        return StepResult(TYPE, FALSE, Reason.PROGRESSING, message, again_in=planned.SPACING)
    count = len(desired_access.roles(p.ctx.version))
    foreign = sorted(set(users.found) - set(users.wanted) - {ROOT})
    message = (
        f"default root password refused; public has no grants; {count} roles and {len(users.wanted)} users as the policies want"
        + (f"; not made by us, left alone: {', '.join(foreign)}" if foreign else "")
    )
    return StepResult(TYPE, TRUE, Reason.APPLIED, message)


async def _roles(p: Pass, address: DoorAddress, root: str) -> bool:
    """Our roles with exactly their grants, and none at all for `public`, whose defaults come back at every server start.

    Returns whether another round must follow: opposite calls for one role are never made close together.
    """
    milvus = p.world.milvus
    wanted = {**desired_access.roles(p.ctx.version), "public": frozenset[Grant]()}
    plans = planned.roles(wanted=wanted, found=await milvus.roles(address, password=root))
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
    return any(plan.unfinished for plan in plans)


Wanted = tuple[frozenset[str], str]


class _Users:
    """Users wanted (→ roles and password) and found (→ roles)."""

    def __init__(self, wanted: "Mapping[str, Wanted]", found: Mapping[str, frozenset[str]]) -> None:
        self.wanted, self.found = wanted, found


async def _users(p: Pass, address: DoorAddress, root: str) -> _Users:
    milvus = p.world.milvus
    wanted = {**_built_in_users(p), **_policy_users(p)}
    found = dict(await milvus.users(address, password=root))
    for user, (roles, password) in wanted.items():
        if user not in found:
            await milvus.create_user(address, password=root, user=user, user_password=password)
            found[user] = frozenset()
            p.written.append(f"user {user}")
        elif not await milvus.login_works(address, user=user, password=password):
            await milvus.set_user_password(address, password=root, user=user, user_password=password)
            p.written.append(f"password of {user}")
        change = planned.membership(user, wanted=roles, found=found[user])
        for extra in change.remove if change else ():
            await milvus.remove_role(address, password=root, user=user, role=extra)
            p.written.append(f"role {extra} from {user}")
        for lacking in change.add if change else ():
            await milvus.add_role(address, password=root, user=user, role=lacking)
            p.written.append(f"role {lacking} to {user}")
    for user in _ended_users(p, found, wanted) if p.world.leads() else ():
        await milvus.drop_user(address, password=root, user=user)
        p.written.append(f"-user {user}")
    return _Users(wanted, found)


def _built_in_users(p: Pass) -> dict[str, Wanted]:
    behind_keys = technical_users(credentials(p.entitled.live))
    technical = {user: (roles, p.vault.password(user)) for user, roles in behind_keys.items()}
    return {**technical, vault.DB_ADMIN: (frozenset({ADMIN_ROLE}), p.vault.password(vault.DB_ADMIN))}


def _policy_users(p: Pass) -> dict[str, Wanted]:
    """Cluster users of the policies, whose Secret is there and whose time is not over."""
    users: dict[str, Wanted] = {}
    for each in credentials(p.entitled.live):
        secret = p.subject_secrets.get(each.secret)
        if each.kind is SubjectKind.CLUSTER_USER and made_by(each.owner_uid, secret):
            password = decoded(secret).get("password")
            if password:
                users[each.name] = (each.roles, password)
    return users


def _ended_users(p: Pass, found: Mapping[str, frozenset[str]], wanted: Mapping[str, object]) -> list[str]:
    """Users that hold one of our roles and that no policy wants any more: we made them, we take them away."""
    ours = frozenset(desired_access.roles(p.ctx.version))
    return [user for user, roles in found.items() if user not in wanted and user != ROOT and roles & ours]
