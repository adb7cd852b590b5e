"""What the API has and this release does not do: said at once, in words, instead of an object that waits for ever in silence."""

import contextlib
from collections.abc import Callable

from zilliz_operator.api.backuppolicy import BackupPolicy
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import DataPlane, DataPlaneSpec, Engine
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.validate import validate
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.policy import residency
from zilliz_operator.policy.status import FALSE, TRUE, StepResult, conditions
from zilliz_operator.reconcile import statuses
from zilliz_operator.reconcile.allowlist import clusters_of
from zilliz_operator.reconcile.pass_ import World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key, Outcome
from zilliz_operator.reconcile.selection import selects

BACKUPS = "backups are not made by this release yet: copy the bucket, or export with your Milvus client"

_CLUSTER: tuple[tuple[Callable[[ZillizCluster, DataPlane], bool], str], ...] = (
    (
        lambda cluster, _: cluster.spec.restore_from is not None,
        "spec.restoreFrom: restoring is not there in this release: delete this object and create it without restoreFrom",
    ),
    (
        lambda _, plane: plane.spec.engine is Engine.MILVUS_OPERATOR,
        "DataPlane spec.engine: MilvusOperator is not there in this release: use a DataPlane with engine BuiltIn",
    ),
    (
        lambda _, plane: plane.spec.certificates.acm is not None,
        "DataPlane spec.certificates.acm: not there in this release: use issuerRef",
    ),
)


def of_cluster(cluster: ZillizCluster, plane: DataPlane) -> StepResult | None:
    """Ready of a cluster that asks for what this release cannot do; None when it can do all of it."""
    said = next((text for asks, text in _CLUSTER if asks(cluster, plane)), None)
    return StepResult(ConditionType.READY, FALSE, Reason.NOT_YET, said) if said else None


class NotYetReconciler:
    """BackupPolicy, Backup, Restore: valid or not, and that nothing acts on them yet. Copies that a data plane's residency forbids
    are refused already: nobody should learn it on the day that backups begin."""

    def __init__(self, world: World, kind: str) -> None:
        self._world = world
        self._kind = kind

    async def reconcile(self, key: Key) -> Outcome:
        raw = await self._world.hub.get(self._kind, key.name, key.namespace)
        if raw is None:
            return Outcome(alive=False)
        if raw["metadata"].get("deletionTimestamp"):
            return Outcome()
        raw = {**raw, "kind": self._kind}
        findings = validate(raw)
        ready = StepResult(ConditionType.READY, FALSE, Reason.NOT_YET, BACKUPS)
        if findings:
            ready = StepResult(ConditionType.READY, FALSE, Reason.INVALID_SPEC, str(findings[0]))
        elif self._kind == "BackupPolicy" and (why := await self._leaves_home(BackupPolicy.parse(raw))):
            ready = StepResult(ConditionType.READY, FALSE, Reason.RESIDENCY_FORBIDS, why)
        await write_ready(self._world, raw, ready)
        return Outcome()

    async def _leaves_home(self, policy: BackupPolicy) -> str:
        """Which copy some selected cluster's data plane forbids; empty: none."""
        if not policy.spec.copies:
            return ""
        clusters = [
            cluster
            for cluster in await clusters_of(self._world, policy.metadata.namespace)
            if selects(policy.spec.clusters, name=cluster.metadata.name, labels=cluster.metadata.labels)
        ]
        planes: dict[str, DataPlaneSpec] = {}
        for raw in await self._world.hub.list("DataPlane"):
            with contextlib.suppress(InvalidSpec):  # its own status says what is wrong with it
                planes[raw["metadata"]["name"]] = DataPlane.parse(raw).spec
        return residency.forbidden(policy.spec, clusters=clusters, planes=planes)


class RecycledClusterReconciler:
    """The record of a deleted cluster: what is kept, and until when at least."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, key: Key) -> Outcome:
        raw = await self._world.hub.get("RecycledCluster", key.name, key.namespace)
        if raw is None:
            return Outcome(alive=False)
        spec = raw.get("spec") or {}
        kept = [str(spec[field]) for field in ("bucket", "auditBucket", "backupBucket") if spec.get(field)]
        message = (
            f"bucket{'s' if kept[1:] else ''} {', '.join(kept)}, namespace {spec.get('namespace')} with the volume, and the "
            f"credentials in Secret {spec.get('credentialsSecret')} of the operator's namespace are kept until "
            f"{spec.get('expiresAt')} at least; this release removes none of them by itself"
        )
        ready = StepResult(ConditionType.READY, TRUE, Reason.RECYCLED, message)
        await write_ready(self._world, {**raw, "kind": "RecycledCluster"}, ready)
        return Outcome()


async def write_ready(world: World, raw: Manifest, ready: StepResult) -> None:
    """A status of Ready alone."""
    found = conditions(
        (),
        previous=statuses.previous_conditions(raw),
        generation=raw["metadata"]["generation"],
        now=world.clock.now(),
        ready=ready,
    )
    await statuses.write(world.hub, raw, conditions=found, fields={})
