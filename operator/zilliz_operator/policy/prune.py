"""Which live children nobody wants any more.

Deliberately timid: it judges only objects with our mark, never one that another controller made from ours, and never a
kind that holds data or carries everything else. Nothing that holds data dies because a list was short.
"""

from collections.abc import Iterable
from typing import Any

from zilliz_operator.api.names import CLUSTER_UID_LABEL

Manifest = dict[str, Any]

NEVER = frozenset({"Namespace", "PersistentVolumeClaim", "PersistentVolume"})
"""Kinds that go only on purpose, never by pruning."""


def unwanted(live: Iterable[Manifest], *, wanted: Iterable[Manifest]) -> list[Manifest]:
    """The objects of `live` to delete, in their order.

    `wanted` must be complete and not empty: an empty list means that somebody failed to compute it, so nothing goes.
    """
    wishes = list(wanted)
    keep = {_key(manifest) for manifest in wishes}
    uids = {_uid(manifest) for manifest in wishes} - {None}
    return [
        obj
        for obj in live
        if _key(obj) not in keep and _uid(obj) in uids and obj["kind"] not in NEVER and not _controlled(obj)
    ]


def _key(obj: Manifest) -> tuple[str, str, str]:
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace") or "", metadata["name"]


def _uid(obj: Manifest) -> str | None:
    uid: str | None = (obj["metadata"].get("labels") or {}).get(CLUSTER_UID_LABEL)
    return uid


def _controlled(obj: Manifest) -> bool:
    return any(owner.get("controller") for owner in obj["metadata"].get("ownerReferences") or ())
