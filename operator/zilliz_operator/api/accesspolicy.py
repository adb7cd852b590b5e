"""AccessPolicy: who may do what behind the door."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field

from zilliz_operator.api.allowlist import ClusterResult
from zilliz_operator.api.base import Column, Model, Resource, ResourceStatus, Status, ready_columns
from zilliz_operator.api.fields import ClusterSelection, LongName, Name
from zilliz_operator.api.rules import DUPLICATE, FORBIDDEN, REQUIRED, Rule


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
    """ClusterUser: days after which the password is made anew, 1 to 365. Absent: never."""
    expires_at: AwareDatetime | None = None
    """ApiKey: from then on it opens nothing. Absent: never."""


class PolicyGrant(Model):
    """Privileges on a database or collection."""

    database: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^(\*|[A-Za-z_][A-Za-z0-9_]*)$")] = "default"
    """Database, or * for all."""
    collection: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^(\*|[A-Za-z_][A-Za-z0-9_]*)$")] = "*"
    """Collection, or * for all."""
    privileges: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(min_length=1, max_length=64)]
    """Privileges or privilege groups of Milvus."""


class AccessPolicySpec(Model):
    """Who may do what, where."""

    level: Level
    """Organization (only in the operator's namespace), Project (every cluster of this namespace) or Cluster (those in clusters)."""
    clusters: ClusterSelection | None = None
    """Level Cluster: which clusters of this project."""
    subjects: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=100)]
    """Who."""
    role: Role | None = None
    """A predefined role. Either role or grants."""
    grants: Annotated[tuple[PolicyGrant, ...], Field(max_length=64)] = ()
    """Privileges of your own choice. Either role or grants."""
    require_mfa: bool = Field(default=False)
    """Group and User: only with a second factor."""
    expires_at: AwareDatetime | None = None
    """From then on the policy grants nothing. Absent: never."""


class SubjectResult(Status):
    """How it stands with one subject."""

    kind: str = ""
    """Kind of the subject."""
    name: str = ""
    """Name of the subject."""
    state: str = ""
    """Applied, Pending, Failed or Expired."""
    message: str = ""
    """More about it."""
    secret_name: str | None = None
    """Secret with the credential."""
    rotated_at: AwareDatetime | None = None
    """When the credential was made."""


class AccessPolicyStatus(ResourceStatus):
    """What is in force."""

    clusters: tuple[ClusterResult, ...] = ()
    """How it stands on each selected cluster."""
    subjects: tuple[SubjectResult, ...] = ()
    """How it stands with each subject."""


class AccessPolicy(Resource):
    """Who may do what behind the door: a predefined role or grants, for subjects, at one level."""

    KIND = "AccessPolicy"

    spec: AccessPolicySpec
    status: AccessPolicyStatus = AccessPolicyStatus()
