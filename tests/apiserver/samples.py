"""The smallest objects of our kinds that the API server takes, for tests to vary."""

from typing import Any

from zilliz_operator.api.names import API_VERSION

Manifest = dict[str, Any]

DATA_PLANE_SPEC: Manifest = {
    "versions": [{"version": "2.3.5", "image": "docker.io/milvusdb/milvus:v2.3.5"}],
    "objectStorage": {
        "provider": "S3Compatible",
        "endpoint": "https://s3.byoc.test:8333",
        "credentialsSecretRef": {"name": "store"},
    },
    "certificates": {"domain": "byoc.test", "issuerRef": {"name": "letsencrypt"}},
}


def data_plane(name: str = "default") -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "DataPlane",
        "metadata": {"name": name},
        "spec": {**DATA_PLANE_SPEC},
    }


def cluster(name: str, *, namespace: str, **spec: Any) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "ZillizCluster", "metadata": metadata, "spec": spec}


def access_policy(name: str, *, namespace: str, level: str) -> Manifest:
    spec: Manifest = {
        "level": level,
        "subjects": [{"kind": "Group", "name": "data-scientists"}],
        "role": "OrganizationOwner" if level == "Organization" else "DataViewer",
    }
    if level == "Cluster":
        spec["clusters"] = {"names": ["search"]}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "AccessPolicy", "metadata": metadata, "spec": spec}


def allowlist(name: str, *, namespace: str) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    spec = {"entries": [{"cidr": "203.0.113.0/24"}]}
    return {"apiVersion": API_VERSION, "kind": "Allowlist", "metadata": metadata, "spec": spec}


def role_binding(user: str, *, role: str, namespace: str) -> Manifest:
    """A user gets a ClusterRole in one namespace."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": user, "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
