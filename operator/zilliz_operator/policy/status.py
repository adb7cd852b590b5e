"""Step results → conditions. The only place where a condition's shape is decided, so that kstatus tools read us right.

`Ready` is True only when every promise that was checked is kept; `Reconciling` and `Stalled` are present only while true, and
`Stalled` only for what a retry cannot cure. Times move only when a status does: a pass at rest changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from zilliz_operator.api.conditions import REASONS, Condition, ConditionType, Reason

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"

ON_ITS_WAY = frozenset(
    {
        Reason.PROGRESSING,
        Reason.NOT_CHECKED,
        Reason.CONFIGURATION_PENDING,
        Reason.ROTATING,
        Reason.SUSPENDED,
        *(reason for reason in Reason if reason.startswith("WaitingFor")),
    }
)
"""Reasons that pass by themselves, and often only because an earlier step has not passed yet."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step found: a promise's condition, and when to look again (seconds; None: no need before the next sweep)."""

    type: ConditionType
    status: str
    reason: Reason
    message: str
    again_in: float | None = None

    @property
    def kept(self) -> bool:
        return self.status == TRUE

    @property
    def terminal(self) -> bool:
        """Whether only a person can cure it."""
        return not self.kept and REASONS[self.reason].terminal


def conditions(
    results: Sequence[StepResult],
    *,
    previous: Sequence[Condition],
    generation: int,
    now: datetime,
    ready: StepResult | None = None,
    paused: bool = False,
) -> tuple[Condition, ...]:
    """The whole list, in the order of the steps, then Ready, then what is abnormal. `ready` overrides the summary of `results`."""
    summary = ready or summarize(results)
    wanted = [*results, summary]
    if paused:
        wanted.append(StepResult(ConditionType.PAUSED, TRUE, Reason.PAUSED, PAUSED_MESSAGE))
    elif summary.terminal:
        wanted.append(StepResult(ConditionType.STALLED, TRUE, summary.reason, summary.message))
    elif not summary.kept and summary.reason is not Reason.SUSPENDED:
        wanted.append(StepResult(ConditionType.RECONCILING, TRUE, summary.reason, summary.message))
    before = {condition.type: condition for condition in previous}
    return tuple(_condition(result, before.get(result.type), generation=generation, now=now) for result in wanted)


def summarize(results: Sequence[StepResult]) -> StepResult:
    """Ready, from the steps: a terminal failure first, then what is broken, then what cannot be seen, then what is only on its way.

    So a store that is down is named, and not the steps that wait for it.
    """
    news = [r for r in results if r.reason not in ON_ITS_WAY]
    failed = (
        next((r for r in results if r.terminal), None)
        or next((r for r in news if r.status == FALSE), None)
        or next((r for r in news if r.status == UNKNOWN), None)
        or next((r for r in results if r.status == FALSE), None)
        or next((r for r in results if r.status == UNKNOWN), None)
    )
    if failed is not None:
        message = f"{failed.type}: {failed.message}"
        return StepResult(ConditionType.READY, failed.status, failed.reason, message)
    kept = ", ".join(r.type for r in results)
    return StepResult(ConditionType.READY, TRUE, Reason.READY, f"{len(results)} promises kept: {kept}")


def _condition(result: StepResult, before: Condition | None, *, generation: int, now: datetime) -> Condition:
    unchanged = before is not None and before.status == result.status
    return Condition(
        type=result.type,
        status=result.status,
        reason=result.reason,
        message=result.message[:MESSAGE_LIMIT],
        observed_generation=generation,
        last_transition_time=before.last_transition_time if unchanged and before else now,
    )


PAUSED_MESSAGE = "the operator looks away: remove the annotation byoc.zilliz.com/paused to go on"
MESSAGE_LIMIT = 4096
"""Characters; the API allows 32 KiB, a person reads less."""
