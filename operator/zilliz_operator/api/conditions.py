# ruff: noqa: E501, S105 - a table of words reads best with a row a line, and no reason is a password
"""The words of every status: condition types and reasons, each with what it means and what to do.

Data, free of pydantic. `docs/reference/conditions.md` is generated from it, and `Condition` is the one shape of a condition.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final


class ConditionType(StrEnum):
    """One a promise, then the summary ones. The order here is the order in a status."""

    NAMESPACE_ISOLATED = "NamespaceIsolated"
    NETWORK_ISOLATED = "NetworkIsolated"
    VPC_ISOLATED = "VPCIsolated"
    STORAGE_SECURED = "StorageSecured"
    IDENTITY_SCOPED = "IdentityScoped"
    CERTIFICATE_VALID = "CertificateValid"
    WORKLOAD_READY = "WorkloadReady"
    ENDPOINT_VERIFIED = "EndpointVerified"
    PRIVATE_LINK_READY = "PrivateLinkReady"
    ALLOWLIST_IN_FORCE = "AllowlistInForce"
    ACCESS_APPLIED = "AccessApplied"
    AUDIT_STREAMING = "AuditStreaming"
    BACKUP_SCHEDULED = "BackupScheduled"
    CONNECTED = "Connected"
    ISSUER_READY = "IssuerReady"
    OBJECT_STORE_READY = "ObjectStoreReady"
    SIGN_ON_READY = "SignOnReady"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PAUSED = "Paused"


CONDITION_MEANINGS: Final[dict[ConditionType, str]] = {
    ConditionType.NAMESPACE_ISOLATED: "The cluster lives in a namespace of its own, with Pod Security, quota and limits, that carries our mark.",
    ConditionType.NETWORK_ISOLATED: "Network policies deny everything in both directions but the few named paths, nobody adds to them, and our own knock at a port that they keep shut is not let in.",
    ConditionType.VPC_ISOLATED: "On a data plane with cloud aws: control plane and data plane are in different VPCs, and nothing undeclared joins them.",
    ConditionType.STORAGE_SECURED: "The cluster's buckets exist, are ours, are encrypted and refuse plain HTTP, and the class of its volume encrypts; what the store cannot do or nobody can tell is said.",
    ConditionType.IDENTITY_SCOPED: "Each of the cluster's identities at the object store can reach its own buckets and nothing else, and no key is left over.",
    ConditionType.CERTIFICATE_VALID: "Every certificate of the cluster is issued, matches its request and is not near its end.",
    ConditionType.WORKLOAD_READY: "The pods of Milvus and of the gateway run what the spec asks for.",
    ConditionType.ENDPOINT_VERIFIED: "Our own knock on the door saw the right certificate and the refusals that are promised, and Milvus answered a query behind it.",
    ConditionType.PRIVATE_LINK_READY: "With exposure PrivateLink: an endpoint service stands in front of the door, for the principals of the spec and nobody else.",
    ConditionType.ALLOWLIST_IN_FORCE: "The union of all allowlists is in the network policies and in every gateway.",
    ConditionType.ACCESS_APPLIED: "Users, keys, roles and grants are those of the access policies, and nothing more.",
    ConditionType.AUDIT_STREAMING: "Audit lines reach the audit bucket in time.",
    ConditionType.BACKUP_SCHEDULED: "A backup policy covers the cluster and its last backup is good.",
    ConditionType.CONNECTED: "The data plane's Kubernetes API answers (DataPlane).",
    ConditionType.ISSUER_READY: "The certificate issuer exists and is ready (DataPlane).",
    ConditionType.OBJECT_STORE_READY: "The object store answers and accepts our administrator's credentials (DataPlane).",
    ConditionType.SIGN_ON_READY: "The signing keys of every sign-on issuer are known and fresh (DataPlane with sso).",
    ConditionType.READY: "Everything this object promises is kept now.",
    ConditionType.RECONCILING: "Present only while the operator is at work on it or waits for something that heals by itself.",
    ConditionType.STALLED: "Present only while nothing but a person's change can help.",
    ConditionType.PAUSED: "Present only while the annotation byoc.zilliz.com/paused holds the operator off.",
}

CLUSTER_PROMISES: Final = (
    ConditionType.NAMESPACE_ISOLATED,
    ConditionType.NETWORK_ISOLATED,
    ConditionType.VPC_ISOLATED,
    ConditionType.STORAGE_SECURED,
    ConditionType.IDENTITY_SCOPED,
    ConditionType.CERTIFICATE_VALID,
    ConditionType.WORKLOAD_READY,
    ConditionType.ENDPOINT_VERIFIED,
    ConditionType.PRIVATE_LINK_READY,
    ConditionType.ALLOWLIST_IN_FORCE,
    ConditionType.ACCESS_APPLIED,
    ConditionType.AUDIT_STREAMING,
    ConditionType.BACKUP_SCHEDULED,
)
"""The conditions of a ZillizCluster that carry a promise."""


class Reason(StrEnum):
    """Why a condition has its status. Every one is explained in REASONS."""

    # Good states
    READY = "Ready"
    KEPT = "Kept"
    APPLIED = "Applied"
    VERIFIED = "Verified"
    COMPLETED = "Completed"
    SUSPENDED = "Suspended"
    RECYCLED = "Recycled"
    KEPT_WITH_LIMITS = "KeptWithLimits"
    DOOR_CLOSED = "DoorClosed"
    ALLOWLISTS_TOO_LONG = "AllowlistsTooLong"
    NOT_APPLICABLE = "NotApplicable"
    DISABLED = "Disabled"
    # On the way
    PROGRESSING = "Progressing"
    WAITING_FOR_NAMESPACE = "WaitingForNamespace"
    WAITING_FOR_CERTIFICATE = "WaitingForCertificate"
    WAITING_FOR_PODS = "WaitingForPods"
    WAITING_FOR_VOLUME = "WaitingForVolume"
    WAITING_FOR_ADDRESS = "WaitingForAddress"
    WAITING_FOR_CLUSTER = "WaitingForCluster"
    WAITING_FOR_BACKUP = "WaitingForBackup"
    WAITING_FOR_WINDOW = "WaitingForWindow"
    CONFIGURATION_PENDING = "ConfigurationPending"
    ROTATING = "Rotating"
    DELETING = "Deleting"
    PAUSED = "Paused"
    NOT_CHECKED = "NotChecked"
    # Outages: they heal by themselves once the other side is back
    DATA_PLANE_UNREACHABLE = "DataPlaneUnreachable"
    DATA_PLANE_NOT_READY = "DataPlaneNotReady"
    API_UNAVAILABLE = "APIUnavailable"
    OBJECT_STORE_UNAVAILABLE = "ObjectStoreUnavailable"
    CLOUD_UNAVAILABLE = "CloudUnavailable"
    MILVUS_UNAVAILABLE = "MilvusUnavailable"
    DOOR_UNREACHABLE = "DoorUnreachable"
    IDENTITY_PROVIDER_UNAVAILABLE = "IdentityProviderUnavailable"
    IMAGE_MISSING = "ImageMissing"
    UNSCHEDULABLE = "Unschedulable"
    CRASH_LOOPING = "CrashLooping"
    AUDIT_LAGGING = "AuditLagging"
    BACKUP_FAILED = "BackupFailed"
    INTERNAL_ERROR = "InternalError"
    # Needs a person, heals by itself once cured
    DATA_PLANE_NOT_FOUND = "DataPlaneNotFound"
    ISSUER_MISSING = "IssuerMissing"
    ISSUER_NOT_READY = "IssuerNotReady"
    CERTIFICATE_FAILED = "CertificateFailed"
    CERT_MANAGER_MISSING = "CertManagerMissing"
    OBJECT_STORE_REJECTED = "ObjectStoreRejected"
    CREDENTIALS_MISSING = "CredentialsMissing"
    VOLUME_NOT_ENCRYPTED = "VolumeNotEncrypted"
    CREDENTIALS_REJECTED = "CredentialsRejected"
    KUBECONFIG_REFUSED = "KubeconfigRefused"
    RIGHTS_MISSING = "RightsMissing"
    CLOUD_REJECTED = "CloudRejected"
    API_REJECTED = "APIRejected"
    QUOTA_EXCEEDED = "QuotaExceeded"
    ROOT_PASSWORD_UNKNOWN = "RootPasswordUnknown"
    PASSWORD_RESET = "PasswordReset"
    PROBE_FAILED = "ProbeFailed"
    CERTIFICATE_MISMATCH = "CertificateMismatch"
    NOT_DECLARED = "NotDeclared"
    VPC_NOT_FOUND = "VPCNotFound"
    VPCS_PEERED = "VPCsPeered"
    SHARED_TRANSIT_GATEWAY = "SharedTransitGateway"
    ROUTES_OVERLAP = "RoutesOverlap"
    CIDRS_OVERLAP = "CIDRsOverlap"
    LOAD_BALANCER_UNFIT = "LoadBalancerUnfit"
    FOREIGN_PRINCIPAL = "ForeignPrincipal"
    POLICIES_NOT_ENFORCED = "PoliciesNotEnforced"
    WIDENED_BY_OTHERS = "WidenedByOthers"
    NO_BACKUP_POLICY = "NoBackupPolicy"
    SIGN_ON_MISSING = "SignOnMissing"
    SIGN_ON_FULL = "SignOnFull"
    NOT_YET = "NotYet"
    CLUSTER_NOT_FOUND = "ClusterNotFound"
    CLUSTERS_NOT_FOUND = "ClustersNotFound"
    BACKUP_NOT_FOUND = "BackupNotFound"
    RECYCLED_CLUSTER_NOT_FOUND = "RecycledClusterNotFound"
    ENTRIES_EXPIRED = "EntriesExpired"
    KEY_EXPIRED = "KeyExpired"
    POLICY_EXPIRED = "PolicyExpired"
    SUBJECT_SECRET_TAKEN = "SubjectSecretTaken"
    SUBJECT_CONFLICT = "SubjectConflict"
    SUBJECT_REFUSED = "SubjectRefused"
    PRIVILEGE_NOT_SUPPORTED = "PrivilegeNotSupported"
    KEY_LIMIT_REACHED = "KeyLimitReached"
    PARTLY_APPLIED = "PartlyApplied"
    COMPLIANCE_HOLD = "ComplianceHold"
    # Needs a person's change to a spec or a name: Stalled
    INVALID_SPEC = "InvalidSpec"
    NAME_TAKEN = "NameTaken"
    PREFIX_CLAIMED = "PrefixClaimed"
    UNKNOWN_VERSION = "UnknownVersion"
    UNSUPPORTED = "Unsupported"
    DOWNGRADE_REFUSED = "DowngradeRefused"
    LEVEL_NOT_ALLOWED = "LevelNotAllowed"
    RESIDENCY_FORBIDS = "ResidencyForbids"
    VPC_SHARED = "VPCShared"
    FOREIGN_FINALIZER = "ForeignFinalizer"


@dataclass(frozen=True, slots=True)
class ReasonInfo:
    """What a reason means and what helps. `terminal`: no retry cures it, the object is Stalled."""

    summary: str
    remedy: str
    terminal: bool = False


_NOTHING = "Nothing to do."
_WAIT = "Wait; the message says for what. It goes on by itself."

REASONS: Final[dict[Reason, ReasonInfo]] = {
    Reason.READY: ReasonInfo("Everything this object promises is kept.", _NOTHING),
    Reason.KEPT: ReasonInfo("The promise is kept; the message carries the evidence.", _NOTHING),
    Reason.APPLIED: ReasonInfo("What the spec asks for is in force on every selected cluster.", _NOTHING),
    Reason.VERIFIED: ReasonInfo("Checked from outside, through the door; the message says what was seen.", _NOTHING),
    Reason.COMPLETED: ReasonInfo("The job this object stands for is done.", _NOTHING),
    Reason.SUSPENDED: ReasonInfo("powerState is Suspended: no pod runs, data and credentials are kept.", "Set spec.powerState to Running to start it again."),
    Reason.RECYCLED: ReasonInfo("The cluster was deleted; its data is kept until expiresAt at least.", "Nothing to do. docs/operations.md says how to reach what is kept."),
    Reason.KEPT_WITH_LIMITS: ReasonInfo("Kept as far as this object store can and as can be seen; the message lists what it cannot do and what is not known.", "Use a store that can, name or declare an encrypted StorageClass in the DataPlane, or accept the limits in the message."),
    Reason.ALLOWLISTS_TOO_LONG: ReasonInfo("The Allowlists of this cluster have more entries together than its gateways take. The oldest are in force; the message names those that are not.", "Write wider blocks, remove entries that nobody needs, or list workloads instead."),
    Reason.DOOR_CLOSED: ReasonInfo("No allowlist admits anyone, so the door is closed to everybody but the operator.", "Create an Allowlist that selects this cluster and lists the clients' addresses or workloads."),
    Reason.NOT_APPLICABLE: ReasonInfo("The promise does not apply here; the message says why.", _NOTHING),
    Reason.DISABLED: ReasonInfo("Switched off by the spec.", "Set spec.enabled to true."),
    Reason.PROGRESSING: ReasonInfo("The operator is at work; the message names the step.", _WAIT),
    Reason.WAITING_FOR_NAMESPACE: ReasonInfo("The cluster namespace is still terminating or not there yet.", "Wait; if it stays, look for finalizers: kubectl get namespace <name> -o yaml."),
    Reason.WAITING_FOR_CERTIFICATE: ReasonInfo("cert-manager has not issued a certificate yet.", "Wait a minute; then kubectl describe certificate and challenge in the namespace that the message names."),
    Reason.WAITING_FOR_PODS: ReasonInfo("Pods are starting or being replaced.", "Wait; if it stays, kubectl describe the pod that the message names."),
    Reason.WAITING_FOR_VOLUME: ReasonInfo("The volume of Milvus is not bound yet.", "Check that the DataPlane's storageClassName (or a default StorageClass) exists and can provision."),
    Reason.WAITING_FOR_ADDRESS: ReasonInfo("The load balancer has no address yet.", "Wait; if it stays, check the load balancer controller of the data plane and kubectl describe service gateway."),
    Reason.WAITING_FOR_CLUSTER: ReasonInfo("A selected cluster is not ready yet; this is applied once it is.", "Wait, or look at the cluster that the message names."),
    Reason.WAITING_FOR_BACKUP: ReasonInfo("A backup has to end first.", _WAIT),
    Reason.WAITING_FOR_WINDOW: ReasonInfo("The change needs a restart and waits for the maintenance window.", "Wait, or remove spec.maintenanceWindow to let it happen now."),
    Reason.CONFIGURATION_PENDING: ReasonInfo("Not every gateway runs the newest configuration yet.", "Wait a few seconds; if it stays, read the gateway's log: the message names the pod and its last error."),
    Reason.ROTATING: ReasonInfo("A credential or certificate is being renewed.", _WAIT),
    Reason.DELETING: ReasonInfo("The object is being deleted; the cluster goes to the recycle bin.", _WAIT),
    Reason.PAUSED: ReasonInfo("The annotation byoc.zilliz.com/paused holds the operator off.", "Remove the annotation."),
    Reason.NOT_CHECKED: ReasonInfo("Not looked at yet, since an earlier step is not done.", _WAIT),
    Reason.DATA_PLANE_UNREACHABLE: ReasonInfo("The data plane's Kubernetes API does not answer. Clusters there keep serving.", "Check network and kubeconfig of the DataPlane; the operator tries again by itself."),
    Reason.DATA_PLANE_NOT_READY: ReasonInfo("The DataPlane itself is not ready.", "kubectl describe zdp <name>; cure what it says."),
    Reason.API_UNAVAILABLE: ReasonInfo("The Kubernetes API refuses or does not answer for now.", "Check the API server; the operator tries again by itself."),
    Reason.OBJECT_STORE_UNAVAILABLE: ReasonInfo("The object store does not answer.", "Check that the endpoint of the DataPlane is up and reachable; the operator tries again by itself."),
    Reason.CLOUD_UNAVAILABLE: ReasonInfo("A cloud API does not answer or throttles.", "Wait; the operator tries again by itself."),
    Reason.MILVUS_UNAVAILABLE: ReasonInfo("Milvus does not answer through the door.", "Look at the pod milvus-0 in the cluster namespace: kubectl describe, kubectl logs."),
    Reason.DOOR_UNREACHABLE: ReasonInfo("No gateway answers the operator's probe.", "Look at the gateway pods and at the network policy gateway-operator in the cluster namespace."),
    Reason.IDENTITY_PROVIDER_UNAVAILABLE: ReasonInfo("The SSO issuer's keys cannot be read. Known keys stay in force.", "Check spec.sso of the DataPlane and that the issuer answers."),
    Reason.IMAGE_MISSING: ReasonInfo("An image cannot be pulled; the message names it.", "Push the image, or correct spec.versions or spec.images of the DataPlane."),
    Reason.UNSCHEDULABLE: ReasonInfo("No node has room for a pod.", "Add nodes or lower spec.size; the message says what is short."),
    Reason.CRASH_LOOPING: ReasonInfo("A container ends again and again.", "Read the log of the pod that the message names: kubectl logs --previous."),
    Reason.AUDIT_LAGGING: ReasonInfo("Audit lines wait longer than promised. They are kept on the gateway meanwhile.", "Check the object store and the gateway's log."),
    Reason.BACKUP_FAILED: ReasonInfo("The last backup did not end well.", "Read the message; the next one is tried on schedule, or create a Backup now."),
    Reason.INTERNAL_ERROR: ReasonInfo("The operator met something it does not understand.", "It tries again; if it stays, report the operator's log line with this object's name."),
    Reason.DATA_PLANE_NOT_FOUND: ReasonInfo("No DataPlane has the name in spec.dataPlane.", "Create it, or create the cluster anew with the right name: kubectl get zdp."),
    Reason.ISSUER_MISSING: ReasonInfo("The issuer in the DataPlane's certificates.issuerRef does not exist.", "Create the ClusterIssuer, or correct spec.certificates.issuerRef of the DataPlane."),
    Reason.ISSUER_NOT_READY: ReasonInfo("The issuer exists and says it is not ready.", "kubectl describe clusterissuer <name>."),
    Reason.CERTIFICATE_FAILED: ReasonInfo("cert-manager could not get the certificate; it tries again, more and more slowly.", "Read the message, cure it, then kubectl cert-manager renew, or delete the failed CertificateRequest."),
    Reason.CERT_MANAGER_MISSING: ReasonInfo("cert-manager's kinds are not installed on the data plane.", "Install cert-manager 1.18 or newer there."),
    Reason.OBJECT_STORE_REJECTED: ReasonInfo("The object store refused the administrator's credentials or rights.", "Correct the Secret in spec.objectStorage.credentialsSecretRef of the DataPlane, or the role's policy."),
    Reason.CREDENTIALS_MISSING: ReasonInfo("A Secret that the spec refers to does not exist or lacks a key.", "Create the Secret with the key that the message names."),
    Reason.VOLUME_NOT_ENCRYPTED: ReasonInfo("The StorageClass of Milvus' volume says that it does not encrypt. A Milvus that was not started yet waits.", "Name a StorageClass that encrypts in spec.storageClassName of the DataPlane. A volume that exists stays as it is: make a new cluster."),
    Reason.CREDENTIALS_REJECTED: ReasonInfo("The data plane's Kubernetes API answers and does not accept the kubeconfig's credentials.", "Put a kubeconfig with a valid token or certificate into the Secret that the message names; it is used within seconds."),
    Reason.KUBECONFIG_REFUSED: ReasonInfo("The data plane's kubeconfig is garbled, or asks for what a Secret must not make the operator do (run a command, read a file, skip verification).", "Write the kubeconfig anew into the Secret and key that the message names, as docs/operations.md shows."),
    Reason.RIGHTS_MISSING: ReasonInfo("The data plane's kubeconfig lacks rights that clusters need. Nothing is started there that cannot be finished.", "Apply manifests/dataplane-access.yaml to that Kubernetes cluster; the message names each missing verb and resource."),
    Reason.CLOUD_REJECTED: ReasonInfo("A cloud API refused the operator's rights.", "Add the permission that the message names to the operator's role."),
    Reason.API_REJECTED: ReasonInfo("The Kubernetes API refused one of our objects.", "Read the message: often a quota, an admission policy or a missing right of the operator."),
    Reason.QUOTA_EXCEEDED: ReasonInfo("A quota leaves no room.", "Raise the quota that the message names, or lower spec.size."),
    Reason.ROOT_PASSWORD_UNKNOWN: ReasonInfo("Milvus accepts neither the stored root password nor the default one. The door stays as it is.", "Restore Secret milvus-root in the cluster namespace, or reset root in Milvus' etcd as the operations page says."),
    Reason.PASSWORD_RESET: ReasonInfo("An Event: Milvus knew one of our users by another password than ours, and it was set back.", "Find out who may change users in Milvus; clients were refused until then."),
    Reason.PROBE_FAILED: ReasonInfo("The door did something that it must not, or refused something that it must accept.", "Treat it as a security finding: the message says which check failed."),
    Reason.CERTIFICATE_MISMATCH: ReasonInfo("A gateway serves another certificate than the Secret holds.", "Wait a minute for the reload; if it stays, delete the gateway pod that the message names."),
    Reason.NOT_DECLARED: ReasonInfo("The DataPlane does not say what this promise is judged by.", "Set the field that the message names."),
    Reason.VPC_NOT_FOUND: ReasonInfo("A VPC of the DataPlane is not to be seen in its region with the operator's credentials, so nothing was compared.", "Correct the id or the region in the message."),
    Reason.VPCS_PEERED: ReasonInfo("A peering connection joins the VPCs of control plane and data plane.", "Delete it, or declare its id in spec.network.declaredLinks of the DataPlane."),
    Reason.SHARED_TRANSIT_GATEWAY: ReasonInfo("Control plane and data plane are attached to one transit gateway.", "Detach one of them, or declare the gateway's id in spec.network.declaredLinks of the DataPlane."),
    Reason.ROUTES_OVERLAP: ReasonInfo("A route of one VPC leads to addresses of the other.", "Remove the route that the message names, or declare its target's id in spec.network.declaredLinks of the DataPlane."),
    Reason.CIDRS_OVERLAP: ReasonInfo("The VPCs are joined as declared, and their addresses overlap: no address tells which side it is on.", "Give one of the VPCs other addresses, or remove the link."),
    Reason.LOAD_BALANCER_UNFIT: ReasonInfo("No endpoint service can stand in front of this load balancer; the message says why.", "Install the AWS Load Balancer Controller on the data plane, and let it serve the Service gateway."),
    Reason.FOREIGN_PRINCIPAL: ReasonInfo("Somebody else allowed an AWS principal at the cluster's endpoint service. It was left alone, and the operator accepts none of its endpoints.", "Add the principal to spec.privateLink.allowedPrincipals, or take it out of the service in AWS."),
    Reason.POLICIES_NOT_ENFORCED: ReasonInfo("The network policies are stored, and nobody enforces them: the operator's own knock got in where it must not.", "Install a network plugin that enforces NetworkPolicy, or switch its enforcement on. Until then every pod of that Kubernetes reaches Milvus' ports."),
    Reason.WIDENED_BY_OTHERS: ReasonInfo("Somebody else's NetworkPolicy in the cluster namespace lets in or out what ours do not. We do not remove it.", "Delete the policies that the message names; who needs access belongs on an Allowlist."),
    Reason.NO_BACKUP_POLICY: ReasonInfo("No backup policy covers the cluster.", "Create a BackupPolicy that selects it."),
    Reason.SIGN_ON_MISSING: ReasonInfo("The policy names groups or users, and the data plane takes no tokens that could be theirs.", "Set spec.sso of the DataPlane; the message says what is missing."),
    Reason.SIGN_ON_FULL: ReasonInfo("Older policies have used up what sign-on bears on a cluster.", "Do what the message says: fewer custom grants or fewer different ends for people."),
    Reason.NOT_YET: ReasonInfo("This version of the operator does not do this yet, and does not claim it.", "Use what the message names instead; docs/security.md says what is kept today.", terminal=True),
    Reason.CLUSTER_NOT_FOUND: ReasonInfo("The cluster that the spec names does not exist in this project.", "Correct spec.cluster, or create the cluster."),
    Reason.CLUSTERS_NOT_FOUND: ReasonInfo("Some or all of the selected clusters do not exist in this project.", "Correct spec.clusters, or create the clusters; the message names them."),
    Reason.BACKUP_NOT_FOUND: ReasonInfo("The backup that the spec names does not exist in this project.", "kubectl get zbk; correct the name."),
    Reason.RECYCLED_CLUSTER_NOT_FOUND: ReasonInfo("The recycled cluster that the spec names does not exist in this project, or was purged.", "kubectl get zrc; correct the name."),
    Reason.ENTRIES_EXPIRED: ReasonInfo("Some entries have expired and admit nobody any more.", "Remove them or move expiresAt; the message names them."),
    Reason.KEY_EXPIRED: ReasonInfo("A key's expiresAt is in the past: it opens nothing.", "Set a later expiresAt, or remove the subject."),
    Reason.POLICY_EXPIRED: ReasonInfo("The policy's expiresAt is in the past: it grants nothing.", "Set a later spec.expiresAt, or delete the policy."),
    Reason.SUBJECT_SECRET_TAKEN: ReasonInfo("The Secret in a subject's secretName exists and is not this policy's. It was not touched.", "Choose another secretName, or delete that Secret."),
    Reason.SUBJECT_CONFLICT: ReasonInfo("Two policies claim one user or key of a cluster. The older one keeps it.", "Give the subject another name in one of the policies."),
    Reason.PRIVILEGE_NOT_SUPPORTED: ReasonInfo("The Milvus version of a selected cluster has not all that spec.grants asks for; nothing of the policy is in force there.", "Take the privilege that status.clusters names out, give it a policy of its own, or raise that cluster's version."),
    Reason.KEY_LIMIT_REACHED: ReasonInfo("The organization has as many API keys as it may have; the newest are not made, the others go on.", "Remove keys that are needed no more, or raise accessPolicies.apiKeyLimit of the operator's chart."),
    Reason.SUBJECT_REFUSED: ReasonInfo("A subject belongs to Kubernetes, to a cluster or to the operator. It was given nothing.", "Name a user or group of your identity provider, or a service account of a project."),
    Reason.PARTLY_APPLIED: ReasonInfo("In force on some clusters only; status.clusters says which.", "Look at the clusters that the message names."),
    Reason.COMPLIANCE_HOLD: ReasonInfo("Objects under a compliance lock cannot be removed before their date.", "Wait for the date in the message; nobody can shorten it."),
    Reason.INVALID_SPEC: ReasonInfo("A field of the spec is wrong; the message names it and what to write.", "Correct the field.", terminal=True),
    Reason.NAME_TAKEN: ReasonInfo("A namespace, bucket, identity or binding of that name exists and is not ours. Nothing was changed.", "Remove or rename the foreign thing that the message names, or choose another bucketPrefix.", terminal=True),
    Reason.PREFIX_CLAIMED: ReasonInfo("An older DataPlane has the same bucketPrefix on the same object store. No cluster is started here.", "Delete this DataPlane and create it with another objectStorage.bucketPrefix; the message names the older one.", terminal=True),
    Reason.UNKNOWN_VERSION: ReasonInfo("spec.version is not in the DataPlane's catalogue.", "Choose one of the versions in the message, or add it to spec.versions of the DataPlane.", terminal=True),
    Reason.UNSUPPORTED: ReasonInfo("The spec asks for something this version or this data plane cannot do.", "Change the field that the message names.", terminal=True),
    Reason.DOWNGRADE_REFUSED: ReasonInfo("spec.version is lower than what runs. Milvus cannot go back.", "Set spec.version to the running version or a newer one.", terminal=True),
    Reason.LEVEL_NOT_ALLOWED: ReasonInfo("This level is not allowed in this namespace.", "Put level Organization policies into the operator's namespace; use Project or Cluster here.", terminal=True),
    Reason.RESIDENCY_FORBIDS: ReasonInfo("A copy of data would leave a data plane whose residency does not allow it. Nothing was copied.", "Remove the copy that the message names, or have the platform team list its data plane in spec.residency.allowCopiesTo.", terminal=True),
    Reason.VPC_SHARED: ReasonInfo("Control plane and data plane share a VPC.", "Put them into different VPCs, and correct spec.network of the DataPlane.", terminal=True),
    Reason.FOREIGN_FINALIZER: ReasonInfo("Somebody else's finalizer holds one of our objects. We do not remove it.", "Let its owner finish, or remove the finalizer that the message names.", terminal=True),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a status."""

    type: str
    status: str
    reason: str
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: datetime | None = None

    @property
    def is_true(self) -> bool:
        """Whether it holds."""
        return self.status == "True"

    def since(self, previous: "Condition | None", now: datetime) -> "Condition":
        """With the time of its last change: the previous one's while the status is the same, otherwise `now`."""
        same = previous is not None and previous.status == self.status and previous.last_transition_time is not None
        return replace(self, last_transition_time=previous.last_transition_time if previous and same else now)

    def to_dict(self) -> dict[str, Any]:
        """As Kubernetes writes it."""
        full: dict[str, Any] = {
            "type": str(self.type),
            "status": self.status,
            "reason": str(self.reason),
            "message": self.message,
        }
        if self.observed_generation is not None:
            full["observedGeneration"] = self.observed_generation
        if self.last_transition_time is not None:
            full["lastTransitionTime"] = self.last_transition_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return full

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Condition":
        """From a live object."""
        moved = value.get("lastTransitionTime")
        return cls(
            type=str(value.get("type", "")),
            status=str(value.get("status", "Unknown")),
            reason=str(value.get("reason", "")),
            message=str(value.get("message", "")),
            observed_generation=value.get("observedGeneration"),
            last_transition_time=datetime.fromisoformat(moved) if moved else None,
        )
