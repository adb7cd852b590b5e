"""Every name and port that two parts of the product must agree on.

Pure and free of pydantic: the agent imports it, and its memory is paid once for each gateway.
"""

from hashlib import sha256
from typing import Final

GROUP: Final = "byoc.zilliz.com"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "byoc.zilliz.com/v1alpha1"
CATEGORY: Final = "zilliz"
FIELD_MANAGER: Final = "zilliz-operator"
FINALIZER: Final = "byoc.zilliz.com/protection"
PREFIX: Final = "byoc.zilliz.com/"

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
CLUSTER_UID_LABEL: Final = "byoc.zilliz.com/cluster-uid"
CLUSTER_LABEL: Final = "byoc.zilliz.com/cluster"
PROJECT_LABEL: Final = "byoc.zilliz.com/project"
CLUSTER_ID_LABEL: Final = "byoc.zilliz.com/cluster-id"
POLICY_UID_LABEL: Final = "byoc.zilliz.com/policy-uid"
"""Marks the subjects' Secrets that a policy owns in its project."""
DATA_PLANE_UID_LABEL: Final = "byoc.zilliz.com/data-plane-uid"
"""Marks what is kept for a DataPlane in the operator's namespace."""
SUBJECT_LABEL: Final = "byoc.zilliz.com/subject"
"""The kind of subject whose credential such a Secret holds."""

APPLIED_HASH: Final = "byoc.zilliz.com/applied-hash"
"""Annotation: hash of what we applied last, so that a pass at rest writes nothing."""

GATEWAY_PORT: Final = 19530
METRICS_PORT: Final = 9530
"""The gateway's second port: Milvus' metrics through the door, and the gateway's own under /metrics/gateway."""
OPS_PORT: Final = 8404
"""The gateway's readyz and livez, for the kubelet only."""
AGENT_PORT: Final = 8405
"""The agent's attestation, on loopback only."""
MILVUS_GRPC: Final = 19530
MILVUS_REST: Final = 8080
MILVUS_OPS: Final = 9091

ID_PREFIX: Final = "in01-"
BUCKET_PURPOSES: Final = ("data", "audit", "backup")


def cluster_id(uid: str) -> str:
    """A stable name that cannot be guessed from the object's name and never comes back after a delete."""
    return ID_PREFIX + sha256(uid.encode()).hexdigest()[:12]


def cluster_namespace(cluster_id: str) -> str:
    """The dedicated namespace on the data plane."""
    return f"milvus-{cluster_id}"


def bucket_name(*, prefix: str, cluster_id: str, purpose: str) -> str:
    """The dedicated bucket for one purpose: data, audit or backup."""
    if purpose not in BUCKET_PURPOSES:
        raise ValueError(f"bucket purpose {purpose!r} is none of {', '.join(BUCKET_PURPOSES)}")
    return f"{prefix}{cluster_id}-{purpose}"


def policy_mark(uid: str) -> str:
    """The name of a statement in a bucket's policy, by which the bucket is known as ours should its tags be gone.

    Not every store keeps an `Id` of a policy; names of statements are letters and digits.
    """
    return "DenyPlainHttp" + "".join(character for character in uid if character.isalnum())


def partition(region: str) -> str:
    """The partition of AWS that a region lies in; ARNs begin with it."""
    begins = (
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eusc-", "aws-eusc"),
    )
    return next((name for beginning, name in begins if region.startswith(beginning)), "aws")


def door_host(*, cluster_id: str, domain: str) -> str:
    """The name that clients connect to and that the certificate carries."""
    return f"{cluster_id}.{domain}"


def signing_keys_secret(data_plane: str) -> str:
    """The Secret of the operator's namespace with the keys of a DataPlane's sign-on issuers, as they were read last."""
    return f"signing-keys-{data_plane}"


def connection_secret(name: str) -> str:
    """The Secret in the project that tells an application how to connect."""
    return f"{name}-connection"


def labels(*, name: str, project: str, uid: str, component: str = "") -> dict[str, str]:
    """The labels of every child. Selectors use ours only: users' kustomize rewrites app.kubernetes.io/*."""
    identity = cluster_id(uid)
    common = {
        "app.kubernetes.io/name": "milvus",
        "app.kubernetes.io/instance": identity,
        MANAGED_BY: FIELD_MANAGER,
        "app.kubernetes.io/part-of": "zilliz-byoc",
        CLUSTER_UID_LABEL: uid,
        CLUSTER_LABEL: name,
        PROJECT_LABEL: project,
        CLUSTER_ID_LABEL: identity,
    }
    return common | ({"app.kubernetes.io/component": component} if component else {})
