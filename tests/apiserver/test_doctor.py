"""`zilliz-operator doctor` at a real API server with the chart installed: what is in order, what was broken, and what it may not see."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver import samples
from tests.apiserver.client import Api, until
from tools.devcluster import netns
from tools.devcluster.controlplane import ControlPlane
from tools.generate_manifests import NAMESPACE
from zilliz_operator.api.installation import ADMISSION_POLICIES, RIGHTS

ROOT = Path(__file__).parents[2]
Findings = dict[str, dict[str, Any]]


def run(plane: ControlPlane, *arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command, as a person runs it."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(kubeconfig or plane.kubeconfig),
    }
    command = [
        "nsenter",
        f"--net={netns.path(plane.name)}",
        "--",
        sys.executable,
        "-m",
        "zilliz_operator.cli",
        *arguments,
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def diagnosis(plane: ControlPlane, *, kubeconfig: Path | None = None) -> Findings:
    done = run(plane, "doctor", "-o", "json", kubeconfig=kubeconfig)
    assert done.stdout, done.stderr
    findings = json.loads(done.stdout)
    assert done.returncode == (1 if any(finding["state"] == "fail" for finding in findings) else 0)
    return {finding["id"]: finding for finding in findings}


def token_of(api: Api, account: str, namespace: str, directory: Path) -> Path:
    """A kubeconfig for a service account."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    token = api.request("POST", path, body={"spec": {"expirationSeconds": 3600}}).must()["status"]["token"]
    authority = base64.b64encode((api.plane.layout.pki / "kube.crt").read_bytes()).decode()
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": account}}],
        "clusters": [{"name": "it", "cluster": {"server": api.plane.server, "certificate-authority-data": authority}}],
        "users": [{"name": account, "user": {"token": token}}],
    }
    file = directory / f"{account}.kubeconfig"
    file.write_text(yaml.safe_dump(content))
    file.chmod(0o600)
    return file


@contextmanager
def without(api: Api, kind: str, name: str) -> Iterator[None]:
    """One object of the installation is gone meanwhile."""
    found = api.get(kind, name).must()
    api.delete(kind, name).must()
    try:
        yield
    finally:
        metadata = {
            key: found["metadata"][key] for key in ("name", "labels", "annotations") if key in found["metadata"]
        }
        left = {key: value for key, value in found.items() if key not in ("metadata", "status")}
        api.create(left | {"metadata": metadata}).must()


def test_an_installation_in_order(api: Api, plane: ControlPlane) -> None:
    found = diagnosis(plane)
    seen = {id: finding["state"] for id, finding in found.items()}
    assert seen == {
        "kubernetes": "ok",
        "operator": "fail",  # no kubelet here: its pods do not stay ready
        "kinds": "ok",
        "admission": "ok",
        "rights": "ok",
        "cert-manager": "fail",
        "data-planes": "warn",
        "network": "unknown",
        "monitoring": "ok",
        "volume-encryption": "unknown",
        "secret-encryption": "ok",
    } | {"operator": seen["operator"]}
    assert found["rights"]["said"].startswith(f"system:serviceaccount:{NAMESPACE}:zilliz-operator has all ")
    assert all(finding["remedy"] for finding in found.values() if finding["state"] != "ok")


def test_the_text_for_a_terminal(api: Api, plane: ControlPlane) -> None:
    done = run(plane, "doctor")
    assert done.returncode == 1, "cert-manager is not there"
    assert "✗ fail     cert-manager is installed" in done.stdout
    assert "→ install cert-manager" in done.stdout


@pytest.mark.parametrize("name", ["zilliz-namespace-reservation", "zilliz-operator-records"])
def test_a_missing_policy_is_named_with_what_is_lost(api: Api, plane: ControlPlane, name: str) -> None:
    with without(api, "ValidatingAdmissionPolicy", name):
        found = diagnosis(plane)["admission"]
    assert found["state"] == "warn"
    assert found["said"] == f"without {name} {ADMISSION_POLICIES[name]}"


def test_a_policy_that_is_not_bound_is_named(api: Api, plane: ControlPlane) -> None:
    with without(api, "ValidatingAdmissionPolicyBinding", "zilliz-operator-reach"):
        found = diagnosis(plane)["admission"]
    assert (found["state"], found["said"]) == ("fail", "zilliz-operator-reach is not bound with Deny")


def test_every_right_that_was_taken_away_is_named(api: Api, plane: ControlPlane) -> None:
    role = api.get("ClusterRole", "zilliz-operator").must()
    kept = [rule for rule in role["rules"] if "storageclasses" not in rule["resources"]]
    kept = [r | {"verbs": [v for v in r["verbs"] if v != "patch"]} if r["resources"] == ["pods"] else r for r in kept]
    api.merge("ClusterRole", "zilliz-operator", {"rules": kept}).must()
    try:
        found = until(lambda: _if_failing(plane, "rights"), what="the API server judges by the narrower role")
    finally:
        api.merge("ClusterRole", "zilliz-operator", {"rules": role["rules"]}).must()
    assert found["said"].endswith(
        "may not: patch pods, get storageclasses.storage.k8s.io, list storageclasses.storage.k8s.io"
    )
    until(lambda: diagnosis(plane)["rights"]["state"] == "ok", what="the rights are back")


def _if_failing(plane: ControlPlane, id: str) -> dict[str, Any] | None:
    found = diagnosis(plane)[id]
    return found if found["state"] == "fail" else None


def test_an_older_definition_is_found_out(api: Api, plane: ControlPlane) -> None:
    name = "dataplanes.byoc.zilliz.com"
    live = api.get("CustomResourceDefinition", name).must()
    versions = json.loads(json.dumps(live["spec"]["versions"]))
    spec = versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["storageClassEncrypted"]
    spec["x-kubernetes-validations"] = [
        rule for rule in spec["x-kubernetes-validations"] if "storageClassEncrypted" not in rule["rule"]
    ]
    api.merge("CustomResourceDefinition", name, {"spec": {"versions": versions}}).must()
    try:
        found = until(lambda: _if_failing(plane, "kinds"), what="the API server shows the older schema")
    finally:
        api.merge("CustomResourceDefinition", name, {"spec": {"versions": live["spec"]["versions"]}}).must()
    assert "DataPlane.spec.storageClassEncrypted" in found["said"]
    until(lambda: diagnosis(plane)["kinds"]["state"] == "ok", what="the definition is back")


def test_in_the_operators_pod_it_judges_by_its_own_rights(api: Api, plane: ControlPlane, tmp_path: Path) -> None:
    """Least privilege: it may not list policies or metrics, says so, and claims nothing of them."""
    found = diagnosis(plane, kubeconfig=token_of(api, "zilliz-operator", NAMESPACE, tmp_path))
    assert found["rights"]["state"] == "ok"
    assert f"all {sum(len(right.verbs) for right in RIGHTS)} rights" in found["rights"]["said"]
    assert found["kinds"]["state"] == "ok"
    assert found["admission"]["state"] == "unknown"
    assert "does not let us list validatingadmissionpolicies" in found["admission"]["said"]
    assert found["secret-encryption"]["state"] in ("unknown", "ok")


def test_somebody_without_rights_learns_nothing_and_is_told_so(api: Api, plane: ControlPlane, tmp_path: Path) -> None:
    namespace = api.namespace("doctor-nobody")
    until(lambda: api.get("ServiceAccount", "default", namespace=namespace).ok, what="the account is there")
    found = diagnosis(plane, kubeconfig=token_of(api, "default", namespace, tmp_path))
    for id in ("operator", "admission", "rights", "data-planes", "network", "volume-encryption", "secret-encryption"):
        assert found[id]["state"] == "unknown", found[id]
        assert found[id]["remedy"]


def test_volume_classes_are_judged(api: Api, plane: ControlPlane) -> None:
    storage = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "ebs.csi.aws.com"}
    classes = {"doctor-gp3": "true", "doctor-gp2": "false"}
    for name, encrypted in classes.items():
        api.apply(storage | {"metadata": {"name": name}, "parameters": {"encrypted": encrypted}}).must()
    try:
        for name, state in (("doctor-gp3", "ok"), ("doctor-gp2", "fail")):
            plane_object = samples.data_plane("doctor")
            plane_object["spec"]["storageClassName"] = name
            api.apply(plane_object).must()
            found = diagnosis(plane)["volume-encryption"]
            assert found["state"] == state
            assert name in found["said"]
    finally:
        api.delete("DataPlane", "doctor").must()
