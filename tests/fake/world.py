"""A whole world in memory: Kubernetes with its controllers, a store, Milvus, and the operator's reconcilers let loose in it.

The operator is woken exactly as in production (`handlers.watches` decides whom an event wakes); time passes only when nothing
else is left to do, so a test waits for rest and never for seconds.
"""

import base64
import hashlib
import itertools
import pickle
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fake.cloud import FakeCloud
from tests.fake.controllers import CertManager, LoadBalancers, Workloads, encoded
from tests.fake.kube import FakeKube, Recorder
from tests.fake.outside import (
    CountedSecrets,
    FakeClock,
    FakeKnocker,
    FakeMilvus,
    FakeProbe,
    FakeSigningKeys,
    FakeStore,
    Gateway,
    Server,
)
from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.dataplane import Cloud, DataPlane
from zilliz_operator.api.exceptions import CredentialsMissing, Unavailable
from zilliz_operator.api.outside import DoorAddress
from zilliz_operator.handlers import watches
from zilliz_operator.reconcile.accesspolicy import AccessPolicyReconciler
from zilliz_operator.reconcile.allowlist import AllowlistReconciler
from zilliz_operator.reconcile.bindings import BindingSweep
from zilliz_operator.reconcile.cluster import ClusterReconciler
from zilliz_operator.reconcile.dataplane import DataPlaneReconciler
from zilliz_operator.reconcile.notyet import NotYetReconciler, RecycledClusterReconciler
from zilliz_operator.reconcile.pass_ import DataPlaneAccess
from zilliz_operator.reconcile.pass_ import World as Ports
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key
from zilliz_operator.reconcile.signon import KIND as SIGNING_KEYS
from zilliz_operator.reconcile.signon import SigningKeysReconciler
from zilliz_operator.reconcile.sweeps import Sweeps

SYSTEM = "zilliz-system"
PROJECT = "team-a"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MILVUS_IMAGE = "docker.io/milvusdb/milvus:v2.3.5"
STORE: dict[str, Any] = {
    "provider": "S3Compatible",
    "endpoint": "https://s3.store.test:8333",
    "credentialsSecretRef": {"name": "store-admin"},
    "cidrs": ["10.200.0.1/32"],
}
SHORT = 60.0
"""Seconds: a wake-up within them is something that the operator waits for; later ones are sweeps."""
QUIET = timedelta(seconds=30)
"""What did not change in this time waits for somebody else. More than a new pod is spared our knock."""


class Crash(BaseException):
    """The operator's process ends here. Not an Exception: nothing may catch it."""


BALANCER = "203.0.113.200"


class Place:
    """One Kubernetes cluster with its controllers: the hub, or a spoke."""

    def __init__(self, kube: FakeKube, clock: FakeClock, cloud: FakeCloud, *, network: str = "10.244.0") -> None:
        self.kube = kube
        self.cert_manager = CertManager(kube, clock)
        self.workloads = Workloads(kube, clock, network=network)
        self.load_balancers = LoadBalancers(kube, cloud)
        kube.put({"kind": "ClusterIssuer", "metadata": {"name": "ca"}, "spec": {"ca": {"secretName": "root"}}})
        kube.set_status("ClusterIssuer", "ca", None, {"conditions": [{"type": "Ready", "status": "True"}]})

    def tick(self) -> bool:
        return any(
            [
                self.cert_manager.tick(),
                self.workloads.tick(),
                self.load_balancers.tick(),
                self.kube.collect_garbage(),
            ]
        )


@dataclass
class FakeDataPlanes:
    access_for: Callable[[DataPlane], DataPlaneAccess]
    trouble: Exception | None = None
    forgotten: list[str] = field(default_factory=list)

    async def forget(self, name: str) -> None:
        self.forgotten.append(name)

    async def access(self, data_plane: DataPlane) -> DataPlaneAccess:
        if self.trouble is not None:
            raise self.trouble
        return self.access_for(data_plane)


_BEGUN: dict[str, bytes] = {}
"""Worlds at rest, ready to be copied."""


class FakeWorld:
    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.recorder = Recorder()
        self.kube = FakeKube(self.recorder, self._timestamp)
        self.store = FakeStore(self.recorder)
        self.cloud = FakeCloud(self.recorder)
        hub = Place(self.kube, self.clock, self.cloud)
        self.cert_manager, self.workloads, self.load_balancers = hub.cert_manager, hub.workloads, hub.load_balancers
        self.places = {"": hub}
        """The hub, and spokes by the name of their DataPlane."""
        self._knocks = itertools.count()
        self.milvus = FakeMilvus(self.recorder, self._server_behind)
        self.probe = FakeProbe(self.recorder, self._gateway_at)
        self.issuer = FakeSigningKeys(self.recorder)
        self.knocker = FakeKnocker(self.recorder, self._pod_addresses)
        self.secrets = CountedSecrets()
        self.data_planes = FakeDataPlanes(self._access)
        self.missing: dict[str, CredentialsMissing] = {}
        """What Secrets of the DataPlane do not give: "store", "store ca", "door ca"."""
        self.leading = True
        self.key_limit = 100
        self.metrics: dict[tuple[str, str, str], str] = {}
        self._uids = itertools.count(1)
        self.operator = self.new_operator()
        for namespace in (SYSTEM, PROJECT, "monitoring"):
            self.kube.put({"kind": "Namespace", "metadata": {"name": namespace}})

    # ---- what people do

    def spoke(self, name: str, **network: Any) -> Place:
        """Another Kubernetes cluster, and the DataPlane that names its kubeconfig."""
        kube = FakeKube(self.recorder, self._timestamp, name=name)
        place = self.places[name] = Place(
            kube, self.clock, FakeCloud(self.recorder), network=f"10.{100 + len(self.places)}.0"
        )
        kube.on_change = self.operator.saw
        self.data_plane(
            name,
            kubernetes={"kubeconfigSecretRef": {"name": name, "key": "kubeconfig"}},
            network={"podCIDRs": ["10.244.0.0/16"], "operatorCIDRs": ["10.9.0.0/24"], **network},
            objectStorage={**STORE, "bucketPrefix": f"{name}-"},
        )
        return place

    def data_plane(self, name: str = "default", **spec: Any) -> Manifest:
        base: dict[str, Any] = {
            "versions": [{"version": "2.3.5", "image": MILVUS_IMAGE}],
            "objectStorage": STORE,
            "network": {"podCIDRs": ["10.244.0.0/16"], "monitoringNamespace": "monitoring"},
            "certificates": {"issuerRef": {"name": "ca"}, "domain": "byoc.test"},
        }
        return self._ours("DataPlane", name, None, base | spec)

    def cluster(self, name: str = "search", project: str = PROJECT, **spec: Any) -> Manifest:
        return self._ours("ZillizCluster", name, project, spec)

    def allowlist(self, name: str = "office", project: str = PROJECT, **spec: Any) -> Manifest:
        return self._ours("Allowlist", name, project, spec or {"entries": [{"cidr": "203.0.113.0/24"}]})

    def access_policy(self, name: str = "app", project: str = PROJECT, **spec: Any) -> Manifest:
        base = {"level": "Project"} | ({} if "grants" in spec else {"role": "DataViewer"})
        return self._ours("AccessPolicy", name, project, base | spec)

    def backup_policy(self, name: str = "nightly", project: str = PROJECT, **spec: Any) -> Manifest:
        return self._ours("BackupPolicy", name, project, {"frequency": [1]} | spec)

    def _ours(self, kind: str, name: str, namespace: str | None, spec: dict[str, Any]) -> Manifest:
        metadata: dict[str, Any] = {"name": name} | ({"namespace": namespace} if namespace else {})
        live = self.kube.peek(kind, name, namespace)
        if live is not None:
            metadata["annotations"] = live["metadata"].get("annotations") or {}
            metadata["labels"] = live["metadata"].get("labels") or {}
        else:
            # As random as real ones: names of everything derive from them.
            metadata["uid"] = f"0b5a5f0e-6a5e-4f0e-9a57-{next(self._uids):012d}"
        return self.kube.put({"kind": kind, "metadata": metadata, "spec": spec})

    def annotate(self, kind: str, name: str, namespace: str | None, **annotations: str | None) -> None:
        def change(obj: Manifest) -> None:
            known = obj["metadata"].setdefault("annotations", {})
            for key, value in annotations.items():
                key = names.PREFIX + key.replace("_", "-")
                known.pop(key, None) if value is None else known.update({key: value})

        self.kube.edit(kind, name, namespace, change)

    # ---- what is

    def id_of(self, name: str = "search", project: str = PROJECT) -> str:
        return names.cluster_id(self.kube.must("ZillizCluster", name, project)["metadata"]["uid"])

    def space(self, name: str = "search", project: str = PROJECT) -> str:
        """The cluster's namespace."""
        return names.cluster_namespace(self.id_of(name, project))

    def conditions(self, name: str = "search", kind: str = "ZillizCluster", project: str | None = PROJECT) -> Manifest:
        """Type → condition."""
        status = self.kube.must(kind, name, project).get("status") or {}
        return {c["type"]: c for c in status.get("conditions") or ()}

    def ready(self, name: str = "search", kind: str = "ZillizCluster", project: str | None = PROJECT) -> Manifest:
        found: Manifest = self.conditions(name, kind, project)["Ready"]
        return found

    def status(self, name: str = "search", kind: str = "ZillizCluster", project: str | None = PROJECT) -> Manifest:
        return dict(self.kube.must(kind, name, project).get("status") or {})

    def secret(self, name: str, namespace: str) -> dict[str, str]:
        return _texts(self.kube.must("Secret", name, namespace))

    def vault(self, name: str = "search") -> dict[str, str]:
        return self.secret(f"credentials-{self.id_of(name)}", SYSTEM)

    def server(self, name: str = "search") -> Server:
        return self.workloads.servers[self.space(name)]

    def allowed(self, name: str = "search") -> list[str]:
        """The blocks that the gateway's configuration admits, whatever their ends."""
        return [line.split()[0] for line in self.door_file("allow.map", name)]

    def door_file(self, file: str, name: str = "search") -> list[str]:
        """Lines of a file of the gateway's configuration."""
        data: dict[str, str] = self.kube.must("ConfigMap", "gateway-config", self.space(name))["data"]
        if file not in data:
            data = self.secret("gateway-maps", self.space(name))
        return data[file].splitlines()

    def lets_in(self, token: str, name: str = "search") -> bool:
        """Whether the door and then Milvus accept what a client sends, by the files that the gateways were given last."""
        digest, now = hashlib.sha256(token.encode()).hexdigest(), self.clock.now().timestamp()
        users = dict(line.split() for line in self.door_file("users.map", name))
        ends = dict(line.split() for line in self.door_file("user-ends.map", name))
        who = token.partition(":")[0]
        if ":" in token and int(ends.get(who, now + 1)) <= now:
            return False
        file = "passwords.map" if ":" in token else "keys.map"
        if ":" in token and who not in users:
            return self.server(name).accepts(who, token.partition(":")[2])
        record = dict(line.split() for line in self.door_file(file, name)).get(digest, "")
        _, user, until = record.split(":") if record else ("", "", "0")
        return int(until) > now and self.server(name).accepts(user, users[user])

    def admitted(self, name: str = "search") -> bool:
        """Whether anybody but the operator is let through, by policy or by gateway."""
        return bool(
            self.kube.peek("NetworkPolicy", "gateway-clients", self.space(name))
            or (self.kube.peek("ConfigMap", "gateway-config", self.space(name)) and self.allowed(name))
        )

    @property
    def writes(self) -> list[str]:
        return self.recorder.writes

    def everything_public(self) -> str:
        """All that may be read without the right to read Secrets."""
        objects = [obj for (kind, _, _), obj in self.kube.objects.items() if kind != "Secret"]
        # A Secret's metadata is shown by many tools that hide its data.
        objects += [{**s, "data": None} for s in self.kube.find("Secret")]
        return repr(objects) + repr(self.kube.events)

    def secret_values(self) -> set[str]:
        """Everything that was ever generated, here or at the store."""
        keys = {secret for i in self.store.identities.values() for secret in i["keys"].values()}
        private = {
            self.secret(s["metadata"]["name"], s["metadata"]["namespace"]).get("tls.key", "")
            for s in self.kube.find("Secret")
        }
        maps = (
            self.secret(s["metadata"]["name"], s["metadata"]["namespace"]).get("users.map", "")
            for s in self.kube.find("Secret")
        )
        derived = {line.split()[1] for text in maps for line in text.splitlines()}
        return {*self.secrets.made, *keys, *private, *derived} - {""}

    # ---- the operator

    def new_operator(self) -> "Runner":
        """A process that has just begun: it remembers nothing."""
        self.operator = Runner(self)
        for place in self.places.values():
            place.kube.on_change = self.operator.saw
        return self.operator

    async def settle(self, *, short: float = SHORT) -> None:
        await self.operator.settle(short=short)

    async def converge(self) -> None:
        """Settle, through crashes too."""
        for _ in range(50):
            try:
                await self.settle()
            except Crash:
                self.new_operator().start()
                continue
            return
        raise AssertionError("crashed 50 times")

    async def quickstart(self, **data_plane: Any) -> None:
        """One data plane, one cluster, one allowlist: settled."""

        async def begin(world: FakeWorld) -> None:
            world.data_plane(**data_plane)
            world.cluster()
            world.allowlist()
            await world.settle()
            assert world.ready()["status"] == "True", world.ready()

        await self.like(repr(data_plane), begin)

    async def like(self, name: str, begin: Callable[["FakeWorld"], Awaitable[None]]) -> None:
        """Become what `begin` makes of a new world; it is done once for each name, and copied from then on."""
        if name not in _BEGUN:
            made = FakeWorld()
            await begin(made)
            assert made.operator.next_due() is None, "a world that is not at rest is no place to begin"
            _BEGUN[name] = made.frozen()
        self.thaw(_BEGUN[name])
        self.operator.start()
        self.operator.dirty.clear()

    def frozen(self) -> bytes:
        """Everything outside of the operator, as it is this moment: all that is left of it after a crash."""
        return pickle.dumps(self)

    def thaw(self, frozen: bytes) -> None:
        """Become that world, with an operator that has not begun yet."""
        copy: FakeWorld = pickle.loads(frozen)
        self.__dict__.update(copy.__dict__)
        self.new_operator()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "operator"}

    async def pass_time(self, delta: timedelta) -> None:
        """Let time go by with everything that is due in it."""
        until = self.clock.now() + delta
        while (due := self.operator.next_due()) is not None and due <= until:
            self.clock.time = max(due, self.clock.now())
            await self.settle()
        self.clock.time = max(until, self.clock.now())
        await self.settle()

    def ports(self) -> Ports:
        return Ports(
            hub=self.kube,
            data_planes=self.data_planes,
            milvus=self.milvus,
            probe=self.probe,
            signing_keys=self.issuer,
            knocker=self.knocker,
            clock=self.clock,
            randomness=self.secrets,
            operator_namespace=SYSTEM,
            operator_image="docker.io/zillizbyoc/operator:0.1.0",
            gateway_image="docker.io/zillizbyoc/gateway:0.1.0",
            leads=lambda: self.leading,
            sweeps=Sweeps(clock=self.clock, jitter=lambda: 0.5),
            api_key_limit=self.key_limit,
        )

    def others_work(self) -> None:
        """Let the other controllers act until they are done."""
        for _ in range(100):
            if not sum(place.tick() for place in self.places.values()):
                return
        raise AssertionError("the other controllers never come to rest")

    # ---- inside

    def _timestamp(self) -> str:
        return utc(self.clock.now())

    def _access(self, data_plane: DataPlane) -> DataPlaneAccess:
        remote = data_plane.spec.kubernetes is not None
        return DataPlaneAccess(
            kube=self.places[data_plane.metadata.name if remote else ""].kube,
            local=not remote,
            found_store=self.missing.get("store") or self.store,
            found_store_ca=self.missing.get("store ca") or "CA\n",
            found_door_ca=self.missing.get("door ca") or "",
            found_cloud=self.cloud if data_plane.spec.cloud is Cloud.AWS else None,
        )

    def _pod_at(self, door: DoorAddress) -> tuple[Place, Manifest]:
        for place in self.places.values():
            pods = [pod for pod in place.kube.find("Pod") if (pod.get("status") or {}).get("podIP")]
            if door.host == BALANCER:  # it leads to one gateway after the other
                labels = {"app.kubernetes.io/component": "gateway"}
                space = door.server_name.partition(".")[0]
                behind = place.kube.find("Pod", names.cluster_namespace(space), labels=labels)
                pods = [behind[next(self._knocks) % len(behind)]] if behind else []
            for pod in pods:
                if door.host in (BALANCER, pod["status"]["podIP"]):
                    own = _texts(place.kube.must("Secret", "operator-client", pod["metadata"]["namespace"]))
                    if (door.client_cert_pem, door.client_key_pem) != (own["tls.crt"], own["tls.key"]):
                        raise Unavailable(f"door {door.host}", "our certificate was not accepted")
                    return place, pod
        raise Unavailable(f"door {door.host}", "no route to host")

    def _pod_addresses(self) -> set[str]:
        pods = [pod for place in self.places.values() for pod in place.kube.find("Pod")]
        return {address for pod in pods if (address := (pod.get("status") or {}).get("podIP"))}

    def _gateway_at(self, door: DoorAddress) -> tuple[str, Gateway]:
        place, pod = self._pod_at(door)
        return pod["metadata"]["name"], place.workloads.gateways[pod["metadata"]["uid"]]

    def _server_behind(self, door: DoorAddress) -> Server:
        place, gateway = self._pod_at(door)
        namespace = gateway["metadata"]["namespace"]
        labels = {"app.kubernetes.io/component": "milvus"}
        pods = place.kube.find("Pod", namespace, labels=labels)
        if not any((pod.get("status") or {}).get("podIP") for pod in pods):
            raise Unavailable("Milvus", "no answer through the door: 503")
        return place.workloads.servers[namespace]


def _texts(secret: Manifest) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


@dataclass
class Runner:
    """The operator: its reconcilers, whom events wake, and Kopf's part of the finalizer."""

    world: FakeWorld
    roster: watches.Roster = field(default_factory=watches.Roster)
    dirty: dict[Key, None] = field(default_factory=dict)
    timers: dict[Key, datetime] = field(default_factory=dict)
    passes: int = 0
    errors: list[tuple[Key, Exception]] = field(default_factory=list)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    """UID → labels as an object was seen last."""

    def __post_init__(self) -> None:
        ports = self.world.ports()
        self.cluster = ClusterReconciler(ports, observe=self._observe)
        self.plane = DataPlaneReconciler(ports)
        self.reconcilers: dict[str, Any] = {
            "ZillizCluster": self.cluster.reconcile,
            "DataPlane": self.plane.reconcile,
            SIGNING_KEYS: SigningKeysReconciler(ports).reconcile,
            "Allowlist": AllowlistReconciler(ports).reconcile,
            "AccessPolicy": AccessPolicyReconciler(ports).reconcile,
            "RecycledCluster": RecycledClusterReconciler(ports).reconcile,
            watches.ORPHANS.kind: BindingSweep(ports).reconcile,
            **{kind: NotYetReconciler(ports, kind).reconcile for kind in ("BackupPolicy", "Backup", "Restore")},
        }
        self.teardowns: dict[str, Any] = {"ZillizCluster": self.cluster.teardown, "DataPlane": self.plane.teardown}

    def start(self) -> None:
        """The first listing of all watches."""
        for kind in watches.OWN_KINDS:
            for obj in self.world.kube.find(kind):
                self.saw("ADDED", obj)
        for kind in watches.CHILD_KINDS:
            for obj in [each for place in self.world.places.values() for each in place.kube.find(kind)]:
                self.labels[obj["metadata"]["uid"]] = obj["metadata"].get("labels") or {}
        for kind in watches.BINDING_KINDS:
            for obj in self.world.kube.find(kind):
                self.saw("ADDED", obj)

    def saw(self, type: str, obj: Manifest) -> None:
        metadata = obj["metadata"]
        if obj["kind"] in watches.OWN_KINDS:
            key = Key(obj["kind"], metadata.get("namespace", ""), metadata["name"])
            if type == "DELETED":
                self.roster.lost(uid=metadata["uid"])
            else:
                plane, everywhere = watches.plane_of(obj["kind"], obj), watches.everywhere(obj["kind"], obj)
                self.roster.saw(key, uid=metadata["uid"], plane=plane, everywhere=everywhere)
            self._wake(key, *watches.wakes(obj["kind"], obj, self.roster))
        elif obj["kind"] in watches.BINDING_KINDS:
            labels = self.labels.get(metadata["uid"]) or metadata.get("labels") or {}
            self.labels[metadata["uid"]] = metadata.get("labels") or {}
            if watches.is_managed(labels):
                self._wake(watches.binding_wakes(labels, self.roster))
        elif obj["kind"] in watches.CHILD_KINDS:
            # The watch selects by label: one that loses it is told once more, as deleted, and as it was.
            labels = self.labels.get(metadata["uid"]) or metadata.get("labels") or {}
            self.labels[metadata["uid"]] = metadata.get("labels") or {}
            where = metadata.get("namespace") or metadata["name"]
            if watches.is_managed(labels):
                self._wake(*watches.child_wakes(labels, self.roster, namespace=where))
            elif obj["kind"] in watches.WATCHED_WHOLE:
                self._wake(*self.roster.living_in(where))

    def next_due(self) -> datetime | None:
        return min(self.timers.values(), default=None)

    async def settle(self, *, short: float = SHORT, limit: int = 600) -> None:
        """Run passes until nobody is woken and waiting changes nothing any more."""
        idle, quiet_since = 0, self.world.clock.now()
        before = self.passes
        while self.passes < before + limit:
            self.world.others_work()
            if self.dirty:
                key = next(iter(self.dirty))
                del self.dirty[key]
                if await self._pass(key):
                    idle, quiet_since = 0, self.world.clock.now()
                else:
                    idle += 1
                continue
            due = self.next_due()
            soon = due is not None and due <= self.world.clock.now() + timedelta(seconds=short)
            if due is None or not soon:
                return
            waited = self.world.clock.now() - quiet_since
            if idle > 3 * len(self.timers) + 3 and waited > QUIET and not self.world.workloads.lagging:
                return
            self.world.clock.time = max(due, self.world.clock.now())
            for key in [key for key, at in self.timers.items() if at <= self.world.clock.now()]:
                del self.timers[key]
                self._wake(key)
        raise AssertionError(f"no rest after {limit} passes; last writes: {self.world.writes[-20:]}")

    async def _pass(self, key: Key) -> bool:
        """One pass; returns whether it, or anybody on its account, changed anything."""
        self.passes += 1
        version = self._version()
        try:
            if await self._finalizer(key):
                return self._version() != version
            outcome = await self.reconcilers[key.kind](key)
        except Exception as error:
            self.errors.append((key, error))
            self._again(key, 5.0)
        else:
            if outcome.again_in is not None:
                self._again(key, outcome.again_in)
        return self._version() != version

    async def _finalizer(self, key: Key) -> bool:
        """Kopf's part: put the finalizer there, and on deletion take it away once the teardown is done."""
        if key.kind not in self.teardowns:
            return False
        kube = self.world.kube
        raw = kube.peek(key.kind, key.name, key.namespace or None)
        if raw is None:
            return False
        finalizers = raw["metadata"].get("finalizers") or []
        if not raw["metadata"].get("deletionTimestamp"):
            if names.FINALIZER not in finalizers:
                held = [*finalizers, names.FINALIZER]
                kube.edit(key.kind, key.name, key.namespace, lambda o: o["metadata"].update({"finalizers": held}))
            return False
        if names.FINALIZER not in finalizers:
            return False
        if await self.teardowns[key.kind](key):
            self._again(key, 5.0)
            return True
        left = [each for each in finalizers if each != names.FINALIZER]
        kube.edit(key.kind, key.name, key.namespace, lambda o: o["metadata"].update({"finalizers": left}))
        self.timers.pop(key, None)
        return True

    def _wake(self, *keys: Key) -> None:
        for key in keys:
            self.dirty.setdefault(key)

    def _again(self, key: Key, seconds: float) -> None:
        if seconds <= 0:
            self._wake(key)
            return
        due = self.world.clock.now() + timedelta(seconds=seconds)
        self.timers[key] = min(due, self.timers.get(key, due))

    def _version(self) -> tuple[int, int]:
        kubes = [place.kube for place in self.world.places.values()]
        return len(self.world.writes), sum(
            max((int(obj["metadata"]["resourceVersion"]) for obj in kube.objects.values()), default=0) for kube in kubes
        )

    def _observe(self, project: str, name: str, type: str, status: str) -> None:
        self.world.metrics[project, name, type] = status


__all__ = ["MILVUS_IMAGE", "NOW", "PROJECT", "SYSTEM", "Crash", "FakeWorld", "encoded"]
