"""What our roles are to Milvus: the predefined data roles, and how privilege groups spell on each server.

Servers before 2.5 know single privileges only, typed Global, Collection or User; a group is expanded to what such a
server accepts (a name it does not know makes the call fail). Newer servers take the groups themselves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from zilliz_operator.api.accesspolicy import AccessPolicy, PolicyGrant
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.outside import Grant
from zilliz_operator.api.privileges import LEVEL, PrivilegeLevel
from zilliz_operator.api.rolenames import ADMIN_ROLE, OPERATOR_ROLE, VIEWER_ROLE, custom_role

from .context import version_numbers

GROUPS_SINCE = "2.5.0"
MARKS_ASKED = 40
"""Roles up to which every user is asked for all of them: it is a call a role and user, in every pass."""

# A data role spans all databases; clusters' own administration (users, roles, resource groups) stays with the operator.
_ROLE_GROUPS: Mapping[str, tuple[str, ...]] = {
    VIEWER_ROLE: ("CollectionReadOnly", "DatabaseReadOnly", "ListDatabases"),
    OPERATOR_ROLE: ("CollectionReadWrite", "DatabaseReadOnly", "ListDatabases"),
    ADMIN_ROLE: (
        *("CollectionAdmin", "DatabaseAdmin", "ListDatabases", "CreateDatabase", "DropDatabase"),
        *("FlushAll", "RenameCollection"),
    ),
}

_READ = (
    "Query Search IndexDetail GetFlushState GetLoadState GetLoadingProgress HasPartition ShowPartitions GetStatistics"
)
_WRITE = "Load Release Insert Delete Upsert Import Flush Compaction LoadBalance CreateIndex DropIndex"
_PARTITIONS = "CreatePartition DropPartition"
_RESOURCE_GROUPS = "CreateResourceGroup DropResourceGroup"
_OWNERSHIP = "CreateOwnership DropOwnership ManageOwnership"

_COLLECTION_TYPED = frozenset(f"{_READ} {_WRITE} {_PARTITIONS}".split())
_USER_TYPED = frozenset({"SelectUser", "UpdateUser"})
_GLOBAL_TYPED = frozenset(
    "DescribeCollection DescribeAlias ListAliases CreateAlias DropAlias ShowCollections CreateCollection "
    "DropCollection ListDatabases SelectOwnership DescribeResourceGroup ListResourceGroups FlushAll TransferNode "
    "TransferReplica "
    f"CreateDatabase DropDatabase RenameCollection {_OWNERSHIP} {_RESOURCE_GROUPS}".split()
)
"""Types of single privileges on servers before 2.5: what is in none of the three they do not know."""

_COLLECTION_READ = tuple(f"{_READ} DescribeCollection DescribeAlias ListAliases".split())
_COLLECTION_WRITE = (*_COLLECTION_READ, *f"{_WRITE} {_PARTITIONS}".split())
_DESCRIPTIONS = frozenset({"DescribeCollection", "DescribeAlias", "ListAliases"})
_ALIAS_WRITES = frozenset({"CreateAlias", "DropAlias"})
_CLUSTER_READ = ("ListDatabases", "SelectOwnership", "SelectUser", "DescribeResourceGroup", "ListResourceGroups")
_CLUSTER_WRITE = (*_CLUSTER_READ, "FlushAll", "TransferNode", "TransferReplica")
_EXPANSION: Mapping[str, tuple[str, ...]] = {
    "CollectionReadOnly": _COLLECTION_READ,
    "CollectionReadWrite": _COLLECTION_WRITE,
    "CollectionAdmin": (*_COLLECTION_WRITE, "CreateAlias", "DropAlias"),
    "DatabaseReadOnly": ("ShowCollections",),
    "DatabaseReadWrite": ("ShowCollections",),
    "DatabaseAdmin": ("ShowCollections", "CreateCollection", "DropCollection"),
    "ClusterReadOnly": _CLUSTER_READ,
    "ClusterReadWrite": _CLUSTER_WRITE,
    "ClusterAdmin": (
        *_CLUSTER_WRITE,
        *("CreateDatabase", "DropDatabase", "RenameCollection", "UpdateUser"),
        *f"{_OWNERSHIP} {_RESOURCE_GROUPS}".split(),
    ),
}


def roles(version: str) -> dict[str, frozenset[Grant]]:
    """Our roles with exactly their grants, as that server spells them."""
    return {role: frozenset(expand(groups, version=version)) for role, groups in _ROLE_GROUPS.items()}


_LATER_DATABASE = ("DescribeDatabase", "AlterDatabase")
_LATER_CLUSTER = ("ListPrivilegeGroups", "UpdateResourceGroups")
_LATER: Mapping[str, tuple[str, ...]] = {
    "DatabaseReadOnly": _LATER_DATABASE[:1],
    "DatabaseReadWrite": _LATER_DATABASE,
    "DatabaseAdmin": _LATER_DATABASE,
    "ClusterReadOnly": _LATER_CLUSTER[:1],
    "ClusterReadWrite": _LATER_CLUSTER,
    "ClusterAdmin": (
        *_LATER_CLUSTER,
        *("BackupRBAC", "RestoreRBAC", "CreatePrivilegeGroup", "DropPrivilegeGroup", "OperatePrivilegeGroup"),
    ),
}
"""What groups have on newer servers only: the calls behind it are not there on older ones, so nobody lacks anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomRoles:
    """What policies with grants of their own come to on one server."""

    roles: Mapping[str, frozenset[Grant]]
    inexpressible: Mapping[str, str]
    """UID of a policy that this server cannot express → why. Nothing of it is granted there: half of what somebody asked for
    is not what they asked for."""


def custom_roles(policies: Iterable[AccessPolicy], *, version: str) -> CustomRoles:
    """The roles of those policies that have grants of their own."""
    found: dict[str, frozenset[Grant]] = {}
    inexpressible: dict[str, str] = {}
    for policy in policies:
        if policy.spec.grants:
            try:
                found[custom_role(policy)] = grants(policy.spec.grants, version=version)
            except InvalidSpec as refused:
                inexpressible[policy.metadata.uid] = str(refused)
    return CustomRoles(roles=found, inexpressible=inexpressible)


def caveats(policy_grants: Iterable[PolicyGrant], *, version: str) -> str:
    """In what a server gives less or more than the words of these grants say; empty: in nothing."""
    if version_numbers(version) >= version_numbers(GROUPS_SINCE):
        return ""
    found: list[str] = []
    for each in policy_grants:
        lacking = dict.fromkeys(single for group in each.privileges for single in _LATER.get(group, ()))
        if lacking:
            found.append(f"Milvus {version} has no {', '.join(lacking)}: left out of {', '.join(each.privileges)}")
        singles = {single for name in each.privileges for single in _EXPANSION.get(name, (name,))}
        wide = sorted(singles & _DESCRIPTIONS) if each.collection != "*" else []
        if wide:
            found.append(
                f"Milvus {version} knows {', '.join(wide)} for a whole database: so for all of {each.database}"
            )
    return "; ".join(dict.fromkeys(found))


SELECT_EVERY_USER = Grant("SelectUser", "User", "*", "*")


def marked(found: Mapping[str, frozenset[Grant]], *, version: str) -> dict[str, frozenset[Grant]]:
    """Roles with a right that only their holders have, and that gives nothing: to look at a user of the role's own name, which
    nobody has. By it a server that learns of memberships late can be asked, as the user, what it knows."""
    if version_numbers(version) >= version_numbers(GROUPS_SINCE):
        return dict(found)
    return {role: has | {Grant("SelectUser", "User", role, "*")} for role, has in found.items()}


def marks(found: Mapping[str, frozenset[Grant]], *, user_roles: frozenset[str], version: str) -> tuple[str, ...]:
    """The marks to ask for as a user with those roles: its own, and (unless it may look at everybody) all others', which it must
    not have."""
    if version_numbers(version) >= version_numbers(GROUPS_SINCE):
        return ()
    sees_all = any(SELECT_EVERY_USER in found.get(role, ()) for role in user_roles)
    others = () if sees_all or len(found) > MARKS_ASKED else found.keys()
    return tuple(sorted({*user_roles, *others}))


def as_shown(found: Mapping[str, frozenset[Grant]], *, version: str) -> dict[str, frozenset[Grant]]:
    """Grants that a server shows, spelled as we ask for them: one with privilege groups adds object types nobody named."""
    if version_numbers(version) < version_numbers(GROUPS_SINCE):
        return dict(found)
    return {role: frozenset(replace(each, object_type="") for each in grants_) for role, grants_ in found.items()}


def grants(policy_grants: Iterable[PolicyGrant], *, version: str) -> frozenset[Grant]:
    """A policy's own grants, as that server spells them.

    Raises InvalidSpec for a privilege that it does not have, or that it cannot limit to the collection named. Reading
    descriptions alone is then granted for the whole database, because clients cannot work without it.
    """
    found: set[Grant] = set()
    for index, each in enumerate(policy_grants):
        try:
            found |= expand(each.privileges, version=version, database=each.database, collection=each.collection)
        except InvalidSpec as refused:
            raise InvalidSpec(f"spec.grants[{index}].privileges", refused.message) from None
    return frozenset(found)


def expand(privileges: Iterable[str], *, version: str, database: str = "*", collection: str = "*") -> frozenset[Grant]:
    """Privileges and groups as grants. Cluster-level ones hold everywhere, whatever database is named."""
    names = tuple(privileges)
    if version_numbers(version) >= version_numbers(GROUPS_SINCE):
        return frozenset(_modern(name, database, collection) for name in names)
    singles = dict.fromkeys(single for name in names for single in _EXPANSION.get(name, (name,)))
    return frozenset(_typed(single, version, database, collection) for single in singles)


def _modern(name: str, database: str, collection: str) -> Grant:
    level = LEVEL.get(name, PrivilegeLevel.COLLECTION)
    return Grant(
        privilege=name,
        object_type="",
        object_name=collection if level is PrivilegeLevel.COLLECTION else "*",
        database="*" if level is PrivilegeLevel.CLUSTER else database,
    )


def _typed(name: str, version: str, database: str, collection: str) -> Grant:
    if name in _COLLECTION_TYPED:
        return Grant(name, "Collection", collection, database)
    if name in _USER_TYPED:
        return Grant(name, "User", "*", "*")
    if name in _ALIAS_WRITES and collection != "*":
        raise InvalidSpec(
            "privileges",
            f"on Milvus {version} {name} holds for a whole database: grant it with collection *, or name privileges "
            "without it (CollectionReadWrite has none)",
        )
    if name in _GLOBAL_TYPED:
        everywhere = LEVEL.get(name) is PrivilegeLevel.CLUSTER
        return Grant(name, "Global", "*", "*" if everywhere else database)
    raise InvalidSpec(
        "privileges", f"Milvus {version} has no privilege {name}: remove it, or raise spec.version to 2.6"
    )
