"""What a failed call means for the condition of the step it failed in."""

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.exceptions import (
    Conflict,
    CredentialsMissing,
    InvalidSpec,
    NameTaken,
    NotReady,
    Rejected,
    Unavailable,
    ZillizError,
)
from zilliz_operator.policy.status import FALSE, UNKNOWN, StepResult
from zilliz_operator.reconcile.children import Held

SOON = 3.0
"""Seconds until a pass looks again at something that is on its way and that no watch reports."""
LATER = 20.0
"""Seconds until a pass tries again after an outage or a refusal: a person or another system has to act."""

_UNAVAILABLE = {
    ConditionType.VPC_ISOLATED: Reason.CLOUD_UNAVAILABLE,
    ConditionType.PRIVATE_LINK_READY: Reason.CLOUD_UNAVAILABLE,
    ConditionType.STORAGE_SECURED: Reason.OBJECT_STORE_UNAVAILABLE,
    ConditionType.IDENTITY_SCOPED: Reason.OBJECT_STORE_UNAVAILABLE,
    ConditionType.WORKLOAD_READY: Reason.MILVUS_UNAVAILABLE,
    ConditionType.ACCESS_APPLIED: Reason.MILVUS_UNAVAILABLE,
    ConditionType.ENDPOINT_VERIFIED: Reason.DOOR_UNREACHABLE,
    ConditionType.ALLOWLIST_IN_FORCE: Reason.DOOR_UNREACHABLE,
}
_REJECTED = {
    ConditionType.VPC_ISOLATED: Reason.CLOUD_REJECTED,
    ConditionType.PRIVATE_LINK_READY: Reason.CLOUD_REJECTED,
    ConditionType.STORAGE_SECURED: Reason.OBJECT_STORE_REJECTED,
    ConditionType.IDENTITY_SCOPED: Reason.OBJECT_STORE_REJECTED,
}


def failed(type: ConditionType, error: ZillizError) -> StepResult:
    """The condition of a step that raised. An outage says Unknown (nothing was seen), everything else False."""
    is_kubernetes = getattr(error, "what", "").startswith("Kubernetes API")
    match error:
        case Unavailable():
            reason = Reason.API_UNAVAILABLE if is_kubernetes else _UNAVAILABLE.get(type, Reason.API_UNAVAILABLE)
            return StepResult(type, UNKNOWN, reason, str(error), again_in=LATER)
        case Rejected():
            reason = Reason.API_REJECTED if is_kubernetes else _REJECTED.get(type, Reason.API_REJECTED)
            return StepResult(type, FALSE, reason, str(error), again_in=LATER)
        case NameTaken():
            return StepResult(type, FALSE, Reason.NAME_TAKEN, str(error), again_in=LATER)
        case CredentialsMissing():
            return StepResult(type, FALSE, Reason.CREDENTIALS_MISSING, str(error), again_in=LATER)
        case InvalidSpec(path=path) if path.startswith("spec."):
            return StepResult(type, FALSE, Reason.UNSUPPORTED, str(error), again_in=LATER)
        case InvalidSpec():
            return StepResult(type, FALSE, Reason.API_REJECTED, str(error), again_in=LATER)
        case Conflict():
            return StepResult(
                type, UNKNOWN, Reason.PROGRESSING, f"changed under us, reading again: {error}", again_in=SOON
            )
        case NotReady():
            reason = Reason.FOREIGN_FINALIZER if isinstance(error, Held) else Reason.PROGRESSING
            return StepResult(type, FALSE, reason, error.message, again_in=SOON)
        case _:
            return StepResult(type, FALSE, Reason.INTERNAL_ERROR, str(error), again_in=LATER)


def not_understood(type: ConditionType, error: Exception) -> StepResult:
    """A step that ended in an error of our own making. Its text stays in the log: nobody vouched that it holds no secret."""
    message = f"the operator met a {type_name(error)} that it does not understand; its log says more. It tries again"
    return StepResult(type, FALSE, Reason.INTERNAL_ERROR, message, again_in=LATER)


def type_name(error: Exception) -> str:
    return error.__class__.__name__


def waits(type: ConditionType, *, for_: ConditionType) -> StepResult:
    """A step that was not tried, since what it stands on is not there."""
    return StepResult(type, UNKNOWN, Reason.NOT_CHECKED, f"not checked yet: waits for {for_}")
