"""The canary: a knock where the policies of a cluster must not let us in, made now and then and not in every pass.

Its last answer is remembered for a few minutes, because asking costs a second where a plugin drops packets; a new process
asks anew. Only an answer that says *enforced* is kept: a door that stands open is looked at again until it is shut.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from zilliz_operator.api import names
from zilliz_operator.desired import network
from zilliz_operator.desired.context import COMPONENT_LABEL, GATEWAY, ClusterContext
from zilliz_operator.policy.enforcement import UNSEEN, Enforcement, Plan, Shut, judge
from zilliz_operator.reconcile.children import Live
from zilliz_operator.reconcile.ports import Clock, Knocker, Manifest
from zilliz_operator.reconcile.queue import Key
from zilliz_operator.reconcile.steps.errors import LATER

EVERY = timedelta(seconds=180)
"""Less than the least time between two sweeps, so that each of them asks."""
SILENT = timedelta(seconds=20)
"""How long nobody is asked again after nobody answered."""
SETTLED = timedelta(seconds=15)
"""The age of a pod from which its policies must be in force: plugins may need seconds to notice a new one."""
CONFIRMED = timedelta(seconds=10)
"""How long a port must stand open before we say so: plugins may need seconds for a changed policy, too."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is known, and when to look again (seconds; None: no need before the next sweep)."""

    found: Enforcement
    again_in: float | None = None


class Canary:
    """It knocks from where the operator runs."""

    def __init__(self, knocker: Knocker, clock: Clock) -> None:
        self._knocker = knocker
        self._clock = clock
        self._kept: dict[Key, tuple[Enforcement, datetime]] = {}
        """The last answer about each cluster that may be given again, and until when."""
        self._open: dict[Key, datetime] = {}
        """Since when a cluster's ports were seen open."""

    async def look(self, ctx: ClusterContext, live: Live, *, accused: bool) -> Look:
        """`accused`: it was already said of this cluster that nobody enforces its policies."""
        key, now = Key("ZillizCluster", ctx.project, ctx.name), self._clock.now()
        pods = list(_running(live))
        if not pods:
            self.forget(key)
            return Look(UNSEEN)
        known = self._kept.get(key)
        if known is not None and now < known[1]:
            return Look(known[0])
        young = [SETTLED - age for pod in pods if (age := now - _born(pod)) < SETTLED]
        plan = _plan(ctx, [pod for pod in pods if now - _born(pod) >= SETTLED])
        if not plan.shut or not plan.doors:
            return Look(UNSEEN, max(1.0, max(young).total_seconds()) if young else None)
        found = judge(plan, await self._knocker.opened(plan.targets))
        return self._remembered(key, found, now=now, accused=accused)

    def _remembered(self, key: Key, found: Enforcement, *, now: datetime, accused: bool) -> Look:
        if found.opened:
            self._kept.pop(key, None)
            certain = accused or now - self._open.setdefault(key, now) >= CONFIRMED
            return Look(replace(found, certain=certain), LATER if certain else CONFIRMED.total_seconds())
        self._open.pop(key, None)
        # A door that does not answer has other steps look again soon; asking costs a second of silence.
        self._kept[key] = (found, now + (EVERY if found.enforced else SILENT))
        return Look(found)

    def forget(self, key: Key) -> None:
        self._kept.pop(key, None)
        self._open.pop(key, None)


def _plan(ctx: ClusterContext, pods: list[Manifest]) -> Plan:
    ports, plane = network.shut_to_operator(ctx), ctx.data_plane.network
    found = [(pod["metadata"]["name"], pod["status"]["podIP"], _component(pod), _ready(pod)) for pod in pods]
    return Plan(
        shut=[
            Shut(pod=name, address=(address, ports[component]), listens=ready)
            for name, address, component, ready in found
            if component in ports
        ],
        doors={name: (address, names.GATEWAY_PORT) for name, address, component, _ in found if component == GATEWAY},
        nodes=plane.node_cidrs,
        pods=plane.pod_cidrs,
    )


def _running(live: Live) -> Iterator[Manifest]:
    """Pods of ours that have an address and are not on their way out."""
    for pod in sorted(live.of("Pod"), key=lambda each: str(each["metadata"]["name"])):
        if (pod.get("status") or {}).get("podIP") and not pod["metadata"].get("deletionTimestamp"):
            yield pod


def _born(pod: Manifest) -> datetime:
    text = pod["metadata"].get("creationTimestamp")
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)


def _component(pod: Manifest) -> str:
    return str((pod["metadata"].get("labels") or {}).get(COMPONENT_LABEL, ""))


def _ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
