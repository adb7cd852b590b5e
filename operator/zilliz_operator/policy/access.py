"""What to do to Milvus' roles and users so that they become what the policies want.

The server applies grants with a delay, and of a grant and a revocation close together one can be lost. So one round
never does both to a role: what must go goes first, and what must come waits for the next round, `SPACING` later.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zilliz_operator.api.outside import Grant

SPACING = 5.0
"""Seconds between opposite calls for one role; the server's caches were measured to settle within four."""
BUILT_IN = frozenset({"admin", "public"})
"""Roles that cannot be dropped."""


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
