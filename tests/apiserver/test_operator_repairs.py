"""The real operator, as a process with its own account's token and rights, beside a real API server: a cluster's namespace, its Pod
Security, quota and limits come back within seconds, whoever broke them.

Nothing of a cluster runs here (no kubelet, no store), and nothing of that keeps its namespace from being guarded.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver import samples
from tests.apiserver.client import Api, until
from tests.apiserver.test_doctor import ROOT, token_of
from tools.devcluster import netns
from tools.generate_manifests import NAMESPACE
from zilliz_operator.api import names

SECONDS = 30.0
"""Until a repair must be seen. The sweep, which finds what no watch reports, comes every 300 s."""
PROJECT = "repairs"
POD_SECURITY = "pod-security.kubernetes.io"
NOWHERE = "https://127.0.0.1:9"


@pytest.fixture(scope="module")
def operator(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[bytes]]:
    with running(api, tmp_path_factory.mktemp("operator")) as process:
        yield process


@contextmanager
def running(api: Api, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`zilliz-operator run`, as in its pod."""
    kubeconfig = token_of(api, "zilliz-operator", NAMESPACE, directory)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "operator"),
        "POD_NAMESPACE": NAMESPACE,
        "POD_NAME": "repairs",
    }
    arguments = [sys.executable, "-m", "zilliz_operator.cli", "run", "--kubeconfig", str(kubeconfig)]
    command = ["nsenter", f"--net={netns.path(api.plane.name)}", "--", *arguments]
    with (directory / "log").open("wb") as log, subprocess.Popen(command, env=environment, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="module")
def home(api: Api, operator: subprocess.Popen[bytes]) -> Iterator[str]:
    """The namespace of a cluster that the operator has made, guarded from then on."""
    project = api.namespace(PROJECT)
    store = {"name": "repairs-store", "namespace": NAMESPACE}
    secret = {"accessKeyId": "nobody", "secretAccessKey": "nothing"}
    api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": store, "stringData": secret}).must()
    plane = samples.data_plane("repairs")
    reference = {"credentialsSecretRef": {"name": "repairs-store"}, "endpoint": NOWHERE, "adminEndpoint": NOWHERE}
    plane["spec"]["objectStorage"] = {**plane["spec"]["objectStorage"], **reference}
    api.apply(plane).must()
    cluster = api.apply(
        samples.cluster("search", namespace=project, dataPlane="repairs", deletionProtection=False)
    ).must()
    name = names.cluster_namespace(names.cluster_id(cluster["metadata"]["uid"]))
    until(lambda: isolated(api), what="the operator says NamespaceIsolated", seconds=90)
    yield name
    api.delete("ZillizCluster", "search", namespace=project).must()
    until(lambda: api.get("ZillizCluster", "search", namespace=project).status == 404, what="the cluster is recycled")


def isolated(api: Api) -> bool:
    found = api.get("ZillizCluster", "search", namespace=PROJECT).must().get("status", {}).get("conditions", ())
    return any(c["type"] == "NamespaceIsolated" and c["status"] == "True" for c in found)


def labels(api: Api, name: str) -> dict[str, str]:
    return dict(api.get("Namespace", name).must()["metadata"]["labels"])


def as_before(now: Callable[[], Any], before: Any, *, what: str) -> None:
    until(lambda: now() == before, what=f"{what} is as it was", seconds=SECONDS)


def confirmed(name: str) -> dict[str, Any]:
    """How an administrator gets past the admission policy."""
    return {names.PREFIX + "confirm": name}


def test_it_is_made_as_promised(api: Api, home: str) -> None:
    found = labels(api, home)
    assert found[names.PROJECT_LABEL] == PROJECT
    levels = {mode: found[f"{POD_SECURITY}/{mode}"] for mode in ("enforce", "audit", "warn")}
    assert levels == dict.fromkeys(levels, "restricted")
    for kind in ("ResourceQuota", "LimitRange", "NetworkPolicy", "ServiceAccount"):
        assert api.get(kind, namespace=home).must()["items"], kind


@pytest.mark.parametrize("value", ["broken", None])
@pytest.mark.parametrize(
    "label",
    [
        *(f"{POD_SECURITY}/{mode}{suffix}" for mode in ("enforce", "audit", "warn") for suffix in ("", "-version")),
        names.PROJECT_LABEL,
        "app.kubernetes.io/managed-by",
    ],
)
def test_a_label_of_the_namespace_comes_back(api: Api, home: str, label: str, value: str | None) -> None:
    before = labels(api, home)
    if value is not None:
        value = "v1.22" if label.endswith("-version") else "privileged" if label.startswith(POD_SECURITY) else "mine"
    change = {"metadata": {"labels": {label: value}, "annotations": confirmed(home)}}
    assert api.merge("Namespace", home, change).must()["metadata"]["labels"].get(label) == value
    as_before(lambda: labels(api, home), before, what=label)


SPOILED: dict[str, tuple[str, dict[str, Any]]] = {
    "a higher quota": ("ResourceQuota", {"hard": {"pods": "1000"}}),
    "a quota that lets node ports through": ("ResourceQuota", {"hard": {"services.nodeports": "50"}}),
    "a quota that stops everything": ("ResourceQuota", {"hard": {"count/secrets": "0"}}),
    "no limits": ("LimitRange", {"limits": []}),
    "higher limits": ("LimitRange", {"limits": [{"type": "Container", "max": {"memory": "1Ti"}}]}),
    "limits that stop everything": ("LimitRange", {"limits": [{"type": "Pod", "min": {"cpu": "64"}}]}),
}


@pytest.mark.parametrize("what", SPOILED)
def test_quota_and_limits_come_back(api: Api, home: str, what: str) -> None:
    kind, change = SPOILED[what]
    before = spec(api, kind, home)
    assert api.merge(kind, "cluster", {"spec": change}, namespace=home).must()["spec"] != before
    as_before(lambda: spec(api, kind, home), before, what=kind)


def spec(api: Api, kind: str, namespace: str) -> Any:
    return api.get(kind, "cluster", namespace=namespace).body.get("spec")


@pytest.mark.parametrize("kind", ["ResourceQuota", "LimitRange"])
def test_they_come_back_when_they_are_deleted(api: Api, home: str, kind: str) -> None:
    before = spec(api, kind, home)
    api.delete(kind, "cluster", namespace=home).must()
    as_before(lambda: spec(api, kind, home), before, what=kind)


def test_repairs_come_to_rest(api: Api, home: str) -> None:
    """What the API server makes of ours is no drift: else the operator would write for ever."""

    def versions() -> list[str]:
        found = [api.get(kind, "cluster", namespace=home).must() for kind in ("ResourceQuota", "LimitRange")]
        return [each["metadata"]["resourceVersion"] for each in (*found, api.get("Namespace", home).must())]

    before = versions()
    # One more pass over the cluster, and a look at what it wrote: its status says that it came so far.
    allowlist = samples.allowlist("office", namespace=PROJECT)
    api.apply(allowlist).must()
    until(lambda: generation(api, "office") == 1, what="the operator has looked at the allowlist", seconds=SECONDS)
    touched = {"metadata": {"annotations": {"example.com/look": "again"}}}
    api.merge("ZillizCluster", "search", touched, namespace=PROJECT).must()
    api.merge("Allowlist", "office", {"spec": {"entries": []}}, namespace=PROJECT).must()
    until(lambda: generation(api, "office") == 2, what="and at its change", seconds=SECONDS)
    assert versions() == before


def generation(api: Api, allowlist: str) -> int:
    status = api.get("Allowlist", allowlist, namespace=PROJECT).must().get("status") or {}
    return int(status.get("observedGeneration", 0))


def test_without_our_mark_the_namespace_is_a_strangers_until_the_mark_is_back(api: Api, home: str) -> None:
    """Only the platform team can take it away. Then nothing in it is touched, and the cluster says why."""
    before = labels(api, home)
    unmarked = {"metadata": {"labels": {names.CLUSTER_UID_LABEL: None}, "annotations": confirmed(home)}}
    api.merge("Namespace", home, unmarked).must()
    until(lambda: reason(api) == "NameTaken", what="the cluster says NameTaken", seconds=SECONDS)
    marked = {"metadata": {"labels": {names.CLUSTER_UID_LABEL: before[names.CLUSTER_UID_LABEL]}}}
    api.merge("Namespace", home, marked).must()
    until(lambda: isolated(api), what="the namespace is the cluster's again", seconds=SECONDS)
    assert labels(api, home) == before


def reason(api: Api) -> str:
    found = api.get("ZillizCluster", "search", namespace=PROJECT).must()["status"]["conditions"]
    return next(str(c["reason"]) for c in found if c["type"] == "NamespaceIsolated")
