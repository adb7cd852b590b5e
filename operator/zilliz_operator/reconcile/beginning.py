"""The beginning of a pass over a ZillizCluster: everything that it decides from is read once, or it is said why it cannot begin."""

import asyncio
from collections.abc import Sequence

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy, Level
from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.api.conditions import ConditionType as C
from zilliz_operator.api.conditions import Reason
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import InvalidSpec, KubeconfigRefused, Rejected, Unavailable, ZillizError
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.desired.access import custom_roles
from zilliz_operator.desired.context import MILVUS, ClusterContext, context_for
from zilliz_operator.desired.credentials import STORE_SECRET
from zilliz_operator.desired.identity import takes_keys
from zilliz_operator.desired.workload.builtin import VERSION_LABEL
from zilliz_operator.policy import claims, entitlements, versions
from zilliz_operator.policy.entitlements import WITH_SECRET, secret_of
from zilliz_operator.policy.status import FALSE, UNKNOWN, StepResult
from zilliz_operator.reconcile import accepted, children, renewal, vault
from zilliz_operator.reconcile.canary import Canary
from zilliz_operator.reconcile.dataplane import prefix_holder
from zilliz_operator.reconcile.pass_ import DataPlaneAccess, Pass, World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.selection import policy_selects, readable, selects
from zilliz_operator.reconcile.steps import certificates
from zilliz_operator.reconcile.steps.errors import LATER, SOON


class NotStarted(Exception):
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
    raise NotStarted(StepResult(C.READY, FALSE, Reason.DATA_PLANE_NOT_READY, message, again_in=wait))


_WHY = (
    (Unavailable, (UNKNOWN, Reason.DATA_PLANE_UNREACHABLE)),
    (Rejected, (FALSE, Reason.DATA_PLANE_NOT_READY)),
    (KubeconfigRefused, (FALSE, Reason.KUBECONFIG_REFUSED)),
    (ZillizError, (FALSE, Reason.CREDENTIALS_MISSING)),
)
"""Why a data plane cannot be looked at, the first kind that fits."""


class Beginning:
    """Reads for one reconciler, which keeps `canary` from pass to pass."""

    def __init__(self, world: World, canary: Canary) -> None:
        self._world = world
        self._canary = canary

    async def begin(self, raw: Manifest) -> Pass:
        """Read everything that a pass decides from. Raises NotStarted with Ready when it cannot begin."""
        uid = raw["metadata"]["uid"]
        stored = await self._world.hub.get(
            "Secret", vault.vault_name(names.cluster_id(uid)), self._world.operator_namespace
        )
        plane_raw = await self._world.hub.get("DataPlane", accepted.data_plane_of(raw))
        asked = accepted.choose(raw, plane_raw, remembered=stored)
        if isinstance(asked, StepResult):
            raise NotStarted(asked)
        cluster, data_plane = asked.cluster, asked.data_plane
        if not cluster.status.namespace:  # what runs goes on: it must not lose the hand that closes its door
            await self._refuse_without_prefix(data_plane)
        plane, live, public = await self._look(data_plane, uid)
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
        filled = await self._credentials(ctx, stored, live, asked=asked)
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

    async def _look(self, data_plane: DataPlane, uid: str) -> tuple[DataPlaneAccess, children.Live, bool]:
        """The data plane, what is there of the cluster, and whether its door has a certificate that everybody trusts."""
        try:
            plane = await self._world.data_planes.access(data_plane)
            live = await children.observe(plane.kube, namespace=names.cluster_namespace(names.cluster_id(uid)), uid=uid)
            door_certificate = live.get("Certificate", "gateway-tls")
            return plane, live, await certificates.proves_public_names(plane.kube, data_plane, door=door_certificate)
        except ZillizError as error:
            status, reason = next(known for kind, known in _WHY if isinstance(error, kind))
            raise NotStarted(StepResult(C.READY, status, reason, str(error), again_in=LATER)) from None

    async def _credentials(
        self, ctx: ClusterContext, stored: Manifest | None, live: children.Live, *, asked: accepted.Asked
    ) -> vault.Vault:
        """The vault, filled and stored; what it lacks is taken from the cluster's own Secrets before it is made anew."""
        fallbacks = {**_from(live, "milvus-root"), **_from(live, "technical-users")}
        if takes_keys(ctx):
            fallbacks |= {k: v for k, v in _from(live, STORE_SECRET).items() if k in vault.key_names(MILVUS)}
        if "password" in fallbacks:
            fallbacks[vault.ROOT] = fallbacks.pop("password")
        randomness = self._world.randomness
        filled = vault.fill(stored, fallbacks=fallbacks, marks=asked.marks, randomness=randomness)
        if self._world.leads():
            notes, now = asked.cluster.metadata.annotations, self._world.clock.now()
            filled = renewal.renewed(filled, notes, now=now, randomness=randomness)
        await vault.keep(self._world.hub, filled, ctx, namespace=self._world.operator_namespace)
        return filled

    async def _refuse_without_prefix(self, data_plane: DataPlane) -> None:
        """Start nothing on a DataPlane whose bucket prefix is another's."""
        theirs = await prefix_holder(self._world, data_plane)
        if theirs is not None:
            message = f"DataPlane {data_plane.metadata.name}: {claims.refusal(claims.claim(data_plane), theirs)}"
            raise NotStarted(StepResult(C.READY, FALSE, Reason.DATA_PLANE_NOT_READY, message, again_in=LATER))

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
                raise NotStarted(trouble) from None
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
        allowlists = [a for a in readable(Allowlist, raw_lists) if selects(a.spec.clusters, name=name, labels=labels)]
        own = [p for p in readable(AccessPolicy, raw_policies) if p.spec.level is not Level.ORGANIZATION]
        chosen: list[AccessPolicy] = []
        others: list[AccessPolicy] = []
        for policy in own:
            (chosen if policy_selects(policy, cluster) else others).append(policy)
        chosen += [p for p in readable(AccessPolicy, raw_organization) if p.spec.level is Level.ORGANIZATION]
        secrets: dict[str, Manifest] = {}
        for policy in chosen:
            for subject in policy.spec.subjects:
                if subject.kind in WITH_SECRET:
                    secret = secret_of(policy, subject)
                    found = await hub.get("Secret", secret, policy.metadata.namespace)
                    if found is not None:
                        secrets[f"{policy.metadata.namespace}/{secret}"] = found
        return allowlists, chosen, others, secrets


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


def _from(live: children.Live, name: str) -> dict[str, str]:
    return vault.decoded(live.get("Secret", name))
