"""RecycledCluster: what is left of a deleted cluster until its retention has passed."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from zilliz_operator.api.base import Column, Model, Resource, ResourceStatus, ready_columns
from zilliz_operator.api.fields import LongName, Name, VersionText
from zilliz_operator.api.rules import FORBIDDEN, Rule, immutable

BucketName = Annotated[str, Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$")]


class RecycledClusterSpec(Model):
    """The record, written by the operator at deletion."""

    cluster_id: Annotated[str, Field(min_length=17, max_length=17, pattern=r"^in01-[0-9a-f]{12}$")]
    """Id of the deleted cluster; its buckets and identities are named after it. Immutable."""
    cluster_uid: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """UID of the deleted object: the mark on everything that is left of it. Immutable."""
    cluster_name: Name
    """Its name. Immutable."""
    project: Name
    """Its project. Immutable."""
    data_plane: Name
    """Its DataPlane. Immutable."""
    namespace: Name
    """Its namespace on the data plane. Immutable."""
    bucket: BucketName
    """Its data bucket, kept until expiresAt. Immutable."""
    audit_bucket: BucketName | None = None
    """Its audit bucket, kept as long; what is locked in it stays until its own day. Immutable."""
    backup_bucket: BucketName | None = None
    """Its backup bucket, kept as long. Immutable."""
    credentials_secret: LongName | None = None
    """Secret of the operator's namespace with the credentials that a restored cluster gets again. Immutable."""
    version: VersionText | None = None
    """Milvus version that it ran. Immutable."""
    recycled_at: AwareDatetime
    """When it was deleted. Immutable."""
    expires_at: AwareDatetime
    """Until when its data is kept at least. You may move it later, never earlier. This release purges nothing by itself."""
    retention_days: Annotated[int, Field(ge=1, le=365)]
    """Days between the two at deletion, 1 to 365. Immutable."""


class RecycledClusterStatus(ResourceStatus):
    """What became of it."""

    restored_as: str | None = None
    """ZillizCluster that was started from it."""
    purged_at: AwareDatetime | None = None
    """When its data was purged."""


_FACTS = (
    ("clusterId", "cluster_id"),
    ("clusterUid", "cluster_uid"),
    ("clusterName", "cluster_name"),
    ("project", "project"),
    ("dataPlane", "data_plane"),
    ("namespace", "namespace"),
    ("bucket", "bucket"),
    ("auditBucket", "audit_bucket"),
    ("backupBucket", "backup_bucket"),
    ("credentialsSecret", "credentials_secret"),
    ("version", "version"),
    ("recycledAt", "recycled_at"),
    ("retentionDays", "retention_days"),
)
_REMEDY = "it is a record of what was deleted; create a ZillizCluster with restoreFrom to bring it back"


class RecycledCluster(Resource):
    """A deleted cluster whose data is kept until expiresAt at least. This release does not bring it back by itself yet."""

    KIND = "RecycledCluster"
    RULES = (
        *(immutable("spec", field, attribute=attribute, remedy=_REMEDY) for field, attribute in _FACTS),
        Rule(
            "spec",
            "self.expiresAt >= oldSelf.expiresAt",
            "expiresAt can only be moved later: data that was promised until then must stay until then",
            reason=FORBIDDEN,
            field_path=".expiresAt",
            transition=lambda after, before: bool(after.expires_at >= before.expires_at),
        ),
    )
    COLUMNS = ready_columns(
        Column("Cluster", ".spec.clusterName"),
        Column("Version", ".spec.version"),
        Column("Expires", ".spec.expiresAt"),
        Column("ID", ".spec.clusterId", priority=1),
    )

    spec: RecycledClusterSpec
    status: RecycledClusterStatus = RecycledClusterStatus()
