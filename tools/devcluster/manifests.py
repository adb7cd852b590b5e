"""Objects that every local cluster holds: DNS, storage class, roles of its parts, certificate issuers. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from tools.devcluster import layout as at
from tools.devcluster.cloud import PROVISIONER
from tools.devcluster.kube import Object
from tools.devcluster.layout import Layout

COREDNS_IMAGE = "docker.io/coredns/coredns:1.14.7"
SYSTEM_NAMESPACE = "zilliz-system"
CERTIFICATES_NAMESPACE = "cert-manager"
READ = ["get", "list", "watch"]
WRITE = [*READ, "create", "update", "patch", "delete", "deletecollection"]


def base(layout: Layout) -> list[Object]:
    """What the cluster needs before anything else: namespaces, roles, storage class, DNS."""
    return [
        *(_namespace(name) for name in (CERTIFICATES_NAMESPACE, SYSTEM_NAMESPACE)),
        *_part(
            "kube-router",
            _rule("", ["namespaces", "pods", "services", "nodes", "endpoints"], READ),
            _rule("networking.k8s.io", ["networkpolicies"], READ),
            _rule("discovery.k8s.io", ["endpointslices"], READ),
        ),
        *_part(
            "cloud",
            _rule("", ["services", "persistentvolumeclaims"], READ),
            _rule("", ["services/status"], ["patch"]),
            _rule("", ["persistentvolumes"], [*READ, "create", "delete"]),
            _rule("storage.k8s.io", ["storageclasses"], READ),
        ),
        *_part(
            "cert-manager",
            _rule("cert-manager.io", ["*"], WRITE),
            _rule("acme.cert-manager.io", ["*"], WRITE),
            _rule("", ["secrets"], WRITE),
            _rule("", ["pods", "services", "namespaces"], READ),
            _rule("networking.k8s.io", ["ingresses"], READ),
            _rule("", ["events"], ["create", "patch"]),
            _rule("events.k8s.io", ["events"], ["create", "patch"]),
            _rule("coordination.k8s.io", ["leases"], WRITE),
        ),
        _storage_class(),
        *_coredns(layout),
    ]


def issuers(layout: Layout, *, byoc: tuple[bytes, bytes], acme_authority: bytes, acme_key: str) -> list[Object]:
    """ClusterIssuers: `byoc-ca`, a private authority, and `letsencrypt`, ACME by DNS-01 from the local test server."""
    certificate, key = byoc
    solver = {
        "dns01": {
            "rfc2136": {
                "nameserver": f"{layout.address}:53",
                "tsigKeyName": "acme",
                "tsigAlgorithm": "HMACSHA256",
                "tsigSecretSecretRef": {"name": "acme-tsig", "key": "key"},
            }
        }
    }
    acme = {
        "server": f"https://{layout.address}:{at.ACME_PORT}/dir",
        "email": f"platform@{at.PUBLIC_DOMAIN}",
        "caBundle": base64.b64encode(acme_authority).decode(),
        "privateKeySecretRef": {"name": "acme-account"},
        "solvers": [solver],
    }
    return [
        secret(CERTIFICATES_NAMESPACE, "byoc-ca", {"tls.crt": certificate, "tls.key": key}, kind="kubernetes.io/tls"),
        secret(CERTIFICATES_NAMESPACE, "acme-tsig", {"key": acme_key.encode()}),
        _issuer("byoc-ca", {"ca": {"secretName": "byoc-ca"}}),
        _issuer("letsencrypt", {"acme": acme}),
    ]


def handover(
    *, keys: tuple[str, str], store_authority: bytes, acme_roots: bytes, byoc_authority: bytes
) -> list[Object]:
    """What a DataPlane of this cluster refers to, in the operator's namespace."""
    access, secret_key = keys
    return [
        secret(
            SYSTEM_NAMESPACE,
            "object-store-admin",
            {"accessKeyId": access.encode(), "secretAccessKey": secret_key.encode()},
        ),
        secret(SYSTEM_NAMESPACE, "object-store-ca", {"ca.crt": store_authority}),
        secret(SYSTEM_NAMESPACE, "acme-ca", {"ca.crt": acme_roots}),
        secret(SYSTEM_NAMESPACE, "byoc-ca", {"ca.crt": byoc_authority}),
    ]


def secret(namespace: str, name: str, data: Mapping[str, bytes], *, kind: str = "Opaque") -> Object:
    """A Secret of these bytes."""
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "type": kind,
        "data": encoded,
    }


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _issuer(name: str, spec: Object) -> Object:
    return {"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": spec}


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _part(name: str, *rules: Object, account: Object | None = None) -> list[Object]:
    """The rights of one part of the cluster, a user `system:<name>` (or a service account)."""
    rbac, role = "rbac.authorization.k8s.io", f"devcluster:{name}"
    subject = account or {"apiGroup": rbac, "kind": "User", "name": f"system:{name}"}
    return [
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": list(rules)},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        },
    ]


def _storage_class() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def corefile(layout: Layout) -> str:
    """Names of the cluster; all others are asked of the node's name server, which knows byoc.test and nothing else."""
    return f""".:53 {{
    errors
    health :8080 {{
        lameduck 0s
    }}
    ready :8181
    kubernetes {at.CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
    forward . {layout.address}
    cache 5
    reload 5s
}}
"""


def _coredns(layout: Layout) -> list[Object]:
    namespace, labels = "kube-system", {"k8s-app": "kube-dns"}
    account = {"kind": "ServiceAccount", "namespace": namespace, "name": "coredns"}
    rules = (
        _rule("", ["endpoints", "services", "pods", "namespaces"], ["list", "watch"]),
        _rule("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
    )
    meta = {"namespace": namespace, "labels": labels}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": "coredns"}},
        *_part("coredns", *rules, account=account),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**meta, "name": "coredns"},
            "data": {"Corefile": corefile(layout)},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**meta, "name": "kube-dns"},
            "spec": {
                "clusterIP": str(at.DNS_SERVICE),
                "selector": labels,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
                ],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**meta, "name": "coredns"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": _coredns_pod()},
            },
        },
    ]


def _coredns_pod() -> Object:
    container = {
        "name": "coredns",
        "image": COREDNS_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": 8080},
            "initialDelaySeconds": 30,
            "failureThreshold": 5,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "170Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
