"""What the operator must be allowed to do on the Kubernetes cluster of a data plane, each right with its reason.

One list for three uses: `manifests/dataplane-access.yaml` is made from it, a test holds the chart's ClusterRole to it, and a
DataPlane's kubeconfig is asked for exactly these rights before a cluster is started there. Data, free of pydantic.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

READ: Final = ("get", "list", "watch")
WRITE: Final = (*READ, "create", "patch", "delete")


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """One verb on one resource, everywhere."""

    verb: str
    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Verbs on resources of one API group, and why they are needed."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str

    def each(self) -> Iterator[Access]:
        for resource in self.resources:
            for verb in self.verbs:
                yield Access(verb, self.group, resource)


DATA_PLANE: Final[tuple[Right, ...]] = (
    Right(group="", resources=("namespaces",), verbs=WRITE, why="A namespace for each cluster."),
    Right(
        group="",
        resources=("secrets",),
        verbs=WRITE,
        why="Certificates and credentials of clusters. Server-side apply needs create beside patch.",
    ),
    Right(
        group="",
        resources=("resourcequotas", "limitranges", "serviceaccounts", "configmaps", "services"),
        verbs=WRITE,
        why="The rest of a cluster, in its namespace.",
    ),
    Right(group="apps", resources=("statefulsets", "deployments"), verbs=WRITE, why="Milvus and the gateways."),
    Right(group="policy", resources=("poddisruptionbudgets",), verbs=WRITE, why="Drains leave a gateway standing."),
    Right(
        group="networking.k8s.io",
        resources=("networkpolicies",),
        verbs=WRITE,
        why="Everything is denied but a few paths.",
    ),
    Right(
        group="cert-manager.io",
        resources=("issuers", "certificates"),
        verbs=WRITE,
        why="The door's certificate, and the internal ones.",
    ),
    Right(
        group="cert-manager.io",
        resources=("clusterissuers",),
        verbs=("get", "list"),
        why="Whether the data plane's issuer is there and ready.",
    ),
    Right(
        group="",
        resources=("pods",),
        verbs=(*READ, "patch"),
        why="An annotation on a gateway makes its kubelet bring a changed configuration in seconds.",
    ),
    Right(
        group="storage.k8s.io",
        resources=("storageclasses",),
        verbs=("get", "list"),
        why="Whether the class of a cluster's volume encrypts.",
    ),
    Right(
        group="",
        resources=("persistentvolumeclaims",),
        verbs=(*READ, "patch"),
        why="A volume that the spec wants bigger.",
    ),
)
"""Every right on a data plane, in the order of the manifest."""


def accesses(rights: Iterable[Right] = DATA_PLANE) -> tuple[Access, ...]:
    """Every single verb on every single resource, in order."""
    return tuple(access for right in rights for access in right.each())


def grouped(missing: Iterable[Access]) -> str:
    """For a message: `create, patch networkpolicies.networking.k8s.io; list pods`."""
    verbs: dict[str, list[str]] = {}
    for access in missing:
        verb, _, resource = str(access).partition(" ")
        verbs.setdefault(resource, []).append(verb)
    return "; ".join(f"{', '.join(found)} {resource}" for resource, found in verbs.items())
