"""Allowlist: say on which clusters it is in force. What it admits is applied by the clusters' own passes."""

from collections import Counter
from collections.abc import Mapping, Sequence

from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.validate import validate
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.policy.entries import EntryFound, State, entries_found
from zilliz_operator.policy.status import FALSE, TRUE, StepResult, conditions
from zilliz_operator.reconcile import statuses
from zilliz_operator.reconcile.pass_ import World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key, Outcome
from zilliz_operator.reconcile.selection import missing, selects
from zilliz_operator.reconcile.steps.errors import LATER


async def clusters_of(world: World, project: str | None) -> list[ZillizCluster]:
    """Clusters of a project (None: of all); those that cannot be read as ours are left to their own pass, which says why."""
    found = []
    for raw in await world.hub.list("ZillizCluster", project):
        try:
            found.append(ZillizCluster.parse(raw))
        except InvalidSpec:
            continue
    return found


def in_force(cluster: ZillizCluster, *, kind: str, name: str, generation: int) -> bool:
    """Whether a cluster reports this generation of a policy as applied."""
    return any(p.kind == kind and p.name == name and p.generation == generation for p in cluster.status.policies)


def per_cluster(
    clusters: Sequence[ZillizCluster],
    raw: Manifest,
    *,
    failed: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The status entries: Applied or Pending on each selected cluster, or Failed (`failed`: `namespace/name` → why). Those of
    other projects are named with theirs. `notes`: what is to be said where it is applied."""
    metadata = raw["metadata"]
    entries = []
    for cluster in sorted(clusters, key=lambda c: (c.metadata.namespace, c.metadata.name)):
        where = cluster.metadata.name if cluster.metadata.namespace == metadata["namespace"] else cluster.ref
        applied = in_force(cluster, kind=raw["kind"], name=metadata["name"], generation=metadata.get("generation", 0))
        entry = {"name": where, "state": "Applied" if applied else "Pending"}
        if failed and cluster.ref in failed:
            entry |= {"state": "Failed", "message": failed[cluster.ref]}
        elif not applied:
            ready = cluster.status.condition(ConditionType.READY)
            entry["message"] = ready.message if ready else "the cluster is being made"
        elif notes and notes.get(cluster.ref):
            entry["message"] = notes[cluster.ref]
        entries.append(entry)
    return entries


def summary(entries: Sequence[dict[str, str]], absent: Sequence[str]) -> StepResult:
    """Ready of a policy, from its clusters."""
    type = ConditionType.READY
    if absent:
        message = (
            f"no ZillizCluster named {', '.join(absent)} in this project: create it, or correct spec.clusters.names"
        )
        return StepResult(type, FALSE, Reason.CLUSTERS_NOT_FOUND, message, again_in=LATER)
    failed = [f"{entry['name']}: {entry['message']}" for entry in entries if entry["state"] == "Failed"]
    if failed:
        message = f"nothing of this policy is in force on {'; '.join(failed)}"
        return StepResult(type, FALSE, Reason.PRIVILEGE_NOT_SUPPORTED, message)
    pending = [entry["name"] for entry in entries if entry["state"] != "Applied"]
    if pending:
        message = f"not in force yet on {', '.join(pending)}"
        return StepResult(type, FALSE, Reason.WAITING_FOR_CLUSTER, message)
    if not entries:
        return StepResult(type, TRUE, Reason.APPLIED, "no cluster is selected yet; it applies to those that come")
    notes = [f"; on {entry['name']}: {entry['message']}" for entry in entries if entry.get("message")]
    where = ", ".join(entry["name"] for entry in entries)
    return StepResult(type, TRUE, Reason.APPLIED, f"in force on {where}{''.join(notes)}")


MOST_ENTRIES = 500
"""As many as a status holds, and a spec."""


def _entry_fields(entries: Sequence[EntryFound]) -> dict[str, object]:
    counts = Counter(each.state for each in entries)
    return {
        "entries": [each.as_status() for each in entries[:MOST_ENTRIES]],
        "activeEntries": counts[State.ACTIVE],
        "expiredEntries": counts[State.EXPIRED],
        "refusedEntries": counts[State.REFUSED],
    }


class AllowlistReconciler:
    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, key: Key) -> Outcome:
        raw = await self._world.hub.get("Allowlist", key.name, key.namespace)
        if raw is None:
            return Outcome(alive=False)
        if raw["metadata"].get("deletionTimestamp"):
            return Outcome()
        findings = validate(raw)
        if findings:
            return await self._invalid(raw, str(findings[0]))
        allowlist = Allowlist.parse(raw)
        chosen = await clusters_of(self._world, key.namespace)
        names = [cluster.metadata.name for cluster in chosen]
        chosen = [c for c in chosen if selects(allowlist.spec.clusters, name=c.metadata.name, labels=c.metadata.labels)]
        now = self._world.clock.now()
        entries = entries_found(allowlist, now=now)
        per = per_cluster(chosen, raw)
        ready = summary(per, missing(allowlist.spec.clusters, names))
        ended = sum(each.state is State.EXPIRED for each in entries)
        if ready.kept and entries and ended == len(entries) and not allowlist.spec.workloads:
            message = "every entry has expired: this allowlist admits nobody; set new expiresAt dates or delete it"
            ready = StepResult(ConditionType.READY, FALSE, Reason.ENTRIES_EXPIRED, message)
        outcome = await self._write(raw, ready, {"clusters": per, **_entry_fields(entries)})
        next_end = min((e.expires_at for e in entries if e.expires_at and e.expires_at > now), default=None)
        if next_end is not None:
            wait = (next_end - now).total_seconds() + 0.5
            return Outcome(again_in=min(wait, outcome.again_in or wait))
        return outcome

    async def _invalid(self, raw: Manifest, finding: str) -> Outcome:
        """None of it counts. Entry by entry it is said which are wrong, as far as they can be read."""
        try:
            entries = entries_found(Allowlist.parse(raw), now=self._world.clock.now(), refused=True)
        except InvalidSpec:
            entries = ()
        ready = StepResult(ConditionType.READY, FALSE, Reason.INVALID_SPEC, finding)
        return await self._write(raw, ready, {"clusters": [], **_entry_fields(entries)})

    async def _write(self, raw: Manifest, ready: StepResult, fields: dict[str, object]) -> Outcome:
        now = self._world.clock.now()
        found = conditions(
            (),
            previous=statuses.previous_conditions(raw),
            generation=raw["metadata"]["generation"],
            now=now,
            ready=ready,
        )
        await statuses.write(self._world.hub, {**raw, "kind": "Allowlist"}, conditions=found, fields=fields)
        return Outcome(again_in=ready.again_in)
