"""Every Kubernetes kind that the product reads or writes, and how it is addressed."""

from dataclasses import dataclass
from typing import Final

from zilliz_operator.api.names import API_VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    api_version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def path(self) -> str:
        """The root of the API group in a URL."""
        return f"/api/{self.api_version}" if "/" not in self.api_version else f"/apis/{self.api_version}"

    @property
    def group(self) -> str:
        """The API group, empty for the core one."""
        return self.api_version.rpartition("/")[0]


OURS: Final = (
    Kind(API_VERSION, "ZillizCluster", "zillizclusters"),
    Kind(API_VERSION, "DataPlane", "dataplanes", namespaced=False),
    Kind(API_VERSION, "Allowlist", "allowlists"),
    Kind(API_VERSION, "AccessPolicy", "accesspolicies"),
    Kind(API_VERSION, "BackupPolicy", "backuppolicies"),
    Kind(API_VERSION, "Backup", "backups"),
    Kind(API_VERSION, "Restore", "restores"),
    Kind(API_VERSION, "RecycledCluster", "recycledclusters"),
)

SHORT_NAMES: Final = {
    "ZillizCluster": "zc",
    "DataPlane": "zdp",
    "Allowlist": "zal",
    "AccessPolicy": "zap",
    "BackupPolicy": "zbp",
    "Backup": "zbk",
    "Restore": "zrs",
    "RecycledCluster": "zrc",
}

_ADMISSION: Final = "admissionregistration.k8s.io/v1"

_OTHERS: Final = (
    Kind("v1", "Namespace", "namespaces", namespaced=False),
    Kind("v1", "Node", "nodes", namespaced=False),
    Kind("v1", "PersistentVolume", "persistentvolumes", namespaced=False),
    Kind("v1", "Secret", "secrets"),
    Kind("v1", "ConfigMap", "configmaps"),
    Kind("v1", "Service", "services"),
    Kind("v1", "Endpoints", "endpoints"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("v1", "Pod", "pods"),
    Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("v1", "ResourceQuota", "resourcequotas"),
    Kind("v1", "LimitRange", "limitranges"),
    Kind("v1", "Event", "events"),
    Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    Kind("apps/v1", "StatefulSet", "statefulsets"),
    Kind("apps/v1", "Deployment", "deployments"),
    Kind("apps/v1", "ReplicaSet", "replicasets"),
    Kind("batch/v1", "Job", "jobs"),
    Kind("storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("coordination.k8s.io/v1", "Lease", "leases"),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    Kind("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False),
    Kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False),
    Kind(_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False),
    Kind(_ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False),
    Kind("cert-manager.io/v1", "Certificate", "certificates"),
    Kind("cert-manager.io/v1", "CertificateRequest", "certificaterequests"),
    Kind("cert-manager.io/v1", "Issuer", "issuers"),
    Kind("cert-manager.io/v1", "ClusterIssuer", "clusterissuers", namespaced=False),
    Kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors"),
    Kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules"),
    Kind("milvus.io/v1beta1", "Milvus", "milvuses"),
)

KINDS: Final[dict[str, Kind]] = {kind.kind: kind for kind in (*OURS, *_OTHERS)}
