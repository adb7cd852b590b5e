"""Everything the builders of one cluster need to know, gathered once and frozen.

A builder takes a `ClusterContext` and at most a few observed facts. The context holds the *effective* version and image
(chosen by `policy.versions`) and nothing of the operator's own version: a pod template must not change when the
operator is upgraded.
"""

from dataclasses import dataclass

from zilliz_operator.api import names
from zilliz_operator.api.dataplane import DataPlane, DataPlaneSpec, Engine
from zilliz_operator.api.zillizcluster import PowerState, ZillizCluster, ZillizClusterSpec

MILVUS = "milvus"
GATEWAY = "gateway"
BACKUP = "backup"
COMPONENT_LABEL = "app.kubernetes.io/component"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterContext:
    """One cluster on its data plane."""

    name: str
    project: str
    uid: str
    cluster_id: str
    namespace: str
    spec: ZillizClusterSpec
    data_plane_name: str
    data_plane: DataPlaneSpec
    version: str
    image: str
    operator_namespace: str

    def labels(self, component: str = "") -> dict[str, str]:
        """The labels of one child."""
        return names.labels(name=self.name, project=self.project, uid=self.uid, component=component)

    @property
    def door_host(self) -> str:
        """The name clients connect to and verify."""
        return names.door_host(cluster_id=self.cluster_id, domain=self.data_plane.certificates.domain)

    @property
    def built_in(self) -> bool:
        """Whether we run Milvus ourselves (else the Milvus operator does)."""
        return self.data_plane.engine is Engine.BUILT_IN

    @property
    def suspended(self) -> bool:
        return self.spec.power_state is PowerState.SUSPENDED

    def version_at_least(self, floor: str) -> bool:
        """Whether the server is new enough for something; compares the numbers, not the text."""
        return version_numbers(self.version) >= version_numbers(floor)


def version_numbers(version: str) -> tuple[int, ...]:
    """`2.6.22` as numbers, any pre-release or build suffix left off."""
    core = version.removeprefix("v").split("-", 1)[0].split("+", 1)[0]
    return tuple(int(part) for part in core.split("."))


def context_for(
    cluster: ZillizCluster, data_plane: DataPlane, *, version: str, image: str, operator_namespace: str
) -> ClusterContext:
    """The context of a cluster; its id and namespace follow from its UID alone."""
    cluster_id = names.cluster_id(cluster.metadata.uid)
    return ClusterContext(
        name=cluster.metadata.name,
        project=cluster.metadata.namespace,
        uid=cluster.metadata.uid,
        cluster_id=cluster_id,
        namespace=names.cluster_namespace(cluster_id),
        spec=cluster.spec,
        data_plane_name=data_plane.metadata.name,
        data_plane=data_plane.spec,
        version=version,
        image=image,
        operator_namespace=operator_namespace,
    )
