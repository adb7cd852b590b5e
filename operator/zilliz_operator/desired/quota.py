"""The ceiling of a cluster's namespace: its own pods, a rolling restart, and a few helpers. A runaway stops here.

Node ports and load balancers are counted too: an `Internal` cluster can open none, whoever asks.
"""

from zilliz_operator.api.zillizcluster import Exposure

from . import sizing
from .context import ClusterContext
from .manifest import Manifest, manifest

GATEWAYS = 2
GATEWAY_SURGE = 2
HELPERS = 4
OPERATOR_PODS = 16
"""Pods that the Milvus operator's dependencies (etcd) and a rolling change of its deployments may add."""


def quota(ctx: ClusterContext) -> list[Manifest]:
    """ResourceQuota and LimitRange, both `cluster`."""
    return [_resource_quota(ctx), _limit_range(ctx)]


def _resource_quota(ctx: ClusterContext) -> Manifest:
    size = ctx.spec.size
    milvus = sizing.milvus(size.cu_size).times(size.replicas)
    total = milvus + sizing.GATEWAY_POD.times(GATEWAYS + GATEWAY_SURGE) + sizing.HELPER.times(HELPERS)
    pods = 1 + GATEWAYS + GATEWAY_SURGE + HELPERS
    if not ctx.built_in:
        total = total + milvus + sizing.HELPER.times(OPERATOR_PODS)  # its rollout starts the new pods beside the old
        pods = pods + OPERATOR_PODS * size.replicas
    outward = ctx.spec.exposure is not Exposure.INTERNAL
    hard = {
        "requests.cpu": sizing.cpu(total.millicpu),
        "requests.memory": sizing.memory(total.request_mib),
        "limits.memory": sizing.memory(total.limit_mib),
        "pods": str(pods),
        "persistentvolumeclaims": "2" if ctx.built_in else "8",
        "services.loadbalancers": "1" if outward else "0",
        "services.nodeports": "4" if outward else "0",
    }
    labels = ctx.labels("quota")
    return manifest("ResourceQuota", name="cluster", namespace=ctx.namespace, labels=labels, spec={"hard": hard})


def _limit_range(ctx: ClusterContext) -> Manifest:
    helper = sizing.HELPER
    limit = {
        "type": "Container",
        "default": {"memory": sizing.memory(helper.limit_mib)},
        "defaultRequest": {"cpu": sizing.cpu(helper.millicpu), "memory": sizing.memory(helper.request_mib)},
        "max": {"memory": sizing.memory(sizing.milvus(ctx.spec.size.cu_size).limit_mib)},
    }
    labels = ctx.labels("quota")
    return manifest("LimitRange", name="cluster", namespace=ctx.namespace, labels=labels, spec={"limits": [limit]})
