"""NetworkIsolated: everything is denied in both directions but the few named paths."""

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.desired import network
from zilliz_operator.policy.status import TRUE, StepResult
from zilliz_operator.reconcile import children
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.steps import door

TYPE = ConditionType.NETWORK_ISOLATED


async def close(p: Pass) -> StepResult:
    """Apply the policies; who may knock is in them only once Milvus' default password was seen refused."""
    policies = network.policies(p.ctx, door.admission(p))
    p.wanted += policies
    p.written += await children.apply(p.kube, p.live, policies, uid=p.ctx.uid)
    if p.world.leads():  # at once: a policy that lets somebody in must not wait until everything else is well
        gone = await children.prune_unwanted(p.kube, p.live, policies, kinds=("NetworkPolicy",))
        p.written += [f"-{name}" for name in gone]
    shown = ", ".join(policy["metadata"]["name"] for policy in policies)
    return StepResult(TYPE, TRUE, Reason.KEPT, f"{len(policies)} policies in place: {shown}")
