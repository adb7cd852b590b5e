"""The chart through its life, by real Helm, and what it installs as a real API server judges it."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver import samples
from tests.apiserver.client import Api, until
from tests.apiserver.conftest import PSA_RESTRICTED, control_plane
from tests.apiserver.helm import Helm, ready_pods
from tools.generate_manifests import CHART, INSTALL, NAMESPACE, RELEASE
from zilliz_operator.api.installation import ADMISSION_POLICIES
from zilliz_operator.api.kinds import OURS

CRD = "CustomResourceDefinition"
POLICIES = "ValidatingAdmissionPolicy"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[tuple[Api, Helm]]:
    """A control plane that has never seen us."""
    plane = control_plane("helm")
    try:
        api = Api(plane.start())
        api.namespace(NAMESPACE, labels=PSA_RESTRICTED)
        yield api, Helm(plane, tmp_path / "helm")
    finally:
        plane.stop()


def data_plane_values(directory: Path, **spec: Any) -> str:
    """A values file that makes the DataPlane."""
    path = directory / "values.yaml"
    path.write_text(yaml.safe_dump({"dataPlane": {"create": True, "spec": {**samples.DATA_PLANE_SPEC, **spec}}}))
    return f"--values={path}"


def live(api: Api, kind: str, name: str) -> dict[str, Any]:
    return api.get(kind, name, namespace="team" if kind == "ZillizCluster" else "").must()


def test_install_upgrade_uninstall_and_install_again(fresh: tuple[Api, Helm], tmp_path: Path) -> None:
    api, helm = fresh

    # one command installs the kinds and the first object of one of them
    notes = helm.install(data_plane_values(tmp_path))
    assert 'Next, make a cluster on data plane "default"' in notes
    born = live(api, "DataPlane", "default")["metadata"]["uid"]
    api.namespace("team")
    api.apply(samples.cluster("search", namespace="team")).must()

    # an upgrade upgrades the kinds too, and changes the DataPlane in place
    newer = tmp_path / "newer"
    shutil.copytree(CHART, newer)
    crds = newer / "templates" / "crds.yaml"
    text = crds.read_text()
    assert text.count("- zc\n") == 1
    crds.write_text(text.replace("- zc\n", "- zc\n    - zcs\n"))
    helm.install(data_plane_values(tmp_path, storageClassName="fast"), chart=newer)
    assert live(api, CRD, "zillizclusters.byoc.zilliz.com")["spec"]["names"]["shortNames"] == ["zc", "zcs"]
    changed = live(api, "DataPlane", "default")
    assert (changed["metadata"]["uid"], changed["spec"]["storageClassName"]) == (born, "fast")

    # nobody can take the kinds away, and uninstalling does not
    cluster = live(api, "ZillizCluster", "search")["metadata"]["uid"]
    helm.run("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait")
    for kind in OURS:
        live(api, CRD, f"{kind.plural}.byoc.zilliz.com")
    assert live(api, "ZillizCluster", "search")["metadata"]["uid"] == cluster
    assert live(api, "DataPlane", "default")["metadata"]["uid"] == born
    assert [
        item["metadata"]["name"] for item in api.get(POLICIES).must()["items"] if "zilliz" in item["metadata"]["name"]
    ] == []
    assert api.get("ClusterRole", "zilliz-operator").status == 404
    assert api.get("Deployment", "zilliz-operator", namespace=NAMESPACE).status == 404

    # the next installation takes up where the last one ended
    helm.install(data_plane_values(tmp_path, storageClassName="fast"))
    assert live(api, "ZillizCluster", "search")["metadata"]["uid"] == cluster
    assert live(api, "DataPlane", "default")["metadata"]["uid"] == born
    assert live(api, CRD, "zillizclusters.byoc.zilliz.com")["spec"]["names"]["shortNames"] == ["zc"]


def test_a_data_plane_that_cannot_be_is_refused_by_name_of_the_field(fresh: tuple[Api, Helm], tmp_path: Path) -> None:
    """And once the values are mended, the same command goes through."""
    api, helm = fresh
    with ready_pods(api):
        done = helm.try_run(*helm.installation(data_plane_values(tmp_path, engine="Docker")))
    assert done.returncode != 0
    assert "spec.engine" in done.stderr
    assert '"BuiltIn"' in done.stderr
    helm.install(data_plane_values(tmp_path))
    live(api, "DataPlane", "default")


def test_an_upgrade_that_changes_nothing_changes_nothing(api: Api, helm: Helm) -> None:
    def generations() -> dict[str, int]:
        found = {}
        for kind in ("Deployment", "NetworkPolicy", "PodDisruptionBudget"):
            found[kind] = api.get(kind, "zilliz-operator", namespace=NAMESPACE).must()["metadata"]["generation"]
        for item in api.get(POLICIES).must()["items"]:
            found[item["metadata"]["name"]] = item["metadata"]["generation"]
        return found

    before = generations()
    helm.install()
    assert generations() == before


def pod(api: Api, namespace: str) -> dict[str, Any]:
    """A pod as the installed Deployment makes it."""
    template = api.get("Deployment", "zilliz-operator", namespace=NAMESPACE).must()["spec"]["template"]
    metadata = {"name": "operator", "namespace": namespace, "labels": template["metadata"]["labels"]}
    spec = copy.deepcopy(template["spec"]) | {"serviceAccountName": "default"}
    spec.pop("serviceAccount", None)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_the_operators_pod_is_admitted_where_pod_security_is_restricted(api: Api) -> None:
    namespace = api.namespace("chart-restricted", labels=PSA_RESTRICTED)
    account = until(
        lambda: api.get("ServiceAccount", "default", namespace=namespace).ok,
        what="the namespace's service account is there",
    )
    assert account
    manifest = pod(api, namespace)
    api.create(manifest, dry_run=True).must()
    manifest["spec"]["containers"][0]["securityContext"]["capabilities"] = {}
    answer = api.create(manifest, dry_run=True)
    assert answer.status == 403, "the namespace would admit anything, so the test above shows nothing"
    assert "restricted" in answer.message


def test_admission_policies_compile_without_a_warning(api: Api) -> None:
    def judged() -> list[dict[str, Any]]:
        items = [item for item in api.get(POLICIES).must()["items"] if item["metadata"]["name"].startswith("zilliz-")]
        return items if all("observedGeneration" in item.get("status", {}) for item in items) else []

    policies = until(judged, what="the controller manager has type-checked every policy")
    checked = {item["metadata"]["name"]: item["status"].get("typeChecking") for item in policies}
    assert checked.keys() == ADMISSION_POLICIES.keys()
    assert all(found == {} for found in checked.values()), checked


def test_the_plain_manifests_are_taken_whole(api: Api) -> None:
    """Strictly validated by the API server, field by field; what is there from Helm is the same object."""
    documents = [document for document in yaml.safe_load_all(INSTALL.read_text()) if document]
    kinds = {document["kind"] for document in documents}
    assert {"Namespace", "Deployment", CRD, "ClusterRole", POLICIES, "NetworkPolicy"} <= kinds
    refused = {}
    for document in documents:
        answer = api.apply(document, dry_run=True)
        if not answer.ok:
            refused[f"{document['kind']}/{document['metadata']['name']}"] = answer.message
    assert not refused, json.dumps(refused, indent=1)
