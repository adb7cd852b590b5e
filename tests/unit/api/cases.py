# ruff: noqa: E501 - a table reads best with a row a line
"""What the API accepts and refuses: one table for the rules' Python twins (here) and for the real API server (tests/apiserver)."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api.kinds import KINDS
from zilliz_operator.api.names import API_VERSION

Spec = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """`refused` maps the field to blame to words of the message. Empty: the object is fine. `old`: what it is changed from."""

    id: str
    kind: str
    spec: Spec
    old: Spec | None = None
    name: str = "subject"
    refused: Mapping[str, str] = ()  # type: ignore[assignment]
    schema: bool = False
    """Refused by the schema, not by a rule: the words are the API server's and pydantic's own, only the field is compared."""

    def object(self, spec: Spec | None = None) -> dict[str, Any]:
        """The manifest."""
        metadata = {"name": self.name} | ({"namespace": "default"} if KINDS[self.kind].namespaced else {})
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "metadata": metadata,
            "spec": deepcopy(self.spec if spec is None else spec),
        }

    @property
    def manifest(self) -> dict[str, Any]:
        return self.object()

    @property
    def before(self) -> dict[str, Any] | None:
        return None if self.old is None else self.object(self.old)


def change(spec: Spec, path: str, value: Any) -> Spec:
    """A copy with one field set, or removed where the value is `...`."""
    copy = deepcopy(spec)
    node: Any = copy
    *parents, last = path.split(".")
    for step in parents:
        node = node[int(step)] if isinstance(node, list) else node.setdefault(step, {})
    if value is ...:
        del node[last]
    else:
        node[int(last) if isinstance(node, list) else last] = value
    return copy


KMS = "arn:aws:kms:us-west-2:111122223333:key/0e1f"
PRINCIPALS = (
    "arn:aws:iam::111122223333:root",
    "arn:aws-cn:iam::111122223333:user/anna@acme.com",
    "arn:aws:iam::111122223333:role/a+b=c,d_e.f-g",
)
CLUSTER: Spec = {
    "dataPlane": "default",
    "version": "2.3.5",
    "mode": "Distributed",
    "size": {"cuType": "PerformanceOptimized", "cuSize": 8, "replicas": 2},
    "exposure": "PrivateLink",
    "privateLink": {"allowedPrincipals": list(PRINCIPALS), "acceptanceRequired": False},
    "tls": {
        "minVersion": "1.3",
        "clientAuth": "Required",
        "clientCASecretRef": {"name": "client-ca"},
        "dnsNames": ["search.acme.com"],
        "duration": "2160h",
        "renewBefore": "720h",
    },
    "storage": {"kmsKeyArn": KMS, "noncurrentVersionDays": 7, "volumeSize": "20Gi"},
    "audit": {"retentionDays": 365, "lock": "Compliance", "flushSeconds": 60},
    "maintenanceWindow": {"days": ["Sunday"], "start": "02:00"},
    "restoreFrom": {"backup": "nightly-20261124"},
}
PLANE: Spec = {
    "cloud": "aws",
    "region": "us-west-2",
    "kubernetes": {"kubeconfigSecretRef": {"name": "dp-usw2", "key": "kubeconfig"}},
    "engine": "BuiltIn",
    "versions": [{"version": "2.6.22", "image": "milvusdb/milvus:v2.6.22"}],
    "objectStorage": {
        "provider": "AWS",
        "bucketPrefix": "acme-",
        "identity": "IRSA",
        "oidcProviderArn": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/ABC",
        "permissionsBoundaryArn": "arn:aws:iam::111122223333:policy/zilliz/boundary",
        "endpoint": "https://s3.us-west-2.amazonaws.com",
        "cidrs": ["52.218.128.0/17"],
    },
    "network": {
        "vpcId": "vpc-dp",
        "controlPlaneVpcId": "vpc-cp",
        "controlPlaneRegion": "eu-west-1",
        "declaredLinks": ["pcx-0123456789abcdef0", "tgw-0123456789abcdef0", "vgw-1", "eni-1"],
        "podCIDRs": ["10.244.0.0/16"],
        "serviceCIDRs": ["10.96.0.0/12"],
        "nodeCIDRs": ["10.0.0.0/16"],
        "vpcCIDRs": ["10.0.0.0/8"],
        "loadBalancerCIDRs": ["10.1.0.0/24"],
        "operatorCIDRs": ["10.2.0.0/24"],
    },
    "certificates": {"issuerRef": {"name": "letsencrypt"}, "domain": "usw2.byoc.acme.com"},
    "sso": [
        {
            "issuer": "https://idp.acme.com",
            "audience": "milvus",
            "jwksURL": "https://idp.acme.com/jwks",
            "usernameClaim": "email",
            "groupsClaim": "realm_access.roles",
            "mfa": {"claim": "amr", "values": ["mfa", "urn:acme:2fa"]},
        }
    ],
}
S3_PLANE: Spec = {
    "versions": [{"version": "2.3.5", "image": "milvusdb/milvus:v2.3.5"}],
    "objectStorage": {
        "provider": "S3Compatible",
        "endpoint": "https://s3.storage.local:8333",
        "adminEndpoint": "https://s3.storage.local:8111",
        "credentialsSecretRef": {"name": "store-admin"},
        "identity": "AccessKeys",
        "rotateAfterDays": 30,
    },
    "certificates": {"issuerRef": {"name": "local"}, "domain": "byoc.local"},
}
ALLOW: Spec = {
    "clusters": {"names": ["search"]},
    "entries": [
        {"cidr": "203.0.113.0/24", "comment": "office", "expiresAt": "2027-01-31T00:00:00Z"},
        {"cidr": "2001:db8::/32"},
        {"cidr": "198.51.100.7/32"},
        {"cidr": "10.0.0.0/8"},
        {"cidr": "fd00::/8"},
    ],
    "workloads": [{"namespace": "team-a-apps", "podLabels": {"app": "search-api", "example.com/tier": "web"}}],
}
ACCESS: Spec = {
    "level": "Cluster",
    "clusters": {"names": ["search"]},
    "subjects": [
        {"kind": "Group", "name": "data-scientists"},
        {"kind": "ServiceAccount", "namespace": "ci", "name": "deployer.v1"},
        {"kind": "ClusterUser", "name": "app_1", "secretName": "search-app", "rotateAfterDays": 90},
        {
            "kind": "ApiKey",
            "name": "ingest",
            "secretName": "search-ingest",
            "expiresAt": "2027-01-31T00:00:00Z",
            "rotateAfterDays": 30,
            "graceMinutes": 0,
        },
    ],
    "role": "DataViewer",
}
GRANTS: Spec = change(ACCESS, "role", ...) | {
    "subjects": [subject for subject in ACCESS["subjects"] if subject["kind"] != "ServiceAccount"],
    "grants": [
        {"collection": "docs", "privileges": ["CollectionReadOnly", "Insert"]},
        {"database": "shop", "privileges": ["DatabaseAdmin"]},
        {"database": "*", "collection": "*", "privileges": ["ClusterReadOnly"]},
    ],
}
PEOPLE: Spec = {
    "level": "Organization",
    "subjects": [{"kind": "Group", "name": "owners"}, {"kind": "User", "name": "anna@acme.com"}],
    "role": "OrganizationOwner",
    "requireMFA": True,
}
POLICY: Spec = {
    "clusters": {"selector": {"matchLabels": {"tier": "gold"}}},
    "frequency": [1, 3, 5],
    "startTime": "23:30-01:30",
    "copies": [{"dataPlane": "eu", "retentionDays": 30}],
}
BACKUP: Spec = {"cluster": "search", "collections": [{"database": "default", "name": "docs"}], "retentionDays": 90}
RESTORE: Spec = {
    "backup": "nightly-20261124",
    "cluster": "search",
    "collections": [
        {"database": "default", "from": "docs", "to": "docs_old"},
        {"database": "default", "from": "users"},
    ],
}
RECYCLED: Spec = {
    "clusterId": "in01-0123456789ab",
    "clusterUid": "5f0e",
    "clusterName": "search",
    "project": "team-a",
    "dataPlane": "default",
    "namespace": "milvus-in01-0123456789ab",
    "bucket": "acme-in01-0123456789ab-data",
    "auditBucket": "acme-in01-0123456789ab-audit",
    "backupBucket": "acme-in01-0123456789ab-backup",
    "credentialsSecret": "search-recycled",
    "version": "2.3.5",
    "recycledAt": "2026-11-24T10:00:00Z",
    "expiresAt": "2026-12-24T10:00:00Z",
    "retentionDays": 30,
}

GOOD: tuple[Case, ...] = (
    Case(id="cluster-full", kind="ZillizCluster", spec=CLUSTER),
    Case(id="cluster-empty", kind="ZillizCluster", spec={}),
    Case(id="cluster-recycled", kind="ZillizCluster", spec={"restoreFrom": {"recycledCluster": "search-in01"}}),
    Case(id="cluster-name-32", kind="ZillizCluster", spec={}, name="a" * 32),
    Case(id="cluster-most-compute", kind="ZillizCluster", spec={"mode": "Distributed", "size": {"cuSize": 128, "replicas": 8}}),
    Case(id="cluster-tiered", kind="ZillizCluster", spec={"size": {"cuType": "TieredStorage", "cuSize": 8}}),
    Case(id="cluster-unchanged", kind="ZillizCluster", spec=CLUSTER, old=CLUSTER),
    Case(id="cluster-version-corrected", kind="ZillizCluster", spec=CLUSTER, old=change(CLUSTER, "version", "2.99.0")),
    Case(id="cluster-volume-grows", kind="ZillizCluster", spec={"storage": {"volumeSize": "1Ti"}}, old={}),
    Case(id="cluster-lock-tightens", kind="ZillizCluster", spec={"audit": {"lock": "Compliance"}}, old={"audit": {"lock": "None"}}),
    Case(id="cluster-resized", kind="ZillizCluster", spec=change(CLUSTER, "size.cuSize", 16), old=CLUSTER),
    Case(id="plane-aws", kind="DataPlane", spec=PLANE),
    Case(id="plane-s3", kind="DataPlane", spec=S3_PLANE),
    Case(id="plane-dual-stack", kind="DataPlane", spec=change(change(PLANE, "network.podCIDRs", ["10.244.0.0/16", "fd00:10::/56"]), "network.serviceCIDRs", ["10.96.0.0/12", "fd00:20::/112"])),
    Case(id="plane-unchanged", kind="DataPlane", spec=PLANE, old=PLANE),
    Case(id="plane-external-issuer", kind="DataPlane", spec=change(S3_PLANE, "certificates.issuerRef", {"name": "pca", "kind": "AWSPCAClusterIssuer", "group": "awspca.cert-manager.io"})),
    Case(id="plane-residency-nowhere", kind="DataPlane", spec=change(PLANE, "residency", {"allowCopiesTo": []})),
    Case(id="plane-residency", kind="DataPlane", spec=change(S3_PLANE, "residency", {"allowCopiesTo": ["eu", "us"]})),
    Case(id="plane-by-load-balancer", kind="DataPlane", spec=change(PLANE, "network.operatorPath", "LoadBalancer")),
    Case(id="plane-acm", kind="DataPlane", spec=change(PLANE, "certificates", {"acm": {"certificateArn": "arn:aws:acm:us-west-2:111122223333:certificate/ab"}, "domain": "acme.com"})),
    Case(id="plane-class-declared", kind="DataPlane", spec=S3_PLANE | {"storageClassName": "fast", "storageClassEncrypted": True}),
    Case(id="plane-class-undeclared", kind="DataPlane", spec=S3_PLANE | {"storageClassEncrypted": False}),
    Case(id="plane-class-declared-later", kind="DataPlane", spec=S3_PLANE | {"storageClassName": "fast", "storageClassEncrypted": True}, old=S3_PLANE),
    Case(id="allow-full", kind="Allowlist", spec=ALLOW),
    Case(id="allow-nobody", kind="Allowlist", spec={}),
    Case(id="allow-anywhere", kind="Allowlist", spec={"allowAnywhere": True, "entries": [{"cidr": "0.0.0.0/0"}, {"cidr": "::/0"}]}),
    Case(id="access-full", kind="AccessPolicy", spec=ACCESS),
    Case(id="access-grants", kind="AccessPolicy", spec=GRANTS),
    Case(id="access-people", kind="AccessPolicy", spec=PEOPLE),
    Case(id="access-project", kind="AccessPolicy", spec={"level": "Project", "subjects": [{"kind": "Group", "name": "leads"}], "role": "ProjectAdmin"}),
    Case(id="backup-policy", kind="BackupPolicy", spec=POLICY),
    Case(id="backup", kind="Backup", spec=BACKUP),
    Case(id="backup-unchanged", kind="Backup", spec=BACKUP, old=BACKUP),
    Case(id="restore", kind="Restore", spec=RESTORE),
    Case(id="restore-unchanged", kind="Restore", spec=RESTORE, old=RESTORE),
    Case(id="recycled", kind="RecycledCluster", spec=RECYCLED),
    Case(id="recycled-before-there-were-three-buckets", kind="RecycledCluster", spec=change(change(RECYCLED, "auditBucket", ...), "backupBucket", ...)),
    Case(id="recycled-kept-longer", kind="RecycledCluster", spec=change(RECYCLED, "expiresAt", "2027-12-24T10:00:00Z"), old=RECYCLED),
)  # fmt: skip


def _refused(
    id: str, kind: str, spec: Spec, refused: Mapping[str, str], *, old: Spec | None = None, name: str = "subject"
) -> Case:
    return Case(id=id, kind=kind, spec=spec, refused=refused, old=old, name=name)


def _schema(id: str, kind: str, spec: Spec, path: str) -> Case:
    return Case(id=id, kind=kind, spec=spec, refused={path: ""}, schema=True)


def _subject(**subject: Any) -> Spec:
    return change(ACCESS, "subjects", [subject])


CLUSTER_BAD: tuple[Case, ...] = (
    _refused("data-plane-changed", "ZillizCluster", change(CLUSTER, "dataPlane", "eu"), {"spec.dataPlane": "back up and restore"}, old=CLUSTER),
    _refused("mode-changed", "ZillizCluster", {"mode": "Distributed"}, {"spec.mode": "back up and restore"}, old={}),
    _refused("kms-changed", "ZillizCluster", change(CLUSTER, "storage.kmsKeyArn", KMS + "2"), {"spec.storage.kmsKeyArn": "cannot be changed"}, old=CLUSTER),
    _refused("kms-removed", "ZillizCluster", change(CLUSTER, "storage.kmsKeyArn", ...), {"spec.storage.kmsKeyArn": "cannot be changed"}, old=CLUSTER),
    _refused("kms-removed-with-parent", "ZillizCluster", {}, {"spec.storage.kmsKeyArn": "cannot be changed"}, old={"storage": {"kmsKeyArn": KMS}}),
    _refused("kms-added", "ZillizCluster", {"storage": {"kmsKeyArn": KMS}}, {"spec.storage.kmsKeyArn": "cannot be changed"}, old={}),
    _refused("restore-added", "ZillizCluster", {"restoreFrom": {"backup": "b"}}, {"spec.restoreFrom": "use a Restore"}, old={}),
    _refused("restore-removed", "ZillizCluster", {}, {"spec.restoreFrom": "use a Restore"}, old={"restoreFrom": {"backup": "b"}}),
    _refused("replicas-small", "ZillizCluster", change(CLUSTER, "size", {"cuSize": 7, "replicas": 2}), {"spec.size.replicas": "raise cuSize to 8"}),
    _refused("replicas-standalone", "ZillizCluster", change(CLUSTER, "mode", "Standalone"), {"spec.size.replicas": "needs mode Distributed"}),
    _refused("tiered-small", "ZillizCluster", {"size": {"cuType": "TieredStorage"}}, {"spec.size.cuType": "CapacityOptimized"}),
    _refused("too-much-compute", "ZillizCluster", change(CLUSTER, "size", {"cuSize": 256, "replicas": 5}), {"spec.size.cuSize": "1024 or less"}),
    _refused("link-missing", "ZillizCluster", {"exposure": "PrivateLink"}, {"spec.privateLink": "allowedPrincipals"}),
    _refused("link-unused", "ZillizCluster", change(CLUSTER, "exposure", "Internal"), {"spec.privateLink": "set exposure to PrivateLink"}),
    _refused("mtls-without-ca", "ZillizCluster", {"tls": {"clientAuth": "Required"}}, {"spec.tls.clientCASecretRef": "name a Secret"}),
    _refused("renew-too-early", "ZillizCluster", {"tls": {"duration": "720h"}}, {"spec.tls.renewBefore": "shorter than duration"}),
    _refused("name-long", "ZillizCluster", {}, {"": "32 characters or less"}, name="a" * 33),
    _refused("name-dotted", "ZillizCluster", {}, {"": "without dots"}, name="a.b"),
    _refused("restore-two", "ZillizCluster", {"restoreFrom": {"backup": "b", "recycledCluster": "c"}}, {"spec.restoreFrom": "exactly one"}),
    _refused("restore-none", "ZillizCluster", {"restoreFrom": {}}, {"spec.restoreFrom": "exactly one"}),
    _refused("volume-shrinks", "ZillizCluster", {"storage": {"volumeSize": "9Gi"}}, {"spec.storage.volumeSize": "cannot shrink"}, old={}),
    _refused("volume-removed", "ZillizCluster", {}, {"spec.storage.volumeSize": "cannot shrink"}, old={"storage": {"volumeSize": "1Ti"}}),
    _refused("lock-weakened", "ZillizCluster", {"audit": {"lock": "Governance"}}, {"spec.audit.lock": "cannot be taken back"}, old={"audit": {"lock": "Compliance"}}),
    _refused("lock-removed", "ZillizCluster", {}, {"spec.audit.lock": "cannot be taken back"}, old={"audit": {"lock": "Compliance"}}),
    _refused("lock-shortened", "ZillizCluster", {"audit": {"lock": "Compliance", "retentionDays": 30}}, {"spec.audit.lock": "same days or more"}, old={"audit": {"lock": "Compliance"}}),
    _schema("cu-zero", "ZillizCluster", {"size": {"cuSize": 0}}, "spec.size.cuSize"),
    _schema("cu-many", "ZillizCluster", {"size": {"cuSize": 257}}, "spec.size.cuSize"),
    _schema("replicas-zero", "ZillizCluster", {"size": {"replicas": 0}}, "spec.size.replicas"),
    _schema("tls-old", "ZillizCluster", {"tls": {"minVersion": "1.1"}}, "spec.tls.minVersion"),
    _schema("tls-number", "ZillizCluster", {"tls": {"minVersion": 1.2}}, "spec.tls.minVersion"),
    _schema("duration-days", "ZillizCluster", {"tls": {"duration": "90d"}}, "spec.tls.duration"),
    _schema("version-word", "ZillizCluster", {"version": "latest"}, "spec.version"),
    _schema("window-time", "ZillizCluster", {"maintenanceWindow": {"days": ["Sunday"], "start": "25:00"}}, "spec.maintenanceWindow.start"),
    _schema("window-day", "ZillizCluster", {"maintenanceWindow": {"days": ["Someday"], "start": "02:00"}}, "spec.maintenanceWindow.days[0]"),
    _schema("window-length", "ZillizCluster", {"maintenanceWindow": {"days": ["Sunday"], "start": "02:00", "hours": 25}}, "spec.maintenanceWindow.hours"),
    *(
        _refused(f"principal-{number}", "ZillizCluster", {"exposure": "PrivateLink", "privateLink": {"allowedPrincipals": [PRINCIPALS[0], text]}}, {"spec.privateLink.allowedPrincipals[1]": "write arn:aws:iam::111122223333:root for a whole account"})
        for number, text in enumerate(("*", "111122223333", "everybody-on-earth-too", "arn:aws:iam::*:root", "arn:aws:iam::11112222333:root", "arn:aws:s3:::bucket", "arn:aws:iam::111122223333:group/g", "arn:aws:iam::111122223333:role/path/name", "arn:aws:iam::111122223333:role/", "arn:aws:iam::111122223333:root ", "arn:aws:iam::111122223333:root/x"))
    ),
    _schema("principals-none", "ZillizCluster", {"exposure": "PrivateLink", "privateLink": {"allowedPrincipals": []}}, "spec.privateLink.allowedPrincipals"),
    _schema("principals-many", "ZillizCluster", {"exposure": "PrivateLink", "privateLink": {"allowedPrincipals": [f"arn:aws:iam::{n:012d}:root" for n in range(41)]}}, "spec.privateLink.allowedPrincipals"),
    _schema("kms-alias", "ZillizCluster", {"storage": {"kmsKeyArn": "arn:aws:kms:us-west-2:111122223333:alias/x"}}, "spec.storage.kmsKeyArn"),
    _schema("volume-unit", "ZillizCluster", {"storage": {"volumeSize": "10GB"}}, "spec.storage.volumeSize"),
    _schema("retention-zero", "ZillizCluster", {"recycleRetentionDays": 0}, "spec.recycleRetentionDays"),
)  # fmt: skip

PLANE_BAD: tuple[Case, ...] = (
    _refused("cloud-changed", "DataPlane", change(PLANE, "cloud", "none"), {"spec.cloud": "another DataPlane"}, old=PLANE),
    _refused("region-changed", "DataPlane", change(PLANE, "region", "eu-west-1"), {"spec.region": "buckets do not move"}, old=PLANE),
    _refused("region-added", "DataPlane", change(S3_PLANE, "region", "eu-west-1"), {"spec.region": "buckets do not move"}, old=S3_PLANE),
    _refused("engine-changed", "DataPlane", change(PLANE, "engine", "MilvusOperator"), {"spec.engine": "another DataPlane"}, old=PLANE),
    _refused("provider-changed", "DataPlane", S3_PLANE | {"region": "us-west-2"}, {"spec.objectStorage.provider": "another DataPlane"}, old=S3_PLANE | {"region": "us-west-2", "objectStorage": {"provider": "AWS"}}),
    _refused("prefix-changed", "DataPlane", change(PLANE, "objectStorage.bucketPrefix", "b-"), {"spec.objectStorage.bucketPrefix": "other buckets"}, old=PLANE),
    _refused("prefix-removed", "DataPlane", change(PLANE, "objectStorage.bucketPrefix", ...), {"spec.objectStorage.bucketPrefix": "other buckets"}, old=PLANE),
    _refused("kubernetes-removed", "DataPlane", change(PLANE, "kubernetes", ...), {"spec.kubernetes": "another Kubernetes cluster"}, old=PLANE),
    _refused("remote-without-operator", "DataPlane", change(PLANE, "network.operatorCIDRs", ...), {"spec.network.operatorCIDRs": "gateways are closed to all others"}),
    _refused("remote-without-network", "DataPlane", change(PLANE, "network", ...), {"spec.network.operatorCIDRs": "the operator's connections come from"}),
    _schema("residency-unsaid", "DataPlane", change(PLANE, "residency", {}), "spec.residency.allowCopiesTo"),
    _schema("operator-path-unknown", "DataPlane", change(PLANE, "network.operatorPath", "Tunnel"), "spec.network.operatorPath"),
    _refused("aws-region", "DataPlane", change(S3_PLANE, "cloud", "aws"), {"spec.region": "cloud aws needs region"}),
    _refused("store-region", "DataPlane", change(S3_PLANE, "objectStorage", {"provider": "AWS"}), {"spec.region": "region of the buckets"}),
    _refused("acm-elsewhere", "DataPlane", change(S3_PLANE, "certificates", {"acm": {"certificateArn": "arn:aws:acm:us-west-2:111122223333:certificate/ab"}, "domain": "a.com"}), {"spec.certificates.acm": "use issuerRef"}),
    _refused("one-vpc", "DataPlane", change(PLANE, "network.controlPlaneVpcId", "vpc-dp"), {"spec.network.controlPlaneVpcId": "separate VPCs"}),
    _refused("store-endpoint", "DataPlane", change(S3_PLANE, "objectStorage.endpoint", ...), {"spec.objectStorage.endpoint": "the https URL"}),
    _refused("store-credentials", "DataPlane", change(S3_PLANE, "objectStorage.credentialsSecretRef", ...), {"spec.objectStorage.credentialsSecretRef": "accessKeyId"}),
    _refused("aws-admin-endpoint", "DataPlane", change(PLANE, "objectStorage.adminEndpoint", "https://iam.local"), {"spec.objectStorage.adminEndpoint": "remove it"}),
    _refused("irsa-elsewhere", "DataPlane", change(change(S3_PLANE, "objectStorage.identity", "IRSA"), "objectStorage.oidcProviderArn", PLANE["objectStorage"]["oidcProviderArn"]), {"spec.objectStorage.identity": "use AccessKeys"}),
    _refused("irsa-provider", "DataPlane", change(PLANE, "objectStorage.oidcProviderArn", ...), {"spec.objectStorage.oidcProviderArn": "oidc-provider"}),
    _refused("irsa-provider-kind", "DataPlane", change(PLANE, "objectStorage.oidcProviderArn", "arn:aws:eks:us-west-2:111122223333:cluster/prod"), {"spec.objectStorage.oidcProviderArn": "list-open-id-connect-providers"}),
    _refused("boundary-kind", "DataPlane", change(PLANE, "objectStorage.permissionsBoundaryArn", "arn:aws:iam::111122223333:role/boundary"), {"spec.objectStorage.permissionsBoundaryArn": "ARN of an IAM policy"}),
    _refused("prefix-reserved", "DataPlane", change(PLANE, "objectStorage.bucketPrefix", "xn--a-"), {"spec.objectStorage.bucketPrefix": "another prefix"}),
    _refused("endpoint-http", "DataPlane", change(S3_PLANE, "objectStorage.endpoint", "http://s3.local"), {"spec.objectStorage.endpoint": "https://"}),
    _refused("admin-http", "DataPlane", change(S3_PLANE, "objectStorage.adminEndpoint", "http://s3.local"), {"spec.objectStorage.adminEndpoint": "https://"}),
    _refused("declared-no-class", "DataPlane", S3_PLANE | {"storageClassEncrypted": True}, {"spec.storageClassName": "the default class can change"}),
    _refused("declared-class-removed", "DataPlane", S3_PLANE | {"storageClassEncrypted": True}, {"spec.storageClassName": "the default class can change"}, old=S3_PLANE | {"storageClassName": "fast", "storageClassEncrypted": True}),
    _refused("no-issuer", "DataPlane", change(PLANE, "certificates.issuerRef", ...), {"spec.certificates": "exactly one"}),
    _refused("namespaced-issuer", "DataPlane", change(PLANE, "certificates.issuerRef.kind", "Issuer"), {"spec.certificates.issuerRef.kind": "must be a ClusterIssuer"}),
    _refused("no-keys", "DataPlane", change(PLANE, "sso.0", {"issuer": "https://idp", "audience": "a"}), {"spec.sso[0]": "exactly one"}),
    _refused("issuer-http", "DataPlane", change(PLANE, "sso.0.issuer", "http://idp"), {"spec.sso[0].issuer": "https://"}),
    _refused("sso-ca-without-url", "DataPlane", change(PLANE, "sso.0", {"issuer": "https://idp", "audience": "a", "jwksSecretRef": {"name": "s", "key": "k"}, "caSecretRef": {"name": "s", "key": "k"}}), {"spec.sso[0].caSecretRef": "jwksURL only"}),
    _refused("sso-prefixes", "DataPlane", change(PLANE, "sso", [PLANE["sso"][0], PLANE["sso"][0] | {"issuer": "https://other"}]), {"spec.sso": "the same prefix"}),
    _refused("sso-prefix-space", "DataPlane", change(PLANE, "sso.0.prefix", "a b"), {"spec.sso[0].prefix": "visible ASCII"}),
    _refused("sso-issuer-quote", "DataPlane", change(PLANE, "sso.0.issuer", "https://idp/\"x"), {"spec.sso[0].issuer": "write it as the issuer does"}),
    _refused("sso-audience", "DataPlane", change(PLANE, "sso.0.audience", "my milvus"), {"spec.sso[0].audience": "letters, digits"}),
    _refused("sso-groups-url", "DataPlane", change(PLANE, "sso.0.groupsClaim", "https://acme.com/groups"), {"spec.sso[0].groupsClaim": "cannot read a claim whose own name"}),
    _refused("sso-username-quote", "DataPlane", change(PLANE, "sso.0.usernameClaim", "a'b"), {"spec.sso[0].usernameClaim": "letters, digits"}),
    _refused("sso-mfa-claim", "DataPlane", change(PLANE, "sso.0.mfa", {"claim": "a[0]", "values": ["mfa"]}), {"spec.sso[0].mfa.claim": "letters, digits"}),
    _refused("sso-mfa-value", "DataPlane", change(PLANE, "sso.0.mfa", {"claim": "amr", "values": ["m fa"]}), {"spec.sso[0].mfa.values[0]": "letters, digits"}),
    _refused("keys-http", "DataPlane", change(PLANE, "sso.0.jwksURL", "http://idp"), {"spec.sso[0].jwksURL": "https://"}),
    *(
        case
        for path in ("objectStorage.cidrs", "network.podCIDRs", "network.serviceCIDRs", "network.nodeCIDRs", "network.vpcCIDRs", "network.loadBalancerCIDRs", "network.operatorCIDRs")
        for case in (
            _refused(f"{path}-address", "DataPlane", change(PLANE, path, ["10.0.0.1"]), {f"spec.{path}[0]": "is not a CIDR block"}),
            _refused(f"{path}-host-bits", "DataPlane", change(PLANE, path, ["10.0.0.1/16"]), {f"spec.{path}[0]": "write 10.0.0.0/16 instead"}),
        )
    ),
    *(_schema(f"link-{number}", "DataPlane", change(PLANE, "network.declaredLinks", [text]), "spec.network.declaredLinks[0]") for number, text in enumerate(("*", "igw-1", "vpc-1", "pcx_1", "tgw-"))),
    *(
        _refused(f"overlap-{number}", "DataPlane", change(change(PLANE, "network.podCIDRs", pods), "network.serviceCIDRs", services), {"spec.network.serviceCIDRs": words})
        for number, (pods, services, words) in enumerate((
            (["10.96.0.0/16"], ["10.96.0.0/16"], "podCIDRs 10.96.0.0/16 and serviceCIDRs 10.96.0.0/16 overlap: an address belongs to a pod or to a Service, so correct one of them"),
            (["10.64.0.0/16", "10.0.0.0/8"], ["172.20.0.0/16", "10.96.0.0/12"], "podCIDRs 10.64.0.0/16, 10.0.0.0/8 and serviceCIDRs 172.20.0.0/16, 10.96.0.0/12 overlap"),
            (["10.96.3.0/24", "10.97.0.0/16"], ["10.96.0.0/12"], "podCIDRs 10.96.3.0/24, 10.97.0.0/16 and serviceCIDRs 10.96.0.0/12 overlap"),
            (["10.244.0.0/16", "fd00:10::/56"], ["10.96.0.0/12", "fd00::/8"], "podCIDRs 10.244.0.0/16, fd00:10::/56 and serviceCIDRs 10.96.0.0/12, fd00::/8 overlap"),
        ))
    ),
    _refused("overlap-beside-nonsense", "DataPlane", change(PLANE, "network.podCIDRs", ["10.96.0.0/12", "nonsense"]), {"spec.network.serviceCIDRs": "podCIDRs 10.96.0.0/12, nonsense and serviceCIDRs 10.96.0.0/12 overlap", "spec.network.podCIDRs[1]": "is not a CIDR block"}),
    _schema("no-versions", "DataPlane", change(PLANE, "versions", []), "spec.versions"),
    _schema("rotate-never", "DataPlane", change(S3_PLANE, "objectStorage.rotateAfterDays", 0), "spec.objectStorage.rotateAfterDays"),
    _schema("rotate-seldom", "DataPlane", change(S3_PLANE, "objectStorage.rotateAfterDays", 366), "spec.objectStorage.rotateAfterDays"),
    *(
        _refused(f"prefix-{name}", "DataPlane", change(PLANE, "objectStorage.bucketPrefix", prefix), {"spec.objectStorage.bucketPrefix": "lower-case letters, digits and hyphens only"})
        for name, prefix in (("capital", "Acme"), ("dot", "acme."), ("underscore", "acme_"), ("hyphen-first", "-acme"), ("line", "acme-\n"))
    ),
    _refused("prefix-long", "DataPlane", change(PLANE, "objectStorage.bucketPrefix", "a" * 40), {"spec.objectStorage.bucketPrefix": "choose a shorter prefix"}),
    _schema("prefix-very-long", "DataPlane", change(PLANE, "objectStorage.bucketPrefix", "a" * 254), "spec.objectStorage.bucketPrefix"),
)  # fmt: skip

ALLOW_BAD: tuple[Case, ...] = (
    _refused("both-selections", "Allowlist", {"clusters": {"names": ["a"], "selector": {"matchLabels": {"a": "b"}}}}, {"spec.clusters": "exactly one of names and selector"}),
    _refused("no-selection", "Allowlist", {"clusters": {"names": []}}, {"spec.clusters": "leave clusters out"}),
    *(
        _refused(f"cidr-{number}", "Allowlist", {"entries": [{"cidr": text}]}, {"spec.entries[0].cidr": "is not a CIDR block"})
        for number, text in enumerate(("203.0.113.7", "office", "203.0.113.0/33", "203.0.113.0/", "203.0.113.0/024", "203.0.113.0/255.255.255.0", "01.2.3.0/24", "::ffff:10.0.0.0/104", "fe80::%eth0/64", "2001:db8::/129", "203.0.113.0/24 "))
    ),
    _refused("host-bits", "Allowlist", {"entries": [{"cidr": "198.51.100.0/24"}, {"cidr": "203.0.113.7/24"}]}, {"spec.entries[1].cidr": "write 203.0.113.0/24 instead, or 203.0.113.7 with its full length"}),
    _refused("host-bits-ipv6", "Allowlist", {"entries": [{"cidr": "2001:db8::1/32"}]}, {"spec.entries[0].cidr": "write 2001:db8::/32 instead"}),
    *(
        _refused(f"anywhere-{number}", "Allowlist", {"entries": [{"cidr": "203.0.113.0/24"}, {"cidr": text}]}, {"spec.entries": "set allowAnywhere to true if you mean it"})
        for number, text in enumerate(("0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "8000::/1", "2.0.0.0/7", "fc00::/6"))
    ),
    _refused("every-pod", "Allowlist", {"workloads": [{"namespace": "a", "podLabels": {}}]}, {"spec.workloads[0].podLabels": "name at least one label"}),
    _schema("comment-long", "Allowlist", {"entries": [{"cidr": "10.0.0.0/8", "comment": "x" * 257}]}, "spec.entries[0].comment"),
    _schema("date-without-zone", "Allowlist", {"entries": [{"cidr": "10.0.0.0/8", "expiresAt": "2027-01-31T00:00:00"}]}, "spec.entries[0].expiresAt"),
)  # fmt: skip

ACCESS_BAD: tuple[Case, ...] = (
    _refused("cluster-which", "AccessPolicy", change(ACCESS, "clusters", ...), {"spec.clusters": "use level Project"}),
    _refused("project-which", "AccessPolicy", change(ACCESS, "level", "Project"), {"spec.clusters": "remove clusters"}),
    _refused("owner-project", "AccessPolicy", change(PEOPLE, "level", "Project"), {"spec.role": "needs level Organization"}),
    _refused("admin-cluster", "AccessPolicy", change(ACCESS, "role", "ProjectAdmin"), {"spec.role": "use DataAdmin"}),
    _refused("role-and-grants", "AccessPolicy", change(GRANTS, "role", "DataViewer"), {"spec": "exactly one of role and grants"}),
    _refused("neither", "AccessPolicy", change(ACCESS, "role", ...), {"spec": "exactly one of role and grants"}),
    _refused("selection", "AccessPolicy", change(ACCESS, "clusters", {}), {"spec.clusters": "exactly one of names and selector"}),
    _refused("account-namespace", "AccessPolicy", _subject(kind="ServiceAccount", name="a"), {"spec.subjects[0].namespace": "needed by kind ServiceAccount"}),
    _refused("group-namespace", "AccessPolicy", _subject(kind="Group", name="a", namespace="b"), {"spec.subjects[0].namespace": "remove it elsewhere"}),
    _refused("key-secret", "AccessPolicy", _subject(kind="ApiKey", name="a"), {"spec.subjects[0].secretName": "name a Secret"}),
    _refused("user-secret", "AccessPolicy", _subject(kind="User", name="a", secretName="b"), {"spec.subjects[0].secretName": "or remove it"}),
    _refused("group-rotation", "AccessPolicy", _subject(kind="Group", name="a", rotateAfterDays=1), {"spec.subjects[0].rotateAfterDays": "ClusterUser and ApiKey only"}),
    _refused("group-grace", "AccessPolicy", _subject(kind="Group", name="a", graceMinutes=1), {"spec.subjects[0].graceMinutes": "ClusterUser and ApiKey only"}),
    _refused("long-grace", "AccessPolicy", _subject(kind="ApiKey", name="a", secretName="b", rotateAfterDays=1, graceMinutes=1441), {"spec.subjects[0].graceMinutes": "make it shorter"}),
    _schema("endless-grace", "AccessPolicy", _subject(kind="ApiKey", name="a", secretName="b", graceMinutes=10081), "spec.subjects[0].graceMinutes"),
    _refused("user-expiry", "AccessPolicy", _subject(kind="ClusterUser", name="a", secretName="b", expiresAt="2027-01-31T00:00:00Z"), {"spec.subjects[0].expiresAt": "use spec.expiresAt"}),
    *(
        _refused(f"user-name-{number}", "AccessPolicy", _subject(kind="ClusterUser", name=name, secretName="b"), {"spec.subjects[0].name": "begins with a letter"})
        for number, name in enumerate(("1app", "my-app", "a" * 33, "büro"))
    ),
    *(
        _refused(f"user-{name}", "AccessPolicy", _subject(kind="ClusterUser", name=name, secretName="b"), {"spec.subjects[0].name": "choose another name"})
        for name in ("root", "Root", "db_admin", "admin", "public", "zt_viewer", "zr_x", "zg_x")
    ),
    *(
        _refused(f"key-name-{number}", "AccessPolicy", _subject(kind="ApiKey", name=name, secretName="b"), {"spec.subjects[0].name": "63 in all"})
        for number, name in enumerate(("a:b", "a b", "-a", "a" * 64))
    ),
    _refused("group-name", "AccessPolicy", _subject(kind="Group", name="a\nb"), {"spec.subjects[0].name": "control characters"}),
    _refused("system-group", "AccessPolicy", _subject(kind="Group", name="system:masters"), {"spec.subjects[0].name": "Kubernetes' own"}),
    _refused("system-user", "AccessPolicy", _subject(kind="User", name="system:admin"), {"spec.subjects[0].name": "Kubernetes' own"}),
    *(
        _refused(f"account-of-{space}", "AccessPolicy", _subject(kind="ServiceAccount", namespace=space, name="a"), {"spec.subjects[0].namespace": "name one of a project"})
        for space in ("kube-system", "milvus-in01-0123456789ab")
    ),
    _refused("account-name", "AccessPolicy", _subject(kind="ServiceAccount", namespace="ci", name="The_Deployer"), {"spec.subjects[0].name": "kubectl get serviceaccounts"}),
    _refused("account-grants", "AccessPolicy", change(GRANTS, "subjects", [{"kind": "ServiceAccount", "namespace": "ci", "name": "a"}]), {"spec.subjects": "use role, or an ApiKey for data"}),
    _refused("subject-twice", "AccessPolicy", change(ACCESS, "subjects", [{"kind": "Group", "name": "a"}, {"kind": "Group", "name": "a"}]), {"spec.subjects": "listed twice"}),
    _refused("secret-twice", "AccessPolicy", change(ACCESS, "subjects", [{"kind": "ApiKey", "name": "a", "secretName": "s"}, {"kind": "ApiKey", "name": "b", "secretName": "s"}]), {"spec.subjects": "its own Secret"}),
    _refused("organization-key", "AccessPolicy", change(PEOPLE, "subjects", [{"kind": "ApiKey", "name": "a", "secretName": "s"}]) | {"requireMFA": False}, {"spec.subjects": "belong to a project"}),
    _refused("mfa-key", "AccessPolicy", change(ACCESS, "requireMFA", True), {"spec.requireMFA": "no second factor"}),
    _refused("privilege", "AccessPolicy", change(GRANTS, "grants.0.privileges", ["Everything"]), {"spec.grants[0].privileges[0]": "is not a privilege"}),
    _refused("database-privilege", "AccessPolicy", change(GRANTS, "grants.0.privileges", ["DatabaseAdmin"]), {"spec.grants[0].collection": "needs collection '*'"}),
    _refused("cluster-privilege", "AccessPolicy", change(GRANTS, "grants.1.privileges", ["ClusterAdmin"]), {"spec.grants[1].database": "a grant of its own"}),
    _schema("role-unknown", "AccessPolicy", change(ACCESS, "role", "Admin"), "spec.role"),
    _schema("no-subjects", "AccessPolicy", change(ACCESS, "subjects", []), "spec.subjects"),
)  # fmt: skip

BACKUP_BAD: tuple[Case, ...] = (
    _refused("policy-selection", "BackupPolicy", change(POLICY, "clusters", {}), {"spec.clusters": "exactly one of names and selector"}),
    *(
        _refused(f"window-{number}", "BackupPolicy", change(POLICY, "startTime", text), {"spec.startTime": "two hours long"})
        for number, text in enumerate(("02:00-03:00", "02:00-04:30", "22:30-01:30"))
    ),
    _schema("weekday", "BackupPolicy", change(POLICY, "frequency", [8]), "spec.frequency[0]"),
    _schema("retention", "BackupPolicy", change(POLICY, "retentionDays", 31), "spec.retentionDays"),
    _refused("backup-changed", "Backup", change(BACKUP, "cluster", "other"), {"spec": "create another Backup"}, old=BACKUP),
    _refused("restore-changed", "Restore", change(RESTORE, "includeRBAC", True), {"spec": "create another Restore"}, old=RESTORE),
    _refused("restore-collision", "Restore", change(RESTORE, "collections.0.to", "users"), {"spec.collections": "each its own"}),
    *(
        _refused(f"recycled-{field}", "RecycledCluster", change(RECYCLED, field, value), {f"spec.{field}": "a record of what was deleted"}, old=RECYCLED)
        for field, value in (("clusterId", "in01-ffffffffffff"), ("clusterUid", "other"), ("clusterName", "b"), ("project", "b"), ("dataPlane", "b"), ("namespace", "b"), ("bucket", "bbb"), ("auditBucket", "bbb"), ("backupBucket", ...), ("credentialsSecret", ...), ("version", ...), ("recycledAt", "2026-11-25T10:00:00Z"), ("retentionDays", 1))
    ),
    _refused("recycled-sooner", "RecycledCluster", change(RECYCLED, "expiresAt", "2026-12-23T10:00:00Z"), {"spec.expiresAt": "only be moved later"}, old=RECYCLED),
)  # fmt: skip

BAD: tuple[Case, ...] = (*CLUSTER_BAD, *PLANE_BAD, *ALLOW_BAD, *ACCESS_BAD, *BACKUP_BAD)
