"""StorageSecured: a bucket of the cluster's own, hardened."""

from collections.abc import Sequence

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.desired import bucket
from zilliz_operator.policy.status import TRUE, StepResult
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import AspectResult


async def secure(p: Pass) -> StepResult:
    """Make the data bucket exist with every aspect, and say what this store cannot do."""
    wanted = bucket.data_bucket(p.ctx)
    aspects = await p.plane.store.ensure_bucket(wanted)
    limits = [a for a in aspects if a.state == "unsupported"]
    message = f"bucket {wanted.name}: {said(aspects)}"
    reason = Reason.KEPT_WITH_LIMITS if limits else Reason.KEPT
    return StepResult(ConditionType.STORAGE_SECURED, TRUE, reason, message)


def said(aspects: Sequence[AspectResult]) -> str:
    """Aspects as a sentence: what holds, then what this store cannot do. Repairs are events, not evidence: the text stays still."""
    kept = ", ".join(a.name for a in aspects if a.state != "unsupported")
    cannot = "; ".join(f"{a.name}: {a.detail}" for a in aspects if a.state == "unsupported")
    return f"{kept} in force" + (f". This store cannot do, and we do not claim: {cannot}" if cannot else "")
