"""Further data planes of the local cluster: bare control planes on its bridge, each a Kubernetes cluster of its own.

`up --dataplanes 3` makes dp2 and dp3. They have no node: what a cluster needs of a real one (objects, rights, drift, outages) is
there, pods stay Pending. Each is prepared by the manifest that is written for remote data planes, and its kubeconfig is put where
a DataPlane looks for it. `cut` takes its link down, `mend` brings it up.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.devcluster import components, identities, netns, process, render
from tools.devcluster import layout as at
from tools.devcluster.controlplane import ControlPlane
from tools.devcluster.errors import DevclusterError
from tools.devcluster.kube import Kube, Object, object_path
from tools.devcluster.layout import Layout
from tools.devcluster.manifests import SYSTEM_NAMESPACE, secret
from tools.devcluster.process import Component

FIRST, MOST = 2, 9
"""dp1 would be the local cluster itself."""
FIRST_ADDRESS = at.NODE_NETWORK.network_address + 200
ACCESS = Path(__file__).resolve().parents[2] / "manifests" / "dataplane-access.yaml"
TOKEN = "zilliz-operator-token"
KEY = "kubeconfig"


def plane(layout: Layout, number: int) -> ControlPlane:
    """The control plane of data plane `number`, whether it is there or not."""
    return ControlPlane(
        f"{layout.name}-{name(number)}",
        attach_to=layout.name,
        address=FIRST_ADDRESS + number,
        state=layout.root.parent,
    )


def name(number: int) -> str:
    """Of the data plane, its Secret and its DataPlane object."""
    return f"dp{number}"


def found(layout: Layout) -> list[int]:
    """Those that are there, running or not."""
    numbers = [path.name.rpartition("-dp")[2] for path in layout.root.parent.glob(f"{layout.name}-dp*")]
    return sorted(int(each) for each in numbers if each.isdigit())


def by_name(layout: Layout, wanted: str) -> ControlPlane:
    """One that is there."""
    there = found(layout)
    number = next((each for each in there if name(each) == wanted), None)
    if number is None:
        known = ", ".join(map(name, there)) or "none; `up --dataplanes 2` makes dp2"
        raise DevclusterError(f"there is no data plane {wanted!r}; there are: {known}")
    return plane(layout, number)


def parts(layout: Layout, number: int) -> tuple[Component, ...]:
    return components.control_plane(plane(layout, number).layout, durable=False, node=False)


def up(layout: Layout, *, count: int, kinds: Sequence[Object], progress: Callable[[str], None]) -> list[str]:
    """`count` data planes in all, the local cluster's own among them. Those that are there already stay, however many."""
    if not 1 <= count <= MOST:
        raise DevclusterError(f"--dataplanes {count}: choose 1 to {MOST}; each costs about 400 MB of memory")
    made = []
    for number in sorted({*range(FIRST, count + 1), *found(layout)}):
        progress(f"data plane {name(number)}: a control plane at {plane(layout, number).server}")
        _prepare(plane(layout, number), kinds)
        _hand_over(layout, number)
        made.append(name(number))
    return made


def down(layout: Layout) -> None:
    """End and remove all of them."""
    for number in found(layout):
        plane(layout, number).stop()


def example_file(layout: Layout, number: int) -> Path:
    return layout.config / f"dataplane-{name(number)}.yaml"


def example(layout: Layout, number: int) -> Object:
    """A DataPlane for it; its buckets lie in the local cluster's object store."""
    return {
        "apiVersion": "byoc.zilliz.com/v1alpha1",
        "kind": "DataPlane",
        "metadata": {"name": name(number)},
        "spec": {
            "region": "us-east-1",
            "kubernetes": {"kubeconfigSecretRef": {"name": name(number), "key": KEY}},
            "versions": [{"version": "2.3.5", "image": "docker.io/milvusdb/milvus:v2.3.5"}],
            "objectStorage": {
                "provider": "S3Compatible",
                "endpoint": f"https://{layout.address}:{at.STORE_PORT}",
                "adminEndpoint": f"https://{layout.address}:{at.STORE_ADMIN_PORT}",
                "caSecretRef": {"name": "object-store-ca", "key": "ca.crt"},
                "credentialsSecretRef": {"name": "object-store-admin"},
                "bucketPrefix": f"{name(number)}-",
                "cidrs": [f"{layout.address}/32"],
            },
            "network": {"podCIDRs": [str(at.POD_NETWORK)], "operatorCIDRs": [str(at.POD_NETWORK)]},
            "certificates": {"issuerRef": {"name": "byoc-ca"}, "domain": at.PUBLIC_DOMAIN},
        },
    }


def _prepare(spoke: ControlPlane, kinds: Sequence[Object]) -> None:
    """What a platform engineer does to a new data plane: cert-manager's kinds, and the operator's account."""
    spoke.start()
    with spoke.inside():
        owner = identities.client(spoke.layout, "bootstrap")
        for crd in kinds:
            if owner.find(object_path(crd)) is None:
                owner.apply(crd)
        for manifest in yaml.safe_load_all(ACCESS.read_text()):
            if manifest:
                owner.apply(manifest)
        if not process.wait_for(lambda: _token(owner) != "", seconds=60):
            raise DevclusterError(f"control plane {spoke.name}: nobody fills in the token of Secret {TOKEN}")


def _hand_over(layout: Layout, number: int) -> None:
    """Its kubeconfig as a Secret of the local cluster, and an example of its DataPlane as a file."""
    spoke = plane(layout, number)
    with spoke.inside():
        token = _token(identities.client(spoke.layout, "bootstrap"))
    text = kubeconfig(spoke.layout, token=token)
    with netns.inside(layout.name):
        owner = identities.client(layout, "bootstrap")
        owner.apply(secret(SYSTEM_NAMESPACE, name(number), {KEY: text.encode()}))
    example_file(layout, number).write_text(render.to_yaml(example(layout, number)))


def kubeconfig(spoke: Layout, *, token: str) -> str:
    """Whole in itself, as a DataPlane's must be."""
    authority = base64.b64encode((spoke.pki / "kube.crt").read_bytes()).decode()
    cluster: dict[str, Any] = {"server": spoke.server, "certificate-authority-data": authority}
    return render.to_yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": spoke.name, "cluster": cluster}],
            "users": [{"name": "zilliz-operator", "user": {"token": token}}],
            "contexts": [{"name": spoke.name, "context": {"cluster": spoke.name, "user": "zilliz-operator"}}],
            "current-context": spoke.name,
        }
    )


def _token(owner: Kube) -> str:
    found_secret = owner.find(f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/secrets/{TOKEN}") or {}
    return base64.b64decode((found_secret.get("data") or {}).get("token", "")).decode()
