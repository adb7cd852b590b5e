"""Where copies of data may go: decided by the data plane that the data lives on, not by whoever asks for a copy."""

from collections.abc import Iterable, Mapping

from zilliz_operator.api.backuppolicy import BackupPolicySpec
from zilliz_operator.api.dataplane import DataPlaneSpec
from zilliz_operator.api.zillizcluster import ZillizCluster


def forbidden(
    policy: BackupPolicySpec, *, clusters: Iterable[ZillizCluster], planes: Mapping[str, DataPlaneSpec]
) -> str:
    """What is wrong with the policy's copies, naming the field; empty when nothing is. `planes`: those that exist, by name."""
    for cluster in sorted(clusters, key=lambda each: each.ref):
        source = cluster.spec.data_plane
        residency = planes[source].residency if source in planes else None
        if residency is None:
            continue
        for index, copy in enumerate(policy.copies):
            if copy.data_plane != source and copy.data_plane not in residency.allow_copies_to:
                allowed = ", ".join(residency.allow_copies_to) or "none"
                return (
                    f"spec.copies[{index}].dataPlane: data of cluster {cluster.ref} must not go to {_named(copy.data_plane, planes)}: "
                    f"{_named(source, planes)} allows copies to {allowed}. Remove this copy, or have the platform team add "
                    f"{copy.data_plane} to spec.residency.allowCopiesTo of DataPlane {source}"
                )
    return ""


def _named(plane: str, planes: Mapping[str, DataPlaneSpec]) -> str:
    region = planes[plane].region if plane in planes else None
    return f"data plane {plane} ({region})" if region else f"data plane {plane}"
