"""All our kinds, in the order people meet them."""

from typing import Final

from zilliz_operator.api.accesspolicy import AccessPolicy
from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.api.backup import Backup
from zilliz_operator.api.backuppolicy import BackupPolicy
from zilliz_operator.api.base import Resource
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.recycledcluster import RecycledCluster
from zilliz_operator.api.restore import Restore
from zilliz_operator.api.zillizcluster import ZillizCluster

RESOURCES: Final[dict[str, type[Resource]]] = {
    kind.KIND: kind
    for kind in (ZillizCluster, DataPlane, Allowlist, AccessPolicy, BackupPolicy, Backup, Restore, RecycledCluster)
}
