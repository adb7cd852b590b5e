"""What somebody edits or deletes among a cluster's parts is put right within seconds; what is not ours is never touched."""

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.node import door
from tests.node.harness import Cluster, Manifest, Product, ours
from zilliz_operator.api import names
from zilliz_operator.reconcile.children import APPLIED_KINDS

SECONDS = 30.0
"""Until a repair must be seen. The sweep, which finds what no watch reports, comes every 300 s."""
CONFIRM = names.PREFIX + "confirm"
PAUSED = names.PREFIX + "paused"

# What the API server or another controller gives a new object anew.
GIVEN = {
    "metadata": ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "deletionTimestamp"),
    "spec": ("clusterIP", "clusterIPs", "healthCheckNodePort"),
    "ports": ("nodePort",),
}


@pytest.fixture
def cluster(other: Cluster) -> Iterator[Cluster]:
    """A cluster at rest; at rest again at the end."""
    other.wait_condition("Ready")
    yield other
    other.wait_condition("Ready")


def children(cluster: Cluster, kind: str) -> dict[str, Manifest]:
    """A cluster's own objects of a kind, by name."""
    mark = {names.CLUSTER_UID_LABEL: cluster.uid}
    return {each["metadata"]["name"]: each for each in cluster.product.list(kind, cluster.namespace, labels=mark)}


def promised(obj: Any, at: str = "") -> Any:
    """An object without what another life of it would be given anew, and without its status."""
    if isinstance(obj, Mapping):
        left = {key: value for key, value in obj.items() if key not in GIVEN.get(at, ()) and key != "status"}
        if at == "annotations":
            left = {key: value for key, value in left.items() if key.startswith(names.PREFIX)}
        return {key: promised(value, key) for key, value in left.items()}
    return [promised(each, at) for each in obj] if isinstance(obj, list) else obj


def as_it_was(cluster: Cluster, kind: str, before: Mapping[str, Manifest]) -> Callable[[], bool]:
    """Whether every object of `before` is there again, as promised, and none is on its way out."""

    def check() -> bool:
        now = children(cluster, kind)
        leaving = any("deletionTimestamp" in each["metadata"] for each in now.values())
        return not leaving and {n: promised(o) for n, o in now.items()} == {n: promised(o) for n, o in before.items()}

    return check


# ---- every kind, deleted


@pytest.mark.parametrize("kind", APPLIED_KINDS)
def test_what_is_deleted_comes_back_as_it_was(product: Product, cluster: Cluster, kind: str) -> None:
    before = children(cluster, kind)
    assert before, f"a cluster has no {kind}?"
    for name in before:
        product.delete(kind, name, cluster.namespace)
    what = f"every {kind} is back as it was: {', '.join(before)}"
    product.wait_for(as_it_was(cluster, kind, before), what=what, deadline=SECONDS)
    after = children(cluster, kind)
    assert all(after[name]["metadata"]["uid"] != obj["metadata"]["uid"] for name, obj in before.items())


# ---- every kind, edited

ANYBODY = [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]
SPOILED: Mapping[str, Manifest] = {
    "LimitRange": {"spec": {"limits": []}},
    "NetworkPolicy": {"spec": {"policyTypes": ["Ingress", "Egress"], "ingress": ANYBODY, "egress": [{}]}},
    "ServiceAccount": {"automountServiceAccountToken": True},
    "Issuer": {"metadata": {"labels": {names.CLUSTER_LABEL: "mine"}}},
    "Certificate": {"spec": {"renewBefore": "1h"}},
    "Service": {"spec": {"selector": {"app": "mine"}}},
    "PodDisruptionBudget": {"spec": {"maxUnavailable": "100%"}},
    "Deployment": {"spec": {"replicas": 0}},
}


def spoil(obj: Manifest) -> Manifest:
    """The edit: a JSON merge patch that breaks what the object is for."""
    match obj["kind"]:
        case "ConfigMap":
            return {"data": dict.fromkeys(obj["data"], "# mine")}
        case "Secret":
            return {"data": dict.fromkeys(obj["data"], base64.b64encode(b"mine").decode())}
        case "ResourceQuota":
            return {"spec": {"hard": {**dict.fromkeys(obj["spec"]["hard"], "1000Gi"), "count/secrets": "0"}}}
        case "StatefulSet":
            containers = [
                {**each, "image": "docker.io/library/mine:1"} for each in obj["spec"]["template"]["spec"]["containers"]
            ]
            return {"spec": {"template": {"spec": {"containers": containers}}}}
        case kind:
            return dict(SPOILED[kind])


@pytest.mark.parametrize("kind", APPLIED_KINDS)
def test_what_is_edited_is_put_right(product: Product, cluster: Cluster, kind: str) -> None:
    before = children(cluster, kind)
    for name, obj in before.items():
        edited = product.merge(kind, name, spoil({**obj, "kind": kind}), namespace=cluster.namespace)
        assert promised(edited) != promised(obj), f"{kind} {name}: the edit changed nothing"
    what = f"every {kind} is as it was: {', '.join(before)}"
    product.wait_for(as_it_was(cluster, kind, before), what=what, deadline=SECONDS)


@pytest.mark.parametrize(
    "label", [names.CLUSTER_UID_LABEL, "app.kubernetes.io/managed-by", "app.kubernetes.io/component"]
)
def test_a_label_taken_away_comes_back(product: Product, cluster: Cluster, label: str) -> None:
    before = product.get("ConfigMap", "gateway-config", cluster.namespace)
    product.merge("ConfigMap", "gateway-config", {"metadata": {"labels": {label: None}}}, namespace=cluster.namespace)

    def back() -> bool:
        now = product.get("ConfigMap", "gateway-config", cluster.namespace)
        return bool(now["metadata"]["labels"] == before["metadata"]["labels"])

    product.wait_for(back, what=f"label {label} is back", deadline=SECONDS)


# ---- what matters most, by name


def test_an_emptied_key_map_opens_and_closes_nothing_for_long(product: Product, cluster: Cluster) -> None:
    before = product.get("Secret", "gateway-maps", cluster.namespace)["data"]
    emptied = {"data": dict.fromkeys(before, "")}
    product.merge("Secret", "gateway-maps", emptied, namespace=cluster.namespace)
    product.wait_for(
        lambda: product.get("Secret", "gateway-maps", cluster.namespace)["data"] == before,
        what="the maps are as they were",
        deadline=SECONDS,
    )
    cluster.wait_condition("Ready")
    assert door.rest(cluster, token=cluster.key["token"], source=product.office).status == 200
    assert door.rest(cluster, token="zk_nobody", source=product.office).status == 401


def test_roots_password_survives_the_loss_of_its_secret(product: Product, cluster: Cluster) -> None:
    before = product.secret("milvus-root", cluster.namespace)
    product.delete("Secret", "milvus-root", cluster.namespace)
    product.wait_for(
        lambda: product.find("Secret", "milvus-root", cluster.namespace), what="milvus-root is back", deadline=SECONDS
    )
    assert product.secret("milvus-root", cluster.namespace) == before
    look_again(cluster)
    # Every pass logs in as root and asks Milvus for its users and roles.
    cluster.wait_condition("AccessApplied")
    connection = cluster.connection
    said = door.grpc(cluster, {"db_admin": f"{connection['username']}:{connection['password']}"}, source=product.office)
    assert "ok" in said["db_admin"], said


def test_the_connection_secret_comes_back_as_it_was(product: Product, cluster: Cluster) -> None:
    name = names.connection_secret(cluster.name)
    before = cluster.connection
    product.delete("Secret", name, cluster.project)
    product.wait_for(lambda: product.find("Secret", name, cluster.project), what=f"{name} is back", deadline=SECONDS)
    assert cluster.connection == before


def test_a_deleted_key_is_a_new_key_and_the_old_one_opens_nothing(product: Product, cluster: Cluster) -> None:
    secret, old = f"{cluster.name}-key", cluster.key["token"]
    product.delete("Secret", secret, cluster.project)
    product.wait_for(
        lambda: product.find("Secret", secret, cluster.project), what=f"{secret} is back", deadline=SECONDS
    )
    new = cluster.key["token"]
    assert new != old
    product.wait_for(
        lambda: door.rest(cluster, token=new, source=product.office).status == 200, what="the new key opens the door"
    )
    assert door.rest(cluster, token=old, source=product.office).status == 401


def test_pod_security_of_the_namespace_is_guarded_and_put_right(product: Product, cluster: Cluster) -> None:
    label = "pod-security.kubernetes.io/enforce"
    looser = {"metadata": {"labels": {label: "privileged"}}}
    refused = product.api.merge("Namespace", cluster.namespace, looser)
    assert not refused.ok
    assert f"annotate it {CONFIRM}={cluster.namespace}" in refused.message
    product.merge("Namespace", cluster.namespace, {"metadata": {"annotations": {CONFIRM: cluster.namespace}}})
    product.merge("Namespace", cluster.namespace, looser)
    product.wait_for(
        lambda: product.get("Namespace", cluster.namespace)["metadata"]["labels"][label] == "restricted",
        what="Pod Security is restricted again",
        deadline=SECONDS,
    )
    product.merge("Namespace", cluster.namespace, {"metadata": {"annotations": {CONFIRM: None}}})


def test_the_buckets_settings_are_put_right_at_the_next_look(product: Product, cluster: Cluster) -> None:
    s3, bucket = product.s3(), cluster.bucket
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_encryption(Bucket=bucket)
    look_again(cluster)

    def repaired() -> bool:
        try:
            rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
            again = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        except s3.exceptions.ClientError:
            return False
        default = rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
        versioning = s3.get_bucket_versioning(Bucket=bucket).get("Status")
        return (default, versioning, again) == ("AES256", "Enabled", policy)

    product.wait_for(repaired, what="encryption, versioning and policy are as they were", deadline=SECONDS)


def look_again(cluster: Cluster) -> None:
    """Wake a pass over the cluster, as any change of the object does."""
    count = int((cluster.read()["metadata"].get("annotations") or {}).get("tests/look", "0")) + 1
    annotations = {"metadata": {"annotations": {"tests/look": str(count)}}}
    cluster.product.merge("ZillizCluster", cluster.name, annotations, namespace=cluster.project)


# ---- what is not ours


def test_a_strangers_finalizer_stalls_and_is_left_alone(product: Product, cluster: Cluster) -> None:
    kind, name, theirs = "PodDisruptionBudget", "gateway", "example.com/hold"
    product.merge(kind, name, {"metadata": {"finalizers": [theirs]}}, namespace=cluster.namespace)
    before = product.get(kind, name, cluster.namespace)
    product.delete(kind, name, cluster.namespace)
    try:
        found = cluster.wait_condition("Stalled", "True", "ForeignFinalizer", deadline=SECONDS)
        ready = next(each for each in found["status"]["conditions"] if each["type"] == "Ready")
        assert ready["status"] == "False"
        assert f"{kind} {name}" in ready["message"]
        assert theirs in ready["message"]
        look_again(cluster)
        product.wait_condition("ZillizCluster", cluster.name, cluster.project, type="Stalled")
        held = product.get(kind, name, cluster.namespace)
        assert held["metadata"]["finalizers"] == [theirs]
        assert held["metadata"]["uid"] == before["metadata"]["uid"]
    finally:
        product.merge(kind, name, {"metadata": {"finalizers": None}}, namespace=cluster.namespace)
    cluster.wait_condition("Ready", deadline=SECONDS)
    assert cluster.condition("Stalled") is None
    assert product.get(kind, name, cluster.namespace)["metadata"]["uid"] != before["metadata"]["uid"]


@pytest.fixture
def unborn(product: Product) -> Iterator[Cluster]:
    """A cluster that the operator must not look at yet; its id, and so the names of its parts, are known."""
    project, name = "strangers", "unborn"
    product.api.namespace(project)
    manifest = ours("ZillizCluster", name, project, {"deletionProtection": False, "powerState": "Suspended"})
    manifest["metadata"]["annotations"] = {PAUSED: "true"}
    product.apply(manifest)
    cluster = Cluster(product, project, name)
    cluster.wait_condition("Paused")
    yield cluster
    cluster.remove()


def go_on(cluster: Cluster) -> None:
    product = cluster.product
    product.merge(
        "ZillizCluster", cluster.name, {"metadata": {"annotations": {PAUSED: None}}}, namespace=cluster.project
    )


def test_a_foreign_namespace_of_that_name_is_not_touched(product: Product, unborn: Cluster) -> None:
    name = unborn.namespace
    assert product.find("Namespace", name) is None, "a paused cluster makes nothing"
    confirmed = {"name": name, "labels": {"team": "theirs"}, "annotations": {CONFIRM: name}}
    product.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": confirmed})
    product.wait_for(lambda: product.find("ServiceAccount", "default", name), what="their namespace is complete")
    before = product.get("Namespace", name)
    try:
        go_on(unborn)
        stalled = unborn.wait_condition("Stalled", "True", "NameTaken", deadline=SECONDS)
        ready = next(each for each in stalled["status"]["conditions"] if each["type"] == "Ready")
        assert f"namespace {name}" in ready["message"]
        assert "Delete that namespace" in ready["message"]
        assert product.get("Namespace", name) == before
        for kind in ("NetworkPolicy", "Secret", "StatefulSet", "Deployment", "ResourceQuota"):
            assert not product.list(kind, name), kind
        assert not buckets(product, unborn)
    finally:
        product.delete("Namespace", name)
    unborn.wait_condition("NamespaceIsolated", deadline=60)
    unborn.wait_condition("Ready", "Unknown", "Suspended", deadline=60)


def buckets(product: Product, cluster: Cluster) -> list[str]:
    """Buckets with the cluster's id in their name."""
    return [each["Name"] for each in product.s3().list_buckets()["Buckets"] if cluster.id in each["Name"]]


def test_a_foreign_bucket_of_that_name_is_not_touched(product: Product, unborn: Cluster) -> None:
    s3, bucket = product.s3(), f"local-{unborn.id}-data"
    s3.create_bucket(Bucket=bucket)
    try:
        s3.put_object(Bucket=bucket, Key="theirs", Body=b"theirs")
        go_on(unborn)
        stalled = unborn.wait_condition("Stalled", "True", "NameTaken", deadline=SECONDS)
        conditions = {each["type"]: each for each in stalled["status"]["conditions"]}
        secured = conditions["StorageSecured"]
        assert (secured["status"], secured["reason"]) == ("False", "NameTaken")
        assert f"bucket {bucket}" in secured["message"]
        assert "bucketPrefix" in secured["message"]
        assert s3.get_object(Bucket=bucket, Key="theirs")["Content"] == b"theirs"
        assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
        with pytest.raises(s3.exceptions.ClientError):
            s3.get_bucket_tagging(Bucket=bucket)
    finally:
        s3.delete_object(Bucket=bucket, Key="theirs")
        s3.delete_bucket(Bucket=bucket)
    unborn.wait_condition("StorageSecured", deadline=60)
    unborn.wait_condition("Ready", "Unknown", "Suspended", deadline=60)
