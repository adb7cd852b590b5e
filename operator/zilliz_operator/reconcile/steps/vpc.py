"""VPCIsolated: in a cloud, control plane and data plane are in different VPCs, and nothing undeclared joins them."""

from dataclasses import replace

from zilliz_operator.api.cloud import VpcPair
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import Cloud, DataPlaneSpec
from zilliz_operator.api.exceptions import Rejected, Unavailable
from zilliz_operator.policy import vpc
from zilliz_operator.policy.status import UNKNOWN, StepResult
from zilliz_operator.reconcile import statuses
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import CloudNetwork, Manifest
from zilliz_operator.reconcile.steps.errors import LATER

TYPE = ConditionType.VPC_ISOLATED


def concerns(p: Pass) -> bool:
    """Where there is no cloud there is no VPC, and nothing is said of one."""
    return p.ctx.data_plane.cloud is Cloud.AWS


async def compare(p: Pass) -> StepResult:
    return await judged(p.plane.cloud, p.ctx.data_plane, name=p.ctx.data_plane_name, raw=p.raw)


async def judged(cloud: CloudNetwork | None, spec: DataPlaneSpec, *, name: str, raw: Manifest) -> StepResult:
    """The condition for an object `raw`. One look at the cloud serves everything on a data plane for a while."""
    network = spec.network
    missing = [
        field
        for field, value in (("vpcId", network.vpc_id), ("controlPlaneVpcId", network.control_plane_vpc_id))
        if value is None
    ]
    if missing or network.vpc_id is None or network.control_plane_vpc_id is None:
        fields = " and ".join(f"spec.network.{field}" for field in missing)
        message = f"not declared: set {fields} of DataPlane {name}; the operator compares the two VPCs then"
        return StepResult(TYPE, UNKNOWN, Reason.NOT_DECLARED, message)
    if cloud is None:
        return StepResult(
            TYPE, UNKNOWN, Reason.NOT_CHECKED, "the data plane's cloud is not reached yet", again_in=LATER
        )
    region = spec.region or ""
    pair = VpcPair(
        data_plane=network.vpc_id,
        control_plane=network.control_plane_vpc_id,
        region=region,
        control_plane_region=network.control_plane_region or region,
    )
    try:
        view = await cloud.vpcs(pair, patient=_was_kept(raw))
    except Unavailable as error:
        return StepResult(TYPE, UNKNOWN, Reason.CLOUD_UNAVAILABLE, str(error), again_in=LATER)
    except Rejected as error:
        return StepResult(TYPE, UNKNOWN, Reason.CLOUD_REJECTED, str(error), again_in=LATER)
    found = vpc.judge(view, pair, declared=network.declared_links, data_plane=name)
    return found if found.kept else replace(found, again_in=LATER)


def _was_kept(raw: Manifest) -> bool:
    """Whoever waits for a verdict to change looks again sooner than the sweep would."""
    return any(c.type == TYPE and c.is_true for c in statuses.previous_conditions(raw))
