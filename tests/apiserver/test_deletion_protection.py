"""Nothing that holds data goes by one mistake: the API server refuses, and says what to do first."""

from typing import Any

import pytest

from tests.apiserver import samples
from tests.apiserver.client import Answer, Api, until
from zilliz_operator.api import names

NAMESPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"


def protected(api: Api, project: str, **spec: Any) -> str:
    api.namespace(project)
    api.apply(samples.cluster("search", namespace=project, **spec)).must()
    return project


def unprotect(api: Api, project: str) -> None:
    api.merge("ZillizCluster", "search", {"spec": {"deletionProtection": False}}, namespace=project).must()


def refused(answer: Answer, *, remedy: str) -> None:
    assert answer.status == 403, answer.body
    assert remedy in answer.message


class TestCluster:
    REMEDY = """kubectl -n prot-a patch zc search --type merge -p '{"spec":{"deletionProtection":false}}'"""

    def test_protected_by_default_and_refused_with_the_remedy(self, api: Api) -> None:
        project = protected(api, "prot-a")
        refused(api.delete("ZillizCluster", "search", namespace=project), remedy=self.REMEDY)
        assert api.get("ZillizCluster", "search", namespace=project).ok

    def test_refused_to_the_namespace_controller_and_to_collections(self, api: Api) -> None:
        project = protected(api, "prot-b")
        groups = ("system:serviceaccounts", "system:masters")
        answer = api.delete("ZillizCluster", "search", namespace=project, user=NAMESPACE_CONTROLLER, groups=groups)
        refused(answer, remedy="patch zc search")
        path = f"/apis/{names.API_VERSION}/namespaces/{project}/zillizclusters"
        refused(api.request("DELETE", path), remedy="patch zc search")

    def test_the_remedy_works(self, api: Api) -> None:
        project = protected(api, "prot-c")
        unprotect(api, project)
        api.delete("ZillizCluster", "search", namespace=project).must()
        assert api.get("ZillizCluster", "search", namespace=project).status == 404

    def test_a_deletion_under_way_may_be_asked_for_again(self, api: Api) -> None:
        """It waits for its finalizer; protection that is switched on meanwhile does not make a second request fail."""
        project = protected(api, "prot-d", deletionProtection=False)
        held = {"metadata": {"finalizers": [names.FINALIZER]}}
        api.merge("ZillizCluster", "search", held, namespace=project).must()
        api.delete("ZillizCluster", "search", namespace=project).must()
        api.merge("ZillizCluster", "search", {"spec": {"deletionProtection": True}}, namespace=project).must()
        api.delete("ZillizCluster", "search", namespace=project).must()
        api.merge("ZillizCluster", "search", {"metadata": {"finalizers": None}}, namespace=project).must()
        assert api.get("ZillizCluster", "search", namespace=project).status == 404


class TestProject:
    def test_a_namespace_with_a_protected_cluster_is_refused_with_the_remedy(self, api: Api) -> None:
        project = protected(api, "prot-e")
        refused(api.delete("Namespace", project), remedy="kubectl -n prot-e patch zc search")
        assert api.get("Namespace", project).body["status"]["phase"] == "Active"

    def test_one_protected_cluster_among_others_is_enough(self, api: Api) -> None:
        project = protected(api, "prot-f", deletionProtection=False)
        api.apply(samples.cluster("another", namespace=project)).must()
        refused(api.delete("Namespace", project), remedy="kubectl -n prot-f patch zc another")

    def test_a_namespace_without_protected_clusters_goes(self, api: Api) -> None:
        project = protected(api, "prot-g", deletionProtection=False)
        until(lambda: api.delete("Namespace", project).ok, what="the change has reached the policy", seconds=20)
        until(lambda: api.get("Namespace", project).status == 404, what="the namespace is gone")

    def test_other_namespaces_are_none_of_our_business(self, api: Api) -> None:
        api.delete("Namespace", api.namespace("prot-h")).must()


class TestKinds:
    @pytest.mark.parametrize("plural", ["zillizclusters", "recycledclusters"])
    def test_deleting_one_of_our_kinds_needs_a_confirmation_of_its_name(self, api: Api, plural: str) -> None:
        name = f"{plural}.{names.GROUP}"
        remedy = f"kubectl annotate crd {name} byoc.zilliz.com/confirm={name}"
        refused(api.delete("CustomResourceDefinition", name), remedy=remedy)
        for value, status in (("yes", 403), (name, 200)):
            patch = {"metadata": {"annotations": {"byoc.zilliz.com/confirm": value}}}
            api.merge("CustomResourceDefinition", name, patch).must()
            assert api.delete("CustomResourceDefinition", name, dry_run=True).status == status
        api.merge(
            "CustomResourceDefinition", name, {"metadata": {"annotations": {"byoc.zilliz.com/confirm": None}}}
        ).must()

    def test_other_peoples_kinds_are_none_of_our_business(self, api: Api) -> None:
        schema = {"openAPIV3Schema": {"type": "object"}}
        spec = {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        }
        kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
        api.create({**kind, "metadata": {"name": "widgets.example.com"}}).must()
        api.delete("CustomResourceDefinition", "widgets.example.com").must()
