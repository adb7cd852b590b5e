"""Roles as each server spells them: complete where it can be, refused where it cannot, never wider than asked."""

from typing import Any

import pytest

from zilliz_operator.api.accesspolicy import AccessPolicy, PolicyGrant
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.outside import Grant
from zilliz_operator.api.privileges import LEVEL
from zilliz_operator.api.rolenames import TECHNICAL_USERS, custom_role
from zilliz_operator.desired import access

OLD, NEW = "2.3.5", "2.6.22"
_CR = "Query Search IndexDetail GetFlushState GetLoadState GetLoadingProgress HasPartition ShowPartitions"
_CR += " DescribeCollection DescribeAlias GetStatistics ListAliases"
_CW = f"{_CR} Load Release Insert Delete Upsert Import Flush Compaction LoadBalance CreateIndex DropIndex"
_CW += " CreatePartition DropPartition"
_KR = "ListDatabases SelectOwnership SelectUser DescribeResourceGroup ListResourceGroups ListPrivilegeGroups"
_KW = f"{_KR} FlushAll TransferNode TransferReplica UpdateResourceGroups"
_KA = (
    f"{_KW} BackupRBAC RestoreRBAC CreateDatabase DropDatabase CreateOwnership DropOwnership ManageOwnership UpdateUser"
)
_KA += " RenameCollection CreateResourceGroup DropResourceGroup CreatePrivilegeGroup DropPrivilegeGroup"
_KA += " OperatePrivilegeGroup"
MODERN = {
    group: names.split()
    for group, names in {
        "CollectionReadOnly": _CR,
        "CollectionReadWrite": _CW,
        "CollectionAdmin": f"{_CW} CreateAlias DropAlias",
        "DatabaseReadOnly": "ShowCollections DescribeDatabase",
        "DatabaseReadWrite": "ShowCollections DescribeDatabase AlterDatabase",
        "DatabaseAdmin": "ShowCollections DescribeDatabase AlterDatabase CreateCollection DropCollection",
        "ClusterReadOnly": _KR,
        "ClusterReadWrite": _KW,
        "ClusterAdmin": _KA,
    }.items()
}


def grants(version: str, *given: dict[str, Any]) -> frozenset[Grant]:
    return access.grants([PolicyGrant.model_validate(each) for each in given], version=version)


def test_every_predefined_role_is_known_on_every_server() -> None:
    assert set(TECHNICAL_USERS.values()) == set(access.roles(OLD)) == set(access.roles(NEW))


@pytest.mark.parametrize("version", [OLD, NEW])
def test_roles_rise_from_viewer_to_admin(version: str) -> None:
    singles = {name: set(found) for name, found in access.roles(version).items()}
    if version == OLD:
        assert singles["zr_viewer"] < singles["zr_operator"] < singles["zr_admin"]
    assert not {g.privilege for g in singles["zr_viewer"]} & {"Insert", "CollectionReadWrite", "DropCollection"}
    assert not {g.privilege for found in singles.values() for g in found} & {
        *("CreateOwnership", "DropOwnership", "ManageOwnership", "UpdateUser", "SelectUser", "SelectOwnership"),
        *("ClusterAdmin", "ClusterReadWrite", "BackupRBAC", "RestoreRBAC", "All", "*"),
    }


def test_old_servers_get_single_typed_privileges() -> None:
    viewer = access.roles(OLD)["zr_viewer"]
    assert Grant("Search", "Collection", "*", "*") in viewer
    assert Grant("DescribeCollection", "Global", "*", "*") in viewer
    assert {grant.object_type for grant in viewer} == {"Collection", "Global"}
    assert not any(grant.privilege.startswith(("Collection", "Database", "Cluster")) for grant in viewer)


def test_new_servers_get_groups() -> None:
    viewer = access.roles(NEW)["zr_viewer"]
    assert Grant("CollectionReadOnly", "", "*", "*") in viewer
    assert {grant.object_type for grant in viewer} == {""}


def test_a_grant_stays_on_its_database_and_collection() -> None:
    given = {"database": "sales", "collection": "docs", "privileges": ["CollectionReadOnly"]}
    assert grants(NEW, given) == {Grant("CollectionReadOnly", "", "docs", "sales")}
    for grant in grants(OLD, given):
        assert grant.database == "sales"
        assert grant.object_name == "docs" or grant.privilege in {"DescribeCollection", "DescribeAlias", "ListAliases"}


def test_what_an_old_server_could_only_grant_wider_is_refused() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.grants\[1\]\.privileges: on Milvus 2\.3\.5 CreateAlias"):
        grants(OLD, {"privileges": ["Search"]}, {"collection": "docs", "privileges": ["CollectionAdmin"]})
    whole = grants(OLD, {"database": "sales", "privileges": ["CollectionAdmin"]})
    assert Grant("CreateAlias", "Global", "*", "sales") in whole


@pytest.mark.parametrize("privilege", ["AddCollectionField", "DescribeDatabase", "BackupRBAC", "ListPrivilegeGroups"])
def test_what_an_old_server_does_not_have_is_refused_by_name(privilege: str) -> None:
    with pytest.raises(InvalidSpec, match=f"has no privilege {privilege}"):
        grants(OLD, {"database": "*", "privileges": [privilege]})
    assert grants(NEW, {"database": "*", "privileges": [privilege]})


def policy(uid: str, *given: dict[str, Any]) -> AccessPolicy:
    subjects = [{"kind": "ApiKey", "name": "k", "secretName": "k"}]
    spec = {"level": "Project", "subjects": subjects, **({"grants": list(given)} if given else {"role": "DataViewer"})}
    return AccessPolicy.parse({"metadata": {"name": "p", "namespace": "team-a", "uid": uid}, "spec": spec})


def test_one_policy_that_cannot_be_expressed_leaves_the_others_whole() -> None:
    fine, plain = policy("a", {"privileges": ["Search"]}), policy("b")
    wide = policy("c", {"privileges": ["Search"]}, {"privileges": ["DescribeDatabase"]})
    found = access.custom_roles([fine, plain, wide], version=OLD)
    assert found.roles == {custom_role(fine): {Grant("Search", "Collection", "*", "default")}}
    assert found.inexpressible.keys() == {"c"}
    assert "spec.grants[1].privileges" in found.inexpressible["c"]
    assert access.custom_roles([fine, plain, wide], version=NEW).inexpressible == {}


@pytest.mark.parametrize("group", sorted(name for name in LEVEL if name.endswith(("ReadOnly", "ReadWrite", "Admin"))))
def test_what_a_group_has_on_newer_servers_only_is_said(group: str) -> None:
    """Against the groups as Milvus 2.5 defines them."""
    given = {"database": "*", "privileges": [group]}
    said = access.caveats([PolicyGrant.model_validate(given)], version=OLD)
    left_out = {name for name in MODERN[group] if name not in {each.privilege for each in grants(OLD, given)}}
    assert all(name in said for name in left_out)
    assert bool(said) == bool(left_out)
    assert access.caveats([PolicyGrant.model_validate(given)], version=NEW) == ""


def test_a_roles_mark_is_its_own_and_reaches_no_user() -> None:
    found = access.marked(access.roles(OLD), version=OLD)
    for role, has in found.items():
        assert has - access.roles(OLD)[role] == {Grant("SelectUser", "User", role, "*")}
    assert access.marked(access.roles(NEW), version=NEW) == access.roles(NEW)


def test_a_user_is_asked_for_marks_that_tell_something() -> None:
    many = {f"zg_{number}": frozenset[Grant]() for number in range(access.MARKS_ASKED + 1)}
    roles = {"zr_viewer": frozenset[Grant](), "zg_all": frozenset({access.SELECT_EVERY_USER})}
    viewer = frozenset({"zr_viewer"})
    assert access.marks(roles, user_roles=viewer, version=OLD) == ("zg_all", "zr_viewer")
    assert access.marks(roles, user_roles=frozenset({"zg_all"}), version=OLD) == ("zg_all",)
    assert access.marks({**roles, **many}, user_roles=viewer, version=OLD) == ("zr_viewer",)
    assert access.marks(roles, user_roles=viewer, version=NEW) == ()


def test_what_newer_servers_show_is_compared_without_the_types_that_they_add() -> None:
    shown = {"r": frozenset({Grant("ListDatabases", "Global", "*", "*")})}
    assert access.as_shown(shown, version=NEW) == {"r": {Grant("ListDatabases", "", "*", "*")}}
    assert access.as_shown(shown, version=OLD) == shown


def test_cluster_privileges_hold_everywhere_and_users_are_an_object_of_their_own() -> None:
    given = {"database": "*", "collection": "*", "privileges": ["ClusterReadOnly"]}
    assert grants(NEW, given) == {Grant("ClusterReadOnly", "", "*", "*")}
    found = grants(OLD, given)
    assert Grant("SelectUser", "User", "*", "*") in found
    assert Grant("ListDatabases", "Global", "*", "*") in found


@pytest.mark.parametrize("privilege", sorted(LEVEL))
def test_every_privilege_that_a_policy_may_name_is_granted_or_refused_in_words(privilege: str) -> None:
    assert grants(NEW, {"database": "*", "privileges": [privilege]})
    try:
        found = grants(OLD, {"database": "*", "privileges": [privilege]})
    except InvalidSpec as refused:
        assert privilege in refused.message
    else:
        assert all(grant.object_type in {"Global", "Collection", "User"} for grant in found)
