"""A simulated AWS account beside the local cluster, with one suspended cluster in it: what it costs to mend roles.

No store that runs here knows IAM roles; moto does. It enforces nothing, but that is not what is timed: what is put back, is.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bench import objects
from bench.errors import BenchError
from bench.objects import Object
from bench.world import OPERATOR_NAMESPACE, World, collection_path
from tools.devcluster import checks
from tools.devcluster.layout import Layout
from tools.devcluster.pki import Authority, Leaf

PORT = 443  # where the operator's own network policy lets it go
NAME = "bench-aws"
REGION = "us-west-2"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/oidc.eks.{REGION}.amazonaws.com/id/BENCH"
START_SECONDS = 60.0


@contextmanager
def account(layout: Layout) -> Iterator[None]:
    """The account's APIs on the node's address, as long as it is needed."""
    leaf = Leaf(name="bench-aws", common_name="bench-aws", addresses=(layout.address,), server=True)
    certificate, key = Authority(directory=layout.pki, name="store").ensure().issue(leaf)
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", str(layout.address), "-p", str(PORT)]
    with (layout.logs / "bench-aws.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-c", str(certificate), "-k", str(key)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def client(layout: Layout, service: str) -> Any:
    """boto3's client of the account."""
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=f"https://{layout.address}:{PORT}",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
        region_name=REGION,
        verify=str(layout.pki / "store.crt"),
        config=Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}),
    )


def make(world: World) -> Object:
    """The cluster, once its buckets and roles are as they should be."""
    authority = world.layout.pki / "store.crt"
    world.budget.until(
        lambda: checks.https_ok(
            host=str(world.layout.address), port=PORT, path="/moto-api/data.json", authority=authority
        ),
        what="the simulated account to answer",
        seconds=START_SECONDS,
    )
    for obj in _objects(world, authority.read_bytes()):
        world.apply(obj)
    world.budget.until(
        lambda: _secured(world), what="buckets and roles in the simulated account", seconds=START_SECONDS
    )
    return world.clusters(NAME)[0]


def remove(world: World) -> None:
    """Everything of it; the account itself ends with its process."""
    if world.exists(NAME) or world.homes(NAME):
        world.remove(NAME, purge=False)
    for path in (f"{collection_path('DataPlane')}/{NAME}", _secret_path("keys"), _secret_path("ca")):
        world.kube.delete(path)


def _secured(world: World) -> bool:
    found = (world.clusters(NAME)[0].get("status") or {}).get("conditions") or []
    kept = {c["type"] for c in found if c["status"] == "True"}
    refused = [c for c in found if c["type"] == "Stalled" and c["status"] == "True"]
    if refused:
        raise BenchError(f"the cluster in the simulated account: {refused[0]['message']}")
    return {"StorageSecured", "IdentityScoped"} <= kept


def _objects(world: World, authority: bytes) -> Iterator[Object]:
    yield _secret("ca", {"ca.crt": authority})
    yield _secret("keys", {"accessKeyId": b"bench", "secretAccessKey": b"bench"})
    given = world.kube.request("GET", f"{collection_path('DataPlane')}/default")["spec"]
    store = {
        "provider": "AWS",
        "endpoint": f"https://{world.layout.address}:{PORT}",
        "bucketPrefix": "bench-aws-",
        "identity": "IRSA",
        "oidcProviderArn": PROVIDER,
        "caSecretRef": {"name": f"{NAME}-ca", "key": "ca.crt"},
        "credentialsSecretRef": {"name": f"{NAME}-keys"},
        "cidrs": [f"{world.layout.address}/32"],
    }
    yield {
        "apiVersion": objects.API_VERSION,
        "kind": "DataPlane",
        "metadata": {"name": NAME},
        "spec": {**given, "cloud": "aws", "region": REGION, "objectStorage": store},
    }
    yield objects.project(NAME)
    asked = objects.cluster(project=NAME, name="suspended")
    yield {**asked, "spec": {**asked["spec"], "dataPlane": NAME, "exposure": "Internal", "powerState": "Suspended"}}


def _secret(what: str, values: dict[str, bytes]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{NAME}-{what}", "namespace": OPERATOR_NAMESPACE},
        "data": {key: base64.b64encode(value).decode() for key, value in values.items()},
    }


def _secret_path(what: str) -> str:
    return f"{collection_path('Secret', OPERATOR_NAMESPACE)}/{NAME}-{what}"
