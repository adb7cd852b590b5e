"""The MilvusOperator engine: a `Milvus` object for the Milvus operator, and the names others expect beside it.

Standalone or distributed, on the same bucket, behind the same gateways, with the same mutual TLS as the built-in
engine. The operator writes `config` into Milvus' own file, so `tls` stands at its top level, where the server looks.
"""

from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.zillizcluster import Mode
from zilliz_operator.desired import sizing
from zilliz_operator.desired.context import COMPONENT_LABEL, MILVUS, ClusterContext
from zilliz_operator.desired.credentials import STORE_SECRET
from zilliz_operator.desired.manifest import Manifest, manifest
from zilliz_operator.desired.network import ENGINE_LABELS

from . import config

TOOL_IMAGE = "docker.io/milvusdb/milvus-operator:v1.3.8"
DATA = "/milvus/data"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
STORE_CA = "milvus-store-ca"

_SHARES = {"queryNode": 50, "streamingNode": 20, "dataNode": 15, "proxy": 10, "mixCoord": 5}
"""How a distributed cluster's CUs are split, in percent. Searching is what a CU is bought for."""
_REPLICAS = {"streamingNode": 2, "dataNode": 2, "proxy": 2, "mixCoord": 1}


def objects(
    ctx: ClusterContext,
    *,
    store_ca_pem: str,
    tls_fingerprint: str,
    store_key_digest: str,
    restarted_at: str = "",
    live: Manifest | None = None,
) -> list[Manifest]:
    """Everything that runs Milvus, by the built-in engine's arguments, so that the caller need not care which it is.
    (`live` is of no use here: the Milvus operator owns the volumes.)"""
    del live
    marks = {
        names.PREFIX + "tls-fingerprint": tls_fingerprint,
        names.PREFIX + "store-key-digest": store_key_digest,
        names.PREFIX + "restarted-at": restarted_at,
    }
    authority = _store_ca(ctx, store_ca_pem) if store_ca_pem else None
    spec = {
        "mode": "cluster" if ctx.spec.mode is Mode.DISTRIBUTED else "standalone",
        "components": _components(
            ctx, annotations={key: value for key, value in marks.items() if value}, private_ca=authority is not None
        ),
        "dependencies": _dependencies(ctx),
        "config": {**config.common(ctx), "localStorage": {"path": DATA}, "woodpecker": {"storage": {"type": "minio"}}},
    }
    milvus = manifest("Milvus", name=MILVUS, namespace=ctx.namespace, labels=ctx.labels(MILVUS), spec=spec)
    found = [authority, _service(ctx), _disruption_budget(ctx), milvus]
    return [each for each in found if each is not None]


def _components(ctx: ClusterContext, *, annotations: dict[str, str], private_ca: bool) -> Manifest:
    volumes, mounts = _volumes(private_ca=private_ca)
    whole: Manifest = {
        "image": ctx.image,
        "imageUpdateMode": "rollingUpgrade",
        "enableRollingUpdate": True,
        "updateConfigMapOnly": False,  # else a changed configuration would wait for somebody to restart the pods
        "toolImage": TOOL_IMAGE,
        "serviceAccountName": MILVUS,
        "runAsNonRoot": True,
        "podLabels": {names.CLUSTER_ID_LABEL: ctx.cluster_id, names.CLUSTER_UID_LABEL: ctx.uid},
        "podAnnotations": annotations,
        "env": config.environment(ctx),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes,
        "volumeMounts": mounts,
    }
    parts = _distributed(ctx) if ctx.spec.mode is Mode.DISTRIBUTED else _standalone(ctx)
    return {**whole, **parts}


def _standalone(ctx: ClusterContext) -> Manifest:
    return {
        "standalone": {
            "replicas": 0 if ctx.suspended else 1,
            "serviceType": "ClusterIP",
            "serviceRestfulPort": names.MILVUS_REST,
            "resources": sizing.milvus(ctx.spec.size.cu_size).manifest(),
        }
    }


def _distributed(ctx: ClusterContext) -> Manifest:
    replicas = {**_REPLICAS, "queryNode": ctx.spec.size.replicas}
    parts: Manifest = {
        name: {
            "replicas": 0 if ctx.suspended else replicas[name],
            "resources": sizing.milvus(ctx.spec.size.cu_size).share(percent).manifest(),
        }
        for name, percent in _SHARES.items()
    }
    parts["proxy"] |= {"serviceType": "ClusterIP", "serviceRestfulPort": names.MILVUS_REST}
    return {**parts, "rollingMode": 2}


def _volumes(*, private_ca: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes: list[dict[str, Any]] = [
        {"name": "tls", "secret": {"secretName": "milvus-tls"}},
        {"name": "data", "emptyDir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "tls", "mountPath": config.TLS_DIRECTORY, "readOnly": True},
        {"name": "data", "mountPath": DATA},
    ]
    if private_ca:  # the only authority this server needs is its store's
        volumes.append({"name": "store-ca", "configMap": {"name": STORE_CA}})
        mounts.append({"name": "store-ca", "mountPath": BUNDLE, "subPath": "ca-certificates.crt", "readOnly": True})
    return volumes, mounts


def _dependencies(ctx: ClusterContext) -> Manifest:
    where = config.store(ctx)
    members = 3 if ctx.spec.mode is Mode.DISTRIBUTED else 1
    storage: Manifest = {"external": True, "type": "S3", "endpoint": f"{where.host}:{where.port}"}
    if not where.iam:
        storage["secretRef"] = STORE_SECRET
    persistence: Manifest = {"enabled": True, "size": ctx.spec.storage.volume_size}
    if ctx.data_plane.storage_class_name:
        persistence["storageClass"] = ctx.data_plane.storage_class_name
    resources = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
    return {
        "msgStreamType": "woodpecker",
        "etcd": {
            "inCluster": {
                "deletionPolicy": "Retain",  # it holds the catalogue: deleting is our decision, never a side effect
                "pvcDeletion": False,
                "values": {"replicaCount": members, "persistence": persistence, "resources": resources},
            }
        },
        "storage": storage,
    }


def _service(ctx: ClusterContext) -> Manifest:
    """The gateways look for `milvus`; the Milvus operator calls its own Service otherwise."""
    front = "proxy" if ctx.spec.mode is Mode.DISTRIBUTED else "standalone"
    ports = {"grpc": names.MILVUS_GRPC, "rest": names.MILVUS_REST, "ops": names.MILVUS_OPS}
    spec = {
        "type": "ClusterIP",
        "selector": {**ENGINE_LABELS, COMPONENT_LABEL: front},
        "ports": [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for name, port in ports.items()],
    }
    return manifest("Service", name=MILVUS, namespace=ctx.namespace, labels=ctx.labels(MILVUS), spec=spec)


def _disruption_budget(ctx: ClusterContext) -> Manifest:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": dict(ENGINE_LABELS)}}
    return manifest("PodDisruptionBudget", name=MILVUS, namespace=ctx.namespace, labels=ctx.labels(MILVUS), spec=spec)


def _store_ca(ctx: ClusterContext, pem: str) -> Manifest:
    data = {"ca-certificates.crt": pem}
    return manifest("ConfigMap", name=STORE_CA, namespace=ctx.namespace, labels=ctx.labels(MILVUS), data=data)
