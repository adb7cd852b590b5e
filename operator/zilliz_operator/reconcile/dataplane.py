"""DataPlane: say whether its Kubernetes, its object store and its issuer answer, before a cluster finds out the hard way.

What a remote Kubernetes cluster lets us do is asked in full, so that a cluster is started there only if it can be finished.
"""

from typing import Any

from zilliz_operator.api import rights
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import Cloud, DataPlane
from zilliz_operator.api.exceptions import InvalidSpec, KubeconfigRefused, Rejected, Unavailable, ZillizError
from zilliz_operator.api.validate import validate
from zilliz_operator.policy import claims
from zilliz_operator.policy.status import FALSE, TRUE, UNKNOWN, StepResult, conditions
from zilliz_operator.reconcile import signon, statuses
from zilliz_operator.reconcile.allowlist import clusters_of
from zilliz_operator.reconcile.pass_ import DataPlaneAccess, World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key, Outcome
from zilliz_operator.reconcile.steps import vpc
from zilliz_operator.reconcile.steps.errors import LATER, waits


async def prefix_holder(world: World, plane: DataPlane) -> claims.Claim | None:
    """The older DataPlane that has this one's bucket prefix. One that cannot be read as ours holds nothing."""
    found = []
    for raw in await world.hub.list("DataPlane"):
        try:
            found.append(DataPlane.parse(raw))
        except InvalidSpec:
            continue
    return claims.holder(plane, found)


class DataPlaneReconciler:
    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, key: Key) -> Outcome:
        raw = await self._world.hub.get("DataPlane", key.name)
        if raw is None:
            await self._world.data_planes.forget(key.name)
            return Outcome(alive=False)
        if raw["metadata"].get("deletionTimestamp"):
            return Outcome()
        raw = {**raw, "kind": "DataPlane"}
        findings = validate(raw)
        if findings:
            wrong = StepResult(ConditionType.READY, FALSE, Reason.INVALID_SPEC, str(findings[0]))
            return await self._write(raw, (), {}, ready=wrong)
        plane = DataPlane.parse(raw)
        used = [c for c in await clusters_of(self._world, None) if c.spec.data_plane == key.name]
        theirs = await prefix_holder(self._world, plane)
        if theirs is not None:
            message = claims.refusal(claims.claim(plane), theirs)
            refused = StepResult(ConditionType.READY, FALSE, Reason.PREFIX_CLAIMED, message)
            return await self._write(raw, (), {"clusters": len(used)}, ready=refused)
        connected, version = await self._connected(plane)
        issuer = await self._issuer(plane) if connected.kept else waits(ConditionType.ISSUER_READY, for_=connected.type)
        results = [connected, issuer, await self._store(plane)]
        if plane.spec.cloud is Cloud.AWS:
            results.append(await self._vpc(plane, raw))
        if plane.spec.sso:
            results.append(await signon.judged(self._world, plane))
        fields: dict[str, object] = {"clusters": len(used), "defaultVersion": plane.spec.versions[0].version}
        if version:
            fields["kubernetesVersion"] = version
        return await self._write(raw, results, fields)

    async def teardown(self, key: Key) -> str:
        """A DataPlane goes only when no cluster is left on it: without it their data could not be reached any more."""
        used = [c.ref for c in await clusters_of(self._world, None) if c.spec.data_plane == key.name]
        if not used:
            return ""
        message = f"clusters still use this data plane, delete them first: {', '.join(sorted(used)[:10])}"
        raw = await self._world.hub.get("DataPlane", key.name)
        if raw is not None:
            await statuses.still_there(
                self._world.hub, {**raw, "kind": "DataPlane"}, message, now=self._world.clock.now()
            )
        return message

    async def _access(self, plane: DataPlane) -> DataPlaneAccess:
        return await self._world.data_planes.access(plane)

    async def _connected(self, plane: DataPlane) -> tuple[StepResult, str]:
        """Whether its Kubernetes answers and lets us do what clusters need; and its version, where that is known."""
        type = ConditionType.CONNECTED
        try:
            access = await self._access(plane)
            version = await access.kube.version()
            needed = () if access.local else rights.accesses()
            missing = await access.kube.missing_rights(needed) if needed else ()
        except Unavailable as error:
            return StepResult(type, UNKNOWN, Reason.DATA_PLANE_UNREACHABLE, str(error), again_in=LATER), ""
        except Rejected as error:
            return StepResult(type, FALSE, Reason.CREDENTIALS_REJECTED, _rejected(plane, error), again_in=LATER), ""
        except ZillizError as error:
            refused = isinstance(error, KubeconfigRefused)
            reason = Reason.KUBECONFIG_REFUSED if refused else Reason.CREDENTIALS_MISSING
            return StepResult(type, FALSE, reason, str(error), again_in=LATER), ""
        if missing:
            message = (
                f"{_kubeconfig(plane)} lacks rights: {rights.grouped(missing)}. Apply manifests/dataplane-access.yaml to that "
                "Kubernetes cluster; until then no cluster is started there"
            )
            return StepResult(type, FALSE, Reason.RIGHTS_MISSING, message, again_in=LATER), version
        if access.local:
            return StepResult(type, TRUE, Reason.KEPT, f"this Kubernetes cluster answers, {version}"), version
        message = f"{access.kube.what} answers, {version}; {_kubeconfig(plane)} has all {len(needed)} rights that clusters need"
        return StepResult(type, TRUE, Reason.KEPT, message), version

    async def _store(self, plane: DataPlane) -> StepResult:
        type = ConditionType.OBJECT_STORE_READY
        try:
            access = await self._access(plane)
            said = await access.store.check()
        except Unavailable as error:
            return StepResult(type, UNKNOWN, Reason.OBJECT_STORE_UNAVAILABLE, str(error), again_in=LATER)
        except Rejected as error:
            return StepResult(type, FALSE, Reason.OBJECT_STORE_REJECTED, str(error), again_in=LATER)
        except ZillizError as error:
            return StepResult(type, FALSE, Reason.CREDENTIALS_MISSING, str(error), again_in=LATER)
        return StepResult(type, TRUE, Reason.KEPT, said)

    async def _vpc(self, plane: DataPlane, raw: Manifest) -> StepResult:
        try:
            cloud = (await self._access(plane)).cloud
        except ZillizError:
            cloud = None  # the others say what is wrong
        return await vpc.judged(cloud, plane.spec, name=plane.metadata.name, raw=raw)

    async def _issuer(self, plane: DataPlane) -> StepResult:
        type = ConditionType.ISSUER_READY
        reference = plane.spec.certificates.issuer_ref
        if reference is None:
            return StepResult(type, TRUE, Reason.NOT_APPLICABLE, "certificates come from AWS Certificate Manager")
        if reference.group != "cert-manager.io" or reference.kind != "ClusterIssuer":
            return StepResult(
                type,
                TRUE,
                Reason.NOT_APPLICABLE,
                f"{reference.kind} {reference.name} of {reference.group} is not ours to judge",
            )
        try:
            access = await self._access(plane)
            issuer = await access.kube.get("ClusterIssuer", reference.name)
        except ZillizError as error:
            return StepResult(type, UNKNOWN, Reason.DATA_PLANE_UNREACHABLE, str(error), again_in=LATER)
        if issuer is None:
            message = (
                f"ClusterIssuer {reference.name} does not exist: create it, or correct spec.certificates.issuerRef"
            )
            return StepResult(type, FALSE, Reason.ISSUER_MISSING, message, again_in=LATER)
        found = (issuer.get("status") or {}).get("conditions") or ()
        ready: dict[str, Any] = next((c for c in found if c.get("type") == "Ready"), {})
        if ready.get("status") != "True":
            message = f"ClusterIssuer {reference.name} is not ready: {ready.get('message', 'cert-manager has not looked at it')}"
            return StepResult(type, FALSE, Reason.ISSUER_NOT_READY, message, again_in=LATER)
        return StepResult(type, TRUE, Reason.KEPT, f"ClusterIssuer {reference.name} is ready")

    async def _write(
        self,
        raw: Manifest,
        results: tuple[()] | list[StepResult],
        fields: dict[str, object],
        *,
        ready: StepResult | None = None,
    ) -> Outcome:
        found = conditions(
            results,
            previous=statuses.previous_conditions(raw),
            generation=raw["metadata"]["generation"],
            now=self._world.clock.now(),
            ready=ready,
        )
        await statuses.write(self._world.hub, raw, conditions=found, fields=fields)
        return Outcome(
            again_in=min((r.again_in for r in (*results, *((ready,) if ready else ())) if r.again_in), default=None)
        )


def _kubeconfig(plane: DataPlane) -> str:
    reference = plane.spec.kubernetes.kubeconfig_secret_ref if plane.spec.kubernetes else None
    return f"the kubeconfig in key {reference.key} of Secret {reference.name}" if reference else "the service account"


def _rejected(plane: DataPlane, error: Rejected) -> str:
    return f"{error.what} answers and does not accept {_kubeconfig(plane)}: put one with a valid token or certificate there"
