"""What the status of a ZillizCluster says beside its conditions. Nothing here moves while the cluster is at rest."""

from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy, SubjectKind
from zilliz_operator.api.conditions import ConditionType as C
from zilliz_operator.desired.store import bucket_name
from zilliz_operator.policy.access import FOREIGN_SHOWN, USER
from zilliz_operator.reconcile.accesspolicy import made_by
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.steps import connection, door, pods


def fields(p: Pass) -> dict[str, Any]:
    """Field → value; those that are known, and those that were there before."""
    spec = p.ctx.spec
    found: dict[str, Any] = {
        "clusterId": p.ctx.cluster_id,
        "namespace": p.ctx.namespace,
        "dataPlane": p.ctx.data_plane_name,
        "version": _version(p),
        "bucket": bucket_name(p.ctx, "data"),
        "auditBucket": bucket_name(p.ctx, "audit"),
        "backupBucket": bucket_name(p.ctx, "backup"),
        "endpoint": f"{connection.host(p)}:{names.GATEWAY_PORT}",
        "address": door.balancer(p) or None,
        "privateLink": p.private_link,
        "connectionSecret": names.connection_secret(p.ctx.name),
        "size": f"{spec.size.cu_size} CU × {spec.size.replicas}",
        "allowlist": {
            "cidrs": p.allow_cidrs,
            "workloads": p.allow_workloads,
            "allowlists": len(p.allowlists),
            "anywhere": p.allow_anywhere,
        },
        "policies": _in_force(p),
    }
    if p.foreign is not None:
        found["foreign"] = [each.as_status() for each in p.foreign[:FOREIGN_SHOWN]]
    if p.config_hash:
        found["gateway"] = {
            "replicas": 0 if p.ctx.suspended else door.REPLICAS,
            "inForce": p.in_force,
            "config": p.config_hash[:12],
        }
    if p.certificate_sha256:
        found["certificate"] = {"sha256": p.certificate_sha256, "notAfter": p.certificate_not_after}
    return {key: value for key, value in found.items() if value is not None or key in p.raw.get("status", {})}


def _version(p: Pass) -> str | None:
    """The version that has touched the data: a newer one that never started can still be taken back."""
    started = pods.has_run(p.live.of("Pod"), container="milvus", image=p.ctx.image)
    return p.ctx.version if started else p.cluster.status.version


def _complete(policy: AccessPolicy, p: Pass) -> bool:
    """Whether every credential of a policy was there to be put in force."""
    uid = policy.metadata.uid
    credentials = [each for each in p.entitled.live if each.uid == uid and each.secret]
    there = all(made_by(each.owner_uid, p.subject_secrets.get(each.secret or "")) for each in credentials)
    others = {each.name for each in p.foreign or () if each.kind == USER}
    taken = any(each.subject.kind is SubjectKind.CLUSTER_USER and each.subject.name in others for each in credentials)
    refused = uid in p.custom.inexpressible or any(each.uid == uid for each in p.entitled.refused)
    return there and not taken and not refused


def _in_force(p: Pass) -> list[dict[str, Any]]:
    """Policies that this pass saw in force: all that were read with the Secrets of their subjects, once door and server confirm."""
    if not p.kept(C.ALLOWLIST_IN_FORCE, C.ACCESS_APPLIED) or p.repeat_at_once:
        return list((p.raw.get("status") or {}).get("policies") or ())
    applied = [("Allowlist", a.metadata) for a in p.allowlists] + [
        ("AccessPolicy", a.metadata) for a in p.policies if _complete(a, p)
    ]
    return [
        {"kind": kind, "name": meta.name, "generation": meta.generation}
        for kind, meta in sorted(applied, key=lambda x: (x[0], x[1].name))
    ]
