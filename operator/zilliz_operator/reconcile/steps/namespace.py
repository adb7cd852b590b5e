"""NamespaceIsolated: a namespace of the cluster's own, with Pod Security, quota and limits, that carries our mark."""

from zilliz_operator.api import names
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.exceptions import Conflict, NameTaken
from zilliz_operator.desired import identity, namespace, quota
from zilliz_operator.policy import drift
from zilliz_operator.policy.status import FALSE, TRUE, StepResult
from zilliz_operator.reconcile import children
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.steps.errors import SOON

TYPE = ConditionType.NAMESPACE_ISOLATED


async def claim(p: Pass) -> StepResult:
    """Make the namespace ours, or leave a stranger's alone."""
    wanted = namespace.namespace(p.ctx)
    existing = await p.kube.get("Namespace", p.ctx.namespace)
    if existing is None:
        try:
            await p.kube.create(drift.stamped(wanted))
        except Conflict:
            return StepResult(TYPE, FALSE, Reason.PROGRESSING, "the namespace appeared while we made it", again_in=SOON)
        p.written.append(f"Namespace/{p.ctx.namespace}")
    else:
        refuse_strangers(existing, uid=p.ctx.uid)
        if existing["metadata"].get("deletionTimestamp"):
            message = f"namespace {p.ctx.namespace} is terminating; it is made anew once it is gone"
            return StepResult(TYPE, FALSE, Reason.WAITING_FOR_NAMESPACE, message, again_in=SOON)
        if drift.needs_apply(wanted, existing):
            await p.kube.apply(drift.stamped(wanted))
            p.written.append(f"Namespace/{p.ctx.namespace}")
    inside = [*quota.quota(p.ctx), *identity.service_accounts(p.ctx)]
    p.wanted += inside
    p.written += await children.apply(p.kube, p.live, inside, uid=p.ctx.uid)
    level = wanted["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    message = f"namespace {p.ctx.namespace} is ours alone, Pod Security {level}, quota and limits set"
    return StepResult(TYPE, TRUE, Reason.KEPT, message)


def refuse_strangers(existing: dict[str, object], *, uid: str) -> None:
    """Raise NameTaken for a namespace that does not carry this cluster's UID."""
    metadata = existing["metadata"]
    assert isinstance(metadata, dict)
    if (metadata.get("labels") or {}).get(names.CLUSTER_UID_LABEL) != uid:
        raise NameTaken(
            f"namespace {metadata['name']}",
            f"exists and does not carry {names.CLUSTER_UID_LABEL}={uid}; nothing in it was touched. "
            "Delete that namespace, or delete this cluster and create it anew: it gets another id",
        )
