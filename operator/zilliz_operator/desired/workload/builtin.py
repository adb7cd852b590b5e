"""The built-in engine: one StatefulSet that runs standalone Milvus with embedded etcd and message queue.

The pod template depends on the cluster's version, spec and certificates, never on the operator's version: an upgrade of
the operator restarts no Milvus. What needs a restart is in the template as a checksum; all else is not.
"""

from typing import Any

import yaml

from zilliz_operator.api import names
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.zillizcluster import Mode
from zilliz_operator.desired import sizing
from zilliz_operator.desired.context import COMPONENT_LABEL, MILVUS, ClusterContext
from zilliz_operator.desired.manifest import Manifest, digest, manifest

from . import config

USER = 10001
DATA = "/var/lib/milvus"
CONFIG = "milvus-config"
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
VERSION_LABEL = "app.kubernetes.io/version"
VOLUME = "data"
CLAIM = f"{VOLUME}-milvus-0"
GRACE_SECONDS, OLD_GRACE_SECONDS = 30, 10
"""Old servers (before 2.4) do not end on SIGTERM, and a kill loses nothing they acknowledged: no use in waiting longer."""

GLOG = "--logtostderr=true\n--minloglevel=1\n"
_BUILD_BUNDLE = f"cat {BUNDLE} /config/store-ca.crt > /bundle/ca-certificates.crt"
_CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def objects(
    ctx: ClusterContext,
    *,
    store_ca_pem: str,
    tls_fingerprint: str,
    store_key_digest: str,
    restarted_at: str = "",
    live: Manifest | None = None,
) -> list[Manifest]:
    """Everything that runs Milvus. `live`: the StatefulSet as it is, whose volume claim cannot be changed any more.

    Raises InvalidSpec for what this engine cannot do.
    """
    _refuse(ctx)
    settings = config_map(ctx, store_ca_pem=store_ca_pem)
    marks = {
        names.PREFIX + "config-digest": digest(settings["data"]),
        names.PREFIX + "tls-fingerprint": tls_fingerprint,
        names.PREFIX + "store-key-digest": store_key_digest,
        names.PREFIX + "restarted-at": restarted_at,
    }
    template = pod_template(ctx, annotations={key: value for key, value in marks.items() if value})
    return [settings, service(ctx), disruption_budget(ctx), stateful_set(ctx, template, live=live)]


def config_map(ctx: ClusterContext, *, store_ca_pem: str) -> Manifest:
    """Milvus' configuration and the authority of its store; no secret in it."""
    data = {
        "milvus.yaml": yaml.safe_dump(config.standalone(ctx, data=DATA), sort_keys=True),
        "glog.conf": GLOG,
        "store-ca.crt": store_ca_pem,
    }
    return manifest("ConfigMap", name=CONFIG, namespace=ctx.namespace, labels=ctx.labels(MILVUS), data=data)


def service(ctx: ClusterContext) -> Manifest:
    """Where the gateways find Milvus. The network policies let nobody else use it."""
    ports = {"grpc": names.MILVUS_GRPC, "rest": names.MILVUS_REST, "ops": names.MILVUS_OPS}
    spec = {
        "type": "ClusterIP",
        "selector": selector(ctx),
        "ports": [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for name, port in ports.items()],
    }
    return manifest("Service", name=MILVUS, namespace=ctx.namespace, labels=ctx.labels(MILVUS), spec=spec)


def disruption_budget(ctx: ClusterContext) -> Manifest:
    """One process has no second to stand in: a budget that forbade its eviction would only block every node drain."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector(ctx)}}
    return manifest("PodDisruptionBudget", name=MILVUS, namespace=ctx.namespace, labels=ctx.labels(MILVUS), spec=spec)


def stateful_set(ctx: ClusterContext, template: Manifest, *, live: Manifest | None) -> Manifest:
    spec = {
        "serviceName": MILVUS,
        # Under the default, OrderedReady, a pod that cannot start (its image is missing) is never replaced by a corrected one.
        # Kubernetes lets nobody change it, so a set keeps what it was born with.
        "podManagementPolicy": ((live or {}).get("spec") or {}).get("podManagementPolicy", "Parallel"),
        "replicas": 0 if ctx.suspended else 1,
        "selector": {"matchLabels": selector(ctx)},
        "template": template,
        "volumeClaimTemplates": [volume_claim(ctx, live)],
        # The volume holds Milvus' catalogue and write-ahead log; no change of this object may take it away.
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
    }
    labels = {**ctx.labels(MILVUS), VERSION_LABEL: ctx.version}
    return manifest("StatefulSet", name=MILVUS, namespace=ctx.namespace, labels=labels, spec=spec)


def volume_claim(ctx: ClusterContext, live: Manifest | None) -> Manifest:
    """The claim as the StatefulSet was born with it (Kubernetes lets nobody change it), else as the spec wants it."""
    born = ((live or {}).get("spec") or {}).get("volumeClaimTemplates") or []
    if born:
        spec = born[0]["spec"]
        size, storage_class = spec["resources"]["requests"]["storage"], spec.get("storageClassName")
        labels = born[0]["metadata"].get("labels") or {}
    else:
        size, storage_class = ctx.spec.storage.volume_size, ctx.data_plane.storage_class_name
        labels = ctx.labels(MILVUS)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"metadata": {"name": VOLUME, "labels": labels}, "spec": spec}


def volume_growth(ctx: ClusterContext, claim: Manifest) -> Manifest | None:
    """The patch that grows the live PersistentVolumeClaim (`CLAIM`) to the size the spec asks for; None at rest.

    A volume never shrinks: a smaller size in the spec is refused before, and ignored here.
    """
    wanted = ctx.spec.storage.volume_size
    has = claim["spec"]["resources"]["requests"]["storage"]
    if sizing.volume_mib(wanted) <= sizing.volume_mib(has):
        return None
    return {"spec": {"resources": {"requests": {"storage": wanted}}}}


def pod_template(ctx: ClusterContext, *, annotations: dict[str, str]) -> Manifest:
    spec: dict[str, Any] = {
        "serviceAccountName": MILVUS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS if ctx.version_at_least("2.4.0") else OLD_GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_bundle_container(ctx)],
        "containers": [_milvus_container(ctx)],
        "volumes": [
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "bundle", "emptyDir": {"sizeLimit": "8Mi"}},
            {"name": "tls", "secret": {"secretName": "milvus-tls"}},
            {"name": "config", "configMap": {"name": CONFIG}},
        ],
    }
    return {"metadata": {"labels": ctx.labels(MILVUS), "annotations": annotations}, "spec": spec}


def selector(ctx: ClusterContext) -> dict[str, str]:
    return {names.CLUSTER_ID_LABEL: ctx.cluster_id, COMPONENT_LABEL: MILVUS}


def _bundle_container(ctx: ClusterContext) -> dict[str, Any]:
    """Milvus trusts for its store what is in this one file, and offers no setting for it: so the file is made here."""
    return {
        "name": "ca-bundle",
        "image": ctx.image,
        "command": ["/bin/sh", "-ec", _BUILD_BUNDLE],
        "resources": sizing.HELPER.manifest(),
        "securityContext": dict(_CONTAINER_SECURITY),
        "volumeMounts": [
            {"name": "bundle", "mountPath": "/bundle"},
            {"name": "config", "mountPath": "/config", "readOnly": True},
        ],
    }


def _milvus_container(ctx: ClusterContext) -> dict[str, Any]:
    ports = {"grpc": names.MILVUS_GRPC, "rest": names.MILVUS_REST, "ops": names.MILVUS_OPS}
    return {
        "name": MILVUS,
        "image": ctx.image,
        "command": ["/milvus/bin/milvus", "run", "standalone"],
        "env": [
            {"name": "DEPLOY_MODE", "value": "STANDALONE"},
            {"name": "METRICS_PORT", "value": str(names.MILVUS_OPS)},
            {"name": "MILVUSCONF", "value": "/milvus/configs"},
            {"name": "MILVUS_RUN_DIR", "value": f"{DATA}/run"},
            *config.environment(ctx),
        ],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "resources": sizing.milvus(ctx.spec.size.cu_size).manifest(),
        "securityContext": dict(_CONTAINER_SECURITY),
        # Loading a large catalogue takes minutes; liveness asks only whether the process still answers, so that an
        # outage of the store never turns into a restart.
        "startupProbe": _probe("/healthz", period=2, failures=300, timeout=3),
        "readinessProbe": _probe("/healthz", period=5, failures=3, timeout=3),
        "livenessProbe": _probe("/log/level", period=15, failures=8, timeout=10),
        "volumeMounts": [
            {"name": VOLUME, "mountPath": DATA},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the container
            {"name": "tls", "mountPath": config.TLS_DIRECTORY, "readOnly": True},
            {"name": "config", "mountPath": "/milvus/configs", "readOnly": True},
            {"name": "bundle", "mountPath": BUNDLE, "subPath": "ca-certificates.crt", "readOnly": True},
        ],
    }


def _probe(path: str, *, period: int, failures: int, timeout: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": names.MILVUS_OPS},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
    }


def _refuse(ctx: ClusterContext) -> None:
    if ctx.spec.mode is not Mode.STANDALONE:
        raise InvalidSpec(
            "spec.mode",
            f"{ctx.spec.mode} needs the MilvusOperator engine, and DataPlane {ctx.data_plane_name} has BuiltIn: "
            "use Standalone, or a DataPlane with that engine",
        )
    if ctx.spec.size.replicas != 1:
        raise InvalidSpec(
            "spec.size.replicas",
            f"DataPlane {ctx.data_plane_name} runs Milvus as one process (engine BuiltIn): set 1, "
            "or use a DataPlane with engine MilvusOperator",
        )
