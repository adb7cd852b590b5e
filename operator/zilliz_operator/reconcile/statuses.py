"""Writing a status: only when it differs, and with an Event when Ready turns."""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from zilliz_operator.api.conditions import Condition, ConditionType, Reason
from zilliz_operator.api.exceptions import ZillizError
from zilliz_operator.policy.status import FALSE, StepResult
from zilliz_operator.policy.status import conditions as build
from zilliz_operator.reconcile.ports import Kube, Manifest

_ON_THE_WAY = frozenset(
    {Reason.PROGRESSING, Reason.CONFIGURATION_PENDING, Reason.NOT_CHECKED, Reason.SUSPENDED}
    | {reason for reason in Reason if reason.startswith("Waiting")}
)
"""Reasons that are news, not warnings, while an object is being made."""


async def write(kube: Kube, raw: Manifest, *, conditions: Sequence[Condition], fields: Mapping[str, Any]) -> bool:
    """Merge `fields` and the condition list into the status of `raw`; returns whether anything was written.

    A field of None is removed. `observedGeneration` is always the generation that was read.
    """
    metadata = raw["metadata"]
    wanted: dict[str, Any] = {
        "observedGeneration": metadata.get("generation", 0),
        "conditions": [condition.to_dict() for condition in conditions],
        **fields,
    }
    before: dict[str, Any] = raw.get("status") or {}
    patch = {key: value for key, value in wanted.items() if before.get(key) != value}
    if not patch:
        return False
    await kube.merge_patch(
        raw["kind"], metadata["name"], metadata.get("namespace"), {"status": patch}, subresource="status"
    )
    await _tell(kube, raw, before=before, conditions=conditions)
    return True


async def _tell(kube: Kube, raw: Manifest, *, before: Mapping[str, Any], conditions: Sequence[Condition]) -> None:
    ready = next((c for c in conditions if c.type == ConditionType.READY), None)
    previous: dict[str, Any] = next(
        (c for c in before.get("conditions") or () if c.get("type") == ConditionType.READY), {}
    )
    if ready is None or (previous.get("status"), previous.get("reason")) == (ready.status, str(ready.reason)):
        return
    was_kept = previous.get("status") == "True"
    kind = "Normal" if ready.status == "True" or (ready.reason in _ON_THE_WAY and not was_kept) else "Warning"
    try:
        await kube.event(raw, type=kind, reason=str(ready.reason), message=ready.message)
    except ZillizError:
        return  # an Event is a courtesy; the status above is the record


async def still_there(kube: Kube, raw: Manifest, why: str, *, now: datetime) -> None:
    """Say what a deletion waits for; the other conditions stay as they were seen last."""
    before = previous_conditions(raw)
    own = (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.PAUSED)
    kept = [
        StepResult(ConditionType(c.type), c.status, Reason(c.reason), c.message)
        for c in before
        if c.type in set(ConditionType) - set(own) and c.reason in set(Reason)
    ]
    ready = StepResult(ConditionType.READY, FALSE, Reason.DELETING, f"being deleted, and waits: {why}")
    found = build(kept, previous=before, generation=raw["metadata"].get("generation", 0), now=now, ready=ready)
    with contextlib.suppress(ZillizError):  # what the deletion waits for is worth more than saying so
        await write(kube, raw, conditions=found, fields={})


def previous_conditions(raw: Manifest) -> tuple[Condition, ...]:
    return tuple(Condition.from_dict(c) for c in (raw.get("status") or {}).get("conditions") or ())
