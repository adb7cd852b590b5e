"""Pruning: only what is ours, unwanted, and holds no data."""

from typing import Any

from zilliz_operator.api.names import CLUSTER_UID_LABEL
from zilliz_operator.policy import prune


def obj(kind: str, name: str, *, uid: str = "u1", **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": "ns", "labels": {CLUSTER_UID_LABEL: uid}, **metadata}}


WANTED = [obj("ConfigMap", "kept")]


def test_what_nobody_wants_goes_and_what_is_wanted_stays() -> None:
    old = obj("ConfigMap", "old")
    assert prune.unwanted([obj("ConfigMap", "kept"), old], wanted=WANTED) == [old]


def test_same_name_of_another_kind_or_namespace_is_another_object() -> None:
    secret, elsewhere = obj("Secret", "kept"), obj("ConfigMap", "kept", namespace="other")
    assert prune.unwanted([secret, elsewhere], wanted=WANTED) == [secret, elsewhere]


def test_another_clusters_object_is_left_alone() -> None:
    strangers = [obj("ConfigMap", "x", uid="u2"), {"kind": "ConfigMap", "metadata": {"name": "y"}}]
    assert prune.unwanted(strangers, wanted=WANTED) == []


def test_what_holds_data_is_left_alone() -> None:
    live = [obj(kind, "old") for kind in ("Namespace", "PersistentVolumeClaim", "PersistentVolume")]
    assert prune.unwanted(live, wanted=WANTED) == []


def test_what_another_controller_made_is_left_alone() -> None:
    replica_set = obj("ReplicaSet", "gateway-1", ownerReferences=[{"kind": "Deployment", "controller": True}])
    assert prune.unwanted([replica_set], wanted=WANTED) == []


def test_an_empty_wish_list_deletes_nothing() -> None:
    assert prune.unwanted([obj("ConfigMap", "old")], wanted=[]) == []
