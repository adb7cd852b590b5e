"""What the bench applies is what the product accepts, and readiness is not read from an older generation."""

from __future__ import annotations

from typing import Any

import pytest

from bench import objects
from zilliz_operator.api.accesspolicy import AccessPolicy
from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.api.zillizcluster import ZillizCluster


def test_objects_are_valid_and_a_cluster_may_be_deleted() -> None:
    made = ZillizCluster.parse(_stored(objects.cluster(project="p", name="one")))
    assert made.spec.deletion_protection is False
    Allowlist.parse(_stored(objects.allowlist(project="p", cidrs=["10.200.0.1/32"])))
    AccessPolicy.parse(_stored(objects.access(project="p")))


def _stored(obj: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "uid": "u", "generation": 1, "resourceVersion": "1"}}


def cluster(*, status: str, observed: int, generation: int = 2) -> dict[str, Any]:
    condition = {"type": "Ready", "status": status, "observedGeneration": observed, "reason": "R"}
    return {"metadata": {"generation": generation}, "status": {"conditions": [condition]}}


@pytest.mark.parametrize(
    ("status", "observed", "ready"), [("True", 2, True), ("True", 1, False), ("False", 2, False), ("Unknown", 2, False)]
)
def test_ready_for_the_generation_that_is_there(status: str, observed: int, *, ready: bool) -> None:
    assert objects.is_ready(cluster(status=status, observed=observed)) is ready


def test_a_cluster_without_status_is_not_ready_and_says_so() -> None:
    assert not objects.is_ready({"metadata": {"generation": 1}})
    assert objects.why_not_ready({"metadata": {"generation": 1}}) == "no condition yet"
    assert objects.why_not_ready(cluster(status="False", observed=2)) == "Ready (R)"


def test_lowered_requests_are_for_clusters_pods_and_the_trial_only() -> None:
    policy, binding = objects.lowered_requests({"250m": "200m", "100m": "80m"}, trial="bench-many")
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    where = policy["spec"]["matchConditions"][0]["expression"]
    assert where == "request.namespace.startsWith('milvus-in01-') || request.namespace == 'bench-many'"
    expression = policy["spec"]["mutations"][0]["jsonPatch"]["expression"]
    assert "in {'100m': '80m', '250m': '200m'}" in expression
