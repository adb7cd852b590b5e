"""Milvus' privileges and privilege groups, and the level each one lives at.

A grant must fit its level: a cluster privilege needs every database and collection, a database privilege every
collection. There is no cascade: a cluster-level group gives no right on any collection.
"""

from enum import StrEnum
from typing import Final


class PrivilegeLevel(StrEnum):
    CLUSTER = "Cluster"
    DATABASE = "Database"
    COLLECTION = "Collection"


_COLLECTION: Final = (
    "CollectionReadOnly CollectionReadWrite CollectionAdmin Query Search IndexDetail GetFlushState GetLoadState "
    "GetLoadingProgress HasPartition ShowPartitions DescribeCollection DescribeAlias GetStatistics ListAliases Load "
    "Release Insert Delete Upsert Import Flush Compaction LoadBalance CreateIndex DropIndex CreatePartition "
    "DropPartition CreateAlias DropAlias AddCollectionField "
)
_DATABASE: Final = (
    "DatabaseReadOnly DatabaseReadWrite DatabaseAdmin ShowCollections DescribeDatabase AlterDatabase CreateCollection "
    "DropCollection "
)
_CLUSTER: Final = (
    "ClusterReadOnly ClusterReadWrite ClusterAdmin ListDatabases SelectOwnership SelectUser DescribeResourceGroup "
    "ListResourceGroups ListPrivilegeGroups FlushAll TransferNode TransferReplica UpdateResourceGroups BackupRBAC "
    "RestoreRBAC CreateDatabase DropDatabase CreateOwnership DropOwnership ManageOwnership UpdateUser "
    "RenameCollection CreateResourceGroup DropResourceGroup CreatePrivilegeGroup DropPrivilegeGroup "
    "OperatePrivilegeGroup "
)

LEVEL: Final[dict[str, PrivilegeLevel]] = (
    dict.fromkeys(_COLLECTION.split(), PrivilegeLevel.COLLECTION)
    | dict.fromkeys(_DATABASE.split(), PrivilegeLevel.DATABASE)
    | dict.fromkeys(_CLUSTER.split(), PrivilegeLevel.CLUSTER)
)
"""Every privilege and built-in group that a grant may name → its level."""


def at(level: PrivilegeLevel) -> tuple[str, ...]:
    """All privileges and groups of one level."""
    return tuple(name for name, where in LEVEL.items() if where is level)
