"""The Kubernetes objects of a cluster's door: two gateways that hold nothing but TLS, lists and maps.

The pod template depends on the spec and the image alone. What the gateway *does* reaches it as mounted files that the
agent swaps in, so a new allowlist, key or certificate restarts no pod and cuts no connection.
"""

from collections.abc import Mapping
from typing import Any, Final

from zilliz_operator.api import names
from zilliz_operator.api.zillizcluster import Exposure
from zilliz_operator.desired.context import COMPONENT_LABEL, GATEWAY, ClusterContext
from zilliz_operator.desired.door import DoorFiles
from zilliz_operator.desired.manifest import Manifest, manifest, secret_data

REPLICAS: Final = 2
CONFIG: Final = "gateway-config"
MAPS: Final = "gateway-maps"
METRICS_SERVICE: Final = "gateway-metrics"
USER: Final = 10001
STOP_SECONDS: Final = 75
"""More than leaving the Service (3 s) and HAProxy's own hard stop (60 s) take together."""
MAX_SOURCE_RANGES: Final = 50
"""Beyond it load balancers' firewalls overflow; the network policies and the gateways judge every address anyway."""
NOBODY: Final = "0.0.0.0/32"

_MOUNTS = "/etc/gateway"
_AWS = "service.beta.kubernetes.io/aws-load-balancer-"


def objects(ctx: ClusterContext, *, files: DoorFiles, image: str) -> list[Manifest]:
    """Everything of the gateway but its ServiceAccount, certificates and network policies."""
    return [
        config_map(ctx, files),
        maps_secret(ctx, files),
        deployment(ctx, image=image),
        service(ctx, files=files),
        metrics_service(ctx),
        disruption_budget(ctx),
    ]


def config_map(ctx: ClusterContext, files: DoorFiles) -> Manifest:
    """What HAProxy does; readable by whoever may read ConfigMaps, so without a secret."""
    return manifest(
        "ConfigMap", name=CONFIG, namespace=ctx.namespace, labels=ctx.labels(GATEWAY), data=dict(files.config)
    )


def maps_secret(ctx: ClusterContext, files: DoorFiles) -> Manifest:
    """Keys by digest, and the technical users' passwords that HAProxy must replay to Milvus."""
    data = secret_data(files.maps)
    return manifest("Secret", name=MAPS, namespace=ctx.namespace, labels=ctx.labels(GATEWAY), type="Opaque", data=data)


def selector(ctx: ClusterContext) -> dict[str, str]:
    """The labels that only this cluster's gateways have."""
    return {names.CLUSTER_ID_LABEL: ctx.cluster_id, COMPONENT_LABEL: GATEWAY}


def deployment(ctx: ClusterContext, *, image: str) -> Manifest:
    """Two gateways, replaced one by one and only by a ready one."""
    labels = ctx.labels(GATEWAY)
    return manifest(
        "Deployment",
        name=GATEWAY,
        namespace=ctx.namespace,
        labels=labels,
        spec={
            "replicas": 0 if ctx.suspended else REPLICAS,
            "revisionHistoryLimit": 2,
            "minReadySeconds": 2,
            "selector": {"matchLabels": selector(ctx)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": _pod(ctx, image=image)},
        },
    )


def service(ctx: ClusterContext, *, files: DoorFiles) -> Manifest:
    """The address clients dial. A load balancer keeps their address: with `Local`, or in a PROXY header."""
    spec: dict[str, Any] = {
        "type": "ClusterIP" if ctx.spec.exposure is Exposure.INTERNAL else "LoadBalancer",
        "selector": selector(ctx),
        "ports": [{"name": "milvus", "port": names.GATEWAY_PORT, "targetPort": "milvus", "protocol": "TCP"}],
    }
    if ctx.spec.exposure is not Exposure.INTERNAL:
        spec["externalTrafficPolicy"] = "Local"
        if ranges := source_ranges(ctx, files):
            spec["loadBalancerSourceRanges"] = ranges
    return manifest(
        "Service",
        name=GATEWAY,
        namespace=ctx.namespace,
        labels=ctx.labels(GATEWAY),
        annotations=_service_annotations(ctx),
        spec=spec,
    )


def source_ranges(ctx: ClusterContext, files: DoorFiles) -> list[str]:
    """Who may reach the load balancer at all: clients, load balancers that speak for them, the operator from a hub."""
    network = ctx.data_plane.network
    clients = (line.split()[0] for line in files.config["allow.map"].splitlines())
    listed = {*clients, *files.config["lbs.acl"].split(), *map(str, network.operator_cidrs)}
    if len(listed) > MAX_SOURCE_RANGES:
        return []
    return sorted(listed) or [NOBODY]


def metrics_service(ctx: ClusterContext) -> Manifest:
    """Where monitoring scrapes Milvus and the gateway. Not ready is no reason not to be watched."""
    return manifest(
        "Service",
        name=METRICS_SERVICE,
        namespace=ctx.namespace,
        labels=ctx.labels(GATEWAY),
        spec={
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
            "selector": selector(ctx),
            "ports": [{"name": "metrics", "port": names.METRICS_PORT, "targetPort": "metrics", "protocol": "TCP"}],
        },
    )


def disruption_budget(ctx: ClusterContext) -> Manifest:
    """A node drain takes one gateway at a time; one that is broken anyway never blocks it."""
    return manifest(
        "PodDisruptionBudget",
        name=GATEWAY,
        namespace=ctx.namespace,
        labels=ctx.labels(GATEWAY),
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(ctx)},
        },
    )


def _service_annotations(ctx: ClusterContext) -> Mapping[str, str]:
    found = {"external-dns.alpha.kubernetes.io/hostname": ctx.door_host}
    if ctx.data_plane.cloud != "aws" or ctx.spec.exposure is Exposure.INTERNAL:
        return found
    found |= {f"{_AWS}type": "external", f"{_AWS}scheme": "internal", f"{_AWS}nlb-target-type": "ip"}
    if ctx.spec.exposure is Exposure.PRIVATE_LINK:
        # An endpoint service hides the client's address from the packet; only a PROXY header still carries it.
        attributes = "proxy_protocol_v2.enabled=true,preserve_client_ip.enabled=false"
        return found | {f"{_AWS}proxy-protocol": "*", f"{_AWS}target-group-attributes": attributes}
    return found | {f"{_AWS}target-group-attributes": "preserve_client_ip.enabled=true"}


def _pod(ctx: ClusterContext, *, image: str) -> dict[str, Any]:
    return {
        "serviceAccountName": GATEWAY,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # Milvus' name is complete, so no search path; and a name server that is away must not hold up a start.
        "dnsConfig": {
            "options": [
                {"name": "ndots", "value": "1"},
                {"name": "timeout", "value": "1"},
                {"name": "attempts", "value": "2"},
            ]
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(ctx)},
            }
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
        "containers": [_container(image)],
        "volumes": _volumes(),
    }


def _container(image: str) -> dict[str, Any]:
    ports = {"milvus": names.GATEWAY_PORT, "metrics": names.METRICS_PORT, "ops": names.OPS_PORT}
    return {
        "name": GATEWAY,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["agent", "gateway"],
        "command": ["zilliz-operator"],
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"cpu": "1500m", "memory": "512Mi"},
        },
        # All three ask HAProxy and never the agent, whose death must not take the door with it.
        "startupProbe": _probe("/livez", period=1, failures=60),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "volumeMounts": [
            *({"name": name, "mountPath": f"{_MOUNTS}/{name}", "readOnly": True} for name in _SOURCES),
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "ops"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


_SOURCES: Final[Mapping[str, dict[str, Any]]] = {
    "config": {"configMap": {"name": CONFIG, "defaultMode": 0o440}},
    "maps": {"secret": {"secretName": MAPS, "defaultMode": 0o440}},
    "tls": {"secret": {"secretName": "gateway-tls", "defaultMode": 0o440}},
    "client": {"secret": {"secretName": "gateway-client", "defaultMode": 0o440}},
    # Of that authority the certificate alone: its key signs the operator's way in.
    "operator-ca": {
        "secret": {
            "secretName": "operator-ca",
            "defaultMode": 0o440,
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }
    },
}


def _volumes() -> list[dict[str, Any]]:
    return [
        *({"name": name, **source} for name, source in _SOURCES.items()),
        # In memory: private keys and passwords are copied here and must not touch the node's disk.
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
    ]
