"""DataPlane: where clusters run. One Kubernetes cluster, one region, one object store, one certificate issuer."""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from zilliz_operator.api.base import LIST_SET, Column, Model, Resource, ResourceStatus, list_map, ready_columns
from zilliz_operator.api.cidrs import cidr_rules, overlap
from zilliz_operator.api.fields import (
    Arn,
    CidrText,
    HostName,
    Image,
    Labels,
    LongName,
    Name,
    Region,
    SecretName,
    SecretRef,
    Url,
    VersionText,
    https_rule,
)
from zilliz_operator.api.rules import FORBIDDEN, REQUIRED, Rule, immutable
from zilliz_operator.api.sso import SSO_RULES, SsoIssuer

Cidrs = Annotated[tuple[CidrText, ...], Field(max_length=64, json_schema_extra=LIST_SET)]
LinkId = Annotated[str, Field(min_length=5, max_length=64, pattern=r"^(pcx|tgw|vgw|eni|i|lgw)-[0-9a-z]+$")]
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


class OperatorPath(StrEnum):
    PODS = "Pods"
    LOAD_BALANCER = "LoadBalancer"


class Kubernetes(Model):
    """The data plane's Kubernetes cluster."""

    kubeconfig_secret_ref: SecretRef
    """Secret of the operator's namespace with a kubeconfig for the data plane: an https server, its authority, and a
    token or client certificate, all within it. Commands and files that it names are refused."""


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
    """Secret of the operator's namespace with keys accessKeyId and secretAccessKey of the store's administrator.
    Needed by S3Compatible; for AWS absent means the operator's own role."""
    bucket_prefix: Annotated[str, Field(max_length=253)] = ""
    """Start of every bucket's name: <prefix><cluster id>-data, -audit, -backup. At most 39 characters. Immutable."""
    identity: IdentityMode = IdentityMode.ACCESS_KEYS
    """How pods prove who they are. IRSA: a role per cluster and service account. AccessKeys: a key pair per cluster,
    rotated."""
    rotate_after_days: Annotated[int, Field(ge=1, le=365)] = 90
    """AccessKeys: days after which a cluster's key pair is made anew, 1 to 365. Milvus restarts for it, in the cluster's
    maintenance window where it has one."""
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
    pod_labels: Labels = Field(default={"k8s-app": "kube-dns"})
    """Labels of the DNS pods."""


class Network(Model):
    """Addresses and names of the data plane's network."""

    vpc_id: VpcId | None = None
    """VPC of the data plane (AWS)."""
    control_plane_vpc_id: VpcId | None = None
    """VPC of the operator (AWS); must differ from vpcId. With cloud aws the two are compared."""
    control_plane_region: Region | None = None
    """Region of controlPlaneVpcId. Absent: the data plane's."""
    declared_links: Annotated[tuple[LinkId, ...], Field(max_length=32, json_schema_extra=LIST_SET)] = ()
    """What joins the two VPCs on purpose, by its id: a peering connection (pcx-), a transit gateway (tgw-), or another
    target of a route. Anything else that joins them breaks VPCIsolated."""
    pod_cidrs: Cidrs = ()
    """Pod addresses. Allowlist workloads need them."""
    service_cidrs: Cidrs = ()
    """Service addresses."""
    node_cidrs: Cidrs = ()
    """Node addresses: kubelet probes come from there."""
    vpc_cidrs: Cidrs = ()
    """Other addresses of the data plane's VPC and of networks joined with it. Like the pods', Services', nodes', load
    balancers' and operator's they are cut out of any wider range that clusters may reach."""
    load_balancer_cidrs: Cidrs = ()
    """Load balancers that speak the PROXY protocol to the gateways; their word about the client is believed."""
    operator_cidrs: Cidrs = ()
    """Where the operator's connections come from. Needed with kubernetes; without it they come from its namespace."""
    operator_path: OperatorPath = OperatorPath.PODS
    """How the operator reaches gateways. Pods: by their addresses, which must be routed from the operator to here.
    LoadBalancer: by each cluster's load balancer; needs exposure LoadBalancer."""
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
    """Secret of the operator's namespace with the root that clients should trust, when the issuer puts no ca.crt into
    its Secrets."""


class Residency(Model):
    """Where data of this data plane may go."""

    allow_copies_to: Annotated[tuple[Name, ...], Field(max_length=64, json_schema_extra=LIST_SET)]
    """DataPlanes that may receive copies of backups. Empty: none, data stays here."""


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
    versions: Annotated[
        tuple[CatalogVersion, ...], Field(min_length=1, max_length=50, json_schema_extra=list_map("version"))
    ]
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
    storage_class_encrypted: bool = False
    """You vouch that storageClassName encrypts its volumes. Needed only where its provisioner's parameters do not tell;
    clusters then say "declared, not verified"."""
    sso: Annotated[tuple[SsoIssuer, ...], Field(max_length=10, json_schema_extra=list_map("issuer"))] = ()
    """Single sign-on issuers whose tokens the doors accept: docs/sso.md."""
    residency: Residency | None = None
    """Where data of this data plane may go. Absent: copies may go to any DataPlane."""


class DataPlaneStatus(ResourceStatus):
    """What was found."""

    clusters: int | None = None
    """ZillizClusters on this data plane."""
    kubernetes_version: str | None = None
    """Version of its Kubernetes."""
    default_version: str | None = None
    """Milvus version that new clusters get."""


_OIDC_PROVIDER: Final = r"^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/.+$"
_IAM_POLICY: Final = r"^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$"
_PREFIX: Final = "^([a-z0-9][a-z0-9-]*)?$"
_PREFIX_LENGTH: Final = 39
_RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_CIDR_LISTS: Final = (
    "spec.objectStorage.cidrs[]",
    "spec.network.podCIDRs[]",
    "spec.network.serviceCIDRs[]",
    "spec.network.nodeCIDRs[]",
    "spec.network.vpcCIDRs[]",
    "spec.network.loadBalancerCIDRs[]",
    "spec.network.operatorCIDRs[]",
)

_ANOTHER = "create another DataPlane"
_IMMUTABLE: Final = (
    immutable("spec", "cloud", attribute="cloud", remedy=_ANOTHER),
    immutable("spec", "region", attribute="region", remedy=f"buckets do not move; {_ANOTHER}"),
    immutable("spec", "engine", attribute="engine", remedy=f"running clusters would have to be rebuilt; {_ANOTHER}"),
    immutable("spec", "objectStorage.provider", attribute="object_storage.provider", remedy=_ANOTHER),
    immutable(
        "spec",
        "objectStorage.bucketPrefix",
        attribute="object_storage.bucket_prefix",
        remedy=f"clusters would look for their data in other buckets; {_ANOTHER}",
    ),
    Rule(
        "spec",
        "has(self.kubernetes) == has(oldSelf.kubernetes)",
        f"kubernetes cannot be added or removed: clusters would move to another Kubernetes cluster; {_ANOTHER}",
        reason=FORBIDDEN,
        transition=lambda after, before: (after.kubernetes is None) == (before.kubernetes is None),
        field_path=".kubernetes",
    ),
)

_CLOUD_RULES: Final = (
    Rule(
        "spec",
        "self.cloud != 'aws' || has(self.region)",
        "cloud aws needs region: set it, for example us-west-2",
        reason=REQUIRED,
        check=lambda spec: spec.cloud is not Cloud.AWS or spec.region is not None,
        field_path=".region",
    ),
    Rule(
        "spec",
        "self.objectStorage.provider != 'AWS' || has(self.region)",
        "objectStorage.provider AWS needs region: set the region of the buckets, for example us-west-2",
        reason=REQUIRED,
        check=lambda spec: spec.object_storage.provider is not Provider.AWS or spec.region is not None,
        field_path=".region",
    ),
    Rule(
        "spec",
        "!has(self.certificates.acm) || self.cloud == 'aws'",
        "certificates.acm needs cloud aws: use issuerRef elsewhere",
        check=lambda spec: spec.certificates.acm is None or spec.cloud is Cloud.AWS,
        field_path=".certificates.acm",
    ),
    Rule(
        "spec.network",
        "!has(self.vpcId) || !has(self.controlPlaneVpcId) || self.vpcId != self.controlPlaneVpcId",
        "controlPlaneVpcId must differ from vpcId: control plane and data plane live in separate VPCs",
        check=lambda network: network.vpc_id is None or network.vpc_id != network.control_plane_vpc_id,
        field_path=".controlPlaneVpcId",
    ),
)

_VOLUME_RULES: Final = (
    Rule(
        "spec",
        "!has(self.storageClassEncrypted) || !self.storageClassEncrypted || has(self.storageClassName)",
        "storageClassEncrypted vouches for one class: name it in storageClassName, for the default class can change",
        reason=REQUIRED,
        check=lambda spec: not spec.storage_class_encrypted or spec.storage_class_name is not None,
        field_path=".storageClassName",
    ),
)

_HUB_RULES: Final = (
    Rule(
        "spec",
        "!has(self.kubernetes) || (has(self.network) && has(self.network.operatorCIDRs) && "
        "size(self.network.operatorCIDRs) > 0)",
        "kubernetes (another cluster) needs network.operatorCIDRs: the addresses that the operator's connections come "
        "from; gateways are closed to all others",
        reason=REQUIRED,
        check=lambda spec: spec.kubernetes is None or bool(spec.network.operator_cidrs),
        field_path=".network.operatorCIDRs",
    ),
)

_STORE_RULES: Final = (
    Rule(
        "spec.objectStorage",
        "self.provider != 'S3Compatible' || has(self.endpoint)",
        "provider S3Compatible needs endpoint: the https URL of the store",
        reason=REQUIRED,
        check=lambda store: store.provider is not Provider.S3_COMPATIBLE or store.endpoint is not None,
        field_path=".endpoint",
    ),
    Rule(
        "spec.objectStorage",
        "self.provider != 'S3Compatible' || has(self.credentialsSecretRef)",
        "provider S3Compatible needs credentialsSecretRef: a Secret of the operator's namespace with accessKeyId "
        "and secretAccessKey",
        reason=REQUIRED,
        check=lambda store: store.provider is not Provider.S3_COMPATIBLE or store.credentials_secret_ref is not None,
        field_path=".credentialsSecretRef",
    ),
    Rule(
        "spec.objectStorage",
        "!has(self.adminEndpoint) || self.provider == 'S3Compatible'",
        "adminEndpoint is for provider S3Compatible only: remove it",
        reason=FORBIDDEN,
        check=lambda store: store.admin_endpoint is None or store.provider is Provider.S3_COMPATIBLE,
        field_path=".adminEndpoint",
    ),
    Rule(
        "spec.objectStorage",
        "!has(self.identity) || self.identity != 'IRSA' || self.provider == 'AWS'",
        "identity IRSA needs provider AWS: use AccessKeys with other stores",
        check=lambda store: store.identity is not IdentityMode.IRSA or store.provider is Provider.AWS,
        field_path=".identity",
    ),
    Rule(
        "spec.objectStorage",
        "!has(self.identity) || self.identity != 'IRSA' || has(self.oidcProviderArn)",
        "identity IRSA needs oidcProviderArn: arn:aws:iam::ACCOUNT:oidc-provider/… of the data plane's Kubernetes "
        "cluster",
        reason=REQUIRED,
        check=lambda store: store.identity is not IdentityMode.IRSA or store.oidc_provider_arn is not None,
        field_path=".oidcProviderArn",
    ),
    Rule(
        "spec.objectStorage.oidcProviderArn",
        f"self.matches('{_OIDC_PROVIDER}')",
        "must be the ARN of an OIDC provider in IAM: arn:aws:iam::ACCOUNT:oidc-provider/ISSUER, as aws iam "
        "list-open-id-connect-providers prints it",
        check=lambda arn: re.search(_OIDC_PROVIDER, arn) is not None,
    ),
    Rule(
        "spec.objectStorage.permissionsBoundaryArn",
        f"self.matches('{_IAM_POLICY}')",
        "must be the ARN of an IAM policy: arn:aws:iam::ACCOUNT:policy/NAME",
        check=lambda arn: re.search(_IAM_POLICY, arn) is not None,
    ),
    Rule(
        "spec.objectStorage.bucketPrefix",
        f"size(self) <= {_PREFIX_LENGTH}",
        f"must be {_PREFIX_LENGTH} characters or less, since a bucket's name has 63 at most and the cluster's id and the "
        "purpose take 24: choose a shorter prefix",
        check=lambda prefix: len(prefix) <= _PREFIX_LENGTH,
    ),
    Rule(
        "spec.objectStorage.bucketPrefix",
        f"self.matches('{_PREFIX}')",
        "may have lower-case letters, digits and hyphens only and begin with a letter or digit, since stores take no "
        "other names: write for example acme-",
        check=lambda prefix: re.fullmatch(_PREFIX, prefix) is not None,
    ),
    Rule(
        "spec.objectStorage.bucketPrefix",
        "!self.startsWith('xn--') && !self.startsWith('sthree-') && !self.startsWith('amzn-s3-demo-')",
        "begins like names that S3 keeps for itself (xn--, sthree-, amzn-s3-demo-): choose another prefix",
        check=lambda prefix: not prefix.startswith(_RESERVED_PREFIXES),
    ),
    https_rule("spec.objectStorage.endpoint"),
    https_rule("spec.objectStorage.adminEndpoint"),
)

_TRUST_RULES: Final = (
    Rule(
        "spec.certificates",
        "has(self.issuerRef) != has(self.acm)",
        "needs exactly one of issuerRef and acm",
        check=lambda certificates: (certificates.issuer_ref is None) != (certificates.acm is None),
    ),
    Rule(
        "spec.certificates.issuerRef",
        "(has(self.group) && self.group != 'cert-manager.io') || !has(self.kind) || self.kind == 'ClusterIssuer'",
        "must be a ClusterIssuer: clusters live in namespaces of their own, where a namespaced Issuer cannot be seen",
        check=lambda ref: ref.group != "cert-manager.io" or ref.kind == "ClusterIssuer",
        field_path=".kind",
    ),
    *SSO_RULES,
)


_ONE_OWNER: Final = "overlap: an address belongs to a pod or to a Service, so correct one of them"
_PODS: Final = "self.podCIDRs.filter(pod, isCIDR(pod))"
_SERVICES: Final = "self.serviceCIDRs.filter(service, isCIDR(service))"
_MEET: Final = "(cidr(pod).containsCIDR(service) || cidr(service).containsCIDR(pod))"


def _separate(network: Network) -> bool:
    return not any(overlap(pod, service) for pod in network.pod_cidrs for service in network.service_cidrs)


_NETWORK_RULES: Final = (
    Rule(
        "spec.network",
        f"!has(self.podCIDRs) || !has(self.serviceCIDRs) || !{_PODS}.exists(pod, {_SERVICES}.exists(service, {_MEET}))",
        f"podCIDRs and serviceCIDRs {_ONE_OWNER}",
        check=_separate,
        # all blocks, not those that meet: the API server cannot price the length of a filtered list
        message_expression=(
            f"'podCIDRs %s and serviceCIDRs %s {_ONE_OWNER}'"
            ".format([self.podCIDRs.join(', '), self.serviceCIDRs.join(', ')])"
        ),
        explain=lambda network: (
            f"podCIDRs {', '.join(network.pod_cidrs)} and serviceCIDRs {', '.join(network.service_cidrs)} {_ONE_OWNER}"
        ),
        field_path=".serviceCIDRs",
    ),
)


class DataPlane(Resource):
    """One Kubernetes cluster, one region, one object store, one issuer: where clusters run. Written once by the
    platform team."""

    KIND = "DataPlane"
    NAMESPACED = False
    RULES = (
        *_IMMUTABLE,
        *_CLOUD_RULES,
        *_HUB_RULES,
        *_STORE_RULES,
        *_TRUST_RULES,
        *_VOLUME_RULES,
        *_NETWORK_RULES,
        *(rule for path in _CIDR_LISTS for rule in cidr_rules(path)),
    )
    COLUMNS = ready_columns(
        Column("Cloud", ".spec.cloud"),
        Column("Region", ".spec.region"),
        Column("Store", ".spec.objectStorage.provider"),
        Column("Clusters", ".status.clusters", type="integer"),
        Column("Domain", ".spec.certificates.domain", priority=1),
        Column("Default", ".status.defaultVersion", priority=1, description="Milvus version that new clusters get."),
    )

    spec: DataPlaneSpec
    status: DataPlaneStatus = DataPlaneStatus()
