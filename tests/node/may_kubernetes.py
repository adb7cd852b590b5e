"""Who may do what at the Kubernetes API: the table that reality is compared with. Data alone.

Written down by hand from docs/reference/roles.md, and not read from where that page comes from: a slip there should show here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OWN, OTHER, ORGANIZATION, DATA = "own project", "another project", "organization", "cluster's namespace"
PLACES = (OWN, OTHER, ORGANIZATION, DATA)
CLUSTER_SCOPED = frozenset({"DataPlane", "Namespace"})
OURS = (
    *("ZillizCluster", "DataPlane", "Allowlist", "AccessPolicy", "BackupPolicy", "Backup", "Restore"),
    "RecycledCluster",
)
NOT_OURS = ("Secret", "ConfigMap", "Pod", "ServiceAccount", "RoleBinding", "ClusterRoleBinding", "Namespace")
KINDS = (*OURS, *NOT_OURS)
VERBS: Mapping[str, str] = {"r": "list", "c": "create", "u": "patch", "d": "delete"}
"""Letter of the table → what is tried."""

_PROJECT = {
    "OrganizationOwner": "r - r rcud r r r rud",
    "ProjectAdmin": "rcud - rcud rcud rcud rcud rcud r",
    "DataAdmin": "rud - r r r r r r",
    "DataOperator": "r - r r r r r r",
    "DataViewer": "r - r r r r r r",
}
"""Letters for each of OURS, in a project."""
_EVERYWHERE = {"OrganizationOwner": {"DataPlane": "r", "Namespace": "rc"}}

Rights = Mapping[tuple[str, str], str]
"""(Place, kind) → letters. What is not in it is refused."""


def rights(role: str, *places: str) -> dict[tuple[str, str], str]:
    """What a role gives in those places."""
    letters = dict(zip(OURS, _PROJECT[role].split(), strict=True))
    found = {(place, kind): each for place in places for kind, each in letters.items() if each != "-"}
    for kind, each in _EVERYWHERE.get(role, {}).items():
        found[OWN, kind] = each
    return found


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody whom a policy binds, or nobody. `level` is empty for whom no policy names."""

    name: str
    said: str
    role: str = ""
    level: str = ""
    kind: str = "User"
    may: Mapping[tuple[str, str], str]
    hands_out: frozenset[str] = frozenset()
    """Roles that they may give to others in the own project."""


ROLES = tuple(_PROJECT)
CUSTOM = "Custom"
_ALL = frozenset({"ProjectAdmin", "DataAdmin", "DataOperator", "DataViewer", CUSTOM})
NOTHING: Mapping[tuple[str, str], str] = {}

PEOPLE: tuple[Person, ...] = (
    *(
        Person(
            name=f"{role.lower()}@acme.test",
            said=f"{role} of the project",
            role=role,
            level="Project",
            may=rights(role, OWN),
            hands_out=_ALL if role == "ProjectAdmin" else frozenset(),
        )
        for role in ROLES
        if role != "OrganizationOwner"
    ),
    Person(
        name="owner@acme.test",
        said="OrganizationOwner",
        role="OrganizationOwner",
        level="Organization",
        may=rights("OrganizationOwner", *PLACES),
        hands_out=_ALL,
    ),
    Person(
        name="auditor@acme.test",
        said="DataViewer of the organization",
        role="DataViewer",
        level="Organization",
        may=rights("DataViewer", OWN, OTHER),
    ),
    Person(
        name="one-cluster@acme.test",
        said="DataAdmin of one cluster",
        role="DataAdmin",
        level="Cluster",
        may=rights("DataViewer", OWN),
    ),
    Person(
        name="team",
        said="a group with DataOperator of the project",
        role="DataOperator",
        level="Project",
        kind="Group",
        may=rights("DataOperator", OWN),
    ),
    Person(
        name="deployer",
        said="a service account with ProjectAdmin of the project",
        role="ProjectAdmin",
        level="Project",
        kind="ServiceAccount",
        may=rights("ProjectAdmin", OWN),
        hands_out=_ALL,
    ),
    Person(name="nobody@acme.test", said="whom no policy names", may=NOTHING),
)
