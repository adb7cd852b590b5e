"""Plans for Milvus' roles: they end where they should, and no round grants and revokes on one role."""

from collections.abc import Mapping
from string import ascii_lowercase

from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.outside import Grant
from zilliz_operator.policy import access

SEARCH, INSERT, QUERY = (Grant(name, "Collection") for name in ("Search", "Insert", "Query"))
Roles = dict[str, frozenset[Grant]]


def carried_out(plans: list[access.RolePlan], found: Mapping[str, frozenset[Grant]]) -> Roles:
    """What a server would hold after one round; it refuses what a real one refuses."""
    roles = dict(found)
    for plan in plans:
        if plan.create:
            assert plan.role not in roles
            roles[plan.role] = frozenset()
        roles[plan.role] = roles[plan.role] - set(plan.revoke) | set(plan.grant)
        if plan.drop:
            assert not roles.pop(plan.role), "a role with grants cannot be dropped"
    return roles


grant_sets = st.frozensets(st.sampled_from([SEARCH, INSERT, QUERY, Grant("FlushAll", "Global")]))
role_maps = st.dictionaries(st.sampled_from(["zr_viewer", "zr_admin", "zp_x", "stranger"]), grant_sets)


@given(wanted=role_maps, found=role_maps)
def test_rounds_end_at_what_is_wanted_and_never_do_both_to_a_role(wanted: Roles, found: Roles) -> None:
    ours = frozenset({"zr_viewer", "zr_admin", "zp_x"})
    state = {**found, "public": frozenset({SEARCH})}
    target = {**wanted, "public": frozenset[Grant]()}
    for _ in range(3):
        plans = access.roles(wanted=target, found=state, ours=ours)
        assert all(not (plan.revoke and plan.grant) for plan in plans)
        expected_more = any(plan.unfinished for plan in plans)
        state = carried_out(plans, state)
        if not expected_more:
            break
    assert access.roles(wanted=target, found=state, ours=ours) == []
    strangers = {role: grants for role, grants in found.items() if role not in ours and role not in wanted}
    assert state == {**target, **strangers}


def test_what_must_go_goes_first() -> None:
    found = {"zr_viewer": frozenset({INSERT})}
    (plan,) = access.roles(wanted={"zr_viewer": frozenset({SEARCH})}, found=found)
    assert plan == access.RolePlan(role="zr_viewer", revoke=(INSERT,), unfinished=True)


def test_public_is_emptied_but_never_made_or_dropped() -> None:
    assert access.roles(wanted={"public": frozenset()}, found={}) == []
    (plan,) = access.roles(wanted={"public": frozenset()}, found={"public": frozenset({SEARCH})})
    assert plan.revoke == (SEARCH,) and not plan.create and not plan.drop
    assert access.roles(wanted={}, found={"public": frozenset({SEARCH})}, ours=frozenset({"public"})) == []


def test_what_others_made_is_what_neither_we_nor_a_policy_made() -> None:
    users = {
        "root": frozenset[str](),
        "app": frozenset({"zr_viewer"}),
        "zt_0123456789ab": frozenset({"zr_viewer"}),
        "theirs": frozenset({"public", "zr_viewer"}),
        "also": frozenset({"public"}),
    }
    roles = ["public", "admin", "zr_viewer", "zg_0123456789ab", "analyst"]
    found = access.foreign(users=users, roles=roles, ours={"root", "app"}, named={"theirs"})
    assert [(each.kind, each.name, each.roles) for each in found] == [
        ("User", "theirs", ("zr_viewer",)),
        ("User", "also", ()),
        ("Role", "analyst", ()),
    ]


names = st.frozensets(st.sampled_from(list(ascii_lowercase[:5])))


@given(names, names)
def test_membership_ends_at_what_is_wanted(wanted: frozenset[str], found: frozenset[str]) -> None:
    plan = access.membership("u", wanted=wanted, found=found | {"public"})
    if plan is None:
        assert wanted == found
    else:
        assert (found - set(plan.remove)) | set(plan.add) == wanted
        assert not set(plan.add) & set(plan.remove)
