"""What an installation consists of beside our kinds: the operator's rights, and the admission policies that guard it.

Data, free of pydantic. The chart makes them, tests hold chart and data equal in both directions, and `zilliz-operator doctor` looks
for each of them in a live cluster.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from zilliz_operator.api import rights
from zilliz_operator.api.kinds import OURS
from zilliz_operator.api.names import GROUP
from zilliz_operator.api.people import CLUSTER_ROLES, RBAC_GROUP

MINIMUM_KUBERNETES: Final = (1, 30)
"""The first with ValidatingAdmissionPolicies in every cluster; the chart refuses older ones."""

OWN_KINDS: Final = tuple(kind.plural for kind in OURS)


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource (`plural` or `plural/subresource`), in every namespace or in the operator's own."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    everywhere: bool = True
    name: str = ""
    """The one object that it is about; empty: all."""

    def each(self) -> Iterator[tuple[str, str, str]]:
        """(verb, group, resource), one by one."""
        return ((verb, self.group, self.resource) for verb in self.verbs)


def _all(group: str, *resources: str, verbs: tuple[str, ...]) -> tuple[Right, ...]:
    return tuple(Right(group, resource, verbs) for resource in resources)


RIGHTS: Final[tuple[Right, ...]] = (
    *(
        Right(GROUP, kind, (*rights.READ, "patch", *(("create", "delete") if kind == "recycledclusters" else ())))
        for kind in OWN_KINDS
    ),
    *_all(GROUP, *(f"{kind}/status" for kind in OWN_KINDS), verbs=("get", "patch", "update")),
    *_all(GROUP, *(f"{kind}/finalizers" for kind in OWN_KINDS), verbs=("patch", "update")),
    *(Right(each.group, resource, each.verbs) for each in rights.DATA_PLANE for resource in each.resources),
    Right("events.k8s.io", "events", ("create", "patch")),
    *_all(RBAC_GROUP, "rolebindings", "clusterrolebindings", verbs=rights.WRITE),
    *(Right(RBAC_GROUP, "clusterroles", ("bind",), name=role) for role in CLUSTER_ROLES.values()),
    Right("coordination.k8s.io", "leases", ("create",), everywhere=False),
    Right("coordination.k8s.io", "leases", ("get", "update"), everywhere=False, name="zilliz-operator"),
)
"""Everything that the operator may do on the cluster it runs in, and nothing else."""

ADMISSION_POLICIES: Final[dict[str, str]] = {
    "zilliz-deletion-protection": "a protected ZillizCluster can be deleted at once (it is recycled)",
    "zilliz-project-protection": "a namespace that holds a protected ZillizCluster can be deleted",
    "zilliz-crd-protection": "our CustomResourceDefinitions can be deleted, and every cluster with them",
    "zilliz-namespace-reservation": "whoever may make or label namespaces can claim a cluster's, or loosen its Pod Security",
    "zilliz-ownership-labels": "tenants can put the operator's labels on their own objects",
    "zilliz-operator-records": "whoever has every right in a project can write statuses and RecycledClusters there",
    "zilliz-operator-reach": "the operator's account can write beyond the namespaces of clusters",
    "zilliz-access-grants": "whoever may write AccessPolicies in a project can give roles that they do not hold",
    "zilliz-access-labels": "whoever may change a cluster can label it into the reach of an AccessPolicy",
    "zilliz-access-exposure": "a DataAdmin can open a cluster's door wider",
    "zilliz-operator-bindings": "the operator's account can delete everybody's bindings",
    "zilliz-second-factor": "requireMFA is not asked for where our kinds are written",
    "zilliz-organization-policies": "an AccessPolicy of level Organization can be written in any project (the operator ignores it)",
}
"""Each policy that the chart installs and binds, with what is not held without it."""
