"""ZillizCluster: the visible, ordered list of steps. Read `STEPS` and you know the product.

A pass reads everything once, runs the steps, prunes what nobody wants, and writes one status. A step that fails becomes a
condition; the steps that do not stand on it go on, so an outage of the object store does not stop a certificate's renewal.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy, Level, SubjectKind
from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import InvalidSpec, KubeconfigRefused, Rejected, Unavailable, ZillizError
from zilliz_operator.api.validate import validate
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.desired.access import custom_roles
from zilliz_operator.desired.context import MILVUS, ClusterContext, context_for
from zilliz_operator.desired.credentials import STORE_SECRET
from zilliz_operator.desired.identity import takes_keys
from zilliz_operator.desired.store import bucket_name
from zilliz_operator.desired.workload.builtin import VERSION_LABEL
from zilliz_operator.policy import claims, entitlements, versions
from zilliz_operator.policy.access import FOREIGN_SHOWN, USER
from zilliz_operator.policy.entitlements import WITH_SECRET, secret_of
from zilliz_operator.policy.status import FALSE, UNKNOWN, StepResult, conditions
from zilliz_operator.reconcile import accepted, children, recycle, renewal, statuses, vault
from zilliz_operator.reconcile.accesspolicy import made_by
from zilliz_operator.reconcile.canary import Canary
from zilliz_operator.reconcile.dataplane import prefix_holder
from zilliz_operator.reconcile.pass_ import Pass, World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key, Outcome
from zilliz_operator.reconcile.selection import selects
from zilliz_operator.reconcile.steps import (
    access,
    certificates,
    connection,
    door,
    endpoint,
    identity,
    namespace,
    network,
    pods,
    private_link,
    storage,
    vpc,
    workload,
)
from zilliz_operator.reconcile.steps.errors import LATER, SOON, failed, not_understood, waits

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
            p = await self._begin(raw)
        except _NotStarted as why:
            return await self._write(raw, _unseen(raw, why.ready), {}, ready=why.ready)
        await self._run(p)
        ready = p.trouble if p.trouble and (p.trouble.terminal or all(r.kept for r in p.results)) else None
        return await self._write(raw, p.results, _fields(p), ready=ready, again=p.repeat_at_once)

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

    async def _begin(self, raw: Manifest) -> Pass:
        """Read everything that a pass decides from. Raises _NotStarted with Ready when it cannot begin."""
        uid = raw["metadata"]["uid"]
        stored = await self._world.hub.get(
            "Secret", vault.vault_name(names.cluster_id(uid)), self._world.operator_namespace
        )
        plane_raw = await self._world.hub.get("DataPlane", accepted.data_plane_of(raw))
        asked = accepted.choose(raw, plane_raw, remembered=stored)
        if isinstance(asked, StepResult):
            raise _NotStarted(asked)
        cluster, data_plane = asked.cluster, asked.data_plane
        if not cluster.status.namespace:  # what runs goes on: it must not lose the hand that closes its door
            await self._refuse_without_prefix(data_plane)
        try:
            plane = await self._world.data_planes.access(data_plane)
            live = await children.observe(plane.kube, namespace=names.cluster_namespace(names.cluster_id(uid)), uid=uid)
            door_certificate = live.get("Certificate", "gateway-tls")
            public = await certificates.proves_public_names(plane.kube, data_plane, door=door_certificate)
        except Unavailable as error:
            raise _NotStarted(
                StepResult(C.READY, UNKNOWN, Reason.DATA_PLANE_UNREACHABLE, str(error), again_in=LATER)
            ) from None
        except Rejected as error:
            raise _NotStarted(
                StepResult(C.READY, FALSE, Reason.DATA_PLANE_NOT_READY, str(error), again_in=LATER)
            ) from None
        except KubeconfigRefused as error:
            raise _NotStarted(
                StepResult(C.READY, FALSE, Reason.KUBECONFIG_REFUSED, str(error), again_in=LATER)
            ) from None
        except ZillizError as error:
            raise _NotStarted(
                StepResult(C.READY, FALSE, Reason.CREDENTIALS_MISSING, str(error), again_in=LATER)
            ) from None
        if not plane.local and not live.objects:
            _may_start(data_plane)
        ctx, trouble = self._context(cluster, data_plane, live)
        allowlists, policies, others, secrets = await self._policies(cluster)
        chosen = {policy.metadata.uid for policy in policies}
        custom = custom_roles(policies, version=ctx.version)
        entitled = entitlements.judge(
            [*policies, *others],
            now=self._world.clock.now(),
            here=lambda policy: policy.metadata.uid in chosen,
            without=custom.inexpressible.keys(),
        )
        fallbacks = {**_from(live, "milvus-root"), **_from(live, "technical-users")}
        if takes_keys(ctx):
            fallbacks |= {k: v for k, v in _from(live, STORE_SECRET).items() if k in vault.key_names(MILVUS)}
        if "password" in fallbacks:
            fallbacks[vault.ROOT] = fallbacks.pop("password")
        filled = vault.fill(
            stored,
            fallbacks=fallbacks,
            marks=asked.marks,
            randomness=self._world.randomness,
        )
        if self._world.leads():
            notes, now = cluster.metadata.annotations, self._world.clock.now()
            filled = renewal.renewed(filled, notes, now=now, randomness=self._world.randomness)
        await vault.keep(self._world.hub, filled, ctx, namespace=self._world.operator_namespace)
        return Pass(
            world=self._world,
            raw=raw,
            cluster=cluster,
            data_plane=data_plane,
            plane=plane,
            ctx=ctx,
            live=live,
            vault=filled,
            allowlists=allowlists,
            policies=policies,
            entitled=entitled,
            custom=custom,
            subject_secrets=secrets,
            canary=self._canary,
            public_issuer=public,
            trouble=asked.refused or trouble,
            private_link=(raw.get("status") or {}).get("privateLink"),
        )

    async def _refuse_without_prefix(self, data_plane: DataPlane) -> None:
        """Start nothing on a DataPlane whose bucket prefix is another's."""
        theirs = await prefix_holder(self._world, data_plane)
        if theirs is not None:
            message = f"DataPlane {data_plane.metadata.name}: {claims.refusal(claims.claim(data_plane), theirs)}"
            raise _NotStarted(StepResult(C.READY, FALSE, Reason.DATA_PLANE_NOT_READY, message, again_in=LATER))

    def _context(
        self, cluster: ZillizCluster, data_plane: DataPlane, live: children.Live
    ) -> tuple[ClusterContext, StepResult | None]:
        """The context, and why its version is not the one asked for. What runs goes on: a wrong version must not keep an
        address from being taken off a list."""
        running = _running(cluster, live)
        catalogue, trouble = data_plane.spec.versions, None
        try:
            chosen = versions.effective(requested=cluster.spec.version, running=running, catalogue=catalogue)
        except InvalidSpec as refused:
            listed = cluster.spec.version in {entry.version for entry in catalogue}
            reason = Reason.DOWNGRADE_REFUSED if listed else Reason.UNKNOWN_VERSION
            trouble = StepResult(C.READY, FALSE, reason, str(refused), again_in=LATER)
            if running is None:
                raise _NotStarted(trouble) from None
            chosen = versions.effective(requested=None, running=running, catalogue=catalogue)
        ctx = context_for(
            cluster,
            data_plane,
            version=chosen.version,
            image=chosen.image,
            operator_namespace=self._world.operator_namespace,
        )
        return ctx, trouble

    async def _policies(
        self, cluster: ZillizCluster
    ) -> tuple[Sequence[Allowlist], Sequence[AccessPolicy], Sequence[AccessPolicy], dict[str, Manifest]]:
        """The policies that select this cluster and can be read, the project's others, and the Secrets that the subjects of the
        former name."""
        hub, project = self._world.hub, cluster.metadata.namespace
        raw_lists, raw_policies, raw_organization = await asyncio.gather(
            hub.list("Allowlist", project),
            hub.list("AccessPolicy", project),
            hub.list("AccessPolicy", self._world.operator_namespace),
        )
        name, labels = cluster.metadata.name, cluster.metadata.labels
        allowlists = [a for a in _readable(Allowlist, raw_lists) if selects(a.spec.clusters, name=name, labels=labels)]
        own = [p for p in _readable(AccessPolicy, raw_policies) if p.spec.level is not Level.ORGANIZATION]
        chosen: list[AccessPolicy] = []
        others: list[AccessPolicy] = []
        for policy in own:
            selected = policy.spec.level is Level.PROJECT or selects(policy.spec.clusters, name=name, labels=labels)
            (chosen if selected else others).append(policy)
        chosen += [p for p in _readable(AccessPolicy, raw_organization) if p.spec.level is Level.ORGANIZATION]
        secrets: dict[str, Manifest] = {}
        for policy in chosen:
            for subject in policy.spec.subjects:
                if subject.kind in WITH_SECRET:
                    secret = secret_of(policy, subject)
                    found = await hub.get("Secret", secret, policy.metadata.namespace)
                    if found is not None:
                        secrets[f"{policy.metadata.namespace}/{secret}"] = found
        return allowlists, chosen, others, secrets

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


class _NotStarted(Exception):
    """A pass could not begin; `ready` says why."""

    def __init__(self, ready: StepResult) -> None:
        super().__init__(ready.message)
        self.ready = ready


def _may_start(plane: DataPlane) -> None:
    """Whether a cluster of which nothing is there yet may be begun on a remote data plane: only where it can be finished.

    A cluster that is there goes on whatever right was lost: the step that needs it says so, and addresses still come off lists.
    """
    connected = plane.status.condition(C.CONNECTED)
    if connected is not None and connected.is_true:
        return
    why, wait = (connected.message, LATER) if connected is not None else ("it was not looked at yet", SOON)
    message = f"not started: DataPlane {plane.metadata.name} is not ready: {why}"
    raise _NotStarted(StepResult(C.READY, FALSE, Reason.DATA_PLANE_NOT_READY, message, again_in=wait))


R = TypeVar("R", Allowlist, AccessPolicy)


def _readable(kind: type[R], raws: Sequence[Manifest]) -> list[R]:
    """Those that are valid. An invalid one grants nothing, and its own status says why."""
    found = []
    for raw in raws:
        if raw["metadata"].get("deletionTimestamp"):
            continue
        try:
            if not validate(raw):
                found.append(kind.parse(raw))
        except InvalidSpec:
            continue
    return found


def _running(cluster: ZillizCluster, live: children.Live) -> versions.Effective | None:
    """What was started last. Its image is known while nothing newer, which never ran, took its place."""
    found = live.get("StatefulSet", "milvus")
    if cluster.status.version is None or found is None:
        return None
    if (found["metadata"].get("labels") or {}).get(VERSION_LABEL) != cluster.status.version:
        return versions.Effective(version=cluster.status.version, image="")
    containers = found["spec"]["template"]["spec"]["containers"]
    image = next((c["image"] for c in containers if c["name"] == "milvus"), "")
    return versions.Effective(version=cluster.status.version, image=image)


def _version(p: Pass) -> str | None:
    """The version that has touched the data: a newer one that never started can still be taken back."""
    started = pods.has_run(p.live.of("Pod"), container="milvus", image=p.ctx.image)
    return p.ctx.version if started else p.cluster.status.version


def _from(live: children.Live, name: str) -> dict[str, str]:
    return vault.decoded(live.get("Secret", name))


def _fields(p: Pass) -> dict[str, Any]:
    """Status beside the conditions. Nothing here moves while the cluster is at rest."""
    spec = p.ctx.spec
    fields: dict[str, Any] = {
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
        fields["foreign"] = [each.as_status() for each in p.foreign[:FOREIGN_SHOWN]]
    if p.config_hash:
        fields["gateway"] = {
            "replicas": 0 if p.ctx.suspended else door.REPLICAS,
            "inForce": p.in_force,
            "config": p.config_hash[:12],
        }
    if p.certificate_sha256:
        fields["certificate"] = {"sha256": p.certificate_sha256, "notAfter": p.certificate_not_after}
    return {key: value for key, value in fields.items() if value is not None or key in p.raw.get("status", {})}


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
