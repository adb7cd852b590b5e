"""What an AccessPolicy's status says of the groups and users it names: whether tokens of theirs open anything, and if not, why."""

from collections.abc import Sequence
from functools import partial

from zilliz_operator.api.accesspolicy import AccessPolicy, Level, Subject
from zilliz_operator.api.conditions import Reason
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.signon import speaks_for
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.policy.entitlements import judge
from zilliz_operator.reconcile.pass_ import World
from zilliz_operator.reconcile.selection import policy_selects, readable
from zilliz_operator.reconcile.steps.signon import plan

Trouble = tuple[Reason | None, str]
NONE: Trouble = (None, "")


class SignOn:
    """The answers for one policy on the clusters that it selects. Reads each thing once."""

    def __init__(self, world: World, policy: AccessPolicy, chosen: Sequence[ZillizCluster]) -> None:
        self._world = world
        self._policy = policy
        self._chosen = chosen
        self._planes: dict[str, DataPlane | None] | None = None
        self._refused = NONE

    async def trouble(self, subject: Subject) -> Trouble:
        """Why tokens of this subject open nothing, or not everywhere; no reason: they do."""
        if self._planes is None:
            self._planes = {name: await self._plane(name) for name in {c.spec.data_plane for c in self._chosen}}
            self._refused = await self._too_many()
        planes = [(name, plane) for name, plane in sorted(self._planes.items()) if plane is not None]
        for name, plane in planes:
            if (why := _of_plane(name, plane, subject, require_mfa=self._policy.spec.require_mfa)) is not None:
                return Reason.SIGN_ON_MISSING, why
        return self._refused

    async def _plane(self, name: str) -> DataPlane | None:
        raw = await self._world.hub.get("DataPlane", name)
        try:
            return DataPlane.parse(raw) if raw is not None else None
        except InvalidSpec:
            return None  # the cluster's own status says so

    async def _too_many(self) -> Trouble:
        """Whether older policies have left no room for this one on some cluster."""
        hub, system = self._world.hub, self._world.operator_namespace
        everywhere = [
            p
            for p in readable(AccessPolicy, await hub.list("AccessPolicy", system))
            if p.spec.level is Level.ORGANIZATION
        ]
        projects: dict[str, list[AccessPolicy]] = {}
        for cluster in self._chosen:
            project = cluster.metadata.namespace
            if project not in projects:
                found = readable(AccessPolicy, await hub.list("AccessPolicy", project))
                projects[project] = [p for p in found if p.spec.level is not Level.ORGANIZATION]
            own = filter(partial(policy_selects, cluster=cluster), projects[project])
            refused = plan(judge([*own, *everywhere], now=self._world.clock.now())).refused
            if self._policy.ref in refused:
                return Reason.SIGN_ON_FULL, f"cluster {cluster.metadata.name}: {refused[self._policy.ref]}"
        return NONE


def _of_plane(name: str, plane: DataPlane, subject: Subject, *, require_mfa: bool) -> str | None:
    issuers = plane.spec.sso
    if not issuers:
        return (
            f"DataPlane {name} has no sign-on issuer, so nobody's token opens a cluster there: have the platform team set "
            "spec.sso of the DataPlane, or use ApiKey or ClusterUser"
        )
    prefixes = [issuer.prefix for issuer in issuers]
    theirs = [issuer for issuer in issuers if speaks_for(issuer.prefix, subject.name, prefixes)]
    if not theirs:
        return f"no issuer of DataPlane {name} has such names: write its prefix before the name ({', '.join(prefixes)})"
    if require_mfa and not any(issuer.mfa for issuer in theirs):
        return (
            f"requireMFA, and DataPlane {name} does not know how the issuer says that a second factor was used: have the "
            "platform team set spec.sso[].mfa of the DataPlane"
        )
    return None
