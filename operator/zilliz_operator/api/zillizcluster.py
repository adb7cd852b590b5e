"""ZillizCluster: one Milvus cluster, in a project, on a data plane."""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field

from zilliz_operator.api.base import LIST_SET, Column, Model, Resource, ResourceStatus, Status, ready_columns
from zilliz_operator.api.fields import HostName, Hours, LongName, Name, SecretName, Size, VersionText, hours
from zilliz_operator.api.rules import FORBIDDEN, REQUIRED, Rule, immutable

KmsKeyArn = Annotated[
    str,
    Field(min_length=20, max_length=512, pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[-a-zA-Z0-9]+$"),
]
Principal = Annotated[str, Field(min_length=1, max_length=512)]
"""Text of an AWS principal; a rule says what is wrong with it."""
TimeZone = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+)*$")]


class Mode(StrEnum):
    STANDALONE = "Standalone"
    DISTRIBUTED = "Distributed"


class CuType(StrEnum):
    PERFORMANCE_OPTIMIZED = "PerformanceOptimized"
    CAPACITY_OPTIMIZED = "CapacityOptimized"
    TIERED_STORAGE = "TieredStorage"


class PowerState(StrEnum):
    RUNNING = "Running"
    SUSPENDED = "Suspended"


class Exposure(StrEnum):
    INTERNAL = "Internal"
    LOAD_BALANCER = "LoadBalancer"
    PRIVATE_LINK = "PrivateLink"


class ClientAuth(StrEnum):
    NONE = "None"
    REQUIRED = "Required"


class Lock(StrEnum):
    NONE = "None"
    GOVERNANCE = "Governance"
    COMPLIANCE = "Compliance"


class Weekday(StrEnum):
    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


class ClusterSize(Model):
    """Compute of the cluster. One CU is 1 vCPU and 4 GiB of memory for Milvus."""

    cu_type: CuType = CuType.PERFORMANCE_OPTIMIZED
    """What a CU is good at. PerformanceOptimized: about 1.5 million 768-dim vectors a CU at about 10 ms;
    CapacityOptimized: about 5 million at 50 to 100 ms; TieredStorage: about 20 million, needs cuSize 8 or more.
    Changing it restarts Milvus."""
    cu_size: Annotated[int, Field(ge=1, le=256)] = 1
    """Compute units, 1 to 256. Changing it restarts Milvus."""
    replicas: Annotated[int, Field(ge=1, le=10)] = 1
    """Copies of the loaded data, 1 to 10, for throughput and availability. More than one needs mode Distributed and
    cuSize 8 or more."""


class PrivateLink(Model):
    """Who may connect through a private endpoint."""

    allowed_principals: Annotated[tuple[Principal, ...], Field(min_length=1, max_length=40, json_schema_extra=LIST_SET)]
    """AWS principals that may create an endpoint: an account as arn:aws:iam::111122223333:root, or one user or role (without
    a path in its ARN: AWS takes none here)."""
    acceptance_required: bool = True
    """true: an endpoint waits until the operator has seen that its account is one of the allowed principals', and
    accepts it. false: AWS accepts those of allowed principals at once."""


class Tls(Model):
    """The door's TLS. Changes reload the gateway and cut no connection."""

    min_version: Literal["1.2", "1.3"] = "1.2"
    """Lowest TLS version that clients may speak: "1.2" or "1.3" (quote it: YAML reads 1.2 as a number)."""
    client_auth: ClientAuth = ClientAuth.NONE
    """Required: clients must show a certificate that clientCASecretRef's CA signed (mutual TLS)."""
    client_ca_secret_ref: SecretName | None = None
    """Secret of this project whose key ca.crt holds the CA (or CAs) of the clients' certificates. Needed by
    clientAuth Required."""
    dns_names: Annotated[tuple[HostName, ...], Field(max_length=20, json_schema_extra=LIST_SET)] = ()
    """More names for the certificate, besides the endpoint's own. The issuer must be able to prove them."""
    duration: Hours = "2160h"
    """Validity of the door's certificate, in whole hours."""
    renew_before: Hours = "720h"
    """How long before its end the certificate is renewed, in whole hours. Must be shorter than duration."""


class Storage(Model):
    """Where the data lives."""

    kms_key_arn: KmsKeyArn | None = None
    """AWS KMS key that encrypts the buckets, arn:aws:kms:REGION:ACCOUNT:key/ID. Absent: the store's own AES-256 keys.
    Immutable."""
    noncurrent_version_days: Annotated[int, Field(ge=1, le=365)] = 30
    """Days that overwritten and deleted object versions are kept, 1 to 365."""
    volume_size: Size = "10Gi"
    """Size of Milvus' volume (write-ahead log, cache). It may grow, never shrink."""


class Audit(Model):
    """The audit trail of the cluster."""

    retention_days: Annotated[int, Field(ge=1, le=3650)] = 365
    """Days that audit objects are kept, 1 to 3650."""
    lock: Lock = Lock.GOVERNANCE
    """Object lock of the audit bucket. Governance: only a special right can remove lines early. Compliance: nobody
    can, and it can never be taken back. None: no lock."""
    flush_seconds: Annotated[int, Field(ge=5, le=3600)] = 60
    """At latest after so many seconds a line is in the bucket, 5 to 3600."""


class MaintenanceWindow(Model):
    """When changes that restart Milvus on our own account (not those that you make to the spec) may happen."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7, json_schema_extra=LIST_SET)]
    """Days of the week."""
    start: Annotated[str, Field(min_length=5, max_length=5, pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """Start of the window, HH:MM in timeZone."""
    hours: Annotated[int, Field(ge=1, le=24)] = 4
    """Length of the window in hours, 1 to 24."""
    time_zone: TimeZone = "Etc/UTC"
    """IANA time zone name."""


class RestoreFrom(Model):
    """What to start from instead of an empty cluster. Exactly one."""

    backup: LongName | None = None
    """Name of a Backup in this project."""
    recycled_cluster: LongName | None = None
    """Name of a RecycledCluster in this project."""


class ZillizClusterSpec(Model):
    """What the cluster should be."""

    data_plane: Name = "default"
    """Name of the DataPlane that it runs on. Immutable."""
    version: VersionText | None = None
    """Milvus version out of the DataPlane's catalogue. Absent: the catalogue's default at birth, kept in
    status.version. Raising it restarts Milvus; lowering it is refused."""
    mode: Mode = Mode.STANDALONE
    """Standalone: one Milvus process. Distributed: one process a role, needs engine MilvusOperator. Immutable."""
    size: ClusterSize = ClusterSize()
    """Compute of the cluster."""
    power_state: PowerState = PowerState.RUNNING
    """Suspended stops all pods; data, credentials and endpoint name are kept."""
    exposure: Exposure = Exposure.INTERNAL
    """How clients reach the door. Internal: within the data plane. LoadBalancer: by an address that sees the clients'
    true addresses. PrivateLink: from VPCs of the principals in privateLink."""
    private_link: PrivateLink | None = None
    """Needed by, and only allowed with, exposure PrivateLink."""
    tls: Tls = Tls()
    """The door's TLS."""
    storage: Storage = Storage()
    """Where the data lives."""
    audit: Audit = Audit()
    """The audit trail of the cluster."""
    deletion_protection: bool = True
    """While true, deleting this object is refused. Set it to false first, then delete."""
    recycle_retention_days: Annotated[int, Field(ge=1, le=365)] = 30
    """Days that a deleted cluster can be brought back, 1 to 365. After that its buckets are purged."""
    maintenance_window: MaintenanceWindow | None = None
    """When we may restart Milvus on our own account. Absent: at any time."""
    restore_from: RestoreFrom | None = None
    """Start from a backup or a recycled cluster instead of empty. Immutable."""


class AllowlistSummary(Status):
    """Who may knock, over all allowlists."""

    cidrs: int = 0
    """Address blocks admitted now."""
    workloads: int = 0
    """Workloads of the data plane admitted now."""
    allowlists: int = 0
    """Allowlist objects that select this cluster."""
    anywhere: bool = False
    """Whether some allowlist admits every address."""


class CertificateSummary(Status):
    """The door's certificate as served."""

    sha256: str = ""
    """SHA-256 of the served leaf, hexadecimal."""
    not_after: AwareDatetime | None = None
    """Its end."""


class GatewaySummary(Status):
    """The door's pods."""

    replicas: int = 0
    """Gateways wanted."""
    in_force: int = 0
    """Gateways that run the newest configuration."""
    config: str = ""
    """SHA-256 of that configuration, its first 12 digits."""


class AppliedPolicy(Status):
    """A policy as this cluster applied it."""

    kind: str = ""
    """Allowlist or AccessPolicy."""
    name: str = ""
    """Its name."""
    generation: int = 0
    """The generation of it that is in force here."""


class ForeignItem(Status):
    """A user or role in Milvus that neither this operator nor a policy made. It is left as it is."""

    kind: str = ""
    """User or Role."""
    name: str = ""
    """Its name in Milvus."""
    roles: tuple[str, ...] = ()
    """User: the roles that it holds, beside public."""


class PrivateLinkConnection(Status):
    """An endpoint in somebody's VPC."""

    endpoint: str = ""
    """Its id, as vpce-0123456789abcdef0."""
    account: str = ""
    """The AWS account it is of."""
    state: str = ""
    """In AWS' own words: pendingAcceptance, available, rejected and so on."""


class PrivateLinkSummary(Status):
    """The endpoint service in front of the door. Present as long as there may be one."""

    service_name: str = ""
    """What consumers create their endpoint for, as com.amazonaws.vpce.us-west-2.vpce-svc-0123456789abcdef0."""
    service_id: str = ""
    """Its id, as vpce-svc-0123456789abcdef0."""
    state: str = ""
    """In AWS' own words: Pending, Available, Deleting, Failed."""
    connections: tuple[PrivateLinkConnection, ...] = ()
    """Endpoints that are or want to be connected, by their id; the first 100."""


class ZillizClusterStatus(ResourceStatus):
    """What the cluster is."""

    cluster_id: str | None = None
    """Stable id; names of everything that belongs to the cluster derive from it."""
    namespace: str | None = None
    """Its dedicated namespace on the data plane."""
    data_plane: str | None = None
    """The DataPlane it was born on."""
    version: str | None = None
    """Milvus version that runs, or ran last. Absent until Milvus has started once."""
    endpoint: str | None = None
    """host:port of the door, by TLS."""
    address: str | None = None
    """Address of the load balancer, where there is one."""
    private_link: PrivateLinkSummary | None = None
    """The endpoint service in front of the door, where there is one."""
    bucket: str | None = None
    """Its dedicated data bucket."""
    audit_bucket: str | None = None
    """Its dedicated audit bucket."""
    backup_bucket: str | None = None
    """Its dedicated backup bucket."""
    connection_secret: str | None = None
    """Secret of this project that tells applications how to connect."""
    size: str | None = None
    """Effective size, for instance "1 CU × 1"."""
    allowlist: AllowlistSummary | None = None
    """Who may knock, over all allowlists."""
    certificate: CertificateSummary | None = None
    """The door's certificate as served."""
    gateway: GatewaySummary | None = None
    """The door's pods."""
    policies: tuple[AppliedPolicy, ...] = ()
    """Policies in force on this cluster."""
    foreign: tuple[ForeignItem, ...] = ()
    """Users and roles that others made in Milvus; the first 50, those in a policy's way before all."""
    restarted_at: str | None = None
    """Last value of the annotation byoc.zilliz.com/restarted-at that was acted on."""


_PRINCIPAL: Final = "^arn:aws[a-z-]*:iam::[0-9]{12}:(root|(user|role)/[a-zA-Z0-9+=,.@_-]+)$"
_UNITS: Final = {"Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}
_LOCKS: Final = (Lock.NONE, Lock.GOVERNANCE, Lock.COMPLIANCE)
_NAME_LENGTH: Final = 32
_MANY_CU: Final = 8
_MOST_CU: Final = 1024

_CU = "(has(self.cuSize) ? self.cuSize : 1)"
_REPLICAS = "(has(self.replicas) ? self.replicas : 1)"


def _mebibytes(size: str) -> int:
    return int(size[:-2]) * _UNITS[size[-2:]]


def _volume(of: str) -> str:
    given = f"has({of}.storage) && has({of}.storage.volumeSize)"
    return f"quantity({given} ? {of}.storage.volumeSize : '10Gi')"


def _compliance(of: str) -> str:
    return f"has({of}.audit) && has({of}.audit.lock) && {of}.audit.lock == 'Compliance'"


def _retention(of: str) -> str:
    return f"(has({of}.audit) && has({of}.audit.retentionDays) ? {of}.audit.retentionDays : 365)"


def _compliance_stays(after: ZillizClusterSpec, before: ZillizClusterSpec) -> bool:
    locked = before.audit.lock is Lock.COMPLIANCE
    kept = after.audit.lock is Lock.COMPLIANCE and after.audit.retention_days >= before.audit.retention_days
    return not locked or kept


_IMMUTABLE: Final = (
    immutable(
        "spec",
        "dataPlane",
        attribute="data_plane",
        remedy="data does not move between data planes; back up and restore into a new cluster",
    ),
    immutable("spec", "mode", attribute="mode", remedy="back up and restore into a new cluster of that mode"),
    immutable(
        "spec",
        "storage.kmsKeyArn",
        attribute="storage.kms_key_arn",
        remedy="stored data stays under its key; back up and restore into a new cluster with that key",
    ),
    immutable(
        "spec",
        "restoreFrom",
        attribute="restore_from",
        remedy="it only says what a cluster is born from; use a Restore to bring collections into this one",
    ),
)

_SIZE_RULES: Final = (
    Rule(
        "spec.size",
        f"{_REPLICAS} == 1 || {_CU} >= 8",
        "more than one replica needs cuSize 8 or more: raise cuSize to 8, or set replicas to 1",
        check=lambda size: size.replicas == 1 or size.cu_size >= _MANY_CU,
        field_path=".replicas",
    ),
    Rule(
        "spec.size",
        f"!has(self.cuType) || self.cuType != 'TieredStorage' || {_CU} >= 8",
        "cuType TieredStorage needs cuSize 8 or more: raise cuSize, or choose CapacityOptimized",
        check=lambda size: size.cu_type is not CuType.TIERED_STORAGE or size.cu_size >= _MANY_CU,
        field_path=".cuType",
    ),
    Rule(
        "spec.size",
        f"{_CU} * {_REPLICAS} <= 1024",
        "cuSize times replicas must be 1024 or less: lower one of them",
        check=lambda size: size.cu_size * size.replicas <= _MOST_CU,
        field_path=".cuSize",
    ),
    Rule(
        "spec",
        "self.mode == 'Distributed' || !has(self.size) || !has(self.size.replicas) || self.size.replicas == 1",
        "more than one replica needs mode Distributed: set mode when you create the cluster, or set replicas to 1",
        check=lambda spec: spec.mode is Mode.DISTRIBUTED or spec.size.replicas == 1,
        field_path=".size.replicas",
    ),
)

_DOOR_RULES: Final = (
    Rule(
        "spec",
        "self.exposure != 'PrivateLink' || has(self.privateLink)",
        "exposure PrivateLink needs privateLink.allowedPrincipals: say which AWS principals may connect",
        reason=REQUIRED,
        check=lambda spec: spec.exposure is not Exposure.PRIVATE_LINK or spec.private_link is not None,
        field_path=".privateLink",
    ),
    Rule(
        "spec",
        "!has(self.privateLink) || self.exposure == 'PrivateLink'",
        "privateLink has no effect without exposure PrivateLink: set exposure to PrivateLink, or remove privateLink",
        reason=FORBIDDEN,
        check=lambda spec: spec.private_link is None or spec.exposure is Exposure.PRIVATE_LINK,
        field_path=".privateLink",
    ),
    Rule(
        "spec.privateLink.allowedPrincipals[]",
        f"self.matches('{_PRINCIPAL}')",
        "is no AWS principal: write arn:aws:iam::111122223333:root for a whole account, or the ARN of one of its users or "
        "roles that has no path; * (everybody) is not allowed",
        check=lambda text: re.fullmatch(_PRINCIPAL, text) is not None,
    ),
    Rule(
        "spec.tls",
        "!has(self.clientAuth) || self.clientAuth != 'Required' || has(self.clientCASecretRef)",
        "clientAuth Required needs clientCASecretRef: name a Secret of this project whose ca.crt signed the "
        "clients' certificates",
        reason=REQUIRED,
        check=lambda tls: tls.client_auth is not ClientAuth.REQUIRED or tls.client_ca_secret_ref is not None,
        field_path=".clientCASecretRef",
    ),
    Rule(
        "spec.tls",
        "duration(has(self.renewBefore) ? self.renewBefore : '720h') < duration(has(self.duration) ? self.duration "
        ": '2160h')",
        "renewBefore must be shorter than duration: for example duration 2160h with renewBefore 720h",
        check=lambda tls: hours(tls.renew_before) < hours(tls.duration),
        field_path=".renewBefore",
    ),
)

_LIFE_RULES: Final = (
    Rule(
        "",
        "size(self.metadata.name) <= 32 && !self.metadata.name.contains('.')",
        "metadata.name must be 32 characters or less, without dots: choose a shorter name",
        check=lambda cluster: len(cluster.metadata.name) <= _NAME_LENGTH and "." not in cluster.metadata.name,
    ),
    Rule(
        "spec.restoreFrom",
        "has(self.backup) != has(self.recycledCluster)",
        "needs exactly one of backup and recycledCluster",
        check=lambda source: (source.backup is None) != (source.recycled_cluster is None),
    ),
    # A version is not compared here: the spec may name one that never ran. The reconciler compares with status.version.
    Rule(
        "spec",
        f"{_volume('self')}.compareTo({_volume('oldSelf')}) >= 0",
        "volumeSize cannot shrink: keep the size, or back up and restore into a new cluster",
        reason=FORBIDDEN,
        transition=lambda after, before: (
            _mebibytes(after.storage.volume_size) >= _mebibytes(before.storage.volume_size)
        ),
        field_path=".storage.volumeSize",
    ),
    Rule(
        "spec",
        f"!({_compliance('oldSelf')}) || (({_compliance('self')}) && {_retention('self')} >= {_retention('oldSelf')})",
        "audit.lock Compliance cannot be taken back, nor its retentionDays shortened: keep lock Compliance and the "
        "same days or more",
        reason=FORBIDDEN,
        transition=_compliance_stays,
        field_path=".audit.lock",
    ),
)


class ZillizCluster(Resource):
    """One Milvus cluster in your own cloud account: alone in its namespace, on its own bucket, behind its own door."""

    KIND = "ZillizCluster"
    RULES = (*_IMMUTABLE, *_SIZE_RULES, *_DOOR_RULES, *_LIFE_RULES)
    COLUMNS = ready_columns(
        Column("Version", ".status.version", description="Milvus version that runs."),
        Column("Size", ".status.size", description="Compute units × replicas."),
        Column("Endpoint", ".status.endpoint", description="Where to connect, by TLS."),
        Column(
            "ID",
            ".status.clusterId",
            priority=1,
            description="Names of everything that belongs to the cluster derive from it.",
        ),
        Column("Data Plane", ".spec.dataPlane", priority=1),
    )

    spec: ZillizClusterSpec = ZillizClusterSpec()
    status: ZillizClusterStatus = ZillizClusterStatus()
