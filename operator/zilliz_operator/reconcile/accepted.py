"""What a pass is made from: the specs as they are asked for, or else as they were last accepted.

A spec that is refused (a field that this release cannot do, an object older than a rule) must not end the passes over what runs: an
address taken off a list would stay admitted, and nothing would be repaired. So the specs in use are remembered beside the cluster's
credentials, and stand in for the refused ones until these are corrected.
"""

import json
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import Cloud, DataPlane, OperatorPath
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.validate import validate
from zilliz_operator.api.zillizcluster import Exposure, ZillizCluster, ZillizClusterSpec
from zilliz_operator.policy import doornames, fit
from zilliz_operator.policy.status import FALSE, StepResult
from zilliz_operator.reconcile import notyet
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.steps.errors import LATER

CLUSTER_SPEC = names.PREFIX + "accepted-spec"
DATA_PLANE_SPEC = names.PREFIX + "accepted-data-plane-spec"


@dataclass(frozen=True, slots=True)
class Asked:
    """`refused`: why the specs in use are not the ones asked for. `marks`: annotations by which the next pass remembers them."""

    cluster: ZillizCluster
    data_plane: DataPlane
    marks: dict[str, str]
    refused: StepResult | None = None


def data_plane_of(raw: Manifest) -> str:
    """The name of a cluster's DataPlane, whatever else is wrong with its spec."""
    return str((raw.get("spec") or {}).get("dataPlane") or ZillizClusterSpec.model_fields["data_plane"].default)


def choose(raw: Manifest, plane_raw: Manifest | None, *, remembered: Manifest | None) -> Asked | StepResult:
    """The specs to go on with; a StepResult (Ready) when they are refused and nothing was ever accepted."""
    if plane_raw is None:
        return _invalid(raw) or _not_found(data_plane_of(raw))
    refused = _refusal(raw, plane_raw)
    if refused is None:
        return _asked(raw, plane_raw, None)
    marks = ((remembered or {}).get("metadata") or {}).get("annotations") or {}
    if CLUSTER_SPEC not in marks or DATA_PLANE_SPEC not in marks:
        return refused
    old_raw = {**raw, "spec": json.loads(marks[CLUSTER_SPEC])}
    old_plane = {**plane_raw, "spec": json.loads(marks[DATA_PLANE_SPEC])}
    # As much of what is asked for as can be: a DataPlane's correction must not wait for a cluster's, nor the other way round.
    for each, plane in ((old_raw, plane_raw), (raw, old_plane)):
        if _refusal(each, plane) is None:
            return _asked(each, plane, refused)
    try:
        return _asked(old_raw, old_plane, refused)  # a newer rule may refuse even these: they run
    except InvalidSpec:
        return refused


def _refusal(raw: Manifest, plane_raw: Manifest) -> StepResult | None:
    invalid = _invalid(raw)
    if invalid is not None:
        return invalid
    findings = validate({**plane_raw, "kind": "DataPlane"})
    if findings:
        message = f"DataPlane {plane_raw['metadata']['name']}: {findings[0]}"
        return StepResult(ConditionType.READY, FALSE, Reason.DATA_PLANE_NOT_READY, message, again_in=LATER)
    cluster, plane = ZillizCluster.parse(raw), DataPlane.parse(plane_raw)
    stolen = doornames.refusal(
        cluster.spec.tls.dns_names,
        cluster_id=names.cluster_id(cluster.metadata.uid),
        domain=plane.spec.certificates.domain,
        cluster_domain=plane.spec.network.cluster_domain,
    )
    if stolen:
        return StepResult(ConditionType.READY, FALSE, Reason.INVALID_SPEC, stolen, again_in=LATER)
    misfit = fit.misfit(cluster, plane)
    if misfit is not None:
        return StepResult(ConditionType.READY, FALSE, Reason.INVALID_SPEC, misfit)
    return _impossible(cluster, plane) or _out_of_reach(cluster, plane) or notyet.of_cluster(cluster, plane)


def _impossible(cluster: ZillizCluster, plane: DataPlane) -> StepResult | None:
    """Ready of a cluster that asks for what its data plane cannot have; None when it can."""
    if cluster.spec.exposure is Exposure.PRIVATE_LINK and plane.spec.cloud is not Cloud.AWS:
        message = (
            f"spec.exposure: PrivateLink needs a DataPlane with cloud aws, and {plane.metadata.name} has cloud "
            f"{plane.spec.cloud}: use LoadBalancer or Internal"
        )
        return StepResult(ConditionType.READY, FALSE, Reason.INVALID_SPEC, message)
    return None


def _out_of_reach(cluster: ZillizCluster, plane: DataPlane) -> StepResult | None:
    by_balancer = plane.spec.network.operator_path is OperatorPath.LOAD_BALANCER
    if not by_balancer or cluster.spec.exposure is not Exposure.INTERNAL:
        return None
    message = (
        f"spec.exposure: Internal has no load balancer, and that is the operator's only way to gateways of DataPlane "
        f"{plane.metadata.name} (network.operatorPath): use LoadBalancer, or a data plane whose operatorPath is Pods"
    )
    return StepResult(ConditionType.READY, FALSE, Reason.UNSUPPORTED, message)


def _invalid(raw: Manifest) -> StepResult | None:
    findings = validate(raw)
    return StepResult(ConditionType.READY, FALSE, Reason.INVALID_SPEC, str(findings[0])) if findings else None


def _not_found(name: str) -> StepResult:
    message = f"spec.dataPlane: no DataPlane is named {name}: create it (kubectl get zdp lists them)"
    return StepResult(ConditionType.READY, FALSE, Reason.DATA_PLANE_NOT_FOUND, message, again_in=LATER)


def _asked(raw: Manifest, plane_raw: Manifest, refused: StepResult | None) -> Asked:
    marks = {CLUSTER_SPEC: _text(raw["spec"]), DATA_PLANE_SPEC: _text(plane_raw["spec"])}
    return Asked(ZillizCluster.parse(raw), DataPlane.parse(plane_raw), marks, refused)


def _text(spec: dict[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
