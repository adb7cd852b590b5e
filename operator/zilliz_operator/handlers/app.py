"""The operator as a process: wire adapters into reconcilers, lead, watch, and end with an error rather than live on blind."""

import asyncio
import contextlib
import logging
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import kopf

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.clock import SystemClock
from zilliz_operator.adapters.door_probe import TlsDoorProbe
from zilliz_operator.adapters.jwks import HttpsSigningKeys
from zilliz_operator.adapters.knock import TcpKnocker
from zilliz_operator.adapters.kube import KubeClient
from zilliz_operator.adapters.lease import LeaseElection
from zilliz_operator.adapters.milvus import PymilvusAdmin
from zilliz_operator.adapters.randomness import SystemSecrets
from zilliz_operator.adapters.threads import LANE, Threads
from zilliz_operator.adapters.watch import ObjectWatch, Seen
from zilliz_operator.api import names
from zilliz_operator.api.exceptions import ZillizError
from zilliz_operator.api.kinds import KINDS, OURS
from zilliz_operator.handlers import health, logs, metrics, watches
from zilliz_operator.handlers.config import OperatorConfig
from zilliz_operator.handlers.dataplanes import WiredDataPlanes
from zilliz_operator.handlers.heartbeat import Heartbeat
from zilliz_operator.handlers.settings import operator_settings
from zilliz_operator.reconcile.accesspolicy import AccessPolicyReconciler
from zilliz_operator.reconcile.allowlist import AllowlistReconciler
from zilliz_operator.reconcile.bindings import BindingSweep
from zilliz_operator.reconcile.cluster import ClusterReconciler
from zilliz_operator.reconcile.dataplane import DataPlaneReconciler
from zilliz_operator.reconcile.notyet import NotYetReconciler, RecycledClusterReconciler
from zilliz_operator.reconcile.pass_ import World
from zilliz_operator.reconcile.queue import Key, Outcome, WorkQueue
from zilliz_operator.reconcile.signon import KIND as SIGNING_KEYS
from zilliz_operator.reconcile.signon import SigningKeysReconciler
from zilliz_operator.reconcile.sweeps import Sweeps

log = logging.getLogger(__name__)

WATCHED = frozenset(KINDS[kind].plural for kind in (*watches.OWN_KINDS, *watches.CHILD_KINDS, *watches.BINDING_KINDS))


class Memo:
    """Kopf copies its memo for every object; ours is one and the same."""

    def __copy__(self) -> "Memo":
        return self


@dataclass(slots=True)
class State:
    """What the probes ask."""

    discovered: bool = False
    leading: bool = False
    heartbeat: Heartbeat | None = None

    def alive(self) -> str:
        stale = self.heartbeat.stale() if self.leading and self.heartbeat else {}
        return "; ".join(f"no watch of {plural} for {age:.0f} s" for plural, age in sorted(stale.items()))

    def ready(self) -> str:
        return "" if self.discovered else "our kinds are not served by the API server yet: are the CRDs installed?"


async def run(config: OperatorConfig, access: ClusterAccess) -> int:
    """Run until stopped (0) or until something that only a restart cures (1)."""
    logs.configure(config.log_level)
    state = State()
    probes = await health.serve(
        port=config.health_port, metrics_port=config.metrics_port, alive=state.alive, ready=state.ready
    )
    kube = KubeClient(access, on_request=_count)
    try:
        await _discover(kube)
        state.discovered = True
        return await _lead(config, access, kube, state)
    finally:
        await kube.close()
        await access.close()
        await probes.cleanup()


def _count(verb: str, kind: str, code: int) -> None:
    metrics.API_REQUESTS.labels(verb, kind, str(code)).inc()
    if verb in {"create", "patch", "delete"} and 200 <= code < 300:
        metrics.WRITES.labels(verb, kind).inc()


async def _discover(kube: KubeClient) -> None:
    """Wait until all our kinds are served: Kopf would start, look healthy and watch nothing."""
    wanted = {kind.plural for kind in OURS}
    said = ""
    while True:
        try:
            missing = wanted - await kube.resources(names.API_VERSION)
            message = f"waiting for kinds: {', '.join(sorted(missing))}" if missing else ""
        except ZillizError as error:
            message = str(error)
        if not message:
            return
        if message != said:
            log.warning(message)
            said = message
        await asyncio.sleep(1.0)


async def _lead(config: OperatorConfig, access: ClusterAccess, kube: KubeClient, state: State) -> int:
    lost = asyncio.Event()
    lease = LeaseElection(
        kube,
        name="zilliz-operator",
        namespace=config.namespace,
        identity=f"{config.identity}_{uuid.uuid4().hex[:8]}",
        on_lost=lost.set,
    )
    if config.leader_election:
        await lease.acquire()
    state.leading = True
    metrics.LEADER.set(1)
    try:
        return await _operate(
            config, access, kube, state, lost=lost, leads=lease.is_held if config.leader_election else _always
        )
    finally:
        metrics.LEADER.set(0)
        if config.leader_election and not lost.is_set():
            with contextlib.suppress(ZillizError, TimeoutError):
                await lease.release()


def _always() -> bool:
    return True


async def _operate(
    config: OperatorConfig, access: ClusterAccess, kube: KubeClient, state: State, *, lost: asyncio.Event, leads: object
) -> int:
    threads = Threads()
    data_planes = WiredDataPlanes(
        hub=kube,
        threads=threads,
        operator_namespace=config.namespace,
        on_request=_count,
        cloud_sweep_seconds=config.cloud_sweep_seconds,
        on_child=lambda seen: operator.child_changed(seen),
        on_turn=lambda name: operator.data_plane_turned(name),
    )
    clock = SystemClock()
    world = World(
        hub=kube,
        data_planes=data_planes,
        milvus=PymilvusAdmin(threads),
        probe=TlsDoorProbe(threads),
        signing_keys=HttpsSigningKeys(),
        clock=clock,
        knocker=TcpKnocker(),
        randomness=SystemSecrets(),
        operator_namespace=config.namespace,
        operator_image=config.operator_image,
        gateway_image=config.gateway_image,
        leads=leads,
        sweeps=Sweeps(clock=clock, jitter=random.random, seconds=config.cloud_sweep_seconds),
        api_key_limit=config.api_key_limit,
        sso=config.sso,
    )
    operator = Operator(config, world)
    stop = asyncio.Event()
    # Older than kopf.operator() on purpose: it cancels every task younger than itself when it stops.
    work = asyncio.create_task(operator.queue.run(), name="work-queue")
    given = ObjectWatch("Secret", namespace=config.namespace, on_change=operator.secret_changed)
    secrets = asyncio.create_task(given.run(access), name="secrets of data planes")
    leadership = asyncio.create_task(lost.wait(), name="leadership")

    async def end() -> None:
        stop.set()  # Kopf's own waiter for it is among those that Kopf waits for
        await operator.queue.halt()
        await data_planes.close()

    kopf_task = asyncio.create_task(_watch(operator, access, state, stop, end=end), name="kopf")
    try:
        done, _ = await asyncio.wait({work, leadership, kopf_task}, return_when=asyncio.FIRST_COMPLETED)
        if leadership in done:
            log.error("leadership lost: ending, so that nothing in flight goes on beside the new leader")
            return 1
        for task in done:
            if task.exception() is not None:
                log.error("%s ended", task.get_name(), exc_info=task.exception())
                return 1
        return 0 if kopf_task in done else 1
    finally:
        stop.set()
        await asyncio.wait({kopf_task}, timeout=10)
        for task in (work, secrets, leadership, kopf_task):
            task.cancel()
        await asyncio.gather(work, secrets, leadership, kopf_task, return_exceptions=True)
        await data_planes.close()
        threads.close()


async def _watch(
    operator: "Operator",
    access: ClusterAccess,
    state: State,
    stop: asyncio.Event,
    *,
    end: Callable[[], Awaitable[None]],
) -> None:
    """`end` ends what began after Kopf: when it stops, it waits for every task younger than itself, and cancels it."""
    heartbeat = state.heartbeat = Heartbeat(WATCHED)
    registry, settings = kopf.OperatorRegistry(), operator_settings()
    watches.register(registry, settings, roster=operator.roster, wake=operator.wake, teardown=operator.teardown)

    @kopf.on.login(registry=registry)
    async def login(**_: object) -> kopf.AiohttpSession:
        session = aiohttp.ClientSession(
            connector=access.connector(),
            connector_owner=False,
            middlewares=(heartbeat, *access.middlewares),
            read_bufsize=2**21,
        )
        return kopf.AiohttpSession(server=access.server, aiohttp_session=session)

    @kopf.on.cleanup(registry=registry)
    async def cleanup(**_: object) -> None:
        await end()

    kopf_identity: Any = operator.config.identity  # a private type of Kopf's, made of a string
    await kopf.operator(
        registry=registry,
        settings=settings,
        memo=Memo(),
        clusterwide=True,
        standalone=True,
        # Kopf would look its user up in /etc/passwd, where a pod's user is not.
        identity=kopf_identity,
        stop_flag=stop,
    )


class Operator:
    """The queue with its reconcilers behind it."""

    def __init__(self, config: OperatorConfig, world: World) -> None:
        self.config = config
        self.world = world
        self.roster = watches.Roster()
        self.queue = WorkQueue(self.reconcile, concurrency=config.workers, jitter=random.random, lane=self.roster.lane)
        self._locks: dict[Key, asyncio.Lock] = {}
        cluster = ClusterReconciler(world, observe=self._observe)
        data_plane = DataPlaneReconciler(world)
        self._reconcilers = {
            "ZillizCluster": cluster.reconcile,
            "DataPlane": data_plane.reconcile,
            SIGNING_KEYS: SigningKeysReconciler(world).reconcile,
            "Allowlist": AllowlistReconciler(world).reconcile,
            "AccessPolicy": AccessPolicyReconciler(world).reconcile,
            "RecycledCluster": RecycledClusterReconciler(world).reconcile,
            watches.ORPHANS.kind: BindingSweep(world).reconcile,
            **{kind: NotYetReconciler(world, kind).reconcile for kind in ("BackupPolicy", "Backup", "Restore")},
        }
        self._teardowns = {"ZillizCluster": cluster.teardown, "DataPlane": data_plane.teardown}

    def wake(self, key: Key, after: float) -> None:
        self.queue.add(key, after=after)
        metrics.QUEUE_DEPTH.set(self.queue.depth)

    def child_changed(self, seen: Seen) -> None:
        """A change on a remote data plane."""
        for key in watches.woken_by(seen.labels, self.roster, namespace=seen.namespace or seen.name):
            self.wake(key, 0.0)

    def data_plane_turned(self, name: str) -> None:
        """A remote data plane began or ceased to answer, or goes by another kubeconfig."""
        for key in (Key("DataPlane", "", name), *self.roster.on_plane(name)):
            self.wake(key, 0.0)

    def secret_changed(self, seen: Seen) -> None:
        """A Secret in the operator's namespace, where DataPlanes find their credentials. Our own are not among them."""
        if seen.labels.get(names.MANAGED_BY) != names.FIELD_MANAGER:
            for key in self.roster.keys("DataPlane"):
                self.wake(key, 0.0)
                self.wake(Key(SIGNING_KEYS, "", key.name), 0.0)

    async def reconcile(self, key: Key) -> Outcome:
        started = time.monotonic()
        result = "error"
        LANE.set(self.roster.lane(key))
        try:
            async with self._lock(key):
                outcome = await self._reconcilers[key.kind](key)
            result = "ok"
        finally:
            metrics.PASSES.labels(key.kind, result).inc()
            metrics.PASS_SECONDS.labels(key.kind).observe(time.monotonic() - started)
        if not outcome.alive:
            self.queue.forget(key)
            self._locks.pop(key, None)
            return outcome
        sweep = self.config.sweep_seconds * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        return Outcome(again_in=outcome.next_look(sweep))

    async def teardown(self, key: Key) -> str:
        """Empty once the object may go, else what it waits for."""
        LANE.set(self.roster.lane(key))
        async with self._lock(key):
            return await self._teardowns[key.kind](key)

    def _lock(self, key: Key) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _observe(self, project: str, name: str, type: str, status: str) -> None:
        value = {"True": 1, "False": 0}.get(status, -1)
        metrics.CONDITION.labels(project, name, type).set(value)


def main(config: OperatorConfig, access_factory: object) -> int:
    """Run in a loop of our own; any exception that arrives here is logged and means exit 1."""

    async def start() -> int:
        assert callable(access_factory)
        return await run(config, access_factory())

    try:
        return asyncio.run(start())
    except Exception:
        logging.getLogger(__name__).exception("the operator ended")
        return 1
    finally:
        sys.stderr.flush()
