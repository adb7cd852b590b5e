"""Which technical user a token acts as: the union of what all policies give its groups and its name, in bits.

The gateway has no sets, no loops and no clock arithmetic to speak of. So every combination of role, end and second factor that
policies give to people is one bit; a group or a user is the bits it gives; the union is `or`, the ends and the second factor are
`and`, and a table of all sets of roles names the user. Nothing here is approximate: `effective` says the same in sets, and a
test holds the two against each other.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from zilliz_operator.api.accesspolicy import SubjectKind
from zilliz_operator.api.signon import MAX_CLASSES, MAX_CUSTOM_ROLES, PREDEFINED, Masks, Member

PEOPLE: Final = (SubjectKind.GROUP, SubjectKind.USER)
_Class = tuple[str, int | None, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What one policy gives one person or group."""

    policy: str
    group: bool
    name: str
    roles: frozenset[str]
    ends: datetime | None = None
    require_mfa: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the gateway is told, and which policies did not fit."""

    masks: Masks = field(default_factory=Masks)
    role_sets: frozenset[frozenset[str]] = frozenset()
    """Every set of roles that a token may end up with."""
    refused: Mapping[str, str]
    """Policy → why nothing of it is in force for people here, with a remedy."""


def normal(roles: Iterable[str]) -> frozenset[str]:
    """The same rights with the fewest roles: of the predefined ones only the highest."""
    found = set(roles)
    ranked = [role for role in PREDEFINED if role in found]
    return frozenset(found - set(ranked[:-1]))


def plan(given: Sequence[Given], *, user: Callable[[frozenset[str]], str]) -> Plan:
    """The bits for `given`, the oldest policy first: who does not fit any more is refused."""
    classes, refused = _classes(given)
    slots = sorted({role for role, _, _ in classes}, key=lambda role: (_rank(role), role))
    members: dict[tuple[bool, str], int] = {}
    for each in given:
        if each.policy not in refused:
            key = (each.group, each.name)
            members[key] = members.get(key, 0) | sum(1 << classes[one] for one in _of(each))
    sets = {
        bits: normal(role for bit, role in enumerate(slots) if bits >> bit & 1) for bits in range(1, 1 << len(slots))
    }
    return Plan(
        masks=Masks(
            members=tuple(Member(group=g, name=n, mask=mask) for (g, n), mask in sorted(members.items())),
            live=_live(classes),
            without_mfa=sum(1 << bit for (_, _, mfa), bit in classes.items() if not mfa),
            slots=tuple(sum(1 << bit for (role, _, _), bit in classes.items() if role == slot) for slot in slots),
            users=tuple((bits, user(roles)) for bits, roles in sorted(sets.items())),
        ),
        role_sets=frozenset(sets.values()),
        refused=refused,
    )


def effective(
    given: Iterable[Given], *, groups: Iterable[str], name: str | None, mfa: bool, now: datetime
) -> frozenset[str]:
    """The same in sets: what a token with these groups and this name may do at `now`."""
    mine = frozenset(groups)
    return normal(
        itertools.chain.from_iterable(
            each.roles
            for each in given
            if (each.name in mine if each.group else each.name == name)
            and (each.ends is None or now.timestamp() < int(each.ends.timestamp()))
            and (mfa or not each.require_mfa)
        )
    )


def _classes(given: Sequence[Given]) -> tuple[dict[_Class, int], dict[str, str]]:
    classes: dict[_Class, int] = {}
    refused: dict[str, str] = {}
    for policy, entries in itertools.groupby(given, key=lambda each: each.policy):
        fresh = dict.fromkeys(one for each in entries for one in _of(each) if one not in classes)
        custom = {role for role, _, _ in (*classes, *fresh) if role not in PREDEFINED}
        if len(custom) > MAX_CUSTOM_ROLES:
            refused[policy] = (
                f"older policies give people {MAX_CUSTOM_ROLES} sets of custom grants on this cluster already, and sign-on bears no "
                "more: give these people a predefined role, join policies with the same grants into one, or use a ClusterUser"
            )
        elif len(classes) + len(fresh) > MAX_CLASSES:
            refused[policy] = (
                f"older policies give people {MAX_CLASSES} combinations of role, end and second factor on this cluster already, and "
                "sign-on bears no more: give policies a common expiresAt, or delete those that have ended"
            )
        else:
            classes |= {one: len(classes) + index for index, one in enumerate(fresh)}
    return classes, refused


def _of(given: Given) -> list[_Class]:
    end = int(given.ends.timestamp()) if given.ends is not None else None
    return [(role, end, given.require_mfa) for role in sorted(given.roles)]


def _live(classes: Mapping[_Class, int]) -> tuple[tuple[int, int], ...]:
    """From 0 and from each end on: the classes that hold then."""
    starts = sorted({0, *(end for _, end, _ in classes if end is not None and end > 0)})
    return tuple(
        (start, sum(1 << bit for (_, end, _), bit in classes.items() if end is None or end > start)) for start in starts
    )


def _rank(role: str) -> int:
    return PREDEFINED.index(role) if role in PREDEFINED else len(PREDEFINED)
