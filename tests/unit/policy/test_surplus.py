"""What others added where nothing may be but ours: found, and taken away by exactly the patch that does it."""

from typing import Any

import pytest

from tests.fake.apply import json_merge
from zilliz_operator.policy import surplus

POLICY: dict[str, Any] = {
    "kind": "NetworkPolicy",
    "metadata": {"name": "default-deny"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}
STATEFUL: dict[str, Any] = {
    "kind": "StatefulSet",
    "metadata": {"name": "milvus"},
    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "milvus", "env": [{"name": "A"}]}]}}},
}


def live(desired: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**desired, "spec": json_merge(desired["spec"], spec), "status": {"x": 1}}


@pytest.mark.parametrize(
    "added",
    [
        {"egress": [{}]},
        {"ingress": [{"from": [{"podSelector": {}}]}]},
        {"podSelector": {"matchLabels": {"a": "b"}}},
        {"policyTypes": ["Ingress", "Egress", "Other"]},
    ],
)
def test_what_is_added_to_a_network_policy_is_taken_away(added: dict[str, Any]) -> None:
    changed = live(POLICY, **added)
    patch = surplus.removal(POLICY, changed)
    assert patch is not None
    assert json_merge(changed, patch)["spec"] == POLICY["spec"]


@pytest.mark.parametrize("empty", [{"ingress": []}, {"podSelector": {"matchLabels": {}}}, {}])
def test_what_is_empty_opens_nothing_and_is_left(empty: dict[str, Any]) -> None:
    assert surplus.removal(POLICY, live(POLICY, **empty)) is None


def test_a_field_inside_a_list_counts_in_a_network_policy() -> None:
    desired = {**POLICY, "spec": {**POLICY["spec"], "ingress": [{"ports": [{"port": 1}]}]}}
    changed = live(desired, ingress=[{"ports": [{"port": 1, "endPort": 65535}]}])
    assert surplus.removal(desired, changed) == {"spec": {"ingress": [{"ports": [{"port": 1}]}]}}


def test_a_label_added_to_a_selector_goes_and_the_defaults_beside_it_stay() -> None:
    spec = {"selector": {"app": "milvus"}, "ports": [{"port": 1}]}
    desired = {"kind": "Service", "metadata": {"name": "milvus"}, "spec": spec}
    changed = live(desired, clusterIP="10.96.0.7", selector={"app": "milvus", "mine": "too"})
    assert surplus.removal(desired, changed) == {"spec": {"selector": {"mine": None}}}
    assert surplus.removal(desired, live(desired, clusterIP="10.96.0.7", sessionAffinity="None")) is None


def test_a_limit_added_to_a_quota_goes() -> None:
    desired = {"kind": "ResourceQuota", "metadata": {"name": "cluster"}, "spec": {"hard": {"pods": "9"}}}
    changed = live(desired, hard={"pods": "9", "secrets": "0"})
    assert surplus.removal(desired, changed) == {"spec": {"hard": {"secrets": None}}}


def test_defaults_of_the_api_server_are_no_surplus() -> None:
    containers = [{"name": "milvus", "env": [{"name": "A", "value": ""}], "imagePullPolicy": "Always"}]
    changed = live(STATEFUL, template={"spec": {"containers": containers, "dnsPolicy": "ClusterFirst"}})
    assert surplus.removal(STATEFUL, changed) is None


def test_a_container_or_a_variable_too_many_is_taken_away() -> None:
    for containers in (
        [*STATEFUL["spec"]["template"]["spec"]["containers"], {"name": "spy"}],
        [{"name": "milvus", "env": [{"name": "A"}, {"name": "B"}]}],
    ):
        changed = live(STATEFUL, template={"spec": {"containers": containers}})
        patch = surplus.removal(STATEFUL, changed)
        assert patch is not None
        assert json_merge(changed, patch)["spec"] == STATEFUL["spec"]


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_keys_added_to_data_go(kind: str) -> None:
    desired = {"kind": kind, "metadata": {"name": "x"}, "data": {"a": "1"}}
    assert surplus.removal(desired, {**desired, "data": {"a": "1", "b": "2"}}) == {"data": {"b": None}}
    assert surplus.removal(desired, {**desired, "binaryData": {}}) is None
    if kind == "ConfigMap":
        assert surplus.removal(desired, {**desired, "binaryData": {"b": "2"}}) == {"binaryData": {"b": None}}


def test_labels_and_annotations_of_others_are_theirs() -> None:
    changed = {**POLICY, "metadata": {"name": "default-deny", "labels": {"team": "x"}}}
    assert surplus.removal(POLICY, changed) is None
