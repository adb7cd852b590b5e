"""What to do to Milvus' roles and users so that they become what the policies want.

The server applies grants with a delay, and of a grant and a revocation close together one can be lost. So one round
never does both to a role: what must go goes first, and what must come waits for the next round, `SPACING` later.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api.outside import Grant
from zilliz_operator.api.rolenames import TECHNICAL_PREFIX, is_our_role

SPACING = 5.0
"""Seconds between opposite calls for one role; the server's caches were measured to settle within four."""
BUILT_IN = frozenset({"admin", "public"})
"""Roles that cannot be dropped."""


USER, ROLE = "User", "Role"
FOREIGN_SHOWN = 50
"""Entries of a status are bounded: somebody's thousand users must not fill etcd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A user or role that others made in Milvus: told, and left as it is."""

    kind: str
    name: str
    roles: tuple[str, ...] = ()
    """Of a user: what it may do by them is others' doing too."""

    def as_status(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, **({"roles": list(self.roles)} if self.roles else {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePlan:
    """One round of one role."""

    role: str
    create: bool = False
    drop: bool = False
    revoke: tuple[Grant, ...] = ()
    grant: tuple[Grant, ...] = ()
    unfinished: bool = False
    """Whether another round must follow, not before `SPACING`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipPlan:
    """One user's roles."""

    user: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def roles(
    *, wanted: Mapping[str, frozenset[Grant]], found: Mapping[str, frozenset[Grant]], ours: frozenset[str] = frozenset()
) -> list[RolePlan]:
    """One round for every role that is not as wanted; empty at rest.

    `ours`: roles that we once made. Those no longer wanted are emptied and then dropped; anybody else's stay.
    """
    plans = [_role(role, grants, found.get(role)) for role, grants in sorted(wanted.items())]
    plans += [_farewell(role, found[role]) for role in sorted(ours & found.keys() - wanted.keys() - BUILT_IN)]
    return [plan for plan in plans if plan is not None]


def foreign(
    *,
    users: Mapping[str, frozenset[str]],
    roles: Collection[str],
    ours: Collection[str],
    named: Collection[str] = (),
) -> tuple[Foreign, ...]:
    """What others made, of all that was found. `ours`: users that are the operator's or a policy's; `named`: those that
    policies ask for, which come first when there are others of that name."""
    strangers = {user: has for user, has in users.items() if user not in ours and not user.startswith(TECHNICAL_PREFIX)}
    found = [Foreign(kind=USER, name=user, roles=tuple(sorted(has - {"public"}))) for user, has in strangers.items()]
    found += [Foreign(kind=ROLE, name=role) for role in roles if not is_our_role(role) and role not in BUILT_IN]
    return tuple(
        sorted(found, key=lambda each: (each.kind != USER or each.name not in named, each.kind != USER, each.name))
    )


def membership(user: str, *, wanted: frozenset[str], found: frozenset[str]) -> MembershipPlan | None:
    """The roles to take from and give to a user; None at rest. `public` is everybody's and not ours to judge."""
    add, remove = wanted - found, found - wanted - {"public"}
    if not add and not remove:
        return None
    return MembershipPlan(user=user, add=tuple(sorted(add)), remove=tuple(sorted(remove)))


def _role(role: str, wanted: frozenset[Grant], found: frozenset[Grant] | None) -> RolePlan | None:
    create = found is None and role not in BUILT_IN
    extra, lacking = ordered((found or frozenset()) - wanted), ordered(wanted - (found or frozenset()))
    if extra:
        return RolePlan(role=role, revoke=extra, unfinished=bool(lacking))
    if lacking or create:
        return RolePlan(role=role, create=create, grant=lacking)
    return None


def _farewell(role: str, found: frozenset[Grant]) -> RolePlan:
    if found:  # a role with grants cannot be dropped
        return RolePlan(role=role, revoke=ordered(found), unfinished=True)
    return RolePlan(role=role, drop=True)


def ordered(grants: frozenset[Grant]) -> tuple[Grant, ...]:
    """Always the same order, so that logs and tests read alike."""
    return tuple(sorted(grants, key=lambda g: (g.database, g.object_type, g.object_name, g.privilege)))
