"""AccessPolicy: make the subjects' credentials in the project, and say on which clusters they open something.

The clusters' own passes put keys, users and roles in force; they read the Secrets made here and keep digests of keys alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy, Level, Subject, SubjectKind
from zilliz_operator.api.base import utc
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.rolenames import roles_of
from zilliz_operator.api.validate import validate
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.desired.access import caveats, custom_roles
from zilliz_operator.policy.access import USER
from zilliz_operator.policy.entitlements import WITH_SECRET, Judged, ends, judge, secret_of
from zilliz_operator.policy.people import WITHOUT_DATA
from zilliz_operator.policy.signon import PEOPLE
from zilliz_operator.policy.status import FALSE, StepResult, conditions
from zilliz_operator.reconcile import bindings, statuses
from zilliz_operator.reconcile.allowlist import clusters_of, per_cluster, summary
from zilliz_operator.reconcile.pass_ import World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key, Outcome
from zilliz_operator.reconcile.selection import missing, policy_selects, readable, selects
from zilliz_operator.reconcile.signonpolicy import SignOn
from zilliz_operator.reconcile.steps.errors import LATER
from zilliz_operator.reconcile.subject_secrets import SubjectSecrets, dates, unanswered
from zilliz_operator.reconcile.vault import decoded

CONNECTION_KEYS = ("host", "port", "uri", "ca.crt")


def made_by(uid: str, secret: Manifest | None) -> bool:
    """Whether a Secret is there and that policy's own: a stranger's opens nothing, whatever is in it."""
    labels = ((secret or {}).get("metadata") or {}).get("labels") or {}
    return bool(labels.get(names.POLICY_UID_LABEL) == uid)


def _inexpressible(policy: AccessPolicy, clusters: Iterable[ZillizCluster]) -> dict[str, str]:
    """Clusters whose Milvus has not all that the policy grants → what is missing."""
    found: dict[str, str] = {}
    for cluster in clusters:
        if cluster.status.version:
            why = custom_roles([policy], version=cluster.status.version).inexpressible.get(policy.metadata.uid)
            if why is not None:
                found[cluster.ref] = why
    return found


def _taken(subject: Subject, clusters: Iterable[ZillizCluster]) -> str:
    """Why a cluster user is not made: somebody else's has its name. Empty: none has."""
    for cluster in clusters:
        users = (each.name for each in cluster.status.foreign if each.kind == USER)
        if subject.kind is SubjectKind.CLUSTER_USER and subject.name in users:
            return (
                f"{cluster.metadata.name} has a Milvus user of this name that the operator did not make, and that is left "
                "alone: choose another name, or drop that user"
            )
    return ""


def _nowhere(_: AccessPolicy) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class SubjectFound:
    """How it stands with one subject, as its status entry, and whether only a person can go on."""

    entry: dict[str, Any]
    reason: Reason | None = None
    look_at: datetime | None = None
    """When the next thing is due with its credential."""


class AccessPolicyReconciler:
    def __init__(self, world: World) -> None:
        self._world = world
        self._secrets = SubjectSecrets(world)

    async def reconcile(self, key: Key) -> Outcome:
        raw = await self._world.hub.get("AccessPolicy", key.name, key.namespace)
        if raw is None:
            self._world.last_uses.forget(key.namespace, key.name)
            await bindings.sweep(self._world)
            return Outcome(alive=False)
        if raw["metadata"].get("deletionTimestamp"):
            await bindings.sweep(self._world)
            return Outcome()
        raw = {**raw, "kind": "AccessPolicy"}
        findings = validate(raw)
        if findings:
            ready = StepResult(ConditionType.READY, FALSE, Reason.INVALID_SPEC, str(findings[0]))
            return await self._refused(raw, ready, {"clusters": [], "subjects": []})
        policy = AccessPolicy.parse(raw)
        if policy.spec.level is Level.ORGANIZATION and key.namespace != self._world.operator_namespace:
            message = f"level Organization is only for policies in namespace {self._world.operator_namespace}: use level Project"
            ready = StepResult(ConditionType.READY, FALSE, Reason.LEVEL_NOT_ALLOWED, message)
            return await self._refused(raw, ready, {})
        everywhere = policy.spec.level is Level.ORGANIZATION
        existing = await clusters_of(self._world, None if everywhere else key.namespace)
        selection = policy.spec.clusters if policy.spec.level is Level.CLUSTER else None
        chosen = [c for c in existing if selects(selection, name=c.metadata.name, labels=c.metadata.labels)]
        judged = await self._judge(policy, chosen)
        bound = await bindings.bind(self._world, policy, chosen)
        sign_on = SignOn(self._world, policy, chosen)
        subjects = [await self._subject(policy, each, chosen, judged, bound, sign_on) for each in policy.spec.subjects]
        await self._forget_others(policy)
        notes = {c.ref: caveats(policy.spec.grants, version=c.status.version) for c in chosen if c.status.version}
        entries = per_cluster(chosen, raw, failed=_inexpressible(policy, chosen), notes=notes)
        ready = self._ready(subjects, entries, missing(selection, [c.metadata.name for c in existing]))
        ready = replace(ready, message=ready.message + unanswered(policy))
        outcome = await self._write(raw, ready, {"clusters": entries, "subjects": [s.entry for s in subjects]})
        return self._until_next_end(policy, subjects, outcome)

    def _ready(
        self, subjects: Sequence[SubjectFound], entries: Sequence[dict[str, str]], absent: Sequence[str]
    ) -> StepResult:
        for found in subjects:
            if found.reason is not None:
                message = f"{found.entry['kind']} {found.entry['name']}: {found.entry['message']}"
                return StepResult(ConditionType.READY, FALSE, found.reason, message, again_in=LATER)
        return summary(entries, absent)

    def _until_next_end(self, policy: AccessPolicy, found: Sequence[SubjectFound], outcome: Outcome) -> Outcome:
        """Look again when a subject ends, is to be rotated, or loses its credential before."""
        now = self._world.clock.now()
        coming = [end for subject in policy.spec.subjects if (end := ends(policy, subject)) and end > now]
        coming += [each.look_at for each in found if each.look_at and each.look_at > now]
        if not coming:
            return outcome
        wait = (min(coming) - now).total_seconds() + 0.5
        return Outcome(again_in=min(wait, outcome.again_in or wait))

    async def _judge(self, policy: AccessPolicy, chosen: Sequence[ZillizCluster]) -> list[Judged]:
        """This policy among its project's, on each of these clusters; where there is none, for the Secrets alone."""
        if not any(subject.kind in WITH_SECRET for subject in policy.spec.subjects):
            return []
        others = readable(AccessPolicy, await self._world.hub.list("AccessPolicy", policy.metadata.namespace))
        uid = policy.metadata.uid
        policies = [policy, *(other for other in others if other.metadata.uid != uid)]
        places: list[Callable[[AccessPolicy], bool]] = [partial(policy_selects, cluster=cluster) for cluster in chosen]
        return [judge(policies, now=self._world.clock.now(), here=here) for here in places or [_nowhere]]

    async def _forget_others(self, policy: AccessPolicy) -> None:
        """Remove the Secrets of subjects that the policy has no more: what was taken away must not come back with them."""
        kept = {secret_of(policy, subject) for subject in policy.spec.subjects}
        mark = {names.POLICY_UID_LABEL: policy.metadata.uid}
        for secret in await self._world.hub.list("Secret", policy.metadata.namespace, labels=mark):
            metadata = secret["metadata"]
            if metadata["name"] not in kept and not metadata.get("deletionTimestamp") and self._world.leads():
                await self._world.hub.delete("Secret", metadata["name"], metadata["namespace"], uid=metadata["uid"])

    async def _subject(
        self,
        policy: AccessPolicy,
        subject: Subject,
        chosen: Sequence[ZillizCluster],
        judged: Sequence[Judged],
        bound: bindings.Bound,
        sign_on: SignOn,
    ) -> SubjectFound:
        shown = f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name
        entry: dict[str, Any] = {"kind": str(subject.kind), "name": shown, "state": "Applied"}
        end = ends(policy, subject)
        if end is not None:
            entry["expiresAt"] = utc(end)
        if subject.kind not in WITH_SECRET:
            entry, reason = bindings.standing(self._world, policy, subject, bound, entry)
            if reason is None and subject.kind in PEOPLE and policy.spec.role not in WITHOUT_DATA:
                reason, trouble = await sign_on.trouble(subject)
                entry |= {"state": "Pending", "message": f"{entry['message']}; {trouble}"} if reason else {}
            return SubjectFound(entry, reason)
        if end is not None and end <= self._world.clock.now():
            whole = end == policy.spec.expires_at
            remedy = (
                "set a later spec.expiresAt or delete the policy"
                if whole
                else "set a later expiresAt or remove the subject"
            )
            message = f"ended on {utc(end)} and opens nothing: {remedy}"
            reason = Reason.POLICY_EXPIRED if whole else Reason.KEY_EXPIRED
            return SubjectFound({**entry, "state": "Expired", "message": message}, reason)
        uid, name = policy.metadata.uid, secret_of(policy, subject)
        refused = [each for found in judged for each in found.refused]
        why = next((each for each in refused if each.uid == uid and each.subject == subject), None)
        maker = judged[0].makers[f"{policy.metadata.namespace}/{name}"]
        if why is not None and maker != uid:
            return SubjectFound({**entry, "state": "Failed", "message": why.message}, why.reason)
        entry["secretName"] = name
        secret = await self._world.hub.get("Secret", name, policy.metadata.namespace)
        if secret is not None and not made_by(maker, secret):
            message = f"Secret {name} exists and is not this policy's: choose another secretName, or delete that Secret"
            return SubjectFound({**entry, "state": "Failed", "message": message}, Reason.SUBJECT_SECRET_TAKEN)
        kept = None
        if maker == uid:
            where = await self._connection(policy, chosen)
            kept = await self._secrets.keep(policy, subject, secret, where=where)
            if kept.reason is not None:
                state = "Pending" if kept.reason is Reason.PROGRESSING else "Failed"
                return SubjectFound({**entry, "state": state, "message": kept.message}, kept.reason)
        message = why.message if why is not None else _taken(subject, chosen)
        if message:
            reason = why.reason if why is not None else Reason.SUBJECT_CONFLICT
            return SubjectFound({**entry, "state": "Failed", "message": message}, reason)
        given = [e.roles for found in judged for e in found.live if e.secret == f"{policy.metadata.namespace}/{name}"]
        entry |= {"roles": sorted(frozenset().union(*given) or roles_of(policy))}
        entry |= dates(kept, used=self._last_use(policy, subject))
        return SubjectFound(entry, look_at=kept.decision.look_at if kept and kept.decision else None)

    def _last_use(self, policy: AccessPolicy, subject: Subject) -> datetime | None:
        """The latest use that is known, here or in the status."""
        before = (s.last_used_at for s in policy.status.subjects if (s.kind, s.name) == (subject.kind, subject.name))
        heard = self._world.last_uses.of(subject.kind, f"{policy.ref}/{subject.name}")
        return max((at for at in (*before, heard) if at is not None), default=None)

    async def _connection(self, policy: AccessPolicy, chosen: Sequence[ZillizCluster]) -> dict[str, str]:
        if len(chosen) != 1:
            return {}
        cluster = chosen[0].metadata
        secret = await self._world.hub.get("Secret", names.connection_secret(cluster.name), cluster.namespace)
        known = decoded(secret)
        return {key: known[key] for key in CONNECTION_KEYS if key in known}

    async def _refused(self, raw: Manifest, ready: StepResult, fields: dict[str, object]) -> Outcome:
        """Say why, and take back what the policy gave while it was valid."""
        outcome = await self._write(raw, ready, fields)
        await bindings.keep(self._world, raw["metadata"]["uid"], ())
        return outcome

    async def _write(self, raw: Manifest, ready: StepResult, fields: dict[str, object]) -> Outcome:
        found = conditions(
            (),
            previous=statuses.previous_conditions(raw),
            generation=raw["metadata"]["generation"],
            now=self._world.clock.now(),
            ready=ready,
        )
        await statuses.write(self._world.hub, raw, conditions=found, fields=fields)
        return Outcome(again_in=ready.again_in)
