"""Clusters to build from: the shipped examples, each on the data plane it would run on, with fixed observed facts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.names import API_VERSION
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.desired.cluster import ObservedInputs
from zilliz_operator.desired.context import ClusterContext, context_for
from zilliz_operator.desired.door import DoorFiles
from zilliz_operator.policy.allowlist import Admission, union

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
UID = "0b5a5f0e-6a5e-4f0e-9a57-6f3b2f1c7d11"
STORE_CA = "-----BEGIN CERTIFICATE-----\nZm9y IHRlc3Rz\n-----END CERTIFICATE-----\n"


def documents(*paths: str) -> list[dict[str, Any]]:
    """All objects in these example files (a directory: in all of its files)."""
    files = [f for path in paths for f in (sorted((EXAMPLES / path).glob("*.yaml")) or [EXAMPLES / path])]
    return [each for file in files for each in yaml.safe_load_all(file.read_text()) if each]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] == kind]


def data_plane(**spec: Any) -> dict[str, Any]:
    """A small data plane as an object; `spec` overrides its fields."""
    base = {
        "versions": [{"version": "2.3.5", "image": "docker.io/milvusdb/milvus:v2.3.5"}],
        "objectStorage": {
            "provider": "S3Compatible",
            "endpoint": "https://s3.store.test:8333",
            "credentialsSecretRef": {"name": "store-admin"},
            "cidrs": ["10.200.0.1/32"],
        },
        "network": {
            "podCIDRs": ["10.244.0.0/16"],
            "serviceCIDRs": ["10.96.0.0/16"],
            "nodeCIDRs": ["10.200.0.0/24"],
            "monitoringNamespace": "monitoring",
        },
        "certificates": {"issuerRef": {"name": "ca"}, "domain": "byoc.test"},
    }
    return {"apiVersion": API_VERSION, "kind": "DataPlane", "metadata": {"name": "default"}, "spec": base | spec}


def context(cluster: Mapping[str, Any] | None = None, plane: Mapping[str, Any] | None = None) -> ClusterContext:
    """The context of a cluster object (or of just its spec) on a data plane object."""
    given = dict(cluster or {})
    obj = given if "kind" in given else {"apiVersion": API_VERSION, "kind": "ZillizCluster", "spec": given}
    metadata = {"name": "search", "namespace": "team-a", **obj.get("metadata", {}), "uid": UID}
    parsed = DataPlane.parse(plane or data_plane())
    first = parsed.spec.versions[0]
    return context_for(
        ZillizCluster.parse({**obj, "metadata": metadata}),
        parsed,
        version=first.version,
        image=first.image,
        operator_namespace="zilliz-system",
    )


def observed(admission: Admission | None = None, **changes: Any) -> ObservedInputs:
    """Fixed facts, with credentials that no test may find in the wrong place."""
    facts: dict[str, Any] = {
        "admission": admission or Admission(),
        "door_files": DoorFiles({"haproxy.cfg": "# in force\n", "allow.map": "", "lbs.acl": ""}, {"keys.map": ""}),
        "gateway_image": "docker.io/zillizbyoc/gateway:0.1.0",
        "root_password": "root-Secret-1",
        "db_admin_password": "admin-Secret-2",
        "technical_seed": "seed-Secret-3",
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "key-Secret-6",
        "store_ca_pem": STORE_CA,
        "tls_fingerprint": "5f2c0a9d1b3e4f67",
        "store_key_digest": "0d6f1c2b3a495867",
    }
    return ObservedInputs(**(facts | changes))


EXAMPLE_SETS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "quickstart": (("quickstart",), "dataplane-s3.yaml"),
    "cluster-internal": (("cluster-internal.yaml",), "dataplane-s3.yaml"),
    "cluster-mtls": (("cluster-mtls.yaml", "allowlist-office.yaml"), "dataplane-s3.yaml"),
    "cluster-privatelink": (("cluster-privatelink.yaml",), "cluster-privatelink.yaml"),
    "cluster-aws": (("cluster-aws.yaml", "allowlist-office.yaml"), "dataplane-aws.yaml"),
}
"""Example → (its files, its data plane)."""


def example(name: str) -> tuple[ClusterContext, ObservedInputs]:
    files, plane_file = EXAMPLE_SETS[name]
    objects = documents(*files)
    cluster, plane = of_kind(objects, "ZillizCluster")[0], of_kind(documents(plane_file), "DataPlane")[0]
    if cluster["spec"].get("mode") == "Distributed":  # which the built-in engine refuses
        plane["spec"]["engine"] = "MilvusOperator"
    allowlists = [Allowlist.parse(each) for each in of_kind(objects, "Allowlist")]
    iam = plane["spec"]["objectStorage"].get("identity") == "IRSA"
    facts = {"access_key_id": "", "secret_access_key": "", "store_ca_pem": "", "store_key_digest": ""} if iam else {}
    return context(cluster, plane), observed(union(allowlists, now=NOW), **facts)
