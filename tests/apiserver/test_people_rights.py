"""What people may do: zilliz-viewer, zilliz-editor, zilliz-admin, and the cluster's own roles that take them in."""

from typing import Any

import pytest

from tests.apiserver import samples
from tests.apiserver.client import Api, until
from tools.generate_manifests import NAMESPACE

PROJECT = "people-project"
ROLES = ("zilliz-viewer", "zilliz-editor", "zilliz-admin", "view", "edit", "admin")


@pytest.fixture(scope="module")
def project(api: Api) -> str:
    """A project in which a user named after each role has just that role."""
    api.namespace(PROJECT)
    for role in ROLES:
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": PROJECT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": role}],
        }
        api.apply(binding).must()
    until(lambda: api.get("ZillizCluster", namespace=PROJECT, user="view").ok, what="view has taken our rights in")
    sample = samples.cluster("x", namespace=PROJECT)
    until(lambda: api.create(sample, dry_run=True, user="edit").ok, what="edit has taken our rights in")
    return PROJECT


def status(api: Api, manifest: dict[str, Any], *, user: str) -> int:
    return api.create(manifest, dry_run=True, user=user).status


@pytest.mark.parametrize("user", ROLES)
def test_everyone_with_a_role_reads(api: Api, project: str, user: str) -> None:
    for kind in ("ZillizCluster", "Allowlist", "AccessPolicy", "RecycledCluster"):
        api.get(kind, namespace=project, user=user).must()


@pytest.mark.parametrize(
    ("user", "clusters", "policies"),
    [
        ("zilliz-viewer", 403, 403),
        ("view", 403, 403),
        ("zilliz-editor", 201, 403),
        ("edit", 201, 403),
        ("zilliz-admin", 201, 201),
        ("admin", 201, 201),
    ],
)
def test_editors_run_clusters_and_admins_say_who_may_read_the_data(
    api: Api, project: str, user: str, clusters: int, policies: int
) -> None:
    assert status(api, samples.cluster("search", namespace=project), user=user) == clusters
    assert status(api, samples.allowlist("office", namespace=project), user=user) == clusters
    assert status(api, samples.access_policy("team", namespace=project, level="Cluster"), user=user) == policies


@pytest.mark.parametrize("user", ["zilliz-viewer", "zilliz-editor", "zilliz-admin"])
def test_our_roles_give_nothing_but_our_kinds(api: Api, project: str, user: str) -> None:
    for kind in ("Secret", "Pod", "ConfigMap", "Service"):
        assert api.get(kind, namespace=project, user=user).status == 403
    assert status(api, samples.data_plane("mine"), user=user) == 403
    assert api.get("ZillizCluster", namespace=NAMESPACE, user=user).status == 403, "another project"


def test_only_whoever_administers_the_organization_writes_its_policies(api: Api, project: str) -> None:
    answer = api.create(samples.access_policy("org", namespace=project, level="Organization"))
    assert answer.status == 403
    assert f"only allowed in namespace {NAMESPACE}" in answer.message
    api.create(samples.access_policy("org", namespace=NAMESPACE, level="Organization"), dry_run=True).must()
