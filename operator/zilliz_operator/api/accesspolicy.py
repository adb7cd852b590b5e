"""AccessPolicy: who may do what behind the door."""

import difflib
import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from zilliz_operator.api.allowlist import ClusterResults
from zilliz_operator.api.base import LIST_SET, Column, Model, Resource, ResourceStatus, Status, list_map, ready_columns
from zilliz_operator.api.fields import ClusterSelection, LongName, Name, selection_rules
from zilliz_operator.api.people import SYSTEM, SYSTEM_NAMESPACES
from zilliz_operator.api.privileges import LEVEL, PrivilegeLevel, at
from zilliz_operator.api.rules import FORBIDDEN, REQUIRED, Rule


class Level(StrEnum):
    ORGANIZATION = "Organization"
    PROJECT = "Project"
    CLUSTER = "Cluster"


class SubjectKind(StrEnum):
    GROUP = "Group"
    USER = "User"
    SERVICE_ACCOUNT = "ServiceAccount"
    CLUSTER_USER = "ClusterUser"
    API_KEY = "ApiKey"


class Role(StrEnum):
    ORGANIZATION_OWNER = "OrganizationOwner"
    PROJECT_ADMIN = "ProjectAdmin"
    DATA_ADMIN = "DataAdmin"
    DATA_OPERATOR = "DataOperator"
    DATA_VIEWER = "DataViewer"


class Subject(Model):
    """Somebody who gets the role or the grants."""

    kind: SubjectKind
    """Group, User (single sign-on), ServiceAccount (Kubernetes), ClusterUser (a Milvus user) or ApiKey."""
    name: Annotated[str, Field(min_length=1, max_length=256)]
    """Name of the subject. ClusterUser: a letter, then letters, digits, underscores, 32 in all."""
    namespace: Name | None = None
    """ServiceAccount: its namespace."""
    secret_name: LongName | None = None
    """ClusterUser, ApiKey: Secret of this project that receives the generated password or key."""
    rotate_after_days: Annotated[int, Field(ge=1, le=365)] | None = None
    """ClusterUser, ApiKey: days after which the credential is made anew, 1 to 365. Absent: never."""
    grace_minutes: Annotated[int, Field(ge=0, le=10080)] | None = None
    """ClusterUser, ApiKey: minutes for which the credential before stays valid beside a rotated one, 0 to 10080. Absent: 60."""
    expires_at: AwareDatetime | None = None
    """ApiKey: from then on it opens nothing. Absent: never."""


class PolicyGrant(Model):
    """Privileges on a database or collection."""

    database: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^(\*|[A-Za-z_][A-Za-z0-9_]*)$")] = "default"
    """Database, or * for all."""
    collection: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^(\*|[A-Za-z_][A-Za-z0-9_]*)$")] = "*"
    """Collection, or * for all."""
    privileges: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64)], ...],
        Field(min_length=1, max_length=64, json_schema_extra=LIST_SET),
    ]
    """Privileges or privilege groups of Milvus."""


class AccessPolicySpec(Model):
    """Who may do what, where."""

    level: Level
    """Organization (only in the operator's namespace), Project (every cluster of this namespace) or Cluster (those in
    clusters)."""
    clusters: ClusterSelection | None = None
    """Level Cluster: which clusters of this project."""
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=100)]
    """Who."""
    role: Role | None = None
    """A predefined role. Either role or grants."""
    grants: Annotated[tuple[PolicyGrant, ...], Field(max_length=64)] = ()
    """Privileges of your own choice. Either role or grants."""
    require_mfa: bool = False
    """Group and User: only with a second factor."""
    expires_at: AwareDatetime | None = None
    """From then on the policy grants nothing. Absent: never."""


class SubjectResult(Status):
    """How it stands with one subject."""

    kind: str
    """Kind of the subject."""
    name: str
    """Name of the subject."""
    state: str = ""
    """Applied, Pending, Failed or Expired."""
    message: str = ""
    """More about it."""
    secret_name: str | None = None
    """Secret with the credential."""
    rotated_at: AwareDatetime | None = None
    """When the credential was made."""
    roles: tuple[str, ...] = ()
    """Milvus roles that it holds, by all policies together."""
    expires_at: AwareDatetime | None = None
    """When it ends: the earlier of its own and the policy's expiresAt."""
    rotates_at: AwareDatetime | None = None
    """When the next one will be made, where rotateAfterDays is set."""
    previous_until: AwareDatetime | None = None
    """Until then the credential before this one is valid too."""
    last_used_at: AwareDatetime | None = None
    """The hour in which the credential was last let in, as far as the gateways have told. Absent: not seen yet."""


class AccessPolicyStatus(ResourceStatus):
    """What is in force."""

    clusters: ClusterResults = ()
    """How it stands on each selected cluster."""
    subjects: Annotated[tuple[SubjectResult, ...], Field(json_schema_extra=list_map("kind", "name"))] = ()
    """How it stands with each subject."""


_USER_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_KEY_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_RESERVED_USER: Final = re.compile(r"root|db_admin|admin|public|z[tgr]_.*")
_ACCOUNT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_GENERATED: Final = (SubjectKind.CLUSTER_USER, SubjectKind.API_KEY)
_PEOPLE: Final = (SubjectKind.GROUP, SubjectKind.USER)


def _identities(spec: AccessPolicySpec) -> list[tuple[object, ...]]:
    return [(subject.kind, subject.namespace or "", subject.name) for subject in spec.subjects]


def _secrets(spec: AccessPolicySpec) -> list[str]:
    return [subject.secret_name for subject in spec.subjects if subject.secret_name]


def _cluster_grant_fits(grant: PolicyGrant) -> bool:
    everything = grant.collection == "*" and grant.database == "*"
    return everything or not any(LEVEL.get(privilege) is PrivilegeLevel.CLUSTER for privilege in grant.privileges)


def _cel_list(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


_ALL_COLLECTIONS: Final = "(!has(self.collection) || self.collection == '*')"

_LEVEL_RULES: Final = (
    Rule(
        "spec",
        "self.level != 'Cluster' || has(self.clusters)",
        "level Cluster needs clusters: name them, or use level Project for every cluster of this project",
        reason=REQUIRED,
        check=lambda spec: spec.level is not Level.CLUSTER or spec.clusters is not None,
        field_path=".clusters",
    ),
    Rule(
        "spec",
        "self.level == 'Cluster' || !has(self.clusters)",
        "clusters is for level Cluster only: set level to Cluster, or remove clusters",
        reason=FORBIDDEN,
        check=lambda spec: spec.level is Level.CLUSTER or spec.clusters is None,
        field_path=".clusters",
    ),
    Rule(
        "spec",
        "!has(self.role) || self.role != 'OrganizationOwner' || self.level == 'Organization'",
        "role OrganizationOwner needs level Organization: use ProjectAdmin or a Data role here",
        reason=FORBIDDEN,
        check=lambda spec: spec.role is not Role.ORGANIZATION_OWNER or spec.level is Level.ORGANIZATION,
        field_path=".role",
    ),
    Rule(
        "spec",
        "!has(self.role) || self.role != 'ProjectAdmin' || self.level != 'Cluster'",
        "role ProjectAdmin needs level Project or Organization: use DataAdmin for single clusters",
        reason=FORBIDDEN,
        check=lambda spec: spec.role is not Role.PROJECT_ADMIN or spec.level is not Level.CLUSTER,
        field_path=".role",
    ),
    Rule(
        "spec",
        "has(self.role) != (has(self.grants) && size(self.grants) > 0)",
        "needs exactly one of role and grants",
        check=lambda spec: (spec.role is not None) != bool(spec.grants),
    ),
    *selection_rules("spec.clusters"),
)

_SUBJECT_RULES: Final = (
    Rule(
        "spec.subjects[]",
        "(self.kind == 'ServiceAccount') == has(self.__namespace__)",
        "namespace is needed by kind ServiceAccount, and by no other: set it there, remove it elsewhere",
        check=lambda subject: (subject.kind is SubjectKind.SERVICE_ACCOUNT) == (subject.namespace is not None),
        field_path=".namespace",
    ),
    Rule(
        "spec.subjects[]",
        "(self.kind in ['ClusterUser', 'ApiKey']) == has(self.secretName)",
        "secretName is needed by kinds ClusterUser and ApiKey, and by no other: name a Secret that receives the "
        "credential, or remove it",
        check=lambda subject: (subject.kind in _GENERATED) == (subject.secret_name is not None),
        field_path=".secretName",
    ),
    Rule(
        "spec.subjects[]",
        "!has(self.rotateAfterDays) || self.kind in ['ClusterUser', 'ApiKey']",
        "rotateAfterDays is for kinds ClusterUser and ApiKey only: remove it",
        reason=FORBIDDEN,
        check=lambda subject: subject.rotate_after_days is None or subject.kind in _GENERATED,
        field_path=".rotateAfterDays",
    ),
    Rule(
        "spec.subjects[]",
        "!has(self.graceMinutes) || self.kind in ['ClusterUser', 'ApiKey']",
        "graceMinutes is for kinds ClusterUser and ApiKey only: remove it",
        reason=FORBIDDEN,
        check=lambda subject: subject.grace_minutes is None or subject.kind in _GENERATED,
        field_path=".graceMinutes",
    ),
    Rule(
        "spec.subjects[]",
        "!has(self.graceMinutes) || !has(self.rotateAfterDays) || self.graceMinutes <= self.rotateAfterDays * 1440",
        "graceMinutes is longer than rotateAfterDays: at most two credentials are valid at a time, so make it shorter",
        check=lambda subject: (subject.grace_minutes or 0) <= (subject.rotate_after_days or 365) * 1440,
        field_path=".graceMinutes",
    ),
    Rule(
        "spec.subjects[]",
        "!has(self.expiresAt) || self.kind == 'ApiKey'",
        "expiresAt of a subject is for kind ApiKey only: use spec.expiresAt for the whole policy",
        reason=FORBIDDEN,
        check=lambda subject: subject.expires_at is None or subject.kind is SubjectKind.API_KEY,
        field_path=".expiresAt",
    ),
    Rule(
        "spec.subjects[]",
        "self.kind != 'ClusterUser' || self.name.matches('^[A-Za-z][A-Za-z0-9_]{0,31}$')",
        "a ClusterUser's name begins with a letter and has letters, digits and underscores, 32 in all: choose such "
        "a name",
        check=lambda subject: subject.kind is not SubjectKind.CLUSTER_USER or bool(_USER_NAME.fullmatch(subject.name)),
        field_path=".name",
    ),
    Rule(
        "spec.subjects[]",
        "self.kind != 'ClusterUser' || !self.name.lowerAscii().matches('^(root|db_admin|admin|public|z[tgr]_.*)$')",
        "root, db_admin, admin, public and names that begin with zt_, zr_ or zg_ are Milvus' or the operator's own: "
        "choose another name",
        reason=FORBIDDEN,
        check=lambda subject: (
            subject.kind is not SubjectKind.CLUSTER_USER or not _RESERVED_USER.fullmatch(subject.name.lower())
        ),
        field_path=".name",
    ),
    Rule(
        "spec.subjects[]",
        "self.kind != 'ApiKey' || self.name.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",
        "an ApiKey's name has letters, digits, dots, dashes and underscores, 63 in all: choose such a name",
        check=lambda subject: subject.kind is not SubjectKind.API_KEY or bool(_KEY_NAME.fullmatch(subject.name)),
        field_path=".name",
    ),
    Rule(
        "spec.subjects[]",
        "!(self.kind in ['Group', 'User']) || !self.name.startsWith('system:')",
        "names that begin with system: are Kubernetes' own: name a user or group of your identity provider",
        reason=FORBIDDEN,
        check=lambda subject: subject.kind not in _PEOPLE or not subject.name.startswith(SYSTEM),
        field_path=".name",
    ),
    Rule(
        "spec.subjects[]",
        "self.kind != 'ServiceAccount' || !has(self.__namespace__) || "
        "!(self.__namespace__.startsWith('kube-') || self.__namespace__.startsWith('milvus-in01-'))",
        "service accounts of namespaces kube-… and milvus-in01-… belong to Kubernetes and to clusters: name one of a "
        "project",
        reason=FORBIDDEN,
        check=lambda subject: (
            subject.kind is not SubjectKind.SERVICE_ACCOUNT
            or not (subject.namespace or "").startswith(SYSTEM_NAMESPACES)
        ),
        field_path=".namespace",
    ),
    Rule(
        "spec.subjects[]",
        "self.kind != 'ServiceAccount' || self.name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "a ServiceAccount's name has lower-case letters, digits, dashes and dots: write it as kubectl get "
        "serviceaccounts shows it",
        check=lambda subject: (
            subject.kind is not SubjectKind.SERVICE_ACCOUNT or bool(_ACCOUNT_NAME.fullmatch(subject.name))
        ),
        field_path=".name",
    ),
    Rule(
        "spec",
        "!has(self.grants) || size(self.grants) == 0 || self.subjects.all(s, s.kind != 'ServiceAccount')",
        "a ServiceAccount gets a role in Kubernetes, and grants are about data: use role, or an ApiKey for data",
        reason=FORBIDDEN,
        check=lambda spec: not spec.grants or all(s.kind is not SubjectKind.SERVICE_ACCOUNT for s in spec.subjects),
        field_path=".subjects",
    ),
    Rule(
        "spec.subjects[]",
        "!self.name.matches('[[:cntrl:]]')",
        "name has control characters: remove them",
        check=lambda subject: not any(ord(each) < 32 or ord(each) == 127 for each in subject.name),
        field_path=".name",
    ),
    Rule(
        "spec",
        "self.subjects.all(a, self.subjects.exists_one(b, a.kind == b.kind && a.name == b.name && "
        "(has(a.__namespace__) ? a.__namespace__ : '') == (has(b.__namespace__) ? b.__namespace__ : '')))",
        "a subject is listed twice: remove one of them",
        check=lambda spec: len(set(_identities(spec))) == len(spec.subjects),
        field_path=".subjects",
    ),
    Rule(
        "spec",
        "self.subjects.all(a, !has(a.secretName) || "
        "self.subjects.exists_one(b, has(b.secretName) && a.secretName == b.secretName))",
        "two subjects share one secretName: give each its own Secret",
        check=lambda spec: len(set(_secrets(spec))) == len(_secrets(spec)),
        field_path=".subjects",
    ),
    Rule(
        "spec",
        "self.level != 'Organization' || self.subjects.all(s, !(s.kind in ['ClusterUser', 'ApiKey']))",
        "keys and Milvus users belong to a project: use level Project or Cluster in the project's namespace",
        reason=FORBIDDEN,
        check=lambda spec: spec.level is not Level.ORGANIZATION or not any(s.kind in _GENERATED for s in spec.subjects),
        field_path=".subjects",
    ),
    Rule(
        "spec",
        "!has(self.requireMFA) || !self.requireMFA || self.subjects.all(s, s.kind in ['Group', 'User'])",
        "requireMFA is for kinds Group and User: keys, passwords and service accounts have no second factor; "
        "put them into a policy without it",
        check=lambda spec: not spec.require_mfa or all(subject.kind in _PEOPLE for subject in spec.subjects),
        field_path=".requireMFA",
    ),
)


def _no_privilege(name: str) -> str:
    """Names the nearest: most unknown ones are a slip of the pen, or a name from elsewhere."""
    near = {each.lower(): each for each in LEVEL}
    plain = name.lower().removeprefix("privilege").replace("_", "")
    found = difflib.get_close_matches(plain, near, n=1, cutoff=0.6)
    hint = f"did you mean {near[found[0]]}? " if found else ""
    return f"is not a privilege or privilege group of Milvus: {hint}docs/reference/accesspolicy.md has the list"


_GRANT_RULES: Final = (
    Rule(
        "spec.grants[].privileges[]",
        f"self in {_cel_list(tuple(LEVEL))}",
        "is not a privilege or privilege group of Milvus: see docs/reference/accesspolicy.md for the list",
        check=lambda privilege: privilege in LEVEL,
        explain=_no_privilege,
    ),
    Rule(
        "spec.grants[]",
        f"{_ALL_COLLECTIONS} || !self.privileges.exists(p, p in {_cel_list(at(PrivilegeLevel.DATABASE))})",
        "a database privilege needs collection '*': remove collection, or give it a grant of its own",
        check=lambda grant: (
            grant.collection == "*"
            or not any(LEVEL.get(privilege) is PrivilegeLevel.DATABASE for privilege in grant.privileges)
        ),
        field_path=".collection",
    ),
    Rule(
        "spec.grants[]",
        f"({_ALL_COLLECTIONS} && has(self.database) && self.database == '*') || "
        f"!self.privileges.exists(p, p in {_cel_list(at(PrivilegeLevel.CLUSTER))})",
        "a cluster privilege needs database '*' and collection '*': give it a grant of its own",
        check=_cluster_grant_fits,
        field_path=".database",
    ),
)


class AccessPolicy(Resource):
    """Who may do what behind the door: a predefined role or grants, for subjects, at one level."""

    KIND = "AccessPolicy"
    RULES = (*_LEVEL_RULES, *_SUBJECT_RULES, *_GRANT_RULES)
    COLUMNS = ready_columns(
        Column("Level", ".spec.level"),
        Column("Role", ".spec.role", description="Empty for grants of your own choice."),
        Column("Expires", ".spec.expiresAt", priority=1),
    )

    spec: AccessPolicySpec
    status: AccessPolicyStatus = AccessPolicyStatus()
