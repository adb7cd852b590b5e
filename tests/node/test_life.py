"""A cluster's life, from its creation beside a namesake to its second birth: what must change changes, and nothing else does."""

from collections.abc import Iterator, Mapping
from hashlib import sha256

import pytest

from tests.node import door, packets
from tests.node.clients import Client
from tests.node.harness import ALLOWED, OPERATOR_NAMESPACE, READY_SECONDS, Cluster, Host, Pod, Product
from tests.node.test_storage import refused
from zilliz_operator.api import names
from zilliz_operator.api.names import GATEWAY_PORT
from zilliz_operator.reconcile.vault import vault_name

NAME = "search"
PROJECTS = ("life-a", "life-b")
PROMPTLY = 20.0
"""Seconds for a deletion to be let go: no pruning tool gives up before."""


@pytest.fixture(scope="module")
def twins(product: Product) -> Iterator[tuple[Cluster, Cluster]]:
    """Two clusters of one name in two projects, made at the same time."""
    made = [product.make_cluster(project, NAME, wait=False) for project in PROJECTS]
    try:
        first, second = (each.wait_ready() for each in made)
        yield first, second
    finally:
        for project in PROJECTS:
            Cluster(product, project, NAME).remove()


@pytest.fixture(scope="module")
def cluster(twins: tuple[Cluster, Cluster]) -> Cluster:
    """The one that changes, with rows in it."""
    Client(twins[0], twins[0].product.office).fill()
    return twins[0]


@pytest.fixture
def client(cluster: Cluster) -> Client:
    return Client(cluster, cluster.product.office)


def runs(cluster: Cluster, component: str = "") -> set[tuple[str, str, int]]:
    """Every running pod by name and UID, and how often its containers were restarted."""
    found = set()
    for pod in (each.read() for each in cluster.pods(component)):
        restarts = sum(each["restartCount"] for each in pod["status"].get("containerStatuses") or ())
        found.add((pod["metadata"]["name"], pod["metadata"]["uid"], restarts))
    return found


def credentials(cluster: Cluster) -> dict[str, str]:
    """Where a cluster's secret values are, in its namespace and in its project, by their digests: a test prints no secret."""
    found = {}
    for namespace in (cluster.namespace, cluster.project):
        for secret in cluster.product.list("Secret", namespace):
            for key, value in (secret.get("data") or {}).items():
                if value and key not in NO_SECRETS:
                    found[sha256(value.encode()).hexdigest()] = f"{secret['metadata']['name']}/{key}"
    return found


NO_SECRETS = ("ca.crt", "port", "username", "keyName", "type", "provider")
"""Keys of Secrets under which two clusters of one data plane may say the same."""


def test_two_clusters_of_one_name_share_nothing(product: Product, twins: tuple[Cluster, Cluster]) -> None:
    first, second = (each.status for each in twins)
    for field in ("clusterId", "namespace", "bucket", "endpoint", "address"):
        assert first[field], field
        assert first[field] != second[field], field
    ours, theirs = (credentials(each) for each in twins)
    assert len(ours) > 10
    assert [where for digest, where in ours.items() if digest in theirs] == []
    key = twins[0].key["token"]
    assert door.rest(twins[0], token=key, source=product.office).status == 200
    assert door.rest(twins[1], token=key, source=product.office).status == 401


def test_an_allowlist_edit_reaches_policies_and_gateways_and_restarts_nothing(
    product: Product, cluster: Cluster
) -> None:
    before, token, stranger = runs(cluster), cluster.key["token"], product.stranger
    assert not admitted(cluster, token=token, source=stranger)
    entries = [{"cidr": f"{ALLOWED}/32"}, {"cidr": f"{stranger.address}/32"}]
    product.merge("Allowlist", NAME, {"spec": {"entries": entries}}, namespace=cluster.project)
    product.wait_condition("Allowlist", NAME, cluster.project)
    # It says it is in force, so it is, at once: in the network policies and at every gateway (a new connection each time).
    assert blocks(cluster) >= {each["cidr"] for each in entries}
    for _ in range(10):
        assert admitted(cluster, token=token, source=stranger)
    product.merge("Allowlist", NAME, {"spec": {"entries": entries[:1]}}, namespace=cluster.project)
    product.wait_condition("Allowlist", NAME, cluster.project)
    assert entries[1]["cidr"] not in blocks(cluster)
    assert not admitted(cluster, token=token, source=stranger)
    assert admitted(cluster, token=token, source=product.office)
    assert runs(cluster) == before


def admitted(cluster: Cluster, *, token: str, source: Host) -> bool:
    """Whether the door lets that host in: else no connection comes about, or the address is refused."""
    if not packets.opened(source, [(cluster.address, GATEWAY_PORT)]):
        return False
    return door.rest(cluster, token=token, source=source).status == 200


def blocks(cluster: Cluster) -> set[str]:
    """Address blocks that the network policies let through to the door."""
    policy = cluster.product.get("NetworkPolicy", "gateway-clients", cluster.namespace)
    peers = [peer for rule in policy["spec"]["ingress"] for peer in rule["from"]]
    return {peer["ipBlock"]["cidr"] for peer in peers if "ipBlock" in peer}


def test_another_lowest_tls_version_restarts_nothing(product: Product, cluster: Cluster) -> None:
    before = runs(cluster)
    assert handshake(cluster, "1.2") == "TLSv1.2"
    cluster.patch(tls={"minVersion": "1.3"})
    cluster.wait_condition("Ready")
    assert handshake(cluster, "1.2") == ""
    assert handshake(cluster, "1.3") == "TLSv1.3"
    cluster.patch(tls={"minVersion": "1.2"})
    cluster.wait_condition("Ready")
    assert handshake(cluster, "1.2") == "TLSv1.2"
    assert runs(cluster) == before


HANDSHAKE = """
import socket, ssl, sys
address, port, host, version = sys.argv[1:]
context = ssl._create_unverified_context()
context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
bare = socket.create_connection((address, int(port)), timeout=10)
try:
    print(context.wrap_socket(bare, server_hostname=host).version())
except (ssl.SSLError, ConnectionResetError):
    print("")
"""


def handshake(cluster: Cluster, highest: str) -> str:
    """The TLS version agreed with a client that speaks `highest` at most; empty when the door refuses."""
    secret = cluster.connection
    said = cluster.product.office.python(HANDSHAKE, cluster.address, secret["port"], secret["host"], highest)
    return said.strip()


def test_more_compute_restarts_milvus_alone(product: Product, cluster: Cluster) -> None:
    gateways, milvus = runs(cluster, "gateway"), runs(cluster, "milvus")
    cluster.patch(size={"cuSize": 2})
    cluster.wait_condition("Ready")
    pod = product.get("Pod", "milvus-0", cluster.namespace)
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "8Gi"
    assert cluster.status["size"].startswith("2 CU")
    assert not runs(cluster, "milvus") & milvus
    assert runs(cluster, "gateway") == gateways


def test_the_restart_annotation_restarts_milvus_once(product: Product, cluster: Cluster) -> None:
    gateways, milvus = runs(cluster, "gateway"), runs(cluster, "milvus")
    annotate(cluster, {names.PREFIX + "restarted-at": f"2026-11-24T12:00:00Z-{cluster.uid[:8]}"})
    # The annotation changes no generation, so a Ready from before proves nothing: the new pod must be seen first.
    product.wait_for(
        lambda: bool(now := runs(cluster, "milvus")) and not now & milvus, what="another Milvus pod is there"
    )
    Pod(product, cluster.namespace, "milvus-0").wait_running()
    cluster.wait_condition("Ready")
    restarted = runs(cluster, "milvus")
    annotate(cluster, {names.PREFIX + "looked-at": "again"})
    cluster.wait_condition("Ready")
    assert runs(cluster, "milvus") == restarted
    assert runs(cluster, "gateway") == gateways


def test_a_new_key_pair_reaches_milvus_and_only_then_the_old_one_ends(
    product: Product, cluster: Cluster, client: Client
) -> None:
    gateways, milvus, old = runs(cluster, "gateway"), runs(cluster, "milvus"), key_pair(cluster)
    annotate(cluster, {names.PREFIX + "rotate-store-keys": f"once-{cluster.uid[:8]}"})
    refuses_old = lambda: refused(product.s3(old).list_objects_v2, Bucket=cluster.bucket)  # noqa: E731
    product.wait_for(refuses_old, what="the old key pair is refused", deadline=READY_SECONDS)
    assert not runs(cluster, "milvus") & milvus
    cluster.wait_condition("IdentityScoped", reason="Kept")
    cluster.wait_condition("Ready")
    new = key_pair(cluster)
    assert new[0] != old[0]
    user = f"{cluster.bucket.removesuffix('-data')}-milvus"
    listed = product.iam().list_access_keys(UserName=user)["AccessKeyMetadata"]
    assert [each["AccessKeyId"] for each in listed] == [new[0]]
    client.fill()
    assert client.find() == ["row 7"]
    assert runs(cluster, "gateway") == gateways


def key_pair(cluster: Cluster) -> tuple[str, str]:
    """What Milvus uses the store with."""
    stored = cluster.product.secret("store-credentials", cluster.namespace)
    return stored["accessKeyId"], stored["secretAccessKey"]


def annotate(cluster: Cluster, annotations: Mapping[str, str | None]) -> None:
    """Annotate the object, which also wakes a pass over it."""
    patch = {"metadata": {"annotations": dict(annotations)}}
    cluster.product.merge("ZillizCluster", cluster.name, patch, namespace=cluster.project)


def test_suspended_stops_every_pod_and_running_brings_the_data_back(
    product: Product, cluster: Cluster, client: Client
) -> None:
    endpoint, key, bucket = cluster.status["endpoint"], cluster.key, cluster.bucket
    cluster.patch(powerState="Suspended")
    cluster.wait_condition("Ready", "Unknown", "Suspended")
    product.wait_for(lambda: not product.list("Pod", cluster.namespace), what="every pod is gone")
    claim = product.get("PersistentVolumeClaim", "data-milvus-0", cluster.namespace)
    assert claim["status"]["phase"] == "Bound"
    assert objects(product, bucket)
    cluster.patch(powerState="Running")
    cluster.wait_ready()
    assert (cluster.status["endpoint"], cluster.key, cluster.bucket) == (endpoint, key, bucket)
    assert client.find() == ["row 7"]


def objects(product: Product, bucket: str) -> dict[str, str]:
    """Every object of a bucket, and what is in it."""
    answer = product.s3().list_objects_v2(Bucket=bucket)
    return {each["Key"]: each["ETag"] for each in answer.get("Contents", ())}


def test_a_protected_cluster_is_not_deleted_and_the_refusal_says_how(product: Product, cluster: Cluster) -> None:
    cluster.patch(deletionProtection=True)
    for kind, name, namespace in (("zc", NAME, cluster.project), ("namespace", cluster.project, "")):
        scope = ["-n", namespace] if namespace else []
        refused = product.try_kubectl("delete", kind, name, *scope, "--wait=false")
        assert refused.returncode != 0
        assert "spec.deletionProtection" in refused.stderr
        remedy = f'kubectl -n {cluster.project} patch zc {NAME} --type merge -p \'{{"spec":{{"deletionProtection":false}}}}\''
        assert remedy in refused.stderr
    assert "deletionTimestamp" not in cluster.read()["metadata"]
    assert cluster.condition("Ready") is not None


def test_deleting_takes_compute_keeps_data_and_lets_go_promptly(
    product: Product, twins: tuple[Cluster, Cluster], cluster: Cluster, client: Client
) -> None:
    neighbour = runs(twins[1])
    namespace, bucket, identity = cluster.namespace, cluster.bucket, cluster.id
    data = objects(product, bucket)
    assert data
    cluster.patch(deletionProtection=False)
    product.delete("ZillizCluster", NAME, cluster.project)
    gone = "the ZillizCluster is gone"
    product.wait_for(lambda: product.find("ZillizCluster", NAME, cluster.project) is None, what=gone, deadline=PROMPTLY)
    record = product.get("RecycledCluster", f"{NAME}-{identity.removeprefix(names.ID_PREFIX)}", cluster.project)
    assert record["spec"]["clusterId"] == identity
    assert record["spec"]["bucket"] == bucket
    product.wait_for(lambda: not product.list("Pod", namespace), what=f"no pod runs in {namespace}")
    kinds = ("Deployment", "StatefulSet", "Service")
    product.wait_for(lambda: not any(product.list(kind, namespace) for kind in kinds), what="nothing serves there")
    assert product.find("Secret", names.connection_secret(NAME), cluster.project) is None
    assert product.get("PersistentVolumeClaim", "data-milvus-0", namespace)["status"]["phase"] == "Bound"
    assert product.secret(record["spec"]["credentialsSecret"], OPERATOR_NAMESPACE)["root"]
    assert record["spec"]["credentialsSecret"] == vault_name(identity)
    # Milvus writes a little until it ends; nothing that was there may be missing.
    assert objects(product, bucket).keys() >= data.keys()
    assert [each["metadata"]["name"] for each in product.list("NetworkPolicy", namespace)] == ["default-deny"]
    assert runs(twins[1]) == neighbour
    twins[1].wait_condition("Ready")


def test_the_same_name_again_is_another_cluster(product: Product, cluster: Cluster) -> None:
    """After the deletion of the test before."""
    assert product.find("ZillizCluster", NAME, cluster.project) is None
    old_bucket, old_secrets = f"local-{cluster.id}-data", product.secret(vault_name(cluster.id), OPERATOR_NAMESPACE)
    data = objects(product, old_bucket)
    again = product.make_cluster(cluster.project, NAME)
    assert again.id != cluster.id
    assert again.bucket == f"local-{again.id}-data"
    assert objects(product, old_bucket) == data
    said = door.grpc(again, {"key": again.key["token"]}, source=product.office)
    assert said["key"] == {"ok": []}
    new_secrets = product.secret(vault_name(again.id), OPERATOR_NAMESPACE)
    assert new_secrets.keys() == old_secrets.keys()
    assert not set(new_secrets.values()) & set(old_secrets.values())
