"""The namespaces of clusters, and the labels by which the operator knows its own, are the operator's."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.apiserver.client import Answer, Api, path_of, until
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


# ---- a tenant who may make, label and delete namespaces, as self-service platforms allow ----

MAKER = "namespace-maker"


@pytest.fixture(scope="module")
def maker(api: Api) -> str:
    """Somebody with every right on namespaces, their subresources included, and no other."""
    group = "rbac.authorization.k8s.io"
    resources = ["namespaces", "namespaces/status", "namespaces/finalize"]
    rules = [{"apiGroups": [""], "resources": resources, "verbs": ["*"]}]
    api.apply({"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": MAKER}, "rules": rules}).must()
    api.apply(
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": MAKER},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": MAKER},
            "subjects": [{"apiGroup": group, "kind": "User", "name": MAKER}],
        }
    ).must()
    probe = namespace("maker-probe")
    until(lambda: api.create(probe, dry_run=True, user=MAKER).ok, what="the maker of namespaces may make one")
    return MAKER


def test_a_tenant_claims_no_cluster_namespace_beforehand_confirmed_or_not(api: Api, maker: str) -> None:
    name = "milvus-in01-cccccccccccc"
    for confirm in ("", name):
        answer = api.create(namespace(name, confirm=confirm), user=maker)
        assert answer.status == 403
        assert "with the right to update DataPlanes" in answer.message


@pytest.mark.parametrize("prefix", ["milvus-in01-", "milvus-in01-0123456789"])
def test_nor_by_letting_the_server_finish_its_name(api: Api, maker: str, prefix: str) -> None:
    generated = namespace("x")
    generated["metadata"] = {"generateName": prefix}
    assert api.create(generated, user=maker).status == 403
    generated["metadata"] = {"generateName": "team-"}
    api.create(generated, dry_run=True, user=maker).must()


def test_nor_deletes_one_by_confirming(api: Api, home: str, maker: str) -> None:
    api.merge("Namespace", home, {"metadata": {"annotations": {CONFIRM: home}}}, user=maker).must()
    assert api.delete("Namespace", home, user=maker).status == 403
    assert label(api, home, ENFORCE, "privileged", user=maker).status == 403
    api.merge("Namespace", home, {"metadata": {"annotations": {CONFIRM: None}}}, user=maker).must()


@pytest.mark.parametrize("subresource", ["status", "finalize"])
@pytest.mark.parametrize(
    ("key", "value"), [(ENFORCE, "privileged"), (ENFORCE, None), (CLUSTER_UID, "mine"), (CLUSTER_UID, None)]
)
def test_nor_relabels_one_through_a_subresource(
    api: Api, home: str, maker: str, subresource: str, key: str, value: str | None
) -> None:
    live = api.get("Namespace", home).must()
    labels = {**live["metadata"]["labels"], key: value}
    changed = {**live, "metadata": {**live["metadata"], "labels": {k: v for k, v in labels.items() if v is not None}}}
    path = f"{path_of('Namespace', home)}/{subresource}"
    answer = api.request("PUT", path, body=changed, user=maker)
    assert answer.status == 403
    assert "set by the operator only" in answer.message
    assert api.get("Namespace", home).must()["metadata"]["labels"] == live["metadata"]["labels"]


@pytest.mark.parametrize("subresource", ["status", "finalize"])
def test_a_subresource_really_is_a_way_to_labels(api: Api, maker: str, subresource: str) -> None:
    """Else the refusals above would show nothing."""
    name = api.namespace(f"maker-{subresource}")
    live = api.get("Namespace", name).must()
    live["metadata"]["labels"]["team"] = "a"
    api.request("PUT", f"{path_of('Namespace', name)}/{subresource}", body=live, user=maker).must()
    assert api.get("Namespace", name).must()["metadata"]["labels"]["team"] == "a"


def test_nor_marks_its_own_namespace_as_a_clusters(api: Api, maker: str) -> None:
    project = api.namespace("maker-project")
    assert label(api, project, CLUSTER_UID, "forged", user=maker).status == 403
    api.merge("Namespace", project, {"metadata": {"annotations": {CONFIRM: project}}}, user=maker).must()
    assert label(api, project, CLUSTER_UID, "forged", user=maker).status == 403
    label(api, project, ENFORCE, "baseline", user=maker).must()
