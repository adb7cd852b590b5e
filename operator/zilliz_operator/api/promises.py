# ruff: noqa: E501 - a table reads best with a row a line
"""The security page, and for each of its sentences: what keeps it, which condition carries it, which tests prove it.

Data, free of pydantic. `docs/security.md` and `zilliz-operator posture` are made from it. A test fails when a sentence has no
row or a named test does not exist, so that no promise is made that nothing holds us to.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from zilliz_operator.api.conditions import ConditionType

PAGE: Final = """\
# Data Security

Data security is integral to Zilliz Cloud. This document summarizes key measures and policies that Zilliz Cloud implements to safeguard your data comprehensively.

## Account and Privacy Protection

Zilliz Cloud protects user data from registration onwards by:

- Using advanced cryptographic algorithms (SHA-256, bcrypt).
- Adhering to strict policies against internal storage of usernames and passwords.

## VPC Isolation in BYOC

Zilliz implements isolation between your VPC and ours to ensure data security in our BYOC solution. For details, refer to Security assurance in BYOC Overview.

## Data Isolation & Residency

Zilliz Cloud provides robust isolation and protection for your clusters:

- Multiple data residency options: You can create clusters in your preferred cloud providers and regions.
- Dedicated Namespaces: Each dedicated cluster operates in an isolated namespace with tailored network policies.
- Separate Storage: Data is stored separately in dedicated object storage buckets.
- Distinct VPC or subnet: The Control Plane (administrative tasks) and Data Plane (operational handling) reside in separate, isolated VPC or subnet.

## Authentication

Zilliz Cloud utilizes OAuth0 for secure user authentication:

- Supports Single Sign-On (SSO).
- Supports Multi-Factor Authentication (MFA).
- Provides cluster access through API keys and cluster credentials.

For details, refer to Authentication.

## Access Control

Granular and role-based access control:

- Hierarchical permissions (organization, project, cluster).
- Pre-defined roles to simplify permission assignments.
- Both intuitive operations on the console and programmatic access from your app are available.

For details, refer to Access Control.

## Secure Network Access

Zilliz Cloud secures your network interactions through:

- IP Allowlisting: Define allowed IP ranges (CIDR blocks) to restrict access.
- Private Links: Establish secure, private connections between your VPC and Zilliz Cloud control plane.

## Data Encryption

### In Transit

- HTTPS/gRPC with TLS 1.2+.
- AES-256 encryption ensures secure data transfers.

### At Rest

- The stored data on Disk/Object Storage is encrypted using the AES-256 (256-bit Advanced Encryption Standard ) encryption algorithm.

## Audit Logging and Monitoring

Maintain visibility and accountability through audit logs:

- Record activities across both control-plane and data-plane.
- Stream logs directly to your storage solutions.
- Leverage third-party tools for log analysis.

For details, refer to Auditing.

## Data Integrity and Backup

Ensure data availability and recovery:

- Automated and manual backup options.
- Recycle bin functionality for data restoration (with defined retention).

For details, refer to Backup & Restore and Use Recycle Bin.

## Certificates and TLS

Zilliz Cloud ensures secure connections:

- Uses Let's Encrypt and AWS Certificate Manager for SSL certificates.
- Auto-renews certificates 30 days before expiration (validity: 90 days).
- Exclusively supports TLS 1.2 or higher.

Two-way TLS (mTLS) is currently not available.

## Summary

Zilliz Cloud always places data security as its top priority. It emphasizes data security through comprehensive encryption, rigorous authentication, robust access control, private networking, and consistent auditing practices to maintain data confidentiality, integrity, and availability.
"""


class Claim(StrEnum):
    """How far this version of the operator keeps a sentence. A live condition may still say that it is broken now."""

    KEPT = "kept"
    PARTLY = "partly"
    NOT_YET = "not yet"
    NONE = "no promise"
    """The sentence introduces or points to others."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One sentence of the page. `tests` are pytest node ids; `status_note` says how it is kept, or what is missing."""

    id: str
    sentence: str
    section: str
    claim: Claim
    condition: ConditionType | None
    tests: tuple[str, ...]
    status_note: str


def sentences(page: str = PAGE) -> Iterator[tuple[str, str]]:
    """Every sentence of the page as (section, sentence), in order."""
    section = ""
    for line in page.splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif line.strip():
            for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", line.removeprefix("- ").strip()):
                yield section, sentence


_C = ConditionType
_GENERAL, _ACCOUNT, _VPC = "Data Security", "Account and Privacy Protection", "VPC Isolation in BYOC"
_ISOLATION, _AUTHENTICATION, _ACCESS = "Data Isolation & Residency", "Authentication", "Access Control"
_NETWORK, _TRANSIT, _REST = "Secure Network Access", "In Transit", "At Rest"
_AUDIT, _BACKUP, _TLS, _SUMMARY = (
    "Audit Logging and Monitoring",
    "Data Integrity and Backup",
    "Certificates and TLS",
    "Summary",
)

_SSO = "tests/apiserver/test_sso.py"
_CEL = "tests/apiserver/test_crds.py::test_refuses_and_names_the_field_and_the_remedy"
_TOKENS = "tests/gateway/test_sso.py"
_WHO = "tests/gateway/test_who.py"
_CREDENTIALS = "tests/gateway/test_credentials.py"
_RENEWAL = "tests/fake/test_credentials.py"
_WIRE = "tests/gateway/test_tls.py"
_STORE = "tests/stores/test_seaweedfs.py"
_IDENTITIES = "tests/stores/test_identities.py"
_CLOUD = "tests/stores/test_moto_network.py"


def _none(id: str, section: str, sentence: str, note: str = "Introduces the sentences below it.") -> Promise:
    return Promise(id, sentence, section, Claim.NONE, None, (), note)


def _pointer(id: str, section: str, sentence: str) -> Promise:
    return _none(id, section, sentence, "Points to another page.")


PROMISES: Final[tuple[Promise, ...]] = (
    _none("data-security", _GENERAL, "Data security is integral to Zilliz Cloud.", "Held by all rows below it."),
    _none("data-security-measures", _GENERAL, "This document summarizes key measures and policies that Zilliz Cloud implements to safeguard your data comprehensively."),
    _none("account", _ACCOUNT, "Zilliz Cloud protects user data from registration onwards by:"),
    Promise("account-algorithms", "Using advanced cryptographic algorithms (SHA-256, bcrypt).", _ACCOUNT, Claim.PARTLY, _C.ACCESS_APPLIED,
            (f"{_WHO}::test_a_key_becomes_its_technical_user", f"{_CREDENTIALS}::test_two_passwords_open_until_the_end_of_the_older_and_milvus_sees_neither", f"{_RENEWAL}::test_while_the_secret_is_gone_nobody_is_let_in_and_milvus_never_knew_the_password"),
            "The door knows API keys and the passwords of cluster users by their SHA-256 only, which is enough for 128 random bits and more: it looks one up in every request, where bcrypt would take a quarter of a second. Nothing else has to be recognised later. Milvus knows its users by passwords of its own, and keeps them as bcrypt hashes of cost 4, which is low, and has no setting for it: they have 256 bits for that reason."),
    Promise("account-no-storage", "Adhering to strict policies against internal storage of usernames and passwords.", _ACCOUNT, Claim.PARTLY, _C.ACCESS_APPLIED,
            ("tests/fake/test_secrets.py::test_no_secret_leaves_the_secrets", "tests/node/test_secrets.py::test_no_secret_is_seen_anywhere", f"{_WHO}::TestAudit::test_no_secret_is_written_anywhere", "tests/unit/adapters/test_kube.py::test_a_refused_secret_is_never_quoted", "tests/unit/api/test_validate.py::test_input_values_never_reach_a_message"),
            "Generated credentials live in Secrets of your own Kubernetes and nowhere else. A subject's key or password is in its one Secret alone: neither the operator, nor the door, nor Milvus keeps it. What the door logs in to Milvus with has to be kept in the cluster namespace; it opens nothing from outside."),
    Promise("vpc-isolation", "Zilliz implements isolation between your VPC and ours to ensure data security in our BYOC solution.", _VPC, Claim.PARTLY, _C.VPC_ISOLATED,
            (f"{_CLOUD}::test_vpcs_apart", f"{_CLOUD}::test_a_peering_is_found_while_it_waits_and_once_it_is_active_and_not_after", f"{_CLOUD}::test_a_shared_transit_gateway_is_found", f"{_CLOUD}::test_a_route_to_the_other_is_found_also_by_a_prefix_list", "tests/unit/policy/test_vpc.py::test_each_link_is_found_named_and_can_be_declared", _CEL),
            "Control plane and data plane are both yours, nothing of them reaches a vendor. On a DataPlane with cloud aws peering, transit gateways and routes between the two VPCs are looked for, and whatever is not declared breaks this. Shown against a simulator of AWS; elsewhere there is no VPC to look at."),
    _pointer("vpc-details", _VPC, "For details, refer to Security assurance in BYOC Overview."),
    _none("isolation", _ISOLATION, "Zilliz Cloud provides robust isolation and protection for your clusters:"),
    Promise("residency", "Multiple data residency options: You can create clusters in your preferred cloud providers and regions.", _ISOLATION, Claim.KEPT, _C.STORAGE_SECURED,
            (_CEL, "tests/stores/test_moto.py::test_a_bucket_lies_in_its_region_under_the_customers_key", "tests/apiserver/test_spoke.py::test_a_cluster_lands_on_its_data_plane_and_nothing_of_it_on_the_hub", "tests/fake/test_spoke.py::TestResidency::test_a_copy_that_leaves_is_refused_and_named"),
            "A cluster runs where its DataPlane is, and on no other. Provider and region can never change; every bucket is made there. A DataPlane with spec.residency refuses policies that would copy backups elsewhere."),
    Promise("namespaces", "Dedicated Namespaces: Each dedicated cluster operates in an isolated namespace with tailored network policies.", _ISOLATION, Claim.KEPT, _C.NETWORK_ISOLATED,
            ("tests/node/test_packet_matrix.py::test_packets_go_exactly_where_the_table_says", "tests/apiserver/test_reachability.py::test_the_analysers_table_is_the_documented_one", "tests/unit/desired/test_network_properties.py::test_whatever_is_asked_only_a_gateway_reaches_milvus", "tests/fake/test_isolation.py::test_a_new_cluster_where_nobody_enforces_is_never_called_ready", "tests/node/test_packets.py::test_nothing_answers", "tests/node/test_packets.py::test_a_clusters_pod_reaches_nothing_but_its_own", "tests/node/test_drift.py::test_what_is_deleted_comes_back_as_it_was", "tests/apiserver/test_reserved_namespaces.py::test_nobody_else_makes_a_namespace_of_that_name", "tests/apiserver/test_reserved_namespaces.py::test_nobody_else_touches_its_marks_or_its_pod_security", "tests/apiserver/test_tenants.py::test_a_tenant_may_nothing_where_clusters_or_the_operator_live", "tests/apiserver/test_tenants.py::test_and_when_they_try_they_are_refused", "tests/apiserver/test_operator_repairs.py::test_a_label_of_the_namespace_comes_back", "tests/apiserver/test_operator_repairs.py::test_quota_and_limits_come_back"),
            "One namespace a cluster, marked with the cluster's UID, Pod Security enforced, denied by default in both directions; our own knock says whether that is enforced. No tenant has a right in it, or can claim, mark or loosen one. NamespaceIsolated says the same of the namespace."),
    Promise("buckets", "Separate Storage: Data is stored separately in dedicated object storage buckets.", _ISOLATION, Claim.KEPT, _C.STORAGE_SECURED,
            ("tests/node/test_storage.py::test_a_clusters_key_pair_opens_its_own_bucket_alone", "tests/node/test_life.py::test_two_clusters_of_one_name_share_nothing", f"{_STORE}::test_each_clusters_key_reaches_its_own_bucket_and_no_other", f"{_STORE}::test_a_foreign_bucket_is_left_alone", "tests/stores/test_buckets_moto.py::test_a_crash_after_any_call_leaves_nothing_unowned",
             f"{_IDENTITIES}::test_every_call_of_every_role_on_every_bucket_is_answered_as_the_table_says", f"{_IDENTITIES}::test_three_roles_with_path_tags_boundary_trust_and_policy_each", "tests/unit/desired/test_identity_matrix.py::test_nobody_may_do_what_the_table_does_not_name", "tests/unit/desired/test_identity_matrix.py::test_exactly_one_service_account_assumes_each_role", "tests/fake/test_rotation.py::test_a_crash_after_any_write_of_a_rotation_neither_cuts_milvus_off_nor_leaves_a_key"),
            "Three buckets a cluster (data, audit trail, backups), marked with its UID, and for each role of pod an identity of its own that reaches no other cluster's; its keys are renewed (IdentityScoped)."),
    Promise("planes", "Distinct VPC or subnet: The Control Plane (administrative tasks) and Data Plane (operational handling) reside in separate, isolated VPC or subnet.", _ISOLATION, Claim.PARTLY, _C.VPC_ISOLATED,
            ("tests/node/test_packets.py::test_a_clusters_pod_reaches_nothing_but_its_own", _CEL, "tests/apiserver/test_operator_rights.py::test_no_right_beyond", f"{_CLOUD}::test_vpcs_apart", "tests/fake/test_vpc.py::test_what_is_not_declared_is_not_claimed", "tests/apiserver/test_spoke.py::test_a_cluster_lands_on_its_data_plane_and_nothing_of_it_on_the_hub", "tests/apiserver/test_spoke.py::test_what_the_operator_may_on_the_spoke_is_confined_by_the_manifest"),
            "The operator works on data planes by kubeconfig, from another network if you run it there; network policies keep a cluster from reaching the control plane. In AWS the VPCs of both must be declared, must differ, and are compared; shown against a simulator."),
    _none("authentication", _AUTHENTICATION, "Zilliz Cloud utilizes OAuth0 for secure user authentication:", "We use no vendor's login: your own identity provider, by OpenID Connect."),
    Promise("sso", "Supports Single Sign-On (SSO).", _AUTHENTICATION, Claim.KEPT, _C.ACCESS_APPLIED,
            (f"{_SSO}::TestWho::test_user_and_groups_have_their_prefixes_and_the_claim_is_shown", f"{_SSO}::TestRefused::test_a_token_that_is_not_for_us", f"{_SSO}::test_a_new_signing_key_is_followed",
             f"{_TOKENS}::test_a_good_token_acts_with_the_union_of_its_roles", f"{_TOKENS}::test_a_bad_token_is_told_why_and_reaches_nobody", f"{_TOKENS}::test_access_ends_with_the_token_on_an_open_connection", "tests/unit/policy/test_signon.py::test_bits_say_what_sets_say", "tests/fake/test_signon.py::test_a_new_key_is_followed_and_an_old_one_dropped"),
            "At the Kubernetes API people sign in by the identity provider of a DataPlane (`zilliz-operator sso render`), and AccessPolicies bind its groups and users; the doors take its tokens too, by gRPC and REST (docs/sso.md). Shown with tokens of our own making: no vendor's identity provider was tried."),
    Promise("mfa", "Supports Multi-Factor Authentication (MFA).", _AUTHENTICATION, Claim.PARTLY, _C.ACCESS_APPLIED,
            (f"{_SSO}::TestSecondFactor::test_without_one_they_read_and_are_told_what_is_missing", f"{_SSO}::TestSecondFactor::test_another_policy_without_it_is_no_way_round", f"{_SSO}::test_a_whole_server_may_ask_for_the_second_factor", _CEL, f"{_TOKENS}::test_claims_within_claims_are_only_text", "tests/fake/test_signon.py::test_a_second_factor_and_an_end_are_bits_of_their_own"),
            "Whom an AccessPolicy with requireMFA names writes our kinds only with a second factor, shown by the token's claim; a whole API server can ask for it, reading included. Not on EKS. At the doors such a policy counts only for tokens whose issuer tells a second factor."),
    Promise("keys", "Provides cluster access through API keys and cluster credentials.", _AUTHENTICATION, Claim.KEPT, _C.ACCESS_APPLIED,
            ("tests/node/test_quickstart.py::test_pymilvus_is_let_in_or_told_why_not", "tests/node/test_access.py::test_what_is_revoked_is_refused_on_open_connections_within_five_seconds", "tests/node/test_quickstart.py::test_a_key_ends_when_it_expires", f"{_WHO}::test_a_key_becomes_its_technical_user", f"{_WHO}::test_a_persons_password_is_for_milvus_to_judge", f"{_WHO}::test_refusals_have_a_reason_in_grpc_and_rest", f"{_RENEWAL}::test_a_request_makes_both_anew_once_and_the_old_ones_end_after_the_grace", f"{_RENEWAL}::test_the_grace_ends_while_the_operator_is_down", "tests/faults/test_crash.py::test_a_crash_after_any_write_of_a_renewal_locks_nobody_out_and_renews_once"),
            "AccessPolicy subjects ApiKey and ClusterUser; credentials are generated into Secrets of your project, and rotated by age and on request with the old one valid beside the new one for a while."),
    _pointer("authentication-details", _AUTHENTICATION, "For details, refer to Authentication."),
    _none("access", _ACCESS, "Granular and role-based access control:"),
    Promise("hierarchy", "Hierarchical permissions (organization, project, cluster).", _ACCESS, Claim.KEPT, _C.ACCESS_APPLIED,
            ("tests/apiserver/test_people_rights.py::test_only_whoever_administers_the_organization_writes_its_policies", "tests/apiserver/test_escalation.py::test_refused", "tests/apiserver/test_escalation.py::test_allowed", "tests/fake/test_people.py::test_level_organization_gives_it_in_every_project_and_owners_everywhere", _CEL),
            "AccessPolicy has the three levels: keys, cluster users and people's tokens on the clusters they mean, people and service accounts by roles in Kubernetes, in exactly the namespaces meant. Nobody gives more than they hold."),
    Promise("roles", "Pre-defined roles to simplify permission assignments.", _ACCESS, Claim.KEPT, _C.ACCESS_APPLIED,
            ("tests/node/test_access.py::test_each_role_and_each_grant_gives_what_it_says_and_no_more", "tests/apiserver/test_people_rights.py::test_editors_run_clusters_and_admins_say_who_may_read_the_data", "tests/apiserver/test_escalation.py::test_each_role_may_exactly_what_its_page_says", "tests/unit/api/test_validate.py::test_accepts", "tests/fake/test_grants.py::test_a_predefined_role_and_grants_add_up", "tests/fake/test_grants.py::test_what_a_version_cannot_express_is_said_and_nothing_of_it_is_granted", "tests/stores/test_milvus_grants.py::test_the_server_takes_and_shows_every_grant_as_we_spell_it", "tests/gateway/test_revoke.py::test_a_user_taken_away_is_refused_on_its_open_connection"),
            "DataViewer, DataOperator, DataAdmin behind the door, or privileges of your own choice, and the union of all policies; the same roles, ProjectAdmin and OrganizationOwner for the custom resources."),
    Promise("programmatic", "Both intuitive operations on the console and programmatic access from your app are available.", _ACCESS, Claim.PARTLY, _C.ENDPOINT_VERIFIED,
            ("tests/node/test_quickstart.py::test_the_example_program_inserts_and_searches_with_the_generated_key", f"{_WHO}::test_a_key_becomes_its_technical_user",),
            "Apps use any Milvus client; people use kubectl and GitOps. There is no web console."),
    _pointer("access-details", _ACCESS, "For details, refer to Access Control."),
    _none("network", _NETWORK, "Zilliz Cloud secures your network interactions through:"),
    Promise("allowlist", "IP Allowlisting: Define allowed IP ranges (CIDR blocks) to restrict access.", _NETWORK, Claim.KEPT, _C.ALLOWLIST_IN_FORCE,
            ("tests/node/test_packets.py::test_the_allowed_host_reaches_the_door_alone", "tests/node/test_life.py::test_an_allowlist_edit_reaches_policies_and_gateways_and_restarts_nothing", f"{_WHO}::TestAddresses::test_an_empty_list_admits_nobody", f"{_WHO}::TestAddresses::test_listed_addresses_come_in", f"{_WHO}::TestAddresses::test_others_learn_nothing_about_their_token", "tests/node/test_access.py::test_an_entry_ends_on_time_while_no_operator_runs", "tests/gateway/test_ends.py::test_an_entry_ends_on_time_with_nobody_at_work_on_open_connections_too", "tests/gateway/test_ends.py::test_of_several_ends_the_latest_counts", "tests/unit/api/test_blocks.py::test_at_every_moment_it_admits_what_the_open_blocks_admit", _CEL),
            "Allowlists reach the network policies and every gateway, each proven alone; without one nobody comes in. An entry that ends is held to its end by the gateways' own clocks, while the operator is down too."),
    Promise("private-link", "Private Links: Establish secure, private connections between your VPC and Zilliz Cloud control plane.", _NETWORK, Claim.PARTLY, _C.PRIVATE_LINK_READY,
            (f"{_CLOUD}::test_a_service_is_made_once_and_held_to_the_spec", f"{_CLOUD}::test_connections_of_allowed_accounts_are_accepted_and_others_refused", "tests/fake/test_private_link.py::test_another_exposure_ends_connections_and_service_before_the_load_balancer", "tests/faults/test_private_link.py::test_while_principals_change", _CEL),
            "exposure PrivateLink puts an endpoint service in front of the door: principals as listed, endpoints of their accounts alone. Shown against a simulator of AWS, and recorded responses where that has none; no account was used, and our own knock does not come through the endpoint."),
    Promise("tls", "HTTPS/gRPC with TLS 1.2+.", _TRANSIT, Claim.KEPT, _C.ENDPOINT_VERIFIED,
            (f"{_WIRE}::test_old_versions_are_refused", f"{_WIRE}::test_plain_http_gets_nothing"),
            "The door speaks gRPC and REST on one port by TLS 1.2 or 1.3 and nothing else; our own probe tries older ones."),
    Promise("aes-transit", "AES-256 encryption ensures secure data transfers.", _TRANSIT, Claim.KEPT, _C.ENDPOINT_VERIFIED,
            (f"{_WIRE}::test_other_suites_of_tls12_are_refused", f"{_WIRE}::test_other_suites_of_tls13_are_refused", f"{_WIRE}::test_tls12_speaks_aes256_with_forward_secrecy"),
            "AES-256 suites with forward secrecy only, at the door. Behind it Milvus cannot be limited to them, and is reached by nobody but the gateways."),
    Promise("aes-rest", "The stored data on Disk/Object Storage is encrypted using the AES-256 (256-bit Advanced Encryption Standard ) encryption algorithm.", _REST, Claim.PARTLY, _C.STORAGE_SECURED,
            ("tests/node/test_storage.py::test_every_object_is_encrypted_by_aes_256", "tests/node/test_storage.py::test_a_known_vectors_string_is_not_in_clear_on_the_stores_disks", f"{_STORE}::test_objects_are_encrypted_and_the_public_sees_nothing", "tests/stores/test_buckets_moto.py::test_every_aspect_is_set_and_the_second_look_writes_nothing", "tests/unit/desired/bucket/test_policy.py::test_uploads_are_encrypted_the_buckets_way_or_refused", "tests/fake/test_buckets.py::test_a_key_of_another_region_is_refused_before_anything_is_made", "tests/fake/test_volumes.py::test_nothing_starts_on_a_volume_in_clear_and_the_remedy_heals", "tests/unit/policy/test_volumes.py::test_a_class_is_read_as_its_provisioner_reads_it", "tests/unit/desired/test_builtin.py::test_whatever_outlives_a_request_lies_on_the_claims_volume"),
            "Buckets encrypt by AES-256, with your KMS key if you name one, and refuse uploads that ask for anything else. Milvus keeps everything else on its volume, and is not started on one whose StorageClass says that it does not encrypt. Where the class does not tell, that is said: declared by you, or not known. Secrets in etcd are your control plane's: zilliz-operator doctor looks."),
    _none("audit", _AUDIT, "Maintain visibility and accountability through audit logs:"),
    Promise("audit-record", "Record activities across both control-plane and data-plane.", _AUDIT, Claim.PARTLY, _C.AUDIT_STREAMING,
            (f"{_WHO}::TestAudit::test_hostile_text_cannot_forge_or_break_a_line", f"{_WHO}::TestAudit::test_connections_that_never_become_requests_leave_a_line"),
            "Every request and every refused connection leaves a line at the gateway; changes to custom resources are in the API server's audit log. Neither is collected by us yet."),
    Promise("audit-stream", "Stream logs directly to your storage solutions.", _AUDIT, Claim.NOT_YET, _C.AUDIT_STREAMING, (), "Lines go to the gateways' standard output, where your log collector finds them; not to the audit bucket yet."),
    Promise("audit-tools", "Leverage third-party tools for log analysis.", _AUDIT, Claim.PARTLY, _C.AUDIT_STREAMING, (f"{_WHO}::TestAudit::test_hostile_text_cannot_forge_or_break_a_line",), "Lines are JSON, one an event, that any tool reads."),
    _pointer("audit-details", _AUDIT, "For details, refer to Auditing."),
    _none("backup", _BACKUP, "Ensure data availability and recovery:"),
    Promise("backups", "Automated and manual backup options.", _BACKUP, Claim.NOT_YET, _C.BACKUP_SCHEDULED, (), "BackupPolicy, Backup and Restore are in the API; nothing acts on them yet."),
    Promise("recycle-bin", "Recycle bin functionality for data restoration (with defined retention).", _BACKUP, Claim.PARTLY, None,
            ("tests/node/test_life.py::test_deleting_takes_compute_keeps_data_and_lets_go_promptly", "tests/apiserver/test_deletion_protection.py::TestCluster::test_protected_by_default_and_refused_with_the_remedy", _CEL),
            "Deleting is refused while protected; a deleted cluster leaves a RecycledCluster, its buckets and its credentials. Restoring from it is not there yet."),
    _pointer("backup-details", _BACKUP, "For details, refer to Backup & Restore and Use Recycle Bin."),
    _none("certificates", _TLS, "Zilliz Cloud ensures secure connections:"),
    Promise("issuers", "Uses Let's Encrypt and AWS Certificate Manager for SSL certificates.", _TLS, Claim.PARTLY, _C.CERTIFICATE_VALID, (_CEL,), "Any issuer that cert-manager knows, Let's Encrypt among them (tried with its own test server, Pebble). AWS Certificate Manager is not there yet."),
    Promise("renewal", "Auto-renews certificates 30 days before expiration (validity: 90 days).", _TLS, Claim.KEPT, _C.CERTIFICATE_VALID,
            (f"{_WIRE}::test_it_serves_the_mounted_certificate_and_attests_it", _CEL),
            "duration 2160h, renewBefore 720h, a new key each time. The gateways take the new certificate without a restart and attest which one they serve."),
    Promise("tls-only", "Exclusively supports TLS 1.2 or higher.", _TLS, Claim.KEPT, _C.ENDPOINT_VERIFIED,
            (f"{_WIRE}::test_old_versions_are_refused", f"{_WIRE}::test_minimum_version_1_3", _CEL),
            "minVersion is 1.2 or 1.3, there is no other value."),
    Promise("mtls", "Two-way TLS (mTLS) is currently not available.", _TLS, Claim.KEPT, _C.ENDPOINT_VERIFIED,
            (f"{_WIRE}::TestClientCertificates::test_without_a_certificate_there_is_no_connection", f"{_WIRE}::TestClientCertificates::test_a_foreign_certificate_is_refused"),
            "We do more than the page: tls.clientAuth Required demands a client certificate of your own CA at the door. Between gateway and Milvus it is always on."),
    _none("summary", _SUMMARY, "Zilliz Cloud always places data security as its top priority.", "Held by all rows above it."),
    _none("summary-measures", _SUMMARY, "It emphasizes data security through comprehensive encryption, rigorous authentication, robust access control, private networking, and consistent auditing practices to maintain data confidentiality, integrity, and availability.", "Held by all rows above it."),
)  # fmt: skip
