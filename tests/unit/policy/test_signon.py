"""Who a token is, in bits: the same as in sets, whatever policies there are."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.rolenames import technical_user
from zilliz_operator.api.signon import MAX_CLASSES, MAX_CUSTOM_ROLES, PREDEFINED, Masks
from zilliz_operator.policy.signon import Given, effective, normal, plan

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
NAMES = ["a", "b", "c"]
CUSTOM = [f"zg_{number}" for number in range(MAX_CUSTOM_ROLES)]
ENDS = st.none() | st.integers(-3, 3).map(lambda hours: NOW + timedelta(hours=hours))


@st.composite
def policies(draw: st.DrawFn) -> list[Given]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        role = draw(st.sampled_from([*PREDEFINED, *CUSTOM]))
        end, mfa = draw(ENDS), draw(st.booleans())
        for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)):
            found.append(
                Given(
                    policy=f"p/{number}",
                    group=draw(st.booleans()),
                    name=name,
                    roles=frozenset({role}),
                    ends=end,
                    require_mfa=mfa,
                )
            )
    return found


def by_bits(masks: Masks, *, groups: list[str], name: str, mfa: bool, now: datetime) -> str | None:
    """What the gateway's rules do, step by step."""
    mask = 0
    for member in masks.members:
        if (member.name in groups) if member.group else member.name == name:
            mask |= member.mask
    mask &= [live for start, live in masks.live if start <= now.timestamp()][-1]
    if not mfa:
        mask &= masks.without_mfa
    roles = sum(1 << slot for slot, classes in enumerate(masks.slots) if classes & mask)
    return dict(masks.users).get(roles)


@given(
    policies(), st.lists(st.sampled_from(NAMES), unique=True), st.sampled_from(NAMES), st.booleans(), st.integers(-4, 4)
)
def test_bits_say_what_sets_say(given: list[Given], groups: list[str], name: str, mfa: bool, hours: int) -> None:
    now = NOW + timedelta(hours=hours)
    found = plan(given, user=technical_user)
    assert not found.refused
    wanted = effective(given, groups=groups, name=name, mfa=mfa, now=now)
    said = by_bits(found.masks, groups=groups, name=name, mfa=mfa, now=now)
    assert said == (technical_user(wanted) if wanted else None)
    assert not wanted or wanted in found.role_sets


@given(policies())
def test_every_user_that_the_door_may_name_has_its_set_of_roles(given: list[Given]) -> None:
    found = plan(given, user=technical_user)
    assert {user for _, user in found.masks.users} == {technical_user(roles) for roles in found.role_sets}
    assert len(found.role_sets) <= 63


def test_of_predefined_roles_the_highest_is_enough() -> None:
    assert normal(["zr_viewer", "zr_admin", "zg_1"]) == {"zr_admin", "zg_1"}
    assert normal(["zr_viewer", "zr_operator"]) == {"zr_operator"}
    assert normal([]) == frozenset()


def one(number: int, role: str, **more: object) -> Given:
    return Given(policy=f"p/{number:03}", group=True, name=f"g{number}", roles=frozenset({role}), **more)  # type: ignore[arg-type]


def test_what_does_not_fit_is_refused_for_the_younger_policy_alone() -> None:
    given = [one(number, f"zg_{number}") for number in range(MAX_CUSTOM_ROLES + 1)]
    given.append(one(90, "zr_viewer"))
    found = plan(given, user=technical_user)
    assert list(found.refused) == [f"p/{MAX_CUSTOM_ROLES:03}"]
    assert "predefined role" in found.refused[f"p/{MAX_CUSTOM_ROLES:03}"]
    assert {member.name for member in found.masks.members} == {"g0", "g1", "g2", "g3", "g90"}


def test_too_many_different_ends_are_refused_too() -> None:
    given = [one(number, "zr_viewer", ends=NOW + timedelta(minutes=number)) for number in range(MAX_CLASSES + 1)]
    found = plan(given, user=technical_user)
    assert list(found.refused) == [f"p/{MAX_CLASSES:03}"]
    assert "common expiresAt" in found.refused[f"p/{MAX_CLASSES:03}"]
    assert max(member.mask for member in found.masks.members) < 2**62


def test_nobody_named_is_nobody_let_in() -> None:
    found = plan([], user=technical_user)
    assert found.masks == Masks()
    assert not found.role_sets
