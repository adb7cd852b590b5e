"""What the bench applies. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]
GROUP = "byoc.zilliz.com"
API_VERSION = f"{GROUP}/v1alpha1"
KEY_SECRET = "bench-key"
LOWERED_NAME = "zbyoc-bench-lowered-requests"


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


def allowlist(*, project: str, cidrs: Sequence[str], name: str = "bench") -> Object:
    """Addresses for every cluster of the project."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Allowlist",
        "metadata": {"name": name, "namespace": project},
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


def people(*, project: str, name: str) -> Object:
    """A key and a user, of whom both are good for a while when they are made anew."""
    return {
        "apiVersion": API_VERSION,
        "kind": "AccessPolicy",
        "metadata": {"name": name, "namespace": project},
        "spec": {
            "level": "Project",
            "role": "DataViewer",
            "subjects": [
                {"kind": "ApiKey", "name": name, "secretName": f"{name}-key"},
                {"kind": "ClusterUser", "name": name.replace("-", "_"), "secretName": f"{name}-user"},
            ],
        },
    }


def lowered_requests(lowered: Mapping[str, str], *, trial: str) -> tuple[Object, Object]:
    """An admission policy that replaces CPU requests of clusters' pods, so that more of them are scheduled on a small node.

    It also acts in the namespace `trial`, where one can see whether it is in force.
    """
    table = "{" + ", ".join(f"'{old}': '{new}'" for old, new in sorted(lowered.items())) + "}"
    request = "object.spec.containers[i].resources.requests"
    lower = (
        f"[0, 1, 2, 3].filter(i, i < size(object.spec.containers) && has({request}) && 'cpu' in {request} "
        f"&& {request}['cpu'] in {table}).map(i, JSONPatch{{op: 'replace', "
        f"path: '/spec/containers/' + string(i) + '/resources/requests/cpu', value: {table}[{request}['cpu']]}})"
    )
    where = f"request.namespace.startsWith('milvus-in01-') || request.namespace == '{trial}'"
    policy: Object = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": LOWERED_NAME},
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
        "metadata": {"name": LOWERED_NAME},
        "spec": {"policyName": LOWERED_NAME},
    }
    return policy, binding


def trial_pod(request: str) -> Object:
    """Never run: it shows what admission makes of a pod."""
    container = {"name": "trial", "image": "trial", "resources": {"requests": {"cpu": request}}}
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
