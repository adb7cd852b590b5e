"""DataPlane: where clusters run. One Kubernetes cluster, one region, one object store, one certificate issuer."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from zilliz_operator.api.base import Column, Model, Resource, ResourceStatus, ready_columns
from zilliz_operator.api.fields import (
    Arn,
    CidrText,
    HostName,
    Image,
    Key,
    Labels,
    LongName,
    Name,
    Region,
    SecretName,
    SecretRef,
    Url,
    VersionText,
)
from zilliz_operator.api.rules import FORBIDDEN, REQUIRED, Rule, immutable

Cidrs = Annotated[tuple[CidrText, ...], Field(max_length=64)]
VpcId = Annotated[str, Field(min_length=5, max_length=64, pattern=r"^[a-z0-9-]+$")]


class Cloud(StrEnum):
    AWS = "aws"
    NONE = "none"


class Engine(StrEnum):
    BUILT_IN = "BuiltIn"
    MILVUS_OPERATOR = "MilvusOperator"


class Provider(StrEnum):
    AWS = "AWS"
    S3_COMPATIBLE = "S3Compatible"


class IdentityMode(StrEnum):
    IRSA = "IRSA"
    ACCESS_KEYS = "AccessKeys"


class Kubernetes(Model):
    """The data plane's Kubernetes cluster."""

    kubeconfig_secret_ref: SecretRef
    """Secret of the operator's namespace with a kubeconfig for the data plane."""


class CatalogVersion(Model):
    """One Milvus version that clusters may run."""

    version: VersionText
    """Milvus version, as "2.6.22"."""
    image: Image
    """Image to run for it."""


class Images(Model):
    """Images beside Milvus, for mirrors."""

    gateway: Image | None = None
    """The gateway. Absent: the one of this operator's release."""
    agent: Image | None = None
    """The agent and the init containers. Absent: the operator's own image."""
    backup: Image | None = None
    """The backup tool. Absent: the one of this operator's release."""


class ObjectStorage(Model):
    """The object store of all clusters on this data plane."""

    provider: Provider
    """AWS, or S3Compatible for anything else that speaks S3. Immutable."""
    endpoint: Url | None = None
    """https URL of the store. Needed by S3Compatible; for AWS absent means the region's own."""
    admin_endpoint: Url | None = None
    """S3Compatible: https URL where users and keys are managed (IAM API). Absent: endpoint."""
    ca_secret_ref: SecretRef | None = None
    """Secret of the operator's namespace with the CA that signed the store's certificate. Absent: the public CAs."""
    credentials_secret_ref: SecretName | None = None
    """Secret of the operator's namespace with keys accessKeyId and secretAccessKey of the store's administrator. Needed by S3Compatible;
    for AWS absent means the operator's own role."""
    bucket_prefix: Annotated[str, Field(max_length=39, pattern=r"^([a-z0-9][a-z0-9-]*)?$")] = ""
    """Start of every bucket's name: <prefix><cluster id>-data, -audit, -backup. At most 39 characters. Immutable."""
    identity: IdentityMode = IdentityMode.ACCESS_KEYS
    """How pods prove who they are. IRSA: a role per cluster and service account. AccessKeys: a key pair per cluster, rotated."""
    oidc_provider_arn: Arn | None = None
    """OIDC provider of the Kubernetes cluster in IAM. Needed by IRSA."""
    permissions_boundary_arn: Arn | None = None
    """Permissions boundary for the roles that we create."""
    cidrs: Cidrs = ()
    """Addresses where the store (and STS) answers; the only egress that clusters get besides DNS."""


class Dns(Model):
    """Where pods resolve names."""

    namespace: Name = "kube-system"
    """Namespace of the DNS pods."""
    pod_labels: Labels = {"k8s-app": "kube-dns"}
    """Labels of the DNS pods."""


class Network(Model):
    """Addresses and names of the data plane's network."""

    vpc_id: VpcId | None = None
    """VPC of the data plane (AWS)."""
    control_plane_vpc_id: VpcId | None = None
    """VPC of the operator (AWS); must differ from vpcId."""
    pod_cidrs: Cidrs = ()
    """Pod addresses. Allowlist workloads need them."""
    service_cidrs: Cidrs = ()
    """Service addresses."""
    node_cidrs: Cidrs = ()
    """Node addresses: kubelet probes come from there."""
    load_balancer_cidrs: Cidrs = ()
    """Load balancers that speak the PROXY protocol to the gateways; their word about the client is believed."""
    operator_cidrs: Cidrs = ()
    """The operator's addresses, when it runs outside this Kubernetes cluster."""
    monitoring_namespace: Name | None = None
    """Namespace whose pods may scrape metrics, through the gateway's metrics port only. Absent: nobody."""
    dns: Dns = Dns()
    """Where pods resolve names."""
    cluster_domain: HostName = "cluster.local"
    """DNS domain of the Kubernetes cluster."""


class IssuerRef(Model):
    """A cert-manager issuer, or an external issuer that cert-manager knows."""

    kind: Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Z][A-Za-z]*$")] = "ClusterIssuer"
    """Kind of the issuer; cluster-scoped, since every cluster namespace uses it."""
    name: LongName
    """Name of the issuer."""
    group: HostName = "cert-manager.io"
    """API group of the issuer."""


class Acm(Model):
    """A certificate in AWS Certificate Manager instead of cert-manager."""

    certificate_arn: Arn
    """The certificate; it must cover *.domain."""


class Certificates(Model):
    """Names and certificates of the doors."""

    issuer_ref: IssuerRef | None = None
    """Issuer of the doors' certificates."""
    acm: Acm | None = None
    """AWS Certificate Manager instead of an issuer."""
    domain: HostName
    """Doors are named <cluster id>.<domain>."""
    ca_secret_ref: SecretRef | None = None
    """Secret of the operator's namespace with the root that clients should trust, when the issuer puts no ca.crt into its Secrets."""


class Mfa(Model):
    """How the issuer says that a second factor was used."""

    claim: Annotated[str, Field(min_length=1, max_length=64)]
    """Claim of the token, usually amr."""
    values: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(min_length=1, max_length=16)]
    """Values of which one must be there."""


class SsoIssuer(Model):
    """A single sign-on issuer whose tokens the doors accept."""

    issuer: Url
    """The token's iss."""
    audience: Annotated[str, Field(min_length=1, max_length=256)]
    """The token's aud."""
    jwks_secret_ref: SecretRef | None = None
    """Secret of the operator's namespace with the issuer's keys (JWKS)."""
    jwks_url: Url | None = None
    """https URL of the issuer's keys (JWKS)."""
    groups_claim: Annotated[str, Field(min_length=1, max_length=64)] = "groups"
    """Claim that lists the groups."""
    mfa: Mfa | None = None
    """How the issuer says that a second factor was used. Absent: policies with requireMFA admit nobody of this issuer."""


class DataPlaneSpec(Model):
    """What the data plane is."""

    cloud: Cloud = Cloud.NONE
    """aws, or none. Immutable."""
    region: Region | None = None
    """Region of the data plane and its buckets. Immutable."""
    kubernetes: Kubernetes | None = None
    """Absent: this Kubernetes cluster."""
    engine: Engine = Engine.BUILT_IN
    """Who runs Milvus. BuiltIn: we render one StatefulSet. MilvusOperator: we render a Milvus object. Immutable."""
    versions: Annotated[tuple[CatalogVersion, ...], Field(min_length=1, max_length=50)]
    """Milvus versions that clusters may run; the first is the default for new clusters."""
    images: Images = Images()
    """Images beside Milvus, for mirrors."""
    object_storage: ObjectStorage
    """The object store of all clusters on this data plane."""
    network: Network = Network()
    """Addresses and names of the data plane's network."""
    certificates: Certificates
    """Names and certificates of the doors."""
    storage_class_name: LongName | None = None
    """StorageClass of Milvus' volumes. Absent: the default one."""
    sso: Annotated[tuple[SsoIssuer, ...], Field(max_length=10)] = ()
    """Single sign-on issuers whose tokens the doors accept."""


class DataPlaneStatus(ResourceStatus):
    """What was found."""

    clusters: int | None = None
    """ZillizClusters on this data plane."""
    kubernetes_version: str | None = None
    """Version of its Kubernetes."""
    default_version: str | None = None
    """Milvus version that new clusters get."""


class DataPlane(Resource):
    """One Kubernetes cluster, one region, one object store, one issuer: where clusters run. Written once by the platform team."""

    KIND = "DataPlane"
    NAMESPACED = False

    spec: DataPlaneSpec
    status: DataPlaneStatus = DataPlaneStatus()
