"""docs/reference/roles.md: what each role is in Kubernetes, out of the data that the chart is held to. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from zilliz_operator.api.kinds import OURS
from zilliz_operator.api.people import CLUSTER_ROLES, CUSTOM, grantable, rights

_NOTICE: Final = "<!-- Generated from operator/zilliz_operator/api: edit there, then `make generate`. -->"
_SHORT: Final = {"get": "r", "create": "c", "update": "u", "delete": "d"}


def roles_page() -> str:
    """The whole page."""
    roles = tuple(CLUSTER_ROLES)
    return (
        "\n\n".join(
            (
                "# Roles in Kubernetes",
                _NOTICE,
                "What an [AccessPolicy](../kinds/accesspolicy.md) with `role` gives Groups, Users and ServiceAccounts at the Kubernetes "
                "API, beside what it gives at the clusters' doors. The operator binds these ClusterRoles; the chart makes them. They "
                "give nothing but our kinds: no Secret, no pod, no RBAC.",
                "## Where",
                _table(
                    ("Role", "level Cluster", "level Project", "level Organization"),
                    (_where(role) for role in roles),
                ),
                "A project is a namespace that holds a ZillizCluster; the operator's own namespace is none at level Organization. Custom "
                "`grants` are about data and give nothing in Kubernetes.",
                "## What",
                "r: get, list, watch · c: create · u: update, patch · d: delete. Nobody deletes a whole collection, and every status is "
                "the operator's.",
                _table(
                    ("Kind", *(f"{role}" for role in roles)), (_row(kind.kind, kind.plural, roles) for kind in OURS)
                ),
                "Changing `exposure`, `privateLink` or `tls` takes the right to update Allowlists, too: not a DataAdmin's.",
                "DataPlanes lie in no project: only an OrganizationOwner reads them. An OrganizationOwner also reads and creates "
                "namespaces.",
                "## Who may hand out what",
                "Writing an AccessPolicy takes the verb `grant` on its role, in the policy's namespace; at level Organization everywhere. "
                f"`{CUSTOM}` stands for `grants`. The cluster's own `admin` has, in a project, what ProjectAdmin has.",
                _table(("Role", "May hand out"), ((role, ", ".join(grantable(role)) or "nothing") for role in roles)),
            )
        )
        + "\n"
    )


def _where(role: str) -> tuple[str, ...]:
    own = f"`{CLUSTER_ROLES[role]}`"
    if role == "OrganizationOwner":
        return role, "-", "-", f"{own} everywhere"
    cluster = "-" if role == "ProjectAdmin" else f"`{CLUSTER_ROLES['DataViewer']}` in the project"
    return role, cluster, f"{own} in the project", f"{own} in every project"


def _row(kind: str, plural: str, roles: Sequence[str]) -> tuple[str, ...]:
    bound = [role for role in roles if kind != "DataPlane" or role == "OrganizationOwner"]
    held = {role: "".join(_SHORT[verb] for verb in _SHORT if verb in rights(role)[plural]) for role in bound}
    return kind, *(held.get(role, "-") for role in roles)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
