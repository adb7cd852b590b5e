"""Which clusters a policy selects, and which policies select a cluster: one answer for both directions."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol, TypeVar

from zilliz_operator.api.accesspolicy import AccessPolicy, Level
from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.fields import ClusterSelection
from zilliz_operator.api.validate import validate
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.reconcile.ports import Manifest


class Selecting(Protocol):
    @property
    def clusters(self) -> ClusterSelection | None: ...


def selects(selection: ClusterSelection | None, *, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a selection of the same project means this cluster. None means every cluster of the project."""
    if selection is None:
        return True
    if name in selection.names:
        return True
    wanted = selection.selector.match_labels if selection.selector else {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def missing(selection: ClusterSelection | None, existing: Iterable[str]) -> list[str]:
    """Names that a selection asks for and that no cluster has."""
    return sorted(set(selection.names if selection else ()) - set(existing))


R = TypeVar("R", Allowlist, AccessPolicy)


def readable(kind: type[R], raws: Iterable[Manifest]) -> list[R]:
    """Those that are valid. An invalid one grants nothing, and its own status says why."""
    found = []
    for raw in raws:
        with suppress(InvalidSpec):
            if not raw["metadata"].get("deletionTimestamp") and not validate(raw):
                found.append(kind.parse(raw))
    return found


def policy_selects(policy: AccessPolicy, cluster: ZillizCluster) -> bool:
    """Whether a policy of the cluster's own project means the cluster."""
    if policy.spec.level is Level.ORGANIZATION:
        return False
    if policy.spec.level is Level.PROJECT:
        return True
    return selects(policy.spec.clusters, name=cluster.metadata.name, labels=cluster.metadata.labels)
