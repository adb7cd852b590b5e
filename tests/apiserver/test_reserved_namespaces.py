"""The namespaces of clusters, and the labels by which the operator knows its own, are the operator's."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.apiserver.client import Answer, Api
from tools.generate_manifests import NAMESPACE

OPERATOR = f"system:serviceaccount:{NAMESPACE}:zilliz-operator"
CLUSTER_UID = "byoc.zilliz.com/cluster-uid"
ENFORCE = "pod-security.kubernetes.io/enforce"
CONFIRM = "byoc.zilliz.com/confirm"


def namespace(name: str, *, labels: Mapping[str, str] | None = None, confirm: str = "") -> dict[str, Any]:
    metadata = {"name": name, "labels": dict(labels or {}), "annotations": {CONFIRM: confirm} if confirm else {}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def label(api: Api, name: str, key: str, value: str | None, *, user: str = "") -> Answer:
    return api.merge("Namespace", name, {"metadata": {"labels": {key: value}}}, user=user)


@pytest.fixture(scope="module")
def home(api: Api) -> Iterator[str]:
    """A cluster's namespace, as the operator makes it."""
    name = "milvus-in01-0123456789ab"
    labels = {CLUSTER_UID: "7d0e5f1a", ENFORCE: "restricted"}
    api.create(namespace(name, labels=labels), user=OPERATOR).must()
    yield name
    api.delete("Namespace", name, user=OPERATOR).must()


@pytest.mark.parametrize("confirm", ["", "yes"])
def test_nobody_else_makes_a_namespace_of_that_name(api: Api, confirm: str) -> None:
    answer = api.create(namespace("milvus-in01-aaaaaaaaaaaa", confirm=confirm))
    assert answer.status == 403
    assert "choose another name" in answer.message


def test_an_administrator_who_confirms_the_name_may(api: Api) -> None:
    name = "milvus-in01-bbbbbbbbbbbb"
    api.create(namespace(name, confirm=name)).must()
    api.delete("Namespace", name).must()


@pytest.mark.parametrize("name", ["milvus", "milvus-operator", "milvus-in02-aaaaaaaaaaaa", "in01-aaaaaaaaaaaa"])
def test_other_names_are_free(api: Api, name: str) -> None:
    api.create(namespace(name), dry_run=True).must()


def test_nobody_else_deletes_it_without_confirming(api: Api, home: str) -> None:
    answer = api.delete("Namespace", home)
    assert answer.status == 403
    assert f"kubectl annotate namespace {home} {CONFIRM}={home}" in answer.message
    api.merge("Namespace", home, {"metadata": {"annotations": {CONFIRM: home}}}).must()
    api.delete("Namespace", home, dry_run=True).must()
    api.merge("Namespace", home, {"metadata": {"annotations": {CONFIRM: None}}}).must()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (CLUSTER_UID, "someone-else"),
        (CLUSTER_UID, None),
        ("byoc.zilliz.com/new", "x"),
        (ENFORCE, "privileged"),
        (ENFORCE, None),
    ],
)
def test_nobody_else_touches_its_marks_or_its_pod_security(api: Api, home: str, key: str, value: str | None) -> None:
    answer = label(api, home, key, value)
    assert answer.status == 403
    assert "set by the operator only" in answer.message


def test_other_labels_are_anyones(api: Api, home: str) -> None:
    label(api, home, "example.com/cost-center", "42").must()
    label(api, home, "example.com/cost-center", None).must()


def test_the_operator_repairs_marks(api: Api, home: str) -> None:
    label(api, home, "byoc.zilliz.com/cluster", "search", user=OPERATOR).must()
    label(api, home, "byoc.zilliz.com/cluster", None, user=OPERATOR).must()


def test_nobody_marks_another_namespace_as_a_clusters(api: Api) -> None:
    """The operator's own network policy opens the way to namespaces with that mark."""
    project = api.namespace("reserved-project")
    assert label(api, project, CLUSTER_UID, "forged").status == 403
    label(api, project, ENFORCE, "baseline").must()
    assert api.create(namespace("reserved-forged", labels={CLUSTER_UID: "forged"})).status == 403
