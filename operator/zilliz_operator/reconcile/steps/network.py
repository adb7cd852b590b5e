"""NetworkIsolated: everything is denied in both directions but the few named paths, and somebody enforces it.

Three things can break it: our policies are not there (then we make them), others add policies that open what ours leave
shut, or the network plugin does not enforce any. The latter two only a person can mend; all else goes on meanwhile.
"""

from collections.abc import Sequence

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.desired import network
from zilliz_operator.desired.context import GATEWAY, MILVUS
from zilliz_operator.policy.status import FALSE, TRUE, UNKNOWN, StepResult
from zilliz_operator.policy.widening import wideners
from zilliz_operator.reconcile import children, statuses
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import Manifest
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
    return await _judged(p, policies)


async def _judged(p: Pass, policies: Sequence[Manifest]) -> StepResult:
    shown = ", ".join(policy["metadata"]["name"] for policy in policies)
    in_place = f"{len(policies)} policies in place: {shown}"
    wider = wideners(_others(p, policies), _labels(p))
    if wider:  # before our knock, which such a policy may let in as well
        message = (
            f"{in_place}; but policies of others add to them: {', '.join(wider)}. Policies add up, so ours cannot take that "
            f"back: delete them from namespace {p.ctx.namespace}"
        )
        return StepResult(TYPE, FALSE, Reason.WIDENED_BY_OTHERS, message)
    look = await p.canary.look(p.ctx, p.live, accused=_accused(p))
    if look.found.opened:
        where = f"our knock was let in at {', '.join(look.found.opened)}, which no policy opens to the operator"
        if not look.found.certain:
            message = f"{in_place}; but {where}. It is tried once more before we say that nobody enforces them"
            return StepResult(TYPE, UNKNOWN, Reason.POLICIES_NOT_ENFORCED, message, again_in=look.again_in)
        message = (
            f"{in_place}; but nobody enforces them: {where}. Install a network plugin that enforces NetworkPolicy on the "
            f"data plane {p.ctx.data_plane_name}, or switch its enforcement on"
        )
        return StepResult(TYPE, FALSE, Reason.POLICIES_NOT_ENFORCED, message, again_in=look.again_in)
    seen = _seen(p) if look.found.enforced else "not seen yet whether they are enforced"
    return StepResult(TYPE, TRUE, Reason.KEPT, f"{in_place}; {seen}", again_in=look.again_in)


def _accused(p: Pass) -> bool:
    """Whether the last pass that saw, of this process or another, said that nobody enforces the policies."""
    before = next((each for each in statuses.previous_conditions(p.raw) if each.type == TYPE), None)
    return before is not None and before.status == FALSE and before.reason == Reason.POLICIES_NOT_ENFORCED


def _seen(p: Pass) -> str:
    """What a knock proves that was not let in. Into another Kubernetes cluster our own side may have held it back as well."""
    fact = "our knock at ports that they keep shut was not let in"
    return f"enforced: {fact}" if p.ctx.data_plane.kubernetes is None else fact


def _others(p: Pass, policies: Sequence[Manifest]) -> list[Manifest]:
    """Policies in the cluster's namespace that we did not write, whatever marks they carry."""
    ours = {policy["metadata"]["name"] for policy in policies}
    return [each for each in (*p.live.foreign, *p.live.of("NetworkPolicy")) if each["metadata"]["name"] not in ours]


def _labels(p: Pass) -> list[dict[str, str]]:
    """Labels of the cluster's pods: those that run, and those that will."""
    running = [pod["metadata"].get("labels") or {} for pod in p.live.of("Pod")]
    return [*running, p.ctx.labels(GATEWAY), p.ctx.labels(MILVUS)]
