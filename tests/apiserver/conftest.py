"""One real control plane for this layer, with the chart installed by real Helm. `api` is the way in.

No kubelet: no pod runs in it. Tested is what the API server itself holds and refuses, and (as a process beside it) how the operator
repairs what needs no pod.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver import samples
from tests.apiserver.client import MERGE, Api, path_of, until
from tests.apiserver.helm import Helm
from tools.devcluster.controlplane import ControlPlane
from tools.devcluster.layout import STATE_ROOT
from tools.generate_manifests import NAMESPACE

PREFIX = "apitest"
PSA_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
PROBE = "policies-in-force"


def control_plane(purpose: str) -> ControlPlane:
    """A control plane of this test session alone; those of sessions that were killed are removed first."""
    for left in STATE_ROOT.glob(f"{PREFIX}-{purpose}-*"):
        owner = left.name.split("-")[2]
        if owner.isdigit() and not Path("/proc", owner).exists():
            ControlPlane(left.name).stop()
    return ControlPlane(f"{PREFIX}-{purpose}-{os.getpid()}")


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """etcd, API server and controller manager, without anything of ours."""
    found = control_plane("s")
    try:
        yield found.start()
    finally:
        found.stop()


@pytest.fixture(scope="session")
def helm(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(plane, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def api(plane: ControlPlane, helm: Helm) -> Api:
    """The control plane with the chart installed, its kinds served and its admission policies in force."""
    found = Api(plane)
    found.namespace(NAMESPACE, labels=PSA_RESTRICTED)
    helm.install()
    until(lambda: found.get("ZillizCluster").ok, what="the ZillizCluster kind is served")
    wait_for_policies(found)
    return found


def wait_for_policies(api: Api) -> None:
    """Admission policies take effect some seconds after they are written: wait until each kind of refusal is seen."""
    project = api.namespace(PROBE)
    api.apply(samples.cluster("probe", namespace=project)).must()
    for kind, name, namespace in (
        ("ZillizCluster", "probe", project),
        ("Namespace", project, ""),
        ("CustomResourceDefinition", "restores.byoc.zilliz.com", ""),
    ):
        refused = partial(_refused, api, kind, name, namespace=namespace)
        until(refused, what=f"deleting {kind} {name} is refused", seconds=90)
    policy = samples.access_policy("probe", namespace=project, level="Organization")
    until(lambda: api.create(policy, dry_run=True).status == 403, what="Organization policies are confined", seconds=90)
    forged = samples.allowlist("probe", namespace=project)
    forged["metadata"]["labels"] = {"byoc.zilliz.com/cluster-uid": "forged"}
    owner = {"user": PROBE, "groups": ["system:authenticated"]}
    api.apply(samples.role_binding(PROBE, role="cluster-admin", namespace=project)).must()
    until(lambda: api.get("Allowlist", namespace=project, user=PROBE).ok, what="the probe has its role")
    until(lambda: api.create(forged, dry_run=True, **owner).status == 403, what="our labels are kept", seconds=90)
    status = f"{path_of('ZillizCluster', 'probe', namespace=project)}/status"
    patch: dict[str, Any] = {"body": {"status": {}}, "content": MERGE, "query": {"dryRun": "All"}}
    until(lambda: api.request("PATCH", status, **patch, **owner).status == 403, what="statuses are kept", seconds=90)
    reserved = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "milvus-in01-000000000000"}}
    until(lambda: api.create(reserved, dry_run=True).status == 403, what="cluster namespaces are reserved", seconds=90)
    api.merge("ZillizCluster", "probe", {"spec": {"deletionProtection": False}}, namespace=project).must()
    api.delete("ZillizCluster", "probe", namespace=project).must()
    api.delete("Namespace", project).must()


def _refused(api: Api, kind: str, name: str, *, namespace: str) -> bool:
    return api.delete(kind, name, namespace=namespace, dry_run=True).status == 403
