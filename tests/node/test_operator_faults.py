"""The operator dies, is away, or a part of a cluster dies: clients go on searching, and everything is as promised in the end."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.clients import Client
from tests.node.harness import OPERATOR_NAMESPACE, Cluster, Manifest, Product
from zilliz_operator.api.conditions import ConditionType
from zilliz_operator.api.names import GATEWAY_PORT

TAKEOVER = 30.0
"""Seconds without a leader at most."""
REPAIR = 60.0
AWAY = 60.0
"""Seconds that clients search while no operator runs: enough for many calls, and for every certificate and lease to matter."""
OPERATOR = "zilliz-operator"


@pytest.fixture(scope="module")
def client(product: Product, other: Cluster) -> Client:
    """A client with rows in a running cluster."""
    found = Client(other, product.office)
    found.fill()
    return found


@pytest.fixture
def cluster(product: Product, other: Cluster) -> Iterator[Cluster]:
    """A cluster at rest under two operators; at rest again at the end."""
    other.wait_condition("Ready")
    yield other
    product.merge("Deployment", OPERATOR, {"spec": {"replicas": 2}}, namespace=OPERATOR_NAMESPACE)
    product.wait_for(lambda: len(operators(product)) == 2, what="two operators run")
    other.wait_condition("Ready")


def operators(product: Product) -> list[Manifest]:
    """Pods of the operator whose container is ready."""
    found = product.list("Pod", OPERATOR_NAMESPACE, labels={"app.kubernetes.io/name": OPERATOR})
    return [each for each in found if not each["metadata"].get("deletionTimestamp") and is_ready(each)]


def is_ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def leader(product: Product) -> str:
    """Who holds the lease now; the part before the last underscore is its pod."""
    return str(product.get("Lease", OPERATOR, OPERATOR_NAMESPACE)["spec"].get("holderIdentity") or "")


def kill(pod: Manifest) -> None:
    """SIGKILL to every process of the pod's container, as the kernel would when memory ends."""
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    killed = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit() and lives_in(each, container)]
    assert killed, f"no process of container {container} is found"
    for pid in killed:
        os.kill(pid, signal.SIGKILL)


def lives_in(process: Path, container: str) -> bool:
    try:
        return container in (process / "cgroup").read_text()
    except OSError:
        return False


def spoil(cluster: Cluster) -> None:
    """Two changes by hand: a policy is gone, another lets everybody in."""
    cluster.product.delete("NetworkPolicy", "default-deny", cluster.namespace)
    open_to_all = {"spec": {"ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}}
    cluster.product.merge("NetworkPolicy", "milvus-ingress", open_to_all, namespace=cluster.namespace)


def repaired(cluster: Cluster) -> bool:
    product = cluster.product
    rules = product.get("NetworkPolicy", "milvus-ingress", cluster.namespace)["spec"]["ingress"]
    closed = not any("ipBlock" in peer for rule in rules for peer in rule["from"])
    return closed and product.find("NetworkPolicy", "default-deny", cluster.namespace) is not None


def test_the_other_replica_takes_over_from_a_killed_leader_and_no_call_fails(
    product: Product, cluster: Cluster, client: Client
) -> None:
    product.wait_for(lambda: len(operators(product)) == 2, what="two operators run")
    before = leader(product)
    pod = next(each for each in operators(product) if before.startswith(each["metadata"]["name"]))
    with client.traffic() as seen:
        killed = time.monotonic()
        kill(pod)
        product.wait_for(
            lambda: leader(product) not in ("", before), what="somebody else leads", deadline=TAKEOVER, every=0.5
        )
        assert time.monotonic() - killed < TAKEOVER
        spoil(cluster)
        product.wait_for(lambda: repaired(cluster), what="the new leader repairs", deadline=REPAIR)
        cluster.wait_condition("Ready")
    assert seen.failures == []
    assert min(seen.grpc, seen.rest) > 10


def test_without_any_operator_clusters_serve_and_what_was_changed_is_repaired_after(
    product: Product, cluster: Cluster, client: Client
) -> None:
    labels = {"app.kubernetes.io/name": OPERATOR}
    with client.traffic() as seen:
        product.merge("Deployment", OPERATOR, {"spec": {"replicas": 0}}, namespace=OPERATOR_NAMESPACE)
        product.wait_for(
            lambda: not product.list("Pod", OPERATOR_NAMESPACE, labels=labels), what="no operator runs", deadline=90
        )
        alone = time.monotonic()
        spoil(cluster)
        product.wait_for(lambda: time.monotonic() - alone > AWAY, what="some time alone", deadline=2 * AWAY)
        assert not repaired(cluster)
        product.merge("Deployment", OPERATOR, {"spec": {"replicas": 2}}, namespace=OPERATOR_NAMESPACE)
        product.wait_for(lambda: repaired(cluster), what="the operator that came back repairs", deadline=REPAIR)
        cluster.wait_condition("Ready")
    assert seen.failures == []
    assert min(seen.grpc, seen.rest) > 10


def test_a_lost_gateway_costs_no_call(product: Product, cluster: Cluster, client: Client) -> None:
    lost = cluster.pods("gateway")[0].name
    with client.traffic() as seen:
        product.delete("Pod", lost, cluster.namespace)

        def replaced() -> bool:
            pods = [each.read() for each in cluster.pods("gateway")]
            gone = product.find("Pod", lost, cluster.namespace) is None
            return gone and len(pods) == 2 and all(is_ready(each) for each in pods)

        product.wait_for(replaced, what=f"another gateway stands for {lost}")
        cluster.wait_condition("Ready")
    assert seen.failures == []
    assert min(seen.grpc, seen.rest) > 10


# Through the door, as the operator comes: by its client certificate. What `public` may do, and whether root's default still works.
LOOK = """
import json, sys, tempfile
from pymilvus import MilvusClient
asked = json.load(sys.stdin)
files = {}
for name in ("ca", "certificate", "key"):
    files[name] = tempfile.NamedTemporaryFile("w", suffix=".pem")
    files[name].write(asked[name]); files[name].flush()
def connect(password):
    return MilvusClient(uri=asked["uri"], user="root", password=password, secure=True, timeout=20, dedicated=True,
                        ca_pem_path=files["ca"].name, client_pem_path=files["certificate"].name,
                        client_key_path=files["key"].name, server_name=asked["host"])
grants = connect(asked["password"]).describe_role("public")["privileges"]
try:
    connect("Milvus").list_collections()
    default = "accepted"
except Exception as error:
    default = str(error)
print(json.dumps({"public": [each["privilege"] for each in grants], "default": default}))
"""


def look_as_root(cluster: Cluster) -> dict[str, Any]:
    """What Milvus says to root."""
    product, namespace = cluster.product, cluster.namespace
    identity = product.secret("operator-client", namespace)
    asked = {
        "uri": f"https://{cluster.pods('gateway')[0].address}:{GATEWAY_PORT}",
        "host": cluster.connection["host"],
        "ca": cluster.connection["ca.crt"],
        "certificate": identity["tls.crt"],
        "key": identity["tls.key"],
        "password": product.secret("milvus-root", namespace)["password"],
    }
    said: dict[str, Any] = json.loads(product.run(sys.executable, "-c", LOOK, input=json.dumps(asked)).splitlines()[-1])
    return said


def test_a_lost_milvus_comes_back_with_its_rows_and_public_is_stripped_again(
    product: Product, cluster: Cluster, client: Client
) -> None:
    before = product.get("Pod", "milvus-0", cluster.namespace)["metadata"]["uid"]
    product.delete("Pod", "milvus-0", cluster.namespace)

    def replaced() -> bool:
        pod = product.find("Pod", "milvus-0", cluster.namespace)
        return pod is not None and pod["metadata"]["uid"] != before and is_ready(pod)

    product.wait_for(replaced, what="another Milvus is ready")
    cluster.wait_condition("Ready")
    for type in (ConditionType.ACCESS_APPLIED, ConditionType.ENDPOINT_VERIFIED, ConditionType.WORKLOAD_READY):
        cluster.wait_condition(type)
    said = look_as_root(cluster)
    assert said["public"] == []
    assert "accepted" not in said["default"]
    assert client.find() == ["row 7"]
