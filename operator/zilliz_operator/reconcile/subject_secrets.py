"""The Secrets of cluster users and API keys: made, renewed, and never more keys than the organization may have.

A rotation is one write: the new credential, and the digest and the end of the one before it as marks beside it. Doors are rendered
from that, so both open there until the end; a crash before the write has changed nothing, and one after it has nothing to finish.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy, Subject, SubjectKind
from zilliz_operator.api.base import utc
from zilliz_operator.api.conditions import Reason
from zilliz_operator.desired import connection
from zilliz_operator.policy import drift, rotation
from zilliz_operator.policy.entitlements import secret_of
from zilliz_operator.policy.rotation import Decision, Marks, Wish
from zilliz_operator.reconcile.pass_ import World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.vault import decoded

ROTATE = names.PREFIX + "rotate"
"""On an AccessPolicy: any new value makes its credentials anew; one that begins with `ApiKey/<name>` or `ClusterUser/<name>` that
one alone."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How it stands with one credential. `reason`: why it was not made."""

    decision: Decision | None = None
    reason: Reason | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A subject's credential as its Secret holds it. `token`: what a client sends."""

    token: str = field(repr=False)
    marks: Marks

    def valid(self, *, now: datetime, end: datetime | None) -> dict[str, datetime | None]:
        """Digest → until when it opens the door: this one and, for its grace period, the one before. None: no end."""
        found = {rotation.digest_of(self.token): end}
        before = self.marks.previous
        if before is not None and before.until > now:
            found.setdefault(before.digest, min(before.until, end) if end else before.until)
        return found


def credential_of(kind: SubjectKind, secret: Manifest | None) -> Held | None:
    """What a Secret holds; None: nothing that opens anything."""
    values = decoded(secret)
    token = values.get("token", "")
    if kind is SubjectKind.CLUSTER_USER:
        name, password = values.get("username"), values.get("password")
        token = connection.user_token(name, password) if name and password else ""
    if secret is None or not token:
        return None
    metadata = secret["metadata"]
    return Held(token, rotation.read(metadata.get("annotations") or {}, born=_born(metadata)))


class SubjectSecrets:
    """One for all policies: it counts the keys that are made."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._one_at_a_time = asyncio.Lock()

    async def keep(
        self, policy: AccessPolicy, subject: Subject, secret: Manifest | None, *, where: Mapping[str, str]
    ) -> Kept:
        """The Secret with its credential and, for a single cluster, how to connect. `secret`: what is there, this policy's own."""
        there = credential_of(subject.kind, secret)
        decision = rotation.decide(
            there.marks if there else Marks(),
            _wish(policy, subject),
            token=there.token if there else None,
            now=self._world.clock.now(),
        )
        if decision.make and not self._world.leads():
            return Kept(reason=Reason.PROGRESSING, message="leadership was lost: the new leader makes the credential")
        if there is None and subject.kind is SubjectKind.API_KEY:
            async with self._one_at_a_time:
                found = await self._too_many()
                if found:
                    return Kept(reason=Reason.KEY_LIMIT_REACHED, message=found)
                await self._write(policy, subject, secret, decision=decision, there=None, where=where)
        else:
            await self._write(policy, subject, secret, decision=decision, there=there, where=where)
        return Kept(decision)

    async def _too_many(self) -> str:
        """Why no key can be made: the organization has as many as it may. Empty: it has not."""
        labels = {names.MANAGED_BY: names.FIELD_MANAGER, names.SUBJECT_LABEL: str(SubjectKind.API_KEY)}
        found = await self._world.hub.list("Secret", labels=labels)
        limit = self._world.api_key_limit
        if len([each for each in found if not each["metadata"].get("deletionTimestamp")]) < limit:
            return ""
        return (
            f"the organization has {limit} API keys, as many as it may have: remove subjects that need none any more, or have "
            "accessPolicies.apiKeyLimit of the operator's chart raised"
        )

    async def _write(
        self,
        policy: AccessPolicy,
        subject: Subject,
        secret: Manifest | None,
        *,
        decision: Decision,
        there: Held | None,
        where: Mapping[str, str],
    ) -> None:
        name, marks = secret_of(policy, subject), rotation.annotations(decision.marks)
        kept = "" if decision.make or there is None else there.token
        if subject.kind is SubjectKind.API_KEY:
            token = kept or self._world.randomness.token()
            wanted = connection.api_key_secret(policy, subject, name=name, token=token, where=where, marks=marks)
        else:
            password = kept.partition(":")[2] or self._world.randomness.password()
            wanted = connection.user_secret(policy, subject, name=name, password=password, where=where, marks=marks)
        if secret is None or drift.needs_apply(wanted, secret):
            await self._world.hub.apply(drift.stamped(wanted))


def unanswered(policy: AccessPolicy) -> str:
    """What is to be said of a request that names a subject which the policy has not; empty: nothing."""
    subjects = {(str(subject.kind), subject.name) for subject in policy.spec.subjects}
    nobody = rotation.names_nobody(policy.metadata.annotations.get(ROTATE, ""), subjects)
    return f"; annotation {ROTATE} names {nobody}, which is no subject here, so nothing was rotated" if nobody else ""


def dates(kept: Kept | None, *, used: datetime | None) -> dict[str, str]:
    """A subject's dates for its status. `kept` None: another policy makes the credential, and its status has the rest."""
    told: dict[str, datetime | None] = {}
    if kept is not None and kept.decision is not None:
        marks = kept.decision.marks
        told = {
            "rotatedAt": marks.made,
            "rotatesAt": kept.decision.rotates_at,
            "previousUntil": marks.previous.until if marks.previous else None,
        }
    told["lastUsedAt"] = used
    return {key: utc(at) for key, at in told.items() if at is not None}


def _wish(policy: AccessPolicy, subject: Subject) -> Wish:
    asked = policy.metadata.annotations.get(ROTATE, "")
    after, grace = subject.rotate_after_days, subject.grace_minutes
    return Wish(
        asked=rotation.request_mark(asked, kind=str(subject.kind), name=subject.name),
        rotate_after=timedelta(days=after) if after is not None else None,
        grace=timedelta(minutes=grace) if grace is not None else rotation.GRACE,
    )


def _born(metadata: Manifest) -> datetime | None:
    text = metadata.get("creationTimestamp")
    return datetime.fromisoformat(text) if text else None
