"""Milvus' users: those behind keys, those of policies, and nobody else's.

A user that a policy names is remembered in the vault before it is made and until it is dropped. So one that a crash left without
a role still goes with its policy, and one that somebody else made is never taken for ours, whatever roles it was given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zilliz_operator.api.accesspolicy import SubjectKind
from zilliz_operator.api.rolenames import ADMIN_ROLE, TECHNICAL_PREFIX
from zilliz_operator.desired import access as desired_access
from zilliz_operator.desired.door import DoorUserEnd
from zilliz_operator.policy import access as planned
from zilliz_operator.policy.entitlements import Credential, credentials, technical_users
from zilliz_operator.reconcile import vault
from zilliz_operator.reconcile.accesspolicy import made_by
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import DoorAddress, Grant
from zilliz_operator.reconcile.steps import passwords, signon
from zilliz_operator.reconcile.vault import DB_ADMIN, ROOT, decoded


@dataclass(frozen=True, slots=True)
class Wanted:
    """One user as it should be."""

    roles: frozenset[str]
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one round begins with."""

    users: Mapping[str, frozenset[str]]
    """User → roles."""
    wanted: Mapping[str, Wanted]
    named: frozenset[str]
    """Names that policies ask for, those that somebody else's user has among them."""
    ours: frozenset[str]
    """Names that are the operator's or a policy's."""


def ends(p: Pass) -> list[DoorUserEnd]:
    """Users of ours that the door refuses by itself: those no policy wants any more, until Milvus has dropped them, and those
    with an end. Others' users are not its matter."""
    live = {each.name: each for each in _of_policies(p)}
    found = []
    for user in p.vault.users:
        end = live[user].ends if user in live else None
        if user not in live or end is not None:
            found.append(DoorUserEnd(name=user, ends=int(end.timestamp()) if end else 0))
    return found


async def look(p: Pass, address: DoorAddress, root: str) -> Seen:
    """Who is there, and who should be; whom we are about to make is remembered first."""
    named = _named(p)
    found, asked = await p.world.milvus.users(address, password=root), frozenset(named)
    for user in await _taken(p, address, named, found):
        del named[user]
    await _remember(p, p.vault.users | named.keys())
    wanted = {**_built_in(p), **named}
    return Seen(users=found, wanted=wanted, named=asked, ours=frozenset({*wanted, *p.vault.users, ROOT}))


async def drop(p: Pass, address: DoorAddress, root: str, seen: Seen) -> None:
    """Take away users of ours that nobody wants any more. Their open connections end with them."""
    if not p.world.leads():
        return
    for user in seen.users:
        if user not in seen.wanted and (user in p.vault.users or user.startswith(TECHNICAL_PREFIX)):
            await p.world.milvus.drop_user(address, password=root, user=user)
            p.written.append(f"-user {user}")
    await _remember(p, p.vault.users & seen.wanted.keys())


async def apply(
    p: Pass, address: DoorAddress, root: str, seen: Seen, *, roles: Mapping[str, frozenset[Grant]]
) -> list[str]:
    """Make users, passwords and memberships what the policies want. Returns whom the server was not yet seen to treat so.

    Its caches may learn of a membership a minute late, or not at all (measured on 2.3.5, of several made at once): so each user is
    asked after, as that user, and what it lacks or still has is ordered again.
    """
    milvus, late = p.world.milvus, []
    for user, want in seen.wanted.items():
        has = seen.users.get(user)
        asked = (
            roles if user in seen.named else {}
        )  # roles of users behind keys are never taken: others are users of their own
        marks = desired_access.marks(asked, user_roles=want.roles, version=p.ctx.version)
        held: frozenset[str] | None = frozenset()
        if has is None:
            await milvus.create_user(address, password=root, user=user, user_password=want.password)
            p.written.append(f"user {user}")
        else:
            held = await milvus.held(address, user=user, password=want.password, marks=marks)
        if held is None:
            await passwords.set_right(p, address, user)
        change = planned.membership(user, wanted=want.roles, found=has or frozenset())
        if change is None and held is not None and marks:
            change = planned.membership(user, wanted=want.roles, found=held)
        if change is not None:
            await _carry_out(p, address, root, change)
            late.append(user)
    await passwords.settled(p)
    return late


async def _carry_out(p: Pass, address: DoorAddress, root: str, change: planned.MembershipPlan) -> None:
    """A user of ours holds what policies give and nothing else, whoever gave it more."""
    for lacking in change.add:
        await p.world.milvus.add_role(address, password=root, user=change.user, role=lacking)
        p.written.append(f"role {lacking} to {change.user}")
    for extra in change.remove:
        await p.world.milvus.remove_role(address, password=root, user=change.user, role=extra)
        p.written.append(f"role {extra} from {change.user}")


async def _taken(
    p: Pass, address: DoorAddress, named: Mapping[str, Wanted], found: Mapping[str, frozenset[str]]
) -> list[str]:
    """Users that policies name and that others made. One that knows the generated password is ours: nobody else could."""
    unknown = [user for user in named if user in found and user not in p.vault.users]
    login = p.world.milvus.login_works
    return [user for user in unknown if not await login(address, user=user, password=named[user].password)]


async def _remember(p: Pass, users: frozenset[str]) -> None:
    if users != p.vault.users:
        p.vault = p.vault.with_users(users)
        await vault.keep(p.world.hub, p.vault, p.ctx, namespace=p.world.operator_namespace)
        p.repeat_at_once = True  # the door knows users by it


def _built_in(p: Pass) -> dict[str, Wanted]:
    behind = {**technical_users(credentials(p.entitled.live)), **signon.technical_users(p)}
    technical = {user: Wanted(roles, p.vault.inner(user)) for user, roles in behind.items()}
    return {**technical, DB_ADMIN: Wanted(frozenset({ADMIN_ROLE}), p.vault.inner(DB_ADMIN))}


def _named(p: Pass) -> dict[str, Wanted]:
    return {each.name: Wanted(each.roles, p.vault.inner(each.name)) for each in _of_policies(p)}


def _of_policies(p: Pass) -> list[Credential]:
    """Users of the policies, whose Secret is there and whose time is not over: to delete the Secret is to throw away what is
    in it."""
    found = []
    for each in credentials(p.entitled.live):
        secret = p.subject_secrets.get(each.secret)
        if (
            each.kind is SubjectKind.CLUSTER_USER
            and made_by(each.owner_uid, secret)
            and decoded(secret).get("password")
        ):
            found.append(each)
    return found
