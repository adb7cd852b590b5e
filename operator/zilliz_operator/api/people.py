"""People and service accounts as the Kubernetes API knows them: the ClusterRole of each role, and how identities are named there.

Data, free of pydantic. The chart makes these roles; a test holds the two equal.
"""

from dataclasses import dataclass
from typing import Final

from zilliz_operator.api.kinds import OURS

RBAC_GROUP: Final = "rbac.authorization.k8s.io"
CLUSTER_ROLES: Final[dict[str, str]] = {
    "OrganizationOwner": "zilliz-organization-owner",
    "ProjectAdmin": "zilliz-project-admin",
    "DataAdmin": "zilliz-data-admin",
    "DataOperator": "zilliz-data-operator",
    "DataViewer": "zilliz-data-viewer",
}
"""Role of an AccessPolicy → the ClusterRole that the operator binds for it."""
READING: Final = "zilliz-data-viewer"
"""What a role on single clusters is in Kubernetes: RBAC cannot narrow lists to names, and gives no writing that it cannot narrow."""

GRANTABLE: Final = "zillizroles"
"""Not a kind: the resource whose names are roles, and whose verb `grant` says who may hand them out."""
CUSTOM: Final = "Custom"
"""The name among them that stands for `grants` of one's own choice."""

_READ: Final = ("get", "list", "watch")
_WRITE: Final = ("create", "update", "patch", "delete")
_IN_PROJECTS: Final = ("zillizclusters", "allowlists", "accesspolicies", "backuppolicies", "backups", "restores")


def rights(role: str) -> dict[str, tuple[str, ...]]:
    """Resource of ours → the verbs that a role has on it, where it is given."""
    by_role: dict[str, dict[str, tuple[str, ...]]] = {
        "ProjectAdmin": dict.fromkeys(_IN_PROJECTS, _WRITE),
        "DataAdmin": {"zillizclusters": ("update", "patch", "delete")},
        "OrganizationOwner": {"accesspolicies": _WRITE, "recycledclusters": ("update", "patch", "delete")},
    }
    written = by_role.get(role, {})
    return {kind.plural: (*_READ, *written.get(kind.plural, ())) for kind in OURS}


def grantable(role: str) -> tuple[str, ...]:
    """What holders of a role may hand out by policies of their own, where it is given."""
    project = ("ProjectAdmin", "DataAdmin", "DataOperator", "DataViewer", CUSTOM)
    return {"ProjectAdmin": project, "OrganizationOwner": ("OrganizationOwner", *project)}.get(role, ())


MFA_KEY: Final = "byoc.zilliz.com/mfa"
"""Key in a user's extra under which the API server shows the claim of a second factor."""

SYSTEM: Final = "system:"
SYSTEM_NAMESPACES: Final = ("kube-", "milvus-in01-")
"""Beginnings of namespaces whose service accounts belong to Kubernetes or to a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SsoNames:
    """What the API server puts before names that an identity provider vouches for."""

    user_prefix: str = "oidc:"
    groups_prefix: str = "oidc:"


SSO_NAMES: Final = SsoNames()
"""Those of an installation that says nothing else."""
