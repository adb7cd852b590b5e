"""Bindings of AccessPolicies in Kubernetes, kept as a set: what a policy wants is there, what bears its mark and is not wanted goes,
and what is a stranger's stays as it is.

A binding outside of its policy's namespace has no owner that a garbage collector could follow. `sweep` removes those whose policy
is gone; a change of such a binding wakes it too, so that one left behind while nobody watched goes at the next start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy, Subject
from zilliz_operator.api.base import utc
from zilliz_operator.api.conditions import Reason
from zilliz_operator.api.exceptions import Rejected, ZillizError
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.desired.bindings import bindings, rbac_subject
from zilliz_operator.policy import drift, people
from zilliz_operator.policy.entitlements import ends
from zilliz_operator.reconcile.pass_ import World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key, Outcome

KINDS = ("RoleBinding", "ClusterRoleBinding")
MARK = {names.MANAGED_BY: names.FIELD_MANAGER, "app.kubernetes.io/component": "access"}


@dataclass(frozen=True, slots=True)
class Bound:
    """What became of a policy's bindings."""

    where: str = ""
    """For messages: the role, and where it is given. Empty: nothing is."""
    taken: str = ""
    """A binding of that name that is a stranger's."""
    trouble: ZillizError | None = None


async def bind(world: World, policy: AccessPolicy, clusters: Sequence[ZillizCluster]) -> Bound:
    """Make the policy's bindings what it wants. `clusters`: those that it selects. An outage is told, not raised: keys and users of
    the same policy go on."""
    role = people.cluster_role(policy)
    subjects = people.bound(policy, operator_namespace=world.operator_namespace, now=world.clock.now())
    spaces = people.namespaces(
        policy,
        projects=(cluster.metadata.namespace for cluster in clusters),
        operator_namespace=world.operator_namespace,
    )
    wanted: Sequence[Manifest] = ()
    if subjects and (spaces or people.everywhere(policy)):
        wanted = bindings(policy, subjects, role=role, namespaces=spaces, sso=world.sso)
    try:
        taken = await keep(world, policy.metadata.uid, wanted)
    except ZillizError as error:
        return Bound(trouble=error)
    return Bound(where=_where(role, spaces, wanted), taken=taken)


def _where(role: str, spaces: Sequence[str], wanted: Sequence[Manifest]) -> str:
    if not wanted:
        return ""
    if not spaces:
        return f"{role} everywhere"
    return f"{role} in {f'namespace {spaces[0]}' if len(spaces) == 1 else f'{len(spaces)} projects'}"


async def keep(world: World, uid: str, wanted: Sequence[Manifest]) -> str:
    """Make the bindings of one policy exactly `wanted`; returns the first that is a stranger's, `Kind namespace/name`, or nothing."""
    hub, taken = world.hub, ""
    live = {
        _ref(kind, obj): obj for kind in KINDS for obj in await hub.list(kind, labels={names.POLICY_UID_LABEL: uid})
    }
    for manifest in wanted:
        ref = _ref(manifest["kind"], manifest)
        existing = live.pop(ref, None)
        if existing is None:
            stranger = await hub.get(manifest["kind"], ref[2], ref[1] or None)
            if stranger is not None:
                taken = taken or f"{ref[0]} {ref[1] + '/' if ref[1] else ''}{ref[2]}"
                continue
        elif existing.get("roleRef") != manifest["roleRef"]:  # can never be changed in place
            await _remove(world, ref, existing)
            existing = None
        if existing is None or drift.needs_apply(manifest, existing):
            await hub.apply(drift.stamped(manifest))
    for ref, unwanted in live.items():
        await _remove(world, ref, unwanted)
    return taken


async def sweep(world: World) -> None:
    """Remove the bindings whose policy is gone."""
    found = [(_ref(kind, obj), obj) for kind in KINDS for obj in await world.hub.list(kind, labels=MARK)]
    if not found:
        return
    alive = {
        raw["metadata"]["uid"]
        for raw in await world.hub.list("AccessPolicy")
        if not raw["metadata"].get("deletionTimestamp")
    }
    for ref, obj in found:
        if obj["metadata"]["labels"].get(names.POLICY_UID_LABEL) not in alive:
            await _remove(world, ref, obj)


class BindingSweep:
    """The work of `handlers.watches.ORPHANS`: a binding changed whose policy nobody knows."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, _: Key) -> Outcome:
        await sweep(self._world)
        return Outcome(alive=False)


async def _remove(world: World, ref: tuple[str, str, str], obj: Manifest) -> None:
    if world.leads() and not obj["metadata"].get("deletionTimestamp"):
        await world.hub.delete(ref[0], ref[2], ref[1] or None, uid=obj["metadata"]["uid"])


def _ref(kind: str, obj: Manifest) -> tuple[str, str, str]:
    return kind, obj["metadata"].get("namespace") or "", obj["metadata"]["name"]


def standing(
    world: World, policy: AccessPolicy, subject: Subject, bound: Bound, entry: dict[str, Any]
) -> tuple[dict[str, Any], Reason | None]:
    """The status entry of a Group, User or ServiceAccount, and the reason when only a person can go on."""
    if refused := people.refusal(subject, operator_namespace=world.operator_namespace):
        return {**entry, "state": "Failed", "message": refused}, Reason.SUBJECT_REFUSED
    end = ends(policy, subject)
    if end is not None and end <= world.clock.now():
        message = f"ended on {utc(end)} and gives nothing: set a later spec.expiresAt or delete the policy"
        return {**entry, "state": "Expired", "message": message}, Reason.POLICY_EXPIRED
    if bound.trouble is not None:
        reason = Reason.API_REJECTED if isinstance(bound.trouble, Rejected) else Reason.API_UNAVAILABLE
        return {**entry, "state": "Pending", "message": f"not bound in Kubernetes yet: {bound.trouble}"}, reason
    if bound.taken:
        message = f"{bound.taken} exists and is not this policy's; it was not touched: delete or rename it"
        return {**entry, "state": "Failed", "message": message}, Reason.NAME_TAKEN
    name = rbac_subject(subject, sso=world.sso)["name"]
    said = f"in Kubernetes {f'{name}: {bound.where}' if bound.where else 'nothing'}"
    return {**entry, "message": said}, None
