"""Which changes wake which object. Nothing here decides anything and nothing but Kopf's own finalizer and generation is written.

Our kinds have one handler each for create, update and resume (one id: several would lose updates), and people's and our own
children only have event handlers: a state-changing handler would make Kopf annotate them.
"""

from collections.abc import Callable, Iterable
from typing import Any

import kopf

from zilliz_operator.api import names
from zilliz_operator.api.kinds import KINDS
from zilliz_operator.reconcile import signon
from zilliz_operator.reconcile.queue import Key

OWN_KINDS = (
    "ZillizCluster",
    "DataPlane",
    "Allowlist",
    "AccessPolicy",
    "BackupPolicy",
    "Backup",
    "Restore",
    "RecycledCluster",
)
CHILD_KINDS = (
    "Namespace",
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "Service",
    "PodDisruptionBudget",
    "StatefulSet",
    "Deployment",
    "Pod",
    "Issuer",
    "Certificate",
)
"""Kinds of children, watched where they carry our label, so that a change by hand is repaired in seconds."""

BINDING_KINDS = ("RoleBinding", "ClusterRoleBinding")
"""What AccessPolicies make on the hub alone, watched where it carries our label."""
ORPHANS = Key("RoleBinding", "", "orphans")
"""Woken by a binding whose policy nobody knows."""

MANAGED_SELECTOR = "app.kubernetes.io/managed-by=zilliz-operator"
WATCHED_WHOLE = frozenset({"NetworkPolicy"})
"""Kinds of which strangers' objects are watched too: a policy that somebody adds beside ours opens what they leave shut."""

Wake = Callable[[Key, float], None]
Teardown = Callable[[Key], Any]


class Roster:
    """Keys of our objects seen alive, only ever used to decide whom to wake."""

    def __init__(self) -> None:
        self._uids: dict[str, Key] = {}
        self._planes: dict[Key, str] = {}
        self._everywhere: set[Key] = set()

    def saw(self, key: Key, *, uid: str, plane: str = "", everywhere: bool = False) -> None:
        """`plane`: the data plane of a ZillizCluster. `everywhere`: a policy of level Organization."""
        self._uids[uid] = key
        self._everywhere.add(key) if everywhere else self._everywhere.discard(key)
        if plane:
            self._planes[key] = plane

    def lost(self, *, uid: str) -> None:
        key = self._uids.pop(uid, None)
        if key is not None and key not in self._uids.values():
            self._planes.pop(key, None)
            self._everywhere.discard(key)

    def organization(self) -> Iterable[Key]:
        """The policies that mean every project."""
        return sorted(self._everywhere)

    def by_uid(self, uid: str) -> Key | None:
        return self._uids.get(uid)

    def living_in(self, namespace: str) -> Iterable[Key]:
        """The cluster whose own namespace this is."""
        if not namespace.startswith(names.cluster_namespace("")):
            return []
        clusters = ((uid, key) for uid, key in self._uids.items() if key.kind == "ZillizCluster")
        return [key for uid, key in clusters if names.cluster_namespace(names.cluster_id(uid)) == namespace]

    def on_plane(self, name: str) -> Iterable[Key]:
        """The clusters of a data plane."""
        return [key for key, plane in self._planes.items() if plane == name]

    def lane(self, key: Key) -> str:
        """Passes over objects of one data plane share its slots; what belongs to none shares those of the hub."""
        return key.name if key.kind == "DataPlane" else self._planes.get(key, "")

    def keys(self, kind: str, *, namespace: str | None = None) -> Iterable[Key]:
        return [k for k in self._uids.values() if k.kind == kind and namespace in (None, k.namespace)]


def _selector(kind: str) -> tuple[str, str, str]:
    info = KINDS[kind]
    group, _, version = info.api_version.rpartition("/")
    return group, version, info.plural


def _resource(kind: str) -> tuple[Any, ...]:
    """A kind as Kopf's decorators take it: (group, version, plural), without the group for the core."""
    group, version, plural = _selector(kind)
    return (group, version, plural) if group else (version, plural)


def wakes(kind: str, obj: Any, roster: Roster) -> list[Key]:
    """Whom an event about one of our own kinds concerns, besides itself."""
    namespace = obj["metadata"].get("namespace", "")
    match kind:
        case "Allowlist":
            return list(roster.keys("ZillizCluster", namespace=namespace))
        case "AccessPolicy":
            return list(roster.keys("ZillizCluster", namespace=None if everywhere(kind, obj) else namespace))
        case "DataPlane":  # another one may have waited for its bucket prefix
            plane = roster.on_plane(obj["metadata"]["name"])
            signing = [Key(signon.KIND, "", obj["metadata"]["name"])] if (obj.get("spec") or {}).get("sso") else []
            return [*plane, *roster.keys("DataPlane"), *roster.keys("BackupPolicy"), *signing]
        case "ZillizCluster":
            return [
                *roster.keys("Allowlist", namespace=namespace),
                *roster.keys("AccessPolicy", namespace=namespace),
                *roster.organization(),
                *roster.keys("BackupPolicy", namespace=namespace),
                *(key for key in roster.keys("DataPlane") if key.name == plane_of(kind, obj)),
            ]
    return []


def plane_of(kind: str, obj: Any) -> str:
    """The data plane of a ZillizCluster; of another kind, none."""
    return str((obj.get("spec") or {}).get("dataPlane") or "default") if kind == "ZillizCluster" else ""


def everywhere(kind: str, obj: Any) -> bool:
    """Whether an object is a policy that means every project."""
    return kind == "AccessPolicy" and (obj.get("spec") or {}).get("level") == "Organization"


def binding_wakes(labels: Any, roster: Roster) -> Key:
    """Whom an event about a binding with our label concerns."""
    return roster.by_uid(labels.get(names.POLICY_UID_LABEL, "")) or ORPHANS


def child_wakes(labels: Any, roster: Roster, *, namespace: str) -> list[Key]:
    """Whom an event about a child concerns: whom its marks name, else (somebody took them away) whose namespace it is in."""
    woken: list[Key] = []
    for label in (names.CLUSTER_UID_LABEL, names.POLICY_UID_LABEL, names.DATA_PLANE_UID_LABEL):
        key = roster.by_uid(labels.get(label, ""))
        if key is not None:
            woken.append(key)
            if key.kind == "DataPlane":  # its issuers' keys: they go to the doors of all its clusters
                woken += roster.on_plane(key.name)
            if key.kind == "AccessPolicy":
                woken += roster.keys("ZillizCluster", namespace=key.namespace)
    if woken:
        return woken
    return [*roster.living_in(namespace), *roster.keys("AccessPolicy", namespace=namespace)]


def woken_by(labels: Any, roster: Roster, *, namespace: str) -> Iterable[Key]:
    """Whom an event about anything in `namespace` concerns, ours or not (a Namespace lies in none but its own)."""
    return child_wakes(labels, roster, namespace=namespace) if is_managed(labels) else roster.living_in(namespace)


def selector_of(kind: str) -> str:
    """The label selector by which a kind of children is watched; empty: all of them are."""
    return "" if kind in WATCHED_WHOLE else MANAGED_SELECTOR


def is_managed(labels: Any) -> bool:
    """Whether an object carries the mark that the watches select by."""
    label, _, value = MANAGED_SELECTOR.partition("=")
    return bool(labels.get(label) == value)


def register(
    registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, *, roster: Roster, wake: Wake, teardown: Teardown
) -> None:
    """Put every watch of the operator into `registry`."""
    for kind in OWN_KINDS:
        _watch_own(registry, kind, roster=roster, wake=wake)
    for kind in ("ZillizCluster", "DataPlane"):
        _hold_until_torn_down(registry, kind, teardown=teardown)
    for kind in CHILD_KINDS:
        resource = _resource(kind)
        if selector := selector_of(kind):
            settings.watching.label_selectors[resource] = selector
        _watch_children(registry, kind, roster=roster, wake=wake)
    for kind in BINDING_KINDS:
        settings.watching.label_selectors[_resource(kind)] = MANAGED_SELECTOR
        _watch_bindings(registry, kind, roster=roster, wake=wake)


def _watch_own(registry: kopf.OperatorRegistry, kind: str, *, roster: Roster, wake: Wake) -> None:
    resource = _resource(kind)

    async def reconcile(namespace: str | None, name: str, **_: Any) -> None:
        wake(Key(kind, namespace or "", name), 0.0)

    for decorator in (kopf.on.create, kopf.on.update, kopf.on.resume):
        decorator(*resource, registry=registry, id="reconcile")(reconcile)

    async def seen(event: Any, body: Any, uid: str, namespace: str | None, name: str, **_: Any) -> None:
        key = Key(kind, namespace or "", name)
        if event["type"] == "DELETED":
            roster.lost(uid=uid)
        else:
            roster.saw(key, uid=uid, plane=plane_of(kind, body), everywhere=everywhere(kind, body))
        wake(key, 0.0)
        for other in wakes(kind, body, roster):
            wake(other, 0.0)

    kopf.on.event(*resource, registry=registry, id="seen")(seen)


def _hold_until_torn_down(registry: kopf.OperatorRegistry, kind: str, *, teardown: Teardown) -> None:
    """Never a PermanentError, a retry limit or a timeout here: each would drop the finalizer and leak what it guards."""

    async def leave(namespace: str | None, name: str, retry: int, **_: Any) -> None:
        try:
            blocked = await teardown(Key(kind, namespace or "", name))
        except Exception as error:
            raise kopf.TemporaryError(str(error), delay=min(60, 2 ** min(retry, 6))) from error
        if blocked:
            raise kopf.TemporaryError(blocked, delay=min(15, 1 + retry))

    kopf.on.delete(*_resource(kind), registry=registry, id="teardown")(leave)


def _watch_children(registry: kopf.OperatorRegistry, kind: str, *, roster: Roster, wake: Wake) -> None:
    async def changed(labels: Any, namespace: str | None, name: str, **_: Any) -> None:
        for key in woken_by(labels, roster, namespace=namespace or name):
            wake(key, 0.0)

    kopf.on.event(*_resource(kind), registry=registry, id="changed")(changed)


def _watch_bindings(registry: kopf.OperatorRegistry, kind: str, *, roster: Roster, wake: Wake) -> None:
    async def changed(labels: Any, **_: Any) -> None:
        wake(binding_wakes(labels, roster), 0.0)

    kopf.on.event(*_resource(kind), registry=registry, id="changed")(changed)
