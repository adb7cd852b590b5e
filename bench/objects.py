"""What the bench applies. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]
GROUP = "byoc.zilliz.com"
API_VERSION = f"{GROUP}/v1alpha1"
KEY_SECRET = "bench-key"
SMALL_REQUEST = "50m"
SMALL_REQUESTS_NAME = "zbyoc-bench-small-requests"


def project(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def cluster(*, project: str, name: str) -> Object:
    """A cluster as the quickstart has it, but one that may be deleted."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ZillizCluster",
        "metadata": {"name": name, "namespace": project},
        "spec": {"size": {"cuSize": 1}, "exposure": "LoadBalancer", "deletionProtection": False},
    }


def allowlist(*, project: str, cidrs: Sequence[str]) -> Object:
    """Addresses for every cluster of the project."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Allowlist",
        "metadata": {"name": "bench", "namespace": project},
        "spec": {"entries": [{"cidr": cidr} for cidr in cidrs]},
    }


def access(*, project: str) -> Object:
    """One API key for every cluster of the project."""
    return {
        "apiVersion": API_VERSION,
        "kind": "AccessPolicy",
        "metadata": {"name": "bench", "namespace": project},
        "spec": {
            "level": "Project",
            "role": "DataAdmin",
            "subjects": [{"kind": "ApiKey", "name": "bench", "secretName": KEY_SECRET}],
        },
    }


def small_requests(*, trial: str) -> tuple[Object, Object]:
    """An admission policy that lowers the CPU requests of clusters' pods, so that more of them are scheduled on a small node.

    What is changed is the scheduler's book-keeping: a cluster's pods may use whatever CPU is idle, before and after. It also
    acts in the namespace `trial`, where one can see whether it is in force.
    """
    lower = (
        'object.spec.containers.all(c, has(c.resources) && has(c.resources.requests) && "cpu" in c.resources.requests) ? '
        "[0, 1, 2, 3, 4].filter(i, i < size(object.spec.containers)).map(i, JSONPatch{op: 'replace', "
        f"path: '/spec/containers/' + string(i) + '/resources/requests/cpu', value: '{SMALL_REQUEST}'}}) : []"
    )
    where = f"request.namespace.startsWith('milvus-in01-') || request.namespace == '{trial}'"
    policy: Object = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": SMALL_REQUESTS_NAME},
        "spec": {
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
                ]
            },
            "matchConditions": [{"name": "clusters", "expression": where}],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": lower}}],
        },
    }
    binding: Object = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": SMALL_REQUESTS_NAME},
        "spec": {"policyName": SMALL_REQUESTS_NAME},
    }
    return policy, binding


def trial_pod() -> Object:
    """Never run: it shows what admission makes of a pod."""
    request = {"cpu": "250m"}
    container = {"name": "trial", "image": "trial", "resources": {"requests": request}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": {"containers": [container]}}


def is_ready(obj: Object) -> bool:
    """Ready is True for the generation that is there."""
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition.get("observedGeneration") == obj["metadata"]["generation"]
        for condition in (obj.get("status") or {}).get("conditions") or []
    )


def why_not_ready(obj: Object) -> str:
    """The conditions that are not True, for a message."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    wanting = [f"{c['type']} ({c['reason']})" for c in conditions if c["status"] != "True"]
    return ", ".join(wanting) or "no condition yet"
