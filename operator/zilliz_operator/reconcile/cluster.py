"""ZillizCluster: the visible, ordered list of steps. Read `STEPS` and you know the product.

A pass reads everything once, runs the steps, prunes what nobody wants, and writes one status. A step that fails becomes a
condition; the steps that do not stand on it go on, so an outage of the object store does not stop a certificate's renewal.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import ZillizError
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.policy.status import FALSE, UNKNOWN, StepResult, conditions
from zilliz_operator.reconcile import children, published, recycle, statuses
from zilliz_operator.reconcile.beginning import Beginning, NotStarted
from zilliz_operator.reconcile.canary import Canary
from zilliz_operator.reconcile.pass_ import Pass, World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key, Outcome
from zilliz_operator.reconcile.steps import (
    access,
    certificates,
    connection,
    door,
    endpoint,
    identity,
    namespace,
    network,
    private_link,
    storage,
    vpc,
    workload,
)
from zilliz_operator.reconcile.steps.errors import failed, not_understood, waits

log = logging.getLogger(__name__)

PAUSED = names.PREFIX + "paused"
C = ConditionType


@dataclass(frozen=True, slots=True)
class Step:
    """`run` gives condition `type`, or None when there is nothing to say; it is tried only while everything in `needs` stands,
    and only for clusters that it `concerns`."""

    type: ConditionType
    run: Callable[[Pass], Awaitable[StepResult | None]]
    needs: tuple[ConditionType, ...] = ()
    concerns: Callable[[Pass], bool] = lambda _: True


STEPS = (
    Step(C.NAMESPACE_ISOLATED, namespace.claim),
    Step(C.NETWORK_ISOLATED, network.close, needs=(C.NAMESPACE_ISOLATED,)),
    Step(C.VPC_ISOLATED, vpc.compare, concerns=vpc.concerns),
    Step(C.STORAGE_SECURED, storage.secure, needs=(C.NAMESPACE_ISOLATED,)),
    Step(C.IDENTITY_SCOPED, identity.scope, needs=(C.NAMESPACE_ISOLATED,)),
    Step(C.CERTIFICATE_VALID, certificates.issue, needs=(C.NAMESPACE_ISOLATED,)),
    # Before the Service changes: a load balancer cannot go while an endpoint service stands in front of it.
    Step(C.PRIVATE_LINK_READY, private_link.serve, concerns=private_link.concerns),
    Step(C.WORKLOAD_READY, workload.run, needs=(C.NETWORK_ISOLATED,)),
    Step(C.ACCESS_APPLIED, access.apply, needs=(C.NETWORK_ISOLATED,)),
    Step(C.ALLOWLIST_IN_FORCE, door.attest, needs=(C.NETWORK_ISOLATED,)),
    Step(C.ENDPOINT_VERIFIED, endpoint.verify, needs=(C.CERTIFICATE_VALID,)),
)

Observe = Callable[[str, str, str, str], None]


class ClusterReconciler:
    """`observe` is told every condition (project, name, type, status), for metrics."""

    def __init__(self, world: World, *, observe: Observe) -> None:
        self._world = world
        self._observe = observe
        self._canary = Canary(world.knocker, world.clock)
        self._beginning = Beginning(world, self._canary)

    async def reconcile(self, key: Key) -> Outcome:
        raw = await self._world.hub.get("ZillizCluster", key.name, key.namespace)
        if raw is None:
            self._canary.forget(key)
            return Outcome(alive=False)
        raw = {**raw, "kind": "ZillizCluster"}
        if raw["metadata"].get("deletionTimestamp"):
            return Outcome()
        if (raw["metadata"].get("annotations") or {}).get(PAUSED):
            return await self._paused(raw)
        await self._first_words(raw)
        try:
            p = await self._beginning.begin(raw)
        except NotStarted as why:
            return await self._write(raw, _unseen(raw, why.ready), {}, ready=why.ready)
        await self._run(p)
        ready = p.trouble if p.trouble and (p.trouble.terminal or all(r.kept for r in p.results)) else None
        return await self._write(raw, p.results, published.fields(p), ready=ready, again=p.repeat_at_once)

    async def teardown(self, key: Key) -> str:
        """Recycle; empty once the object may go."""
        raw = await self._world.hub.get("ZillizCluster", key.name, key.namespace)
        if raw is None:
            return ""
        raw = {**raw, "kind": "ZillizCluster"}
        try:
            return await self._recycled(raw)
        except ZillizError as error:
            await statuses.still_there(self._world.hub, raw, str(error), now=self._world.clock.now())
            raise

    async def _recycled(self, raw: Manifest) -> str:
        cluster = ZillizCluster.parse({**raw, "spec": raw.get("spec") or {}})
        plane_raw = await self._world.hub.get("DataPlane", cluster.spec.data_plane)
        status = cluster.status
        made = {"data": status.bucket, "audit": status.audit_bucket, "backup": status.backup_bucket}
        access_ = None
        if plane_raw is not None:
            plane = DataPlane.parse(plane_raw)
            try:
                access_ = await self._world.data_planes.access(plane)
            except ZillizError:
                if cluster.status.namespace:  # something of it may run there: an outage must not lose it
                    raise
            prefix = plane.spec.object_storage.bucket_prefix
            cluster_id = names.cluster_id(cluster.metadata.uid)
            made = {
                purpose: name or names.bucket_name(prefix=prefix, cluster_id=cluster_id, purpose=purpose)
                for purpose, name in made.items()
            }
        await recycle.recycle(
            self._world, cluster, raw, access_, buckets={purpose: name for purpose, name in made.items() if name}
        )
        self._world.sweeps.forget(cluster.metadata.uid)
        return ""

    # ---- the parts of a pass ------------------------------------------------------------------------------------------------

    async def _first_words(self, raw: Manifest) -> None:
        """Say that work has begun before any of it: an empty status reads as finished to GitOps tools."""
        if (raw.get("status") or {}).get("conditions"):
            return
        begun = StepResult(C.READY, FALSE, Reason.PROGRESSING, "the cluster is being made")
        found = conditions(
            (), previous=(), generation=raw["metadata"]["generation"], now=self._world.clock.now(), ready=begun
        )
        fields = {"clusterId": names.cluster_id(raw["metadata"]["uid"])}
        await statuses.write(self._world.hub, raw, conditions=found, fields=fields)
        raw["status"] = {
            "observedGeneration": raw["metadata"]["generation"],
            "conditions": [c.to_dict() for c in found],
            **fields,
        }

    async def _run(self, p: Pass) -> None:
        for step in STEPS:
            if not step.concerns(p):
                continue
            missing = next((need for need in step.needs if not p.stands(need)), None)
            if missing is not None:
                p.complete = False
                p.results.append(waits(step.type, for_=missing))
                continue
            try:
                result = await step.run(p)
                if result is not None:
                    p.results.append(result)
            except ZillizError as error:
                p.complete = False
                p.results.append(failed(step.type, error))
            except Exception as error:  # one step's bug must not hold up the others, nor leave the status as it was
                log.exception("a step failed", extra={"object": p.cluster.ref, "condition": str(step.type)})
                p.complete = False
                p.results.append(not_understood(step.type, error))
        if not p.kept(C.NAMESPACE_ISOLATED):
            return
        try:
            await connection.publish(p)
        except ZillizError as error:
            p.trouble = p.trouble or failed(C.READY, error)
        if p.complete and self._world.leads():
            p.written += [f"-{name}" for name in await children.prune_unwanted(p.kube, p.live, p.wanted)]
        if p.written:
            log.info("changed", extra={"object": p.cluster.ref, "writes": ", ".join(p.written)})

    # ---- its end ------------------------------------------------------------------------------------------------------------

    async def _paused(self, raw: Manifest) -> Outcome:
        before = statuses.previous_conditions(raw)
        ready = next((c for c in before if c.type == C.READY), None)
        kept = StepResult(C.READY, ready.status, Reason(ready.reason), ready.message) if ready else None
        results = [
            StepResult(C(c.type), c.status, Reason(c.reason), c.message) for c in before if c.type in set(STEP_TYPES)
        ]
        summary = kept or StepResult(
            C.READY, UNKNOWN, Reason.PAUSED, f"paused by the annotation {PAUSED}: remove it to go on"
        )
        found = conditions(
            results,
            previous=before,
            generation=(raw.get("status") or {}).get("observedGeneration") or raw["metadata"]["generation"],
            now=self._world.clock.now(),
            ready=summary,
            paused=True,
        )
        fields = {"observedGeneration": (raw.get("status") or {}).get("observedGeneration")}
        await statuses.write(
            self._world.hub, raw, conditions=found, fields={k: v for k, v in fields.items() if v is not None}
        )
        return Outcome()

    async def _write(
        self,
        raw: Manifest,
        results: Sequence[StepResult],
        fields: Mapping[str, Any],
        *,
        ready: StepResult | None = None,
        again: bool = False,
    ) -> Outcome:
        if ready is None and again and all(r.kept for r in results):
            ready = StepResult(C.READY, FALSE, Reason.PROGRESSING, "one more pass puts what was just learned in force")
        found = conditions(
            results,
            previous=statuses.previous_conditions(raw),
            generation=raw["metadata"]["generation"],
            now=self._world.clock.now(),
            ready=ready,
        )
        for condition in found:
            self._observe(raw["metadata"]["namespace"], raw["metadata"]["name"], condition.type, condition.status)
        await statuses.write(self._world.hub, raw, conditions=found, fields=fields)
        if again:
            return Outcome(again_in=0.0)
        waits_for = [r.again_in for r in (*results, *((ready,) if ready else ())) if r.again_in is not None]
        return Outcome(
            again_in=min(waits_for, default=None), sweep_in=self._world.sweeps.due_in(raw["metadata"]["uid"])
        )


STEP_TYPES = tuple(step.type for step in STEPS)


def _unseen(raw: Manifest, why: StepResult) -> list[StepResult]:
    """Promises that were looked at before and cannot be now: they do not vanish, and nothing is claimed."""
    before = {c.type for c in statuses.previous_conditions(raw)}
    message = f"not checked: {why.message}"
    return [StepResult(type, UNKNOWN, Reason.NOT_CHECKED, message) for type in STEP_TYPES if type in before]
