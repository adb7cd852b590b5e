"""A cluster's children on its data plane: observe all, apply what differs, prune what nobody wants.

One LIST a kind at the start of a pass, compared in memory: a pass over a converged cluster reads and writes nothing.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.exceptions import NameTaken, NotReady
from zilliz_operator.policy import drift, prune, surplus
from zilliz_operator.reconcile.ports import Kube, Manifest

APPLIED_KINDS = (
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "ServiceAccount",
    "Issuer",
    "Certificate",
    "Secret",
    "ConfigMap",
    "Service",
    "PodDisruptionBudget",
    "StatefulSet",
    "Deployment",
)
"""Kinds that we apply in a cluster namespace, and prune there."""

OBSERVED_KINDS = (*APPLIED_KINDS, "Pod")
WITH_FOREIGN = frozenset({"NetworkPolicy"})
"""Kinds of which we read everybody's: network policies add up, so that a stranger's opens what ours leave shut."""


class Held(NotReady):
    """An object is being deleted, and somebody else's finalizer holds it."""


@dataclass(slots=True)
class Live:
    """What exists in one cluster namespace and carries the cluster's mark; and what is `foreign` there, of some kinds."""

    objects: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    foreign: list[Manifest] = field(default_factory=list)

    def get(self, kind: str, name: str) -> Manifest | None:
        return self.objects.get((kind, name))

    def of(self, kind: str) -> Iterator[Manifest]:
        return (obj for (each, _), obj in self.objects.items() if each == kind)

    def put(self, obj: Manifest) -> None:
        self.objects[(obj["kind"], obj["metadata"]["name"])] = obj


async def observe(kube: Kube, *, namespace: str, uid: str) -> Live:
    """Every child of ours. cert-manager's Secrets carry no mark of ours: read them by name."""
    live = Live()
    mark = {names.CLUSTER_UID_LABEL: uid}
    listings = (kube.list(kind, namespace, labels=None if kind in WITH_FOREIGN else mark) for kind in OBSERVED_KINDS)
    for kind, found in zip(OBSERVED_KINDS, await asyncio.gather(*listings), strict=True):
        for obj in found:
            if mark.items() <= (obj["metadata"].get("labels") or {}).items():
                live.put(obj)
            elif not obj["metadata"].get("deletionTimestamp"):
                live.foreign.append({**obj, "kind": kind})
    return live


async def apply(kube: Kube, live: Live, wanted: Iterable[Manifest], *, uid: str) -> Sequence[str]:
    """Apply what differs; returns `Kind/name` of each write. Raises NameTaken for an object of that name without our mark and,
    after all others are done, NotReady (Held, when a stranger's finalizer is to blame) for one that is being deleted."""
    written: list[str] = []
    waits: NotReady | None = None
    for manifest in wanted:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        existing = live.get(kind, name)
        if existing is None:
            existing = await _unmarked(kube, manifest, uid=uid)
        if existing is not None and existing["metadata"].get("deletionTimestamp"):
            waits = waits or _being_deleted(existing)
            continue
        if existing is None or drift.needs_apply(manifest, existing):
            existing = {**await kube.apply(drift.stamped(manifest)), "kind": kind}
            live.put(existing)
            written.append(f"{kind}/{name}")
        too_much = surplus.removal(manifest, existing)
        if too_much is not None:
            namespace = manifest["metadata"].get("namespace")
            live.put({**await kube.merge_patch(kind, name, namespace, too_much), "kind": kind})
            written.append(f"{kind}/{name}: what others added")
    if waits is not None:
        raise waits
    return written


async def _unmarked(kube: Kube, manifest: Manifest, *, uid: str) -> Manifest | None:
    """The object, when it exists although no listing by our mark found it: its mark was removed, or it is a stranger's."""
    metadata = manifest["metadata"]
    existing = await kube.get(manifest["kind"], metadata["name"], metadata.get("namespace"))
    if existing is None:
        return None
    labels: dict[str, Any] = existing["metadata"].get("labels") or {}
    annotations: dict[str, Any] = existing["metadata"].get("annotations") or {}
    ours = labels.get(names.CLUSTER_UID_LABEL) == uid or names.APPLIED_HASH in annotations
    if not ours:
        raise NameTaken(
            f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}",
            "exists and was not made by this operator; delete or rename it",
        )
    return existing


def _being_deleted(obj: Manifest) -> NotReady:
    metadata = obj["metadata"]
    what = f"{obj['kind']} {metadata['name']} is being deleted"
    foreign = [each for each in metadata.get("finalizers") or () if not _kubernetes_own(each)]
    if not foreign:
        return NotReady(f"{what}; it is made anew once it is gone")
    return Held(
        f"{what} and held by {', '.join(foreign)}: it is made anew as soon as whoever set that finalizer removes it"
    )


def _kubernetes_own(finalizer: str) -> bool:
    return finalizer in ("foregroundDeletion", "orphan") or finalizer.partition("/")[0].endswith("kubernetes.io")


async def prune_unwanted(
    kube: Kube, live: Live, wanted: Iterable[Manifest], *, kinds: Sequence[str] = APPLIED_KINDS
) -> Sequence[str]:
    """Delete our children of `kinds` that `wanted` does not contain; returns `Kind/name` of each."""
    candidates = [obj for obj in live.objects.values() if obj["kind"] in kinds]
    removed = []
    for obj in prune.unwanted(candidates, wanted=list(wanted)):
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            continue
        await kube.delete(obj["kind"], metadata["name"], metadata.get("namespace"), uid=metadata["uid"])
        live.objects.pop((obj["kind"], metadata["name"]), None)
        removed.append(f"{obj['kind']}/{metadata['name']}")
    return removed
