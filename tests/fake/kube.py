"""A Kubernetes API in memory, as the `Kube` port sees one.

What reconcilers rely on is real: resource versions, generations, UIDs and their preconditions, server-side apply by manager,
finalizers, a status apart from the spec, namespaces that end with what is in them. What `ports.Kube` does counts; what tests and
the other controllers do, by the methods below the port, does not.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fake import apply as ssa
from tests.fake import schema
from tests.fake.apply import copied
from zilliz_operator.api.exceptions import Conflict, InvalidSpec, NotReady
from zilliz_operator.api.kinds import KINDS
from zilliz_operator.api.rights import Access
from zilliz_operator.reconcile.ports import Manifest

Key = tuple[str, str, str]
"""Kind, namespace ("" when cluster-scoped), name."""

Manifests = list[Manifest]
Keys = list[Key]  # inside the class, `list` is the port's method

WITH_STATUS = frozenset(
    {"Namespace", "Deployment", "StatefulSet", "Service", "Pod", "Certificate", "Issuer", "ClusterIssuer"}
) | {kind.kind for kind in KINDS.values() if kind.group == "byoc.zilliz.com"}
_STATEFUL_SET_FIXED = ("serviceName", "selector", "volumeClaimTemplates")


@dataclass(slots=True)
class Recorder:
    """Every write of the operator, wherever it went, and what to do around them."""

    writes: list[str] = field(default_factory=list)
    before: Callable[[str], None] | None = None
    """Called with each call, reads too; may raise what the outside would."""
    after: Callable[[int, str], None] | None = None
    """Called after each write with its number; may raise a crash."""
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        return None, {"writes": self.writes, "numbers": self.numbers, "before": None, "after": None}

    def call(self, what: str) -> None:
        if self.before is not None:
            self.before(what)

    def wrote(self, what: str) -> None:
        self.writes.append(what)
        number = next(self.numbers)
        if self.after is not None:
            self.after(number, what)


class FakeKube:
    """One Kubernetes cluster."""

    def __init__(self, recorder: Recorder, now: Callable[[], str], *, name: str = "fake") -> None:
        self.what = f"Kubernetes API https://{name}"
        self._name = name
        self.trouble: Exception | None = None
        """What every call of the operator comes to, instead of an answer."""
        self.denied: list[Access] = []
        """Rights that the operator's credentials have not."""
        self.recorder = recorder
        self._now = now
        self.objects: dict[Key, Manifest] = {}
        self._applied: dict[str, Manifest] = {}
        self._version = itertools.count(1)
        self._uids = itertools.count(1)
        self.missing_kinds: set[str] = set()
        self.events: list[dict[str, str]] = []
        self.on_change: Callable[[str, Manifest], None] = _nobody_listens
        self.reads = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "on_change": _nobody_listens}

    # ---- the port

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        self._asked(f"get {kind}/{name}")
        self.reads += 1
        if KINDS[kind].namespaced and not namespace:
            raise ValueError(f"{kind} {name} needs a namespace")
        return copied(self.objects.get(self._key(kind, name, namespace)))

    async def list(
        self, kind: str, namespace: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        self._asked(f"list {kind}")
        self.reads += 1
        return [copied(obj) for obj in self.find(kind, namespace, labels=labels)]

    async def apply(self, manifest: Manifest) -> Manifest:
        kind, name, namespace = _identity(manifest)
        self._asked(f"apply {kind}/{name}")
        live = self.objects.get(self._key(kind, name, namespace))
        sent = {key: value for key, value in manifest.items() if key != "status"}
        if live is None:
            self._admit(kind, name, namespace)
        uid = live["metadata"]["uid"] if live else ""
        wanted = ssa.merged(kind, live or {}, self._applied.get(uid, {}), sent)
        stored = self._store(kind, namespace, wanted, live)
        self._applied[stored["metadata"]["uid"]] = copied(sent)
        self.recorder.wrote(f"apply {kind}/{name}")
        return copied(stored)

    async def create(self, manifest: Manifest) -> Manifest:
        kind, name, namespace = _identity(manifest)
        self._asked(f"create {kind}/{name}")
        if self._key(kind, name, namespace) in self.objects:
            raise Conflict(f"create {kind} {name}: it exists")
        self._admit(kind, name, namespace)
        stored = self._store(kind, namespace, manifest, None)
        self.recorder.wrote(f"create {kind}/{name}")
        return copied(stored)

    async def delete(self, kind: str, name: str, namespace: str | None = None, *, uid: str) -> None:
        self._asked(f"delete {kind}/{name}")
        live = self.objects.get(self._key(kind, name, namespace))
        if live is not None:
            if live["metadata"]["uid"] != uid:
                raise Conflict(f"delete {kind} {name}: the UID in the precondition is another one")
            self.remove(kind, name, namespace)
        self.recorder.wrote(f"delete {kind}/{name}")

    async def merge_patch(
        self, kind: str, name: str, namespace: str | None, patch: Manifest, *, subresource: str = ""
    ) -> Manifest:
        self._asked(f"patch {kind}/{name} {subresource}".strip())
        live = self.objects.get(self._key(kind, name, namespace))
        if live is None:
            raise NotReady(f"{kind} {name}: it, its namespace or its kind does not exist")
        if subresource:
            status = ssa.json_merge(live, {"status": patch["status"]})["status"]
            stored = self._store_status(live, schema.checked_status(kind, status))
        else:
            stored = self._store(kind, namespace, ssa.json_merge(live, patch), live)
        self.recorder.wrote(f"patch {kind}/{name} {subresource}".strip())
        return copied(stored)

    async def event(self, regarding: Manifest, *, type: str, reason: str, message: str) -> None:
        self._asked("event")
        self.events.append({"about": regarding["metadata"]["name"], "type": type, "reason": reason, "message": message})

    async def version(self) -> str:
        self._asked("version")
        return "v1.36.0"

    async def missing_rights(self, needed: Sequence[Access]) -> Sequence[Access]:
        self._asked("rights")
        return [access for access in needed if access in self.denied]

    # ---- for tests and the other controllers

    def find(self, kind: str, namespace: str | None = None, *, labels: Mapping[str, str] | None = None) -> "Manifests":
        """The stored objects themselves."""
        return [
            obj
            for (each, where, _), obj in self.objects.items()
            if each == kind
            and kind not in self.missing_kinds
            and namespace in (None, where)
            and (labels or {}).items() <= (obj["metadata"].get("labels") or {}).items()
        ]

    def peek(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        return self.objects.get(self._key(kind, name, namespace))

    def must(self, kind: str, name: str, namespace: str | None = None) -> Manifest:
        found = self.peek(kind, name, namespace)
        assert found is not None, f"no {kind} {namespace or ''}/{name}"
        return found

    def put(self, manifest: Manifest) -> Manifest:
        """Create or replace, as a person does with kubectl replace; the status stays."""
        kind, name, namespace = _identity(manifest)
        live = self.objects.get(self._key(kind, name, namespace))
        if live is None:
            self._admit(kind, name, namespace)
        body = copied(manifest)
        body["spec"] = schema.checked_spec(kind, body["spec"]) if "spec" in body else body.pop("spec", None)
        if body["spec"] is None:
            del body["spec"]
        if live is not None:
            for key in ("finalizers", "ownerReferences"):
                if key in live["metadata"]:
                    body["metadata"].setdefault(key, live["metadata"][key])
        return self._store(kind, namespace, body, live)

    def edit(self, kind: str, name: str, namespace: str | None, change: Callable[[Manifest], None]) -> Manifest:
        """Change an object as `kubectl edit` does: the changed fields become the editor's."""
        live = self.must(kind, name, namespace)
        body = copied(live)
        change(body)
        stored = self._store(kind, namespace, body, live)
        uid = stored["metadata"]["uid"]
        if uid in self._applied:
            self._applied[uid] = ssa.still_ours(self._applied[uid], stored)
        if stored["metadata"].get("deletionTimestamp") and not stored["metadata"].get("finalizers"):
            self.remove(kind, name, namespace)
        return stored

    def set_status(self, kind: str, name: str, namespace: str | None, status: Manifest) -> None:
        live = self.must(kind, name, namespace)
        if live.get("status") != status:
            self._store_status(live, copied(status))

    def remove(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete as anybody does: held by finalizers, and a namespace by what is in it."""
        key = self._key(kind, name, namespace)
        live = self.objects.get(key)
        if live is None:
            return
        if kind == "Namespace":
            self._end_namespace(name)
        if live["metadata"].get("finalizers") or (kind == "Namespace" and self._inside(name)):
            if not live["metadata"].get("deletionTimestamp"):
                live = copied(live)
                live["metadata"]["deletionTimestamp"] = self._now()
                self._put(key, live, "MODIFIED")
            return
        del self.objects[key]
        self.on_change("DELETED", copied(live))

    def collect_garbage(self) -> bool:
        """What owner references and ending namespaces leave to be done; whether there was anything."""
        before = len(self.objects)
        uids = {obj["metadata"]["uid"] for obj in self.objects.values()}
        for (kind, namespace, name), obj in list(self.objects.items()):
            owners = obj["metadata"].get("ownerReferences") or ()
            if owners and not any(owner["uid"] in uids for owner in owners):
                self.remove(kind, name, namespace or None)
        for namespace_ in self.find("Namespace"):
            name = namespace_["metadata"]["name"]
            if namespace_["metadata"].get("deletionTimestamp"):
                self._end_namespace(name)
                if not self._inside(name):
                    self.remove("Namespace", name)
        return len(self.objects) != before

    # ---- inside

    def _asked(self, what: str) -> None:
        self.recorder.call(what)
        if self.trouble is not None:
            raise self.trouble

    def _key(self, kind: str, name: str, namespace: str | None) -> Key:
        return kind, (namespace or "") if KINDS[kind].namespaced else "", name

    def _inside(self, namespace: str) -> "Keys":
        return [key for key in self.objects if key[1] == namespace]

    def _end_namespace(self, name: str) -> None:
        for kind, namespace, each in self._inside(name):
            self.remove(kind, each, namespace)

    def _admit(self, kind: str, name: str, namespace: str | None) -> None:
        if kind in self.missing_kinds:
            raise NotReady(f"{kind} {name}: it, its namespace or its kind does not exist (404)")
        if not KINDS[kind].namespaced:
            return
        found = self.objects.get(("Namespace", "", namespace or ""))
        if found is None:
            raise NotReady(f"{kind} {namespace}/{name}: it, its namespace or its kind does not exist (404)")
        if found["metadata"].get("deletionTimestamp"):
            raise NotReady(f"{kind} {namespace}/{name}: its namespace is being deleted")

    def _store(self, kind: str, namespace: str | None, body: Manifest, live: Manifest | None) -> Manifest:
        body = _defaulted(kind, copied(body))
        metadata = body["metadata"]
        if live is None:
            metadata |= {
                "uid": metadata.get("uid") or f"uid-{self._name}-{next(self._uids):06d}",
                "creationTimestamp": self._now(),
            }
            metadata["generation"] = 1
            if kind in WITH_STATUS:
                body.pop("status", None)
        else:
            metadata["uid"], metadata["creationTimestamp"] = (live["metadata"][k] for k in ("uid", "creationTimestamp"))
            if "deletionTimestamp" in live["metadata"]:
                metadata["deletionTimestamp"] = live["metadata"]["deletionTimestamp"]
            if kind in WITH_STATUS:
                body.pop("status", None)
                if "status" in live:
                    body["status"] = live["status"]
            self._refuse_fixed(kind, live, body)
            changed = _content(body) != _content(live)
            metadata["generation"] = live["metadata"]["generation"] + (1 if changed else 0)
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
            if body == live:
                return live
        key = self._key(kind, metadata["name"], namespace)
        return self._put(key, body, "MODIFIED" if live else "ADDED")

    def _refuse_fixed(self, kind: str, live: Manifest, body: Manifest) -> None:
        if kind != "StatefulSet":
            return
        for name in _STATEFUL_SET_FIXED:
            if live["spec"].get(name) != body["spec"].get(name):
                raise InvalidSpec(f"StatefulSet {live['metadata']['name']}", f"spec.{name}: Forbidden: may not change")

    def _store_status(self, live: Manifest, status: Manifest) -> Manifest:
        body = {**copied(live), "status": status}
        if body == live:
            return live
        key = self._key(live["kind"], live["metadata"]["name"], live["metadata"].get("namespace"))
        return self._put(key, body, "MODIFIED")

    def _put(self, key: Key, body: Manifest, type: str) -> Manifest:
        body["metadata"]["resourceVersion"] = str(next(self._version))
        self.objects[key] = body
        self.on_change(type, copied(body))
        return body


def _nobody_listens(_type: str, _obj: Manifest) -> None:
    """Until an operator watches."""


def _identity(manifest: Manifest) -> tuple[str, str, str | None]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata["name"], metadata.get("namespace")


def _content(obj: Manifest) -> Manifest:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _defaulted(kind: str, body: Manifest) -> Manifest:
    """What the API server fills in or drops, in the places where a careless comparison would stumble."""
    body["apiVersion"] = KINDS[kind].api_version
    for empty in ("annotations", "labels", "finalizers", "ownerReferences"):
        if empty in body["metadata"] and not body["metadata"][empty]:
            del body["metadata"][empty]
    spec = body.get("spec") or {}
    match kind:
        case "Deployment" | "StatefulSet":
            _default_pod(spec["template"]["spec"])
            spec.setdefault("revisionHistoryLimit", 10)
        case "Service":
            spec.setdefault("clusterIP", "10.96.0.1")
            spec.setdefault("sessionAffinity", "None")
        case "NetworkPolicy":
            for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
                for port in rule.get("ports") or ():
                    port.setdefault("protocol", "TCP")
            for empty in ("ingress", "egress"):
                if empty in spec and not spec[empty]:
                    del spec[empty]
    return body


def _default_pod(pod: Manifest) -> None:
    pod.setdefault("dnsPolicy", "ClusterFirst")
    pod.setdefault("restartPolicy", "Always")
    for container in [*pod.get("initContainers", ()), *pod["containers"]]:
        container.setdefault("imagePullPolicy", "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
    for volume in pod.get("volumes") or ():
        for source in ("secret", "configMap"):
            if source in volume:
                volume[source].setdefault("defaultMode", 420)
