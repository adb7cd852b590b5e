"""Who holds what: the union of all policies, whatever their order, and an older policy is never disturbed by a younger."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.accesspolicy import AccessPolicy
from zilliz_operator.api.base import utc
from zilliz_operator.api.conditions import Reason
from zilliz_operator.api.rolenames import TECHNICAL_USERS, custom_role, technical_user
from zilliz_operator.policy.entitlements import (
    Credential,
    by_age,
    credentials,
    entitlements,
    judge,
    technical_users,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
USER = {"kind": "ClusterUser", "name": "app", "secretName": "app"}
KEY = {"kind": "ApiKey", "name": "ingest", "secretName": "ingest"}
GRANTS = [{"privileges": ["Search"]}]
READ, WRITE = "DataViewer", "DataOperator"


def policy(name: str, *subjects: dict[str, Any], born: int = 0, project: str = "team-a", **spec: Any) -> AccessPolicy:
    """`born`: minutes before NOW at which it was made, negative."""
    metadata = {"name": name, "namespace": project, "uid": f"uid-{project}-{name}"}
    given = {"level": "Project", "subjects": list(subjects), **({} if "grants" in spec else {"role": READ}), **spec}
    when = {"creationTimestamp": utc(NOW + timedelta(minutes=born))}
    return AccessPolicy.parse({"metadata": {**metadata, **when}, "spec": given})


def held(*policies: AccessPolicy) -> dict[str, Credential]:
    return {each.name: each for each in credentials(entitlements(policies, now=NOW))}


def test_what_policies_give_one_user_adds_up() -> None:
    old, new = policy("old", USER, born=-9), policy("new", USER, role=WRITE)
    found = held(new, old)["app"]
    assert found.roles == {"zr_viewer", "zr_operator"}
    assert (found.policy, found.secret, found.owner_uid) == ("team-a/old", "team-a/app", "uid-team-a-old")


def test_another_project_is_another_world() -> None:
    policies = [policy("a", USER), policy("b", USER, project="team-b", role=WRITE)]
    assert [each.roles for each in credentials(entitlements(policies, now=NOW))] == [{"zr_viewer"}, {"zr_operator"}]


def test_a_second_secret_for_one_name_is_refused_for_the_younger() -> None:
    judged = judge([policy("old", USER, born=-9), policy("new", {**USER, "secretName": "other"})], now=NOW)
    (refused,) = judged.refused
    assert (refused.uid, refused.reason) == ("uid-team-a-new", Reason.SUBJECT_CONFLICT)
    assert "old" in refused.message and "Secret app" in refused.message
    assert [each.policy for each in judged.live] == ["team-a/old"]


def test_on_clusters_that_they_do_not_share_a_name_may_have_two_secrets() -> None:
    policies = [policy("old", USER, born=-9), policy("new", {**USER, "secretName": "other"})]
    judged = judge(policies, now=NOW, here=lambda each: each.metadata.name == "new")
    assert not judged.refused
    assert [each.secret for each in judged.live] == ["team-a/other"]


def test_one_secret_is_made_by_the_oldest_even_for_a_cluster_that_only_the_younger_means() -> None:
    policies = [policy("old", USER, born=-9), policy("new", USER)]
    judged = judge(policies, now=NOW, here=lambda each: each.metadata.name == "new")
    assert [each.owner_uid for each in judged.live] == ["uid-team-a-old"]
    assert judged.makers == {"team-a/app": "uid-team-a-old"}


def test_another_end_is_refused_with_both_ends_named() -> None:
    end = utc(NOW + timedelta(days=1))
    for kinds in (USER, KEY):
        judged = judge([policy("old", kinds, born=-9), policy("new", kinds, expiresAt=end)], now=NOW)
        (refused,) = judged.refused
        assert refused.uid == "uid-team-a-new" and refused.reason is Reason.SUBJECT_CONFLICT
        assert end in refused.message and "no end" in refused.message


def test_one_secret_for_two_names_is_refused_for_the_younger() -> None:
    judged = judge([policy("old", USER, born=-9), policy("new", {**KEY, "secretName": "app"})], now=NOW)
    (refused,) = judged.refused
    assert (refused.subject.name, refused.reason) == ("ingest", Reason.SUBJECT_SECRET_TAKEN)
    assert "ClusterUser app in AccessPolicy old" in refused.message


def test_what_has_ended_gives_nothing_and_claims_nothing() -> None:
    over = policy("old", USER, KEY, born=-9, expiresAt=utc(NOW))
    judged = judge([over, policy("new", {**USER, "secretName": "other"})], now=NOW)
    assert [each.policy for each in judged.live] == ["team-a/new"]
    assert [each.subject.name for each in judged.ended] == ["app", "ingest"]


def test_a_subject_ends_with_the_earlier_of_its_own_and_its_policys_end() -> None:
    soon, late = (utc(NOW + timedelta(days=days)) for days in (1, 2))
    for own, whole in ((soon, late), (late, soon)):
        (found,) = entitlements([policy("p", {**KEY, "expiresAt": own}, expiresAt=whole)], now=NOW)
        assert found.ends is not None and utc(found.ends) == soon


def test_people_hold_roles_without_a_secret() -> None:
    group = {"kind": "Group", "name": "data-scientists"}
    judged = judge([policy("a", group, requireMFA=True), policy("b", group, role=WRITE)], now=NOW)
    assert [(each.roles, each.require_mfa) for each in judged.live] == [({"zr_viewer"}, True), ({"zr_operator"}, False)]
    assert credentials(judged.live) == ()


def test_what_a_server_cannot_express_gives_nothing_and_leaves_the_rest() -> None:
    custom = policy("custom", USER, KEY, grants=GRANTS)
    judged = judge([policy("plain", USER, born=-9), custom], now=NOW, without={custom.metadata.uid})
    assert [(each.name, each.roles) for each in credentials(judged.live)] == [("app", {"zr_viewer"})]


def test_grants_of_ones_own_are_a_role_of_the_policys_own() -> None:
    one, two = policy("one", USER, grants=GRANTS), policy("two", USER, grants=GRANTS)
    assert held(one, two)["app"].roles == {custom_role(one), custom_role(two)}
    assert all(re.fullmatch("zg_[0-9a-f]{12}", role) for role in held(one, two)["app"].roles)
    other = policy("one", USER, grants=[{"privileges": ["Search", "Query"]}])
    assert custom_role(other) != custom_role(one), "a role is never emptied and filled again"
    same = policy("one", KEY, grants=[{"database": "default", "collection": "*", "privileges": ["Query", "Search"]}])
    assert custom_role(other) == custom_role(same)


def test_keys_act_as_one_user_a_set_of_roles() -> None:
    found = technical_users(held(policy("a", KEY), policy("b", KEY, role=WRITE)).values())
    extra = technical_user(frozenset({"zr_viewer", "zr_operator"}))
    assert found == {**{u: {r} for u, r in TECHNICAL_USERS.items()}, extra: {"zr_viewer", "zr_operator"}}
    assert set(technical_users(held(policy("a", KEY), policy("b", USER, role=WRITE)).values())) == set(TECHNICAL_USERS)


def test_technical_users_are_named_by_their_roles_alone() -> None:
    sets = [frozenset(roles) for roles in ({"zr_viewer"}, {"zr_viewer", "zg_1"}, {"zg_1"}, {"zr_viewer", "zr_admin"})]
    names = [technical_user(each) for each in sets]
    assert names[0] == "zt_viewer"
    assert len(set(names)) == len(sets)
    assert all(re.fullmatch("zt_[0-9a-f]{12}", each) for each in names[1:])


subjects = st.builds(
    lambda kind, name, secret, end: {
        "kind": kind,
        "name": name,
        **({"secretName": secret} if kind in ("ClusterUser", "ApiKey") else {}),
        **({"expiresAt": utc(NOW + timedelta(hours=end))} if kind == "ApiKey" and end else {}),
    },
    st.sampled_from(["ClusterUser", "ApiKey", "Group"]),
    st.sampled_from(["app", "ingest"]),
    st.sampled_from(["one", "two"]),
    st.sampled_from([None, -1, 1]),
)
specs = st.fixed_dictionaries(
    {"role": st.sampled_from([READ, WRITE])}, optional={"expiresAt": st.sampled_from([-1, 1, 2])}
)


@st.composite
def many(draw: st.DrawFn) -> list[AccessPolicy]:
    found = []
    for number in range(draw(st.integers(0, 4))):
        listed = draw(st.lists(subjects, min_size=1, max_size=3))
        given = draw(specs)
        if "expiresAt" in given:
            given["expiresAt"] = utc(NOW + timedelta(hours=given["expiresAt"]))
        found.append(policy(f"p{number}", *listed, born=draw(st.integers(-3, 0)), **given))
    return found


@given(many(), st.randoms())
def test_order_does_not_matter(policies: list[AccessPolicy], random: Any) -> None:
    shuffled = list(policies)
    random.shuffle(shuffled)
    assert judge(shuffled, now=NOW) == judge(policies, now=NOW)


@given(many())
def test_a_younger_policy_only_ever_adds(policies: list[AccessPolicy]) -> None:
    *older, youngest = by_age(policies) or [policy("only", USER)]
    before, after = judge(older, now=NOW), judge([*older, youngest], now=NOW)
    assert [each for each in after.live if each.uid != youngest.metadata.uid] == list(before.live)
    assert [each for each in after.refused if each.uid != youngest.metadata.uid] == list(before.refused)
    had, has = ({each.who: each for each in found.live if each.secret} for found in (before, after))
    assert all(has[who].secret == each.secret and has[who].ends == each.ends for who, each in had.items())


@given(many())
def test_every_subject_is_live_or_ended_or_refused_and_roles_are_what_the_live_give(
    policies: list[AccessPolicy],
) -> None:
    judged = judge(policies, now=NOW)
    assert len(judged.live) + len(judged.ended) + len(judged.refused) == sum(len(p.spec.subjects) for p in policies)
    for each in credentials(judged.live):
        given = [e for e in judged.live if e.secret and (e.subject.kind, e.subject.name) == (each.kind, each.name)]
        assert each.roles == frozenset().union(*(e.roles for e in given))
        assert {e.secret for e in given} == {each.secret} and {e.ends for e in given} == {each.ends}
        assert all(end is None or end > NOW for end in [each.ends])
