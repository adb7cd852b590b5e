"""The names of roles and users inside Milvus that are the operator's own.

What bears one of the prefixes is ours, and a policy may name none of them. Of users, policies choose the names: those
that were made are remembered beside the cluster's credentials (`reconcile.vault`).
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from zilliz_operator.api.accesspolicy import AccessPolicy, Role

VIEWER_ROLE: Final = "zr_viewer"
OPERATOR_ROLE: Final = "zr_operator"
ADMIN_ROLE: Final = "zr_admin"

TECHNICAL_USERS: Final[Mapping[str, str]] = {
    "zt_viewer": VIEWER_ROLE,
    "zt_operator": OPERATOR_ROLE,
    "zt_admin": ADMIN_ROLE,
}
"""User behind API keys → its role. Nobody logs in as one from outside."""

CUSTOM_ROLE_PREFIX: Final = "zg_"
"""Roles with the grants of one policy. Other grants make another role: so a role is filled once and emptied once, and no
grant follows a revocation closely, which servers before 2.5 can lose."""
TECHNICAL_PREFIX: Final = "zt_"
ROLE_PREFIXES: Final = ("zr_", CUSTOM_ROLE_PREFIX)

_ROLE_NAMES: Final[Mapping[Role, str]] = {
    Role.DATA_VIEWER: VIEWER_ROLE,
    Role.DATA_OPERATOR: OPERATOR_ROLE,
    Role.DATA_ADMIN: ADMIN_ROLE,
    Role.PROJECT_ADMIN: ADMIN_ROLE,
    Role.ORGANIZATION_OWNER: ADMIN_ROLE,
}


def roles_of(policy: AccessPolicy) -> frozenset[str]:
    """The Milvus roles that a policy gives: a predefined one, or the one made of its own grants."""
    if policy.spec.role is not None:
        return frozenset({_ROLE_NAMES[policy.spec.role]})
    return frozenset({custom_role(policy)})


def custom_role(policy: AccessPolicy) -> str:
    """The role with the grants of one policy."""
    asked = sorted((each.database, each.collection, *sorted(each.privileges)) for each in policy.spec.grants)
    return CUSTOM_ROLE_PREFIX + sha256(repr((policy.metadata.uid, asked)).encode()).hexdigest()[:12]


def is_our_role(name: str) -> bool:
    """Whether a role of that name is the operator's."""
    return name.startswith(ROLE_PREFIXES)


def technical_user(roles: frozenset[str]) -> str:
    """The user as whom keys and tokens with exactly these roles act."""
    if len(roles) == 1:
        (only,) = roles
        for user, role in TECHNICAL_USERS.items():
            if role == only:
                return user
    return TECHNICAL_PREFIX + sha256(",".join(sorted(roles)).encode()).hexdigest()[:12]
