"""What goes wrong says which field, why and what to do about it, and heals by itself once that is done.

What Kubernetes can judge by the text alone is refused at the door of the API; the rest becomes a condition.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.node.harness import (
    OPERATOR_NAMESPACE,
    SLOW,
    VALUES,
    Cluster,
    Manifest,
    Product,
    condition_of,
    ours,
)
from tools.devcluster import cluster as devcluster
from tools.devcluster import netns, store

PROJECT = "mistakes"
SECONDS = 60.0
"""Until a cause is named, or its cure has shown: the operator looks again 20 s after a failure, whoever cures it."""
GOOD_VERSION, GOOD_IMAGE = "2.3.5", "docker.io/milvusdb/milvus:v2.3.5"


@pytest.fixture(autouse=True, scope="module")
def project(product: Product) -> str:
    return product.api.namespace(PROJECT)


# ---- refused at once


@dataclass(frozen=True)
class Refusal:
    """A manifest, what its refusal must say, and the correction that is taken."""

    name: str
    kind: str
    spec: Manifest
    says: tuple[str, ...]
    corrected: Manifest


OFFICE = "203.0.113.0/24"
REFUSALS = (
    Refusal(
        "a block with host bits",
        "Allowlist",
        {"entries": [{"cidr": "203.0.113.7/24"}]},
        ("spec.entries[0].cidr", "host bits"),
        {"entries": [{"cidr": OFFICE}]},
    ),
    Refusal(
        "the whole internet",
        "Allowlist",
        {"entries": [{"cidr": "0.0.0.0/0"}]},
        ("spec.entries", "set allowAnywhere to true if you mean it"),
        {"entries": [{"cidr": "0.0.0.0/0"}], "allowAnywhere": True},
    ),
    Refusal(
        "no compute at all",
        "ZillizCluster",
        {"size": {"cuSize": 0}},
        ("spec.size.cuSize", "greater than or equal to 1"),
        {"size": {"cuSize": 1}},
    ),
)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_a_wrong_field_is_refused_with_its_remedy(product: Product, case: Refusal) -> None:
    said = create(product, ours(case.kind, "mistake", PROJECT, case.spec))
    assert said
    for words in case.says:
        assert words in said
    assert create(product, ours(case.kind, "mistake", PROJECT, case.corrected)) == ""


def create(product: Product, manifest: Manifest) -> str:
    """Try a creation without making anything; what kubectl says when it is refused, else nothing."""
    tried = product.try_kubectl("create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(manifest))
    assert (tried.returncode == 0) is (not tried.stderr), tried.stderr
    return tried.stderr


def test_an_immutable_field_keeps_its_value(product: Product, other: Cluster) -> None:
    before = other.read()["spec"]
    patch = '{"spec":{"dataPlane":"elsewhere"}}'
    tried = product.try_kubectl("patch", "zc", other.name, "-n", other.project, "--type=merge", "-p", patch)
    assert tried.returncode != 0
    for words in ("spec.dataPlane", "cannot be changed", "back up and restore into a new cluster"):
        assert words in tried.stderr
    assert other.read()["spec"] == before


# ---- conditions


@contextmanager
def made(product: Product, name: str, **spec: Any) -> Iterator[Cluster]:
    """A cluster with something wrong; unless it says otherwise no pod of it will run."""
    wanted = {"deletionProtection": False, "powerState": "Suspended", **spec}
    product.apply(ours("ZillizCluster", name, PROJECT, wanted))
    cluster = Cluster(product, PROJECT, name)
    try:
        yield cluster
    finally:
        cluster.remove()


@contextmanager
def data_plane(product: Product, name: str, *, prefix: str | None = None, **changes: Any) -> Iterator[None]:
    """A DataPlane like the default one but for `changes` and, since a prefix belongs to one of them, its bucket prefix."""
    spec = {**default_plane(), **changes}
    spec["objectStorage"] = {**spec["objectStorage"], "bucketPrefix": f"{name}-" if prefix is None else prefix}
    product.apply(ours("DataPlane", name, "", spec))
    try:
        yield
    finally:
        product.delete("DataPlane", name)
        product.wait_for(lambda: product.find("DataPlane", name) is None, what=f"DataPlane {name} is gone")


def default_plane() -> Manifest:
    spec: Manifest = yaml.safe_load(VALUES.read_text())["dataPlane"]["spec"]
    return spec


def wait_said(cluster: Cluster, type: str, reason: str, *words: str, status: str = "False") -> None:
    """Wait for a condition, which Ready must repeat, and look for the words of cause and remedy."""
    found = cluster.wait_condition(type, status, reason, deadline=SECONDS)
    said = condition_of(found, type)
    assert said is not None
    for each in words:
        assert each in said["message"]
    ready = condition_of(found, "Ready")
    assert ready is not None
    assert ready["status"] != "True"
    assert said["message"] in ready["message"]


def wait_healed(cluster: Cluster) -> None:
    """Until everything holds that can hold of a suspended cluster."""
    found = cluster.wait_condition("Ready", "Unknown", "Suspended", deadline=SECONDS)
    assert condition_of(found, "Stalled") is None


def test_an_unknown_version_stalls_until_it_is_corrected(product: Product) -> None:
    with made(product, "version", version="2.9.9") as cluster:
        wait_said(cluster, "Ready", "UnknownVersion", "spec.version", "2.9.9", GOOD_VERSION, "choose one of these")
        cluster.wait_condition("Stalled")
        cluster.patch(version=GOOD_VERSION)
        wait_healed(cluster)


def test_a_missing_data_plane_is_named_and_may_come_later(product: Product) -> None:
    with made(product, "nowhere", dataPlane="nowhere") as cluster:
        wait_said(cluster, "Ready", "DataPlaneNotFound", "spec.dataPlane", "no DataPlane is named nowhere", "create it")
        with data_plane(product, "nowhere"):
            wait_healed(cluster)
            cluster.remove()


def test_a_bucket_prefix_that_an_older_data_plane_has_is_refused(product: Product) -> None:
    taken = default_plane()["objectStorage"]["bucketPrefix"]
    with data_plane(product, "twin", prefix=taken):
        found = product.wait_condition("DataPlane", "twin", type="Stalled", status="True", reason="PrefixClaimed")
        said = str(condition_of(found, "Ready"))
        for words in ("spec.objectStorage.bucketPrefix", "DataPlane default", taken, "another bucketPrefix"):
            assert words in said
        with made(product, "twin", dataPlane="twin") as cluster:
            wait_said(cluster, "Ready", "DataPlaneNotReady", "DataPlane default", "another bucketPrefix")
            assert not [each for each in product.s3().list_buckets()["Buckets"] if cluster.id in each["Name"]]
            cluster.remove()


def test_a_missing_issuer_is_named_and_may_come_later(product: Product) -> None:
    issuer = "late-ca"
    plane = default_plane()
    plane["certificates"]["issuerRef"]["name"] = issuer
    with data_plane(product, "no-issuer", certificates=plane["certificates"]):
        product.wait_condition("DataPlane", "no-issuer", type="IssuerReady", status="False", reason="IssuerMissing")
        with made(product, "issuer", dataPlane="no-issuer") as cluster:
            wait_said(cluster, "CertificateValid", "IssuerMissing", f"ClusterIssuer {issuer}", "create it", "issuerRef")
            like = product.get("ClusterIssuer", "byoc-ca")
            product.apply({**{key: like[key] for key in ("apiVersion", "kind", "spec")}, "metadata": {"name": issuer}})
            try:
                wait_healed(cluster)
                product.wait_condition("DataPlane", "no-issuer", deadline=SECONDS)
            finally:
                cluster.remove()
                product.delete("ClusterIssuer", issuer)


def test_missing_then_wrong_credentials_are_named_until_they_are_right(product: Product) -> None:
    secret = "mistaken-admin"
    where = f"Secret {OPERATOR_NAMESPACE}/{secret}"
    plane = default_plane()
    plane["objectStorage"]["credentialsSecretRef"]["name"] = secret
    product.api.delete("Secret", secret, namespace=OPERATOR_NAMESPACE)
    with data_plane(product, "wrong-keys", objectStorage=plane["objectStorage"]):
        with made(product, "keys", dataPlane="wrong-keys") as cluster:
            wait_said(cluster, "Ready", "CredentialsMissing", "credentialsSecretRef", where, "create it")
            right = store.admin_keys(product.layout)
            keep_keys(product, secret, (right[0], "wrong" + right[1][5:]))
            wait_said(cluster, "StorageSecured", "ObjectStoreRejected", where)
            assert not [each for each in product.s3().list_buckets()["Buckets"] if cluster.id in each["Name"]]
            plane_says = product.wait_condition(
                "DataPlane", "wrong-keys", type="ObjectStoreReady", status="False", reason="ObjectStoreRejected"
            )
            assert where in str(condition_of(plane_says, "ObjectStoreReady"))
            keep_keys(product, secret, right)
            wait_healed(cluster)
            product.wait_condition("DataPlane", "wrong-keys", deadline=SECONDS)
            cluster.remove()
        product.delete("Secret", secret, OPERATOR_NAMESPACE)


def keep_keys(product: Product, name: str, pair: tuple[str, str]) -> None:
    values = zip(("accessKeyId", "secretAccessKey"), pair, strict=True)
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values}
    metadata = {"name": name, "namespace": OPERATOR_NAMESPACE}
    product.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def test_a_missing_image_is_named_and_milvus_starts_once_it_is_there(product: Product) -> None:
    """A policy for the cluster is older than the cluster, says so, and is in force in the end."""
    absent = "docker.io/milvusdb/milvus:not-there"
    subjects = [{"kind": "ApiKey", "name": "early", "secretName": "early-key"}]
    policy = {"level": "Cluster", "clusters": {"names": ["image"]}, "role": "DataViewer", "subjects": subjects}
    with data_plane(product, "no-image", versions=[{"version": GOOD_VERSION, "image": absent}]):
        product.apply(ours("AccessPolicy", "early", PROJECT, policy))
        early = product.wait_condition("AccessPolicy", "early", PROJECT, status="False", reason="ClustersNotFound")
        said = str(condition_of(early, "Ready"))
        assert "no ZillizCluster named image in this project" in said
        assert "spec.clusters.names" in said
        with made(product, "image", dataPlane="no-image", powerState="Running") as cluster:
            wait_said(cluster, "WorkloadReady", "ImageMissing", absent, "Push it", "spec.versions")
            versions = {"spec": {"versions": [{"version": GOOD_VERSION, "image": GOOD_IMAGE}]}}
            product.merge("DataPlane", "no-image", versions)
            cluster.wait_condition("Ready", deadline=SLOW)
            product.wait_condition("AccessPolicy", "early", PROJECT)
            product.delete("AccessPolicy", "early", PROJECT)
            cluster.remove()


def test_a_store_that_is_down_is_said_restarts_nothing_and_heals(product: Product, other: Cluster) -> None:
    keeper = devcluster.supervisor(product.layout)
    parts = store.components(product.layout)
    before = pods(other)
    wake = {"metadata": {"annotations": {"tests/outage": other.read()["metadata"]["resourceVersion"]}}}
    try:
        for part in reversed(parts):
            keeper.stop(part.name, seconds=part.stop_seconds)
        product.merge("ZillizCluster", other.name, wake, namespace=other.project)
        product.merge("DataPlane", "default", wake)
        wait_said(other, "StorageSecured", "ObjectStoreUnavailable", str(product.layout.address), status="Unknown")
        product.wait_condition(
            "DataPlane", "default", type="ObjectStoreReady", status="Unknown", reason="ObjectStoreUnavailable"
        )
    finally:
        with netns.inside(product.name):
            for part in parts:
                keeper.ensure(part)
                keeper.wait_ready(part)
    other.wait_condition("Ready", deadline=SECONDS)
    product.wait_condition("DataPlane", "default", deadline=SECONDS)
    assert pods(other) == before


def pods(cluster: Cluster) -> set[tuple[str, int]]:
    """Every pod by UID, and how often its container was restarted."""
    found = [pod.read() for pod in cluster.pods()]
    return {(each["metadata"]["uid"], each["status"]["containerStatuses"][0]["restartCount"]) for each in found}


@pytest.fixture
def policy(product: Product, other: Cluster) -> Iterator[Manifest]:
    """A policy on a cluster that runs, with one key."""
    subjects = [{"kind": "ApiKey", "name": "mistake", "secretName": "mistake-key"}]
    spec = {"level": "Cluster", "clusters": {"names": [other.name]}, "role": "DataViewer", "subjects": subjects}
    yield ours("AccessPolicy", "mistake", other.project, spec)
    product.api.delete("AccessPolicy", "mistake", namespace=other.project)
    product.api.delete("Secret", "mistake-key", namespace=other.project)


def test_a_key_that_has_ended_opens_nothing_until_its_end_is_moved(
    product: Product, other: Cluster, policy: Manifest
) -> None:
    policy["spec"]["subjects"][0]["expiresAt"] = "2020-01-31T00:00:00Z"
    product.apply(policy)
    where = ("AccessPolicy", "mistake", other.project)
    found = product.wait_condition(*where, status="False", reason="KeyExpired", deadline=SECONDS)
    said = str(condition_of(found, "Ready"))
    for words in ("ApiKey mistake", "2020-01-31T00:00:00Z", "set a later expiresAt"):
        assert words in said
    assert found["status"]["subjects"][0]["state"] == "Expired"
    assert product.find("Secret", "mistake-key", other.project) is None
    policy["spec"]["subjects"][0]["expiresAt"] = "2099-01-31T00:00:00Z"
    product.apply(policy)
    product.wait_condition(*where, deadline=SECONDS)
    assert product.secret("mistake-key", other.project)["token"]


def test_a_secret_of_somebody_else_is_left_alone_and_opens_nothing(
    product: Product, other: Cluster, policy: Manifest
) -> None:
    metadata = {"name": "mistake-key", "namespace": other.project}
    data = {"token": base64.b64encode(b"zk_of_somebody_else").decode()}
    product.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    before = product.get("Secret", "mistake-key", other.project)
    product.apply(policy)
    where = ("AccessPolicy", "mistake", other.project)
    found = product.wait_condition(*where, status="False", reason="SubjectSecretTaken", deadline=SECONDS)
    said = str(condition_of(found, "Ready"))
    for words in ("ApiKey mistake", "Secret mistake-key exists", "choose another secretName, or delete that Secret"):
        assert words in said
    assert product.get("Secret", "mistake-key", other.project) == before
    product.delete("Secret", "mistake-key", other.project)
    product.wait_condition(*where, deadline=SECONDS)
    assert product.secret("mistake-key", other.project)["token"] != "zk_of_somebody_else"
