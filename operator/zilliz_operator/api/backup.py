"""Backup: one backup of one cluster, asked for by a person or made by a policy."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from zilliz_operator.api.base import Column, Model, Resource, ResourceStatus, list_map, ready_columns
from zilliz_operator.api.fields import MilvusName, Name
from zilliz_operator.api.rules import FORBIDDEN, Rule


class BackupCollection(Model):
    """One collection."""

    database: MilvusName
    """Its database; "default" where you made none."""
    name: MilvusName
    """Its name."""


class BackupSpec(Model):
    """What to back up. Immutable."""

    cluster: Name
    """ZillizCluster of this project."""
    collections: Annotated[
        tuple[BackupCollection, ...], Field(max_length=500, json_schema_extra=list_map("database", "name"))
    ] = ()
    """Collections to take. Absent: all of them, with users and roles."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Days that it is kept, 1 to 3650. Absent: until this object is deleted."""


class BackupStatus(ResourceStatus):
    """What was made."""

    backup_name: str | None = None
    """Name of the backup in the backup bucket."""
    bucket: str | None = None
    """Bucket that holds it."""
    size: str | None = None
    """Its size."""
    created_at: AwareDatetime | None = None
    """When it was complete."""
    expires_at: AwareDatetime | None = None
    """When it is removed."""
    verified_at: AwareDatetime | None = None
    """When it was last restored for a trial."""
    policy: str | None = None
    """BackupPolicy that made it; absent for a manual one."""
    version: str | None = None
    """Milvus version of the cluster at that time."""


class Backup(Resource):
    """One backup of one cluster. Deleting this object deletes the backup."""

    KIND = "Backup"
    RULES = (
        Rule(
            "spec",
            "self == oldSelf",
            "a Backup cannot be changed once made: create another Backup",
            reason=FORBIDDEN,
            transition=lambda after, before: bool(after == before),
        ),
    )
    COLUMNS = ready_columns(
        Column("Cluster", ".spec.cluster"),
        Column("Size", ".status.size"),
        Column("Expires", ".status.expiresAt"),
    )

    spec: BackupSpec
    status: BackupStatus = BackupStatus()
