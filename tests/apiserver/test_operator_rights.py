"""What the operator's service account may do, and what not: its roles, and the policy that confines them."""

from typing import Any

import pytest

from tests.apiserver.client import Api
from tools.generate_manifests import NAMESPACE
from zilliz_operator.api.installation import RIGHTS

OPERATOR = f"system:serviceaccount:{NAMESPACE}:zilliz-operator"
OURS = "byoc.zilliz.com"
CLUSTER = "milvus-in01-00000000cafe"

DENIED = [
    ("update", OURS, "zillizclusters", "team-a"),
    ("create", OURS, "zillizclusters", "team-a"),
    ("delete", OURS, "zillizclusters", "team-a"),
    ("create", OURS, "dataplanes", ""),
    ("delete", OURS, "dataplanes", ""),
    ("create", "", "pods", CLUSTER),
    ("delete", "", "pods", CLUSTER),
    ("create", "", "pods/exec", CLUSTER),
    ("get", "", "pods/log", CLUSTER),
    ("create", "", "pods/portforward", CLUSTER),
    ("create", "", "pods/eviction", CLUSTER),
    ("create", "", "serviceaccounts/token", CLUSTER),
    ("impersonate", "", "serviceaccounts", "kube-system"),
    ("impersonate", "", "users", ""),
    ("get", "", "nodes", ""),
    ("get", "", "nodes/proxy", ""),
    ("delete", "", "persistentvolumeclaims", CLUSTER),
    ("create", "", "persistentvolumeclaims", CLUSTER),
    ("patch", "storage.k8s.io", "storageclasses", ""),
    ("create", "storage.k8s.io", "storageclasses", ""),
    ("create", "", "persistentvolumes", ""),
    ("create", "apps", "daemonsets", CLUSTER),
    ("create", "batch", "jobs", CLUSTER),
    ("deletecollection", "", "secrets", "team-a"),
    ("update", "", "secrets", "team-a"),
    ("create", "cert-manager.io", "clusterissuers", ""),
    ("create", "rbac.authorization.k8s.io", "roles", CLUSTER),
    ("bind", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("update", "rbac.authorization.k8s.io", "clusterrolebindings", ""),
    ("deletecollection", "rbac.authorization.k8s.io", "rolebindings", "team-a"),
    ("create", "rbac.authorization.k8s.io", "clusterroles", ""),
    ("get", "apiextensions.k8s.io", "customresourcedefinitions", ""),
    ("delete", "apiextensions.k8s.io", "customresourcedefinitions", ""),
    ("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ""),
    ("delete", "admissionregistration.k8s.io", "validatingadmissionpolicies", ""),
    ("approve", "certificates.k8s.io", "signers", ""),
    ("get", "coordination.k8s.io", "leases", "kube-system"),
    ("update", "coordination.k8s.io", "leases", NAMESPACE),
    ("delete", "coordination.k8s.io", "leases", NAMESPACE),
    ("*", "*", "*", ""),
]


def allowed(api: Api, verb: str, group: str, resource: str, namespace: str, name: str = "") -> bool:
    plural, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
    attributes |= {"namespace": namespace, "name": name}
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
    spec = {"user": OPERATOR, "groups": groups, "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(api.create(review).must()["status"]["allowed"])


def test_every_right_that_its_work_needs(api: Api) -> None:
    missing = []
    for right in RIGHTS:
        namespace = "" if right.everywhere else NAMESPACE
        missing += [each for each in right.each() if not allowed(api, *each, namespace, right.name)]
    assert not missing


@pytest.mark.parametrize("right", DENIED, ids=lambda right: "-".join(part or "core" for part in right))
def test_no_right_beyond(api: Api, right: tuple[str, str, str, str]) -> None:
    assert not allowed(api, *right)


# ---- the policy zilliz-operator-reach: where those rights hold ----


def secret(namespace: str, name: str, *, ours: bool) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "zilliz-operator"} if ours else {}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "s3cret"}}


def config_map(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "x", "namespace": namespace},
        "data": {"a": "b"},
    }


def deployment(namespace: str) -> dict[str, Any]:
    labels = {"app": "x"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x", "namespace": namespace},
        "spec": spec,
    }


@pytest.fixture(scope="module")
def team(api: Api) -> str:
    return api.namespace("reach-team")


class TestReach:
    def test_it_works_where_clusters_live(self, api: Api) -> None:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CLUSTER}}
        api.apply(namespace, user=OPERATOR).must()
        for manifest in (secret(CLUSTER, "x", ours=False), config_map(CLUSTER), deployment(CLUSTER)):
            api.apply(manifest, user=OPERATOR).must()
            api.delete(manifest["kind"], manifest["metadata"]["name"], namespace=CLUSTER, user=OPERATOR).must()
        api.delete("Namespace", CLUSTER, user=OPERATOR).must()

    @pytest.mark.parametrize("namespace", ["kube-system", NAMESPACE, "reach-team"])
    def test_it_starts_nothing_elsewhere(self, api: Api, team: str, namespace: str) -> None:
        for manifest in (deployment(namespace), config_map(namespace)):
            answer = api.apply(manifest, user=OPERATOR)
            assert answer.status == 403
            assert "the operator writes in namespaces milvus-in01-" in answer.message

    def test_it_makes_and_deletes_no_other_namespace(self, api: Api, team: str) -> None:
        other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "reach-other"}}
        assert api.create(other, user=OPERATOR).status == 403
        assert api.delete("Namespace", team, user=OPERATOR).status == 403
        relabel = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
        assert api.merge("Namespace", team, relabel, user=OPERATOR).status == 403

    def test_elsewhere_it_keeps_secrets_that_carry_its_label(self, api: Api, team: str) -> None:
        api.apply(secret(team, "search-connection", ours=True), user=OPERATOR).must()
        api.delete("Secret", "search-connection", namespace=team, user=OPERATOR).must()

    def test_elsewhere_it_touches_no_other_secret(self, api: Api, team: str) -> None:
        assert api.apply(secret(team, "mine", ours=False), user=OPERATOR).status == 403
        api.apply(secret(team, "mine", ours=False)).must()
        assert api.apply(secret(team, "mine", ours=True), user=OPERATOR).status == 403, "adopting a stranger's Secret"
        assert api.delete("Secret", "mine", namespace=team, user=OPERATOR).status == 403
        assert api.get("Secret", "mine", namespace=team, user=OPERATOR).ok, "reading those that specs name"

    def test_nobody_else_is_confined(self, api: Api, team: str) -> None:
        api.apply(config_map(team)).must()
        api.delete("ConfigMap", "x", namespace=team).must()
