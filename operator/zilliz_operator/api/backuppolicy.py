"""BackupPolicy: when clusters are backed up, how long backups are kept and where copies go."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from zilliz_operator.api.allowlist import ClusterResults
from zilliz_operator.api.base import LIST_SET, Column, Model, Resource, ResourceStatus, list_map, ready_columns
from zilliz_operator.api.fields import ClusterSelection, Name, selection_rules
from zilliz_operator.api.rules import Rule


class Verify(StrEnum):
    NEVER = "Never"
    DAILY = "Daily"
    WEEKLY = "Weekly"


class BackupCopy(Model):
    """A copy of each backup on another data plane."""

    data_plane: Name
    """DataPlane that receives the copy; another than the cluster's own."""
    retention_days: Annotated[int, Field(ge=1, le=30)] = 7
    """Days that the copy is kept, 1 to 30."""


class BackupPolicySpec(Model):
    """When, how long, where."""

    clusters: ClusterSelection | None = None
    """Clusters of this project. Absent: every one."""
    enabled: bool = True
    """False stops making backups; those that exist live out their retention."""
    frequency: Annotated[
        tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1, max_length=7, json_schema_extra=LIST_SET)
    ]
    """Days of the week, 1 is Monday and 7 is Sunday."""
    start_time: Annotated[
        str,
        Field(min_length=11, max_length=11, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$"),
    ] = "02:00-04:00"
    """Two-hour window in UTC in which the backup starts, HH:MM-HH:MM. It may pass midnight."""
    retention_days: Annotated[int, Field(ge=1, le=30)] = 7
    """Days that automatic backups are kept, 1 to 30."""
    copies: Annotated[tuple[BackupCopy, ...], Field(max_length=5, json_schema_extra=list_map("dataPlane"))] = ()
    """Copies of each backup on other data planes."""
    verify: Verify = Verify.WEEKLY
    """How often a backup is restored for a trial and compared."""


class BackupPolicyStatus(ResourceStatus):
    """What was made."""

    clusters: ClusterResults = ()
    """How it stands on each selected cluster."""
    last_backup: str | None = None
    """Name of the newest good Backup."""
    last_backup_at: AwareDatetime | None = None
    """When it was made."""
    next_backup_at: AwareDatetime | None = None
    """When the next one is due."""


def two_hours(window: str) -> bool:
    """Whether `HH:MM-HH:MM` is two hours long, past midnight or not."""
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in window.split("-"))
    return (start + 120) % 1440 == end


class BackupPolicy(Resource):
    """When clusters are backed up, how long backups are kept, where copies go and how often one is tried."""

    KIND = "BackupPolicy"
    RULES = (
        *selection_rules("spec.clusters"),
        Rule(
            "spec.startTime",
            "(int(self.substring(0, 2)) * 60 + int(self.substring(3, 5)) + 120) % 1440 == "
            "int(self.substring(6, 8)) * 60 + int(self.substring(9, 11))",
            "must be two hours long, in UTC: write for example 02:00-04:00 or 23:30-01:30",
            check=two_hours,
        ),
    )
    COLUMNS = ready_columns(
        Column("Enabled", ".spec.enabled", type="boolean"),
        Column("Last", ".status.lastBackupAt", type="date", description="Age of the newest good backup."),
        Column("Next", ".status.nextBackupAt"),
    )

    spec: BackupPolicySpec
    status: BackupPolicyStatus = BackupPolicyStatus()
