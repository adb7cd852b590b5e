"""Whether a cluster fits its DataPlane: what no rule of one object can see, since it takes two.

A chain of small checks; each gives the field's path and the remedy, or None.
"""

from collections.abc import Callable

from zilliz_operator.api.dataplane import DataPlane, Provider
from zilliz_operator.api.zillizcluster import ZillizCluster


def misfit(cluster: ZillizCluster, plane: DataPlane) -> str | None:
    """The first thing that does not fit."""
    return next((said for check in _CHECKS if (said := check(cluster, plane)) is not None), None)


def _key_in_region(cluster: ZillizCluster, plane: DataPlane) -> str | None:
    key, region = cluster.spec.storage.kms_key_arn, plane.spec.region
    if key is None or plane.spec.object_storage.provider is not Provider.AWS:
        return None
    of = key.split(":")[3]
    if of == region:
        return None
    return (
        f"spec.storage.kmsKeyArn: the key is in {of} and the buckets of DataPlane {plane.metadata.name} are in {region}, "
        f"where S3 cannot use it: delete this object and create it with a key (or a replica of it) in {region}"
    )


_CHECKS: tuple[Callable[[ZillizCluster, DataPlane], str | None], ...] = (_key_in_region,)
