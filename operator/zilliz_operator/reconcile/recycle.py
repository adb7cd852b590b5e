"""Deletion: compute goes, data stays, a RecycledCluster says so, and the finalizer is let go promptly.

Nothing that holds data is removed here: not a bucket, its identity, the volume of Milvus, nor the credentials. Every object is
touched only when it carries this cluster's UID, and only while this replica leads.
"""

from collections.abc import Mapping
from datetime import timedelta

from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.exceptions import NotReady, Unavailable
from zilliz_operator.api.kinds import KINDS
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.reconcile import children
from zilliz_operator.reconcile.pass_ import DataPlaneAccess, World
from zilliz_operator.reconcile.ports import Kube, Manifest
from zilliz_operator.reconcile.steps import private_link
from zilliz_operator.reconcile.vault import vault_name

COMPUTE_KINDS = ("Deployment", "StatefulSet", "Service", "PodDisruptionBudget", "Certificate", "Issuer", "ConfigMap")
"""What runs or serves. Namespace, quota, policies, Secrets and the volume's claim stay for a restore."""

OPEN_POLICIES = (
    "gateway-clients",
    "gateway-operator",
    "gateway-metrics",
    "gateway-egress",
    "milvus-ingress",
    "milvus-egress",
    "dns",
)
"""Every policy that lets something through; `default-deny` stays."""

OTHER_BUCKETS = (("audit", "auditBucket"), ("backup", "backupBucket"))

RECYCLED_LABEL = names.PREFIX + "recycled"


async def recycle(
    world: World, cluster: ZillizCluster, raw: Manifest, plane: DataPlaneAccess | None, *, buckets: Mapping[str, str]
) -> None:
    """Move a cluster to the recycle bin. Raises for what should be tried again.

    `plane` None: its DataPlane is gone, so is its compute. `buckets`: purpose → name.
    """
    cluster_id = names.cluster_id(cluster.metadata.uid)
    namespace = names.cluster_namespace(cluster_id)
    if plane is not None:
        existing = await plane.kube.get("Namespace", namespace)
        ours = existing is not None and _ours(existing, uid=cluster.metadata.uid)
        # Somebody may have removed the namespace: the bucket and the credentials are still there, and nobody else knows of them.
        left = existing is None and await world.hub.get("Secret", vault_name(cluster_id), world.operator_namespace)
        if ours or left:
            await _record(world, cluster, buckets=buckets)
        if private_link.remains(cluster) and plane.cloud is not None:
            # First: no load balancer goes while an endpoint service stands in front of it.
            await private_link.withdraw(plane.cloud, uid=cluster.metadata.uid, leads=world.leads)
        if ours:
            await _stop(world, plane.kube, namespace=namespace, uid=cluster.metadata.uid)
    await _remove_connection(world, cluster)


async def _record(world: World, cluster: ZillizCluster, *, buckets: Mapping[str, str]) -> None:
    now = world.clock.now()
    cluster_id = names.cluster_id(cluster.metadata.uid)
    name = f"{cluster.metadata.name}-{cluster_id.removeprefix(names.ID_PREFIX)}"
    if await world.hub.get("RecycledCluster", name, cluster.metadata.namespace) is not None:
        return
    days = cluster.spec.recycle_retention_days
    spec = {
        "clusterId": cluster_id,
        "clusterUid": cluster.metadata.uid,
        "clusterName": cluster.metadata.name,
        "project": cluster.metadata.namespace,
        "dataPlane": cluster.spec.data_plane,
        "namespace": names.cluster_namespace(cluster_id),
        "bucket": buckets["data"],
        **{field: buckets[purpose] for purpose, field in OTHER_BUCKETS if purpose in buckets},
        "credentialsSecret": vault_name(cluster_id),
        "recycledAt": utc(now),
        "expiresAt": utc(now + timedelta(days=days)),
        "retentionDays": days,
    }
    if cluster.status.version:
        spec["version"] = cluster.status.version
    record = {
        "apiVersion": KINDS["RecycledCluster"].api_version,
        "kind": "RecycledCluster",
        "metadata": {
            "name": name,
            "namespace": cluster.metadata.namespace,
            "labels": names.labels(
                name=cluster.metadata.name, project=cluster.metadata.namespace, uid=cluster.metadata.uid
            ),
        },
        "spec": spec,
    }
    try:
        await world.hub.apply(record)
    except NotReady:
        # The whole project is being deleted: no record can be kept in it. The marked namespace, bucket and credentials stay.
        return


async def _stop(world: World, kube: Kube, *, namespace: str, uid: str) -> None:
    live = await children.observe(kube, namespace=namespace, uid=uid)
    for kind in COMPUTE_KINDS:
        for obj in list(live.of(kind)):
            await _delete(world, kube, obj)
    for obj in list(live.of("NetworkPolicy")):
        if obj["metadata"]["name"] in OPEN_POLICIES:
            await _delete(world, kube, obj)
    await kube.merge_patch("Namespace", namespace, None, {"metadata": {"labels": {RECYCLED_LABEL: "true"}}})


async def _delete(world: World, kube: Kube, obj: Manifest) -> None:
    if not world.leads():
        raise Unavailable("leadership", "lost; the new leader goes on")
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp"):
        await kube.delete(obj["kind"], metadata["name"], metadata.get("namespace"), uid=metadata["uid"])


async def _remove_connection(world: World, cluster: ZillizCluster) -> None:
    name = names.connection_secret(cluster.metadata.name)
    secret = await world.hub.get("Secret", name, cluster.metadata.namespace)
    if secret is not None and _ours(secret, uid=cluster.metadata.uid):
        await _delete(world, world.hub, {**secret, "kind": "Secret"})


def _ours(obj: Manifest, *, uid: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return bool(labels.get(names.CLUSTER_UID_LABEL) == uid)
