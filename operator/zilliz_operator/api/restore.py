"""Restore: collections of a backup into a cluster that exists. A whole cluster comes back with
ZillizCluster.spec.restoreFrom."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from zilliz_operator.api.base import Column, Model, Resource, ResourceStatus, list_map, ready_columns
from zilliz_operator.api.fields import LongName, MilvusName, Name
from zilliz_operator.api.rules import FORBIDDEN, Rule


class RestoreCollection(Model):
    """One collection, perhaps under another name."""

    database: MilvusName
    """Its database; "default" where you made none."""
    from_: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Its name in the backup."""
    to: MilvusName | None = None
    """Its name in the cluster. Absent: the same. A collection that exists there is never overwritten."""


class RestoreSpec(Model):
    """What to bring back where. Immutable."""

    backup: LongName
    """Backup of this project."""
    cluster: Name
    """ZillizCluster of this project that receives it."""
    collections: Annotated[
        tuple[RestoreCollection, ...], Field(max_length=200, json_schema_extra=list_map("database", "from"))
    ] = ()
    """Collections to bring back, 200 at most. Absent: all of the backup."""
    include_rbac: bool = False
    """Also users, roles and grants that the cluster does not have. Passwords are made anew."""


class RestoreStatus(ResourceStatus):
    """How far it is."""

    started_at: AwareDatetime | None = None
    """When it began."""
    completed_at: AwareDatetime | None = None
    """When it was done."""
    collections_restored: int | None = None
    """Collections brought back so far."""


def _targets_differ(spec: RestoreSpec) -> bool:
    targets = [(each.database, each.to or each.from_) for each in spec.collections]
    return len(set(targets)) == len(targets)


class Restore(Resource):
    """Brings collections of a backup into a cluster that exists, under their old or new names."""

    KIND = "Restore"
    RULES = (
        Rule(
            "spec",
            "self == oldSelf",
            "a Restore cannot be changed once made: create another Restore",
            reason=FORBIDDEN,
            transition=lambda after, before: bool(after == before),
        ),
        Rule(
            "spec",
            "!has(self.collections) || self.collections.all(a, self.collections.exists_one(b, a.database == "
            "b.database && "
            "(has(a.to) ? a.to : a.from) == (has(b.to) ? b.to : b.from)))",
            "two collections would get one name in the cluster: give each its own in to",
            field_path=".collections",
            check=_targets_differ,
        ),
    )
    COLUMNS = ready_columns(
        Column("Backup", ".spec.backup"),
        Column("Cluster", ".spec.cluster"),
        Column("Restored", ".status.collectionsRestored", type="integer"),
    )

    spec: RestoreSpec
    status: RestoreStatus = RestoreStatus()
