"""The real operator, with its own rights alone, keeps the bindings of AccessPolicies at a real API server; people try what they may."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.apiserver import samples
from tests.apiserver.client import Api, until
from tests.apiserver.test_operator_repairs import running
from tools.generate_manifests import NAMESPACE
from zilliz_operator.api.names import API_VERSION, POLICY_UID_LABEL

PROJECT, OTHER = "bindings-a", "bindings-b"
TEAM = {"user": "oidc:tina", "groups": ["oidc:team", "system:authenticated"]}
ROBOT = {"user": f"system:serviceaccount:{OTHER}:robot", "groups": ["system:authenticated"]}
OLGA = {"user": "oidc:olga", "groups": ["system:authenticated"]}
GROUP = {"kind": "Group", "name": "team"}
ACCOUNT = {"kind": "ServiceAccount", "namespace": OTHER, "name": "robot"}


@pytest.fixture(scope="module")
def operator(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    with running(api, tmp_path_factory.mktemp("operator")) as process:
        yield process


@pytest.fixture(scope="module")
def projects(api: Api, operator: subprocess.Popen[bytes]) -> Api:
    for namespace in (PROJECT, OTHER):
        api.namespace(namespace)
    return api


def policy(name: str, *subjects: dict[str, Any], namespace: str = PROJECT, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    whole = {"level": "Project", "subjects": [*subjects], **spec}
    return {"apiVersion": API_VERSION, "kind": "AccessPolicy", "metadata": metadata, "spec": whole}


def writes(api: Api, who: dict[str, Any], *, namespace: str = PROJECT) -> bool:
    return api.create(samples.cluster("rehearsal", namespace=namespace), dry_run=True, **who).ok


def bindings(api: Api, kind: str = "RoleBinding", *, namespace: str = "") -> list[dict[str, Any]]:
    found = api.get(kind, namespace=namespace).must()["items"]
    return [each for each in found if POLICY_UID_LABEL in each["metadata"].get("labels", {})]


def test_with_the_policy_they_come_and_go_and_what_others_do_to_them_is_undone(projects: Api) -> None:
    api = projects
    assert not writes(api, TEAM)
    api.apply(policy("team", GROUP, ACCOUNT, role="ProjectAdmin")).must()
    until(lambda: writes(api, TEAM) and writes(api, ROBOT), what="group and account have their role")
    assert not writes(api, TEAM, namespace=OTHER)

    (made,) = bindings(api, namespace=PROJECT)
    name = made["metadata"]["name"]
    mallory = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}
    api.merge("RoleBinding", name, {"subjects": [*made["subjects"], mallory]}, namespace=PROJECT).must()
    until(lambda: bindings(api, namespace=PROJECT)[0]["subjects"] == made["subjects"], what="mallory is out again")
    api.delete("RoleBinding", name, namespace=PROJECT).must()
    until(lambda: writes(api, TEAM), what="the binding is made anew")

    api.apply(policy("team", GROUP, role="DataViewer")).must()
    until(lambda: not writes(api, TEAM), what="the role is smaller")
    assert [each["roleRef"]["name"] for each in bindings(api, namespace=PROJECT)] == ["zilliz-data-viewer"]
    api.get("ZillizCluster", namespace=PROJECT, **TEAM).must()
    until(lambda: api.get("ZillizCluster", namespace=PROJECT, **ROBOT).status == 403, what="the account is out")
    api.delete("AccessPolicy", "team", namespace=PROJECT).must()
    until(lambda: api.get("ZillizCluster", namespace=PROJECT, **TEAM).status == 403, what="nobody is left")


def test_an_owner_everywhere_goes_with_the_policy_even_while_nobody_watches(
    projects: Api, operator: subprocess.Popen[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Last, for it ends the operator."""
    api = projects
    owners = policy("owners", {"kind": "User", "name": "olga"}, namespace=NAMESPACE, level="Organization")
    owners["spec"]["role"] = "OrganizationOwner"
    api.apply(owners).must()
    until(lambda: api.get("ZillizCluster", **OLGA).ok, what="olga sees every project")
    api.delete("AccessPolicy", "owners", namespace=NAMESPACE).must()
    until(lambda: api.get("ZillizCluster", **OLGA).status == 403, what="olga is out")

    api.apply(owners).must()
    until(lambda: api.get("ZillizCluster", **OLGA).ok, what="olga sees every project again")
    operator.terminate()
    operator.wait(30)
    api.delete("AccessPolicy", "owners", namespace=NAMESPACE).must()
    assert bindings(api, "ClusterRoleBinding")
    with running(api, tmp_path_factory.mktemp("again")):
        until(lambda: not bindings(api, "ClusterRoleBinding"), what="what was left behind is gone", seconds=90)
    assert api.get("ZillizCluster", **OLGA).status == 403
