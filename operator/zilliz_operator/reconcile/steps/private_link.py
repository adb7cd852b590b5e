"""PrivateLinkReady: an endpoint service in front of the door's load balancer, for the principals of the spec and nobody else.

What may exist outside is written down before it is made: `status.privateLink` is there one pass before the first call that makes
something, and goes only after everything is removed. So a changed exposure or a crash leaves nothing that nobody looks for.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from zilliz_operator.api.cloud import Change, EndpointService
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import Cloud
from zilliz_operator.api.exceptions import NotReady, Unavailable
from zilliz_operator.api.zillizcluster import Exposure, ZillizCluster
from zilliz_operator.desired.store import tags
from zilliz_operator.policy import private_link
from zilliz_operator.policy.status import FALSE, StepResult
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import CloudNetwork
from zilliz_operator.reconcile.steps import door
from zilliz_operator.reconcile.steps.errors import LATER, SOON

TYPE = ConditionType.PRIVATE_LINK_READY
ROUNDS: Final = 3
"""Looks in one pass: each sees what the one before changed."""
MOST_SHOWN: Final = 100


def asked(p: Pass) -> bool:
    return p.ctx.spec.exposure is Exposure.PRIVATE_LINK


def concerns(p: Pass) -> bool:
    """Also a cluster that had one: it has to go."""
    return p.ctx.data_plane.cloud is Cloud.AWS and (asked(p) or p.private_link is not None)


async def serve(p: Pass) -> StepResult | None:
    cloud = p.plane.cloud
    assert cloud is not None  # a data plane in AWS has one, or the line above raised
    if not asked(p):
        p.written += await withdraw(cloud, uid=p.ctx.uid, leads=p.world.leads)
        p.private_link = None
        return None
    if not p.ctx.data_plane.network.load_balancer_cidrs:
        message = (
            f"not declared: set spec.network.loadBalancerCIDRs of DataPlane {p.ctx.data_plane_name} to the subnets of its "
            "load balancers; the gateways learn from them alone who connects through an endpoint"
        )
        return StepResult(TYPE, FALSE, Reason.NOT_DECLARED, message)
    written_down = p.private_link is not None
    if not written_down:
        p.private_link = _shown(None)
    host = door.balancer(p)
    balancer = await cloud.load_balancer(host) if host else None
    if balancer is None or not balancer.state.startswith("active"):
        said = f"load balancer {host} is {balancer.state if balancer else 'not to be seen in AWS yet'}"
        message = (
            said if host else "Service gateway has no load balancer yet; the endpoint service is made in front of it"
        )
        return StepResult(TYPE, FALSE, Reason.WAITING_FOR_ADDRESS, message, again_in=SOON)
    unfit = private_link.unfit(balancer)
    if unfit:
        message = f"load balancer {host}: {unfit}. Let the AWS Load Balancer Controller serve the Service gateway"
        return StepResult(TYPE, FALSE, Reason.LOAD_BALANCER_UNFIT, message, again_in=LATER)
    if not written_down:
        message = f"load balancer {host} is there; its endpoint service is made next"
        return StepResult(TYPE, FALSE, Reason.PROGRESSING, message, again_in=0.0)
    return await _hold(p, cloud, _wanted(p, load_balancer=balancer.arn))


async def _hold(p: Pass, cloud: CloudNetwork, wanted: private_link.Wanted) -> StepResult:
    """Look, change, look again, until nothing is left to change."""
    for _ in range(ROUNDS):
        found = await cloud.endpoint_services(uid=wanted.uid)
        service = private_link.choose(found, uid=wanted.uid, load_balancer=wanted.load_balancer)
        p.private_link = _shown(service)
        if service is None:
            plan: list[Change] = [private_link.birth(wanted)]
        else:
            extra = [each for each in private_link.owned(found, uid=wanted.uid) if each.id != service.id]
            plan = [*private_link.changes(service, wanted), *private_link.removal(extra)]
            if not plan:
                result = private_link.judge(service, wanted)
                return result if result.kept else replace(result, again_in=result.again_in or LATER)
        p.written += await _make(cloud, plan, leads=p.world.leads)
    return StepResult(TYPE, FALSE, Reason.PROGRESSING, "the endpoint service is being brought in step", again_in=SOON)


async def withdraw(cloud: CloudNetwork, *, uid: str, leads: Callable[[], bool]) -> list[str]:
    """End everything of this cluster's; returns what was done. Raises NotReady while something is left."""
    services = private_link.owned(await cloud.endpoint_services(uid=uid), uid=uid)
    if not services:
        return []
    done = await _make(cloud, private_link.removal(services), leads=leads)
    left = private_link.owned(await cloud.endpoint_services(uid=uid), uid=uid)
    if left:
        raise NotReady(f"endpoint service {left[0].id} is {left[0].state}; the rest goes on once it is gone")
    return done


def remains(cluster: ZillizCluster) -> bool:
    """Whether a cluster on its way out may have an endpoint service."""
    return cluster.spec.exposure is Exposure.PRIVATE_LINK or cluster.status.private_link is not None


async def _make(cloud: CloudNetwork, plan: list[Change], *, leads: Callable[[], bool]) -> list[str]:
    done = []
    for change in plan:
        if not leads():
            raise Unavailable("leadership", "lost; the new leader goes on")
        await cloud.change(change)
        done.append(type(change).__name__)
    return done


def _wanted(p: Pass, *, load_balancer: str) -> private_link.Wanted:
    asked_for = p.ctx.spec.private_link
    assert asked_for is not None  # a rule of the API
    return private_link.Wanted(
        uid=p.ctx.uid,
        tags=tags(p.ctx),
        load_balancer=load_balancer,
        acceptance_required=asked_for.acceptance_required,
        principals=tuple(asked_for.allowed_principals),
    )


def _shown(service: EndpointService | None) -> dict[str, Any]:
    """status.privateLink: in one order, whatever order the cloud tells it in."""
    if service is None:
        return {"serviceName": "", "serviceId": "", "state": "", "connections": []}
    return {
        "serviceName": service.name,
        "serviceId": service.id,
        "state": service.state,
        "connections": [
            {"endpoint": c.endpoint, "account": c.account, "state": c.state}
            for c in sorted(service.connections, key=lambda c: c.endpoint)[:MOST_SHOWN]
        ],
    }
