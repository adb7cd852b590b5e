"""The three buckets of a cluster (data, audit, backup): each its own, hardened in every aspect.

What is in the store is asked for at the cloud's own sweeps, not at every pass.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zilliz_operator.desired.bucket.bucket import Bucket, buckets
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import AspectResult

LOCK = "object_lock"
ENCRYPTION = "encryption"
WHAT = "buckets"


@dataclass(frozen=True, slots=True)
class Seen:
    """A bucket as it must be, and what the store said about each aspect."""

    bucket: Bucket
    aspects: Sequence[AspectResult]

    def holds(self, aspect: str) -> bool:
        return any(a.name == aspect and a.holds for a in self.aspects)


async def ensure(p: Pass) -> Sequence[Seen]:
    """Make the buckets exist with every aspect, and say what the store says of them: now, or at the last sweep."""
    wanted = buckets(p.ctx, operator=await p.plane.store.caller())
    sweeps, owner = p.world.sweeps, p.ctx.uid
    question = (wanted, p.plane.store, p.touched)
    known: Sequence[Seen] | None = sweeps.recall(owner, WHAT, question)
    if known is not None:
        return known
    sweeps.forget(owner, WHAT)  # an outage now must not leave an older answer standing
    seen = [await _ensured(p, each) for each in wanted]
    if any(aspect.state == "differs" for each in seen for aspect in each.aspects):
        return seen
    return sweeps.keep(owner, WHAT, question, seen)


async def _ensured(p: Pass, wanted: Bucket) -> Seen:
    aspects = await p.plane.store.ensure_bucket(wanted)
    p.written += [f"bucket {wanted.name} {a.name} {a.detail}".rstrip() for a in aspects if a.state == "repaired"]
    return Seen(wanted, aspects)


def all_hold(seen: Sequence[Seen]) -> bool:
    return all(aspect.holds for each in seen for aspect in each.aspects)


def evidence(seen: Sequence[Seen]) -> str:
    """The buckets, what holds in all of them, and what does not. Repairs are events, not evidence: the text stays still."""
    names = [aspect.name for aspect in seen[0].aspects if aspect.name != LOCK]
    common = ", ".join(_common(seen, names))
    parts = [f"buckets {', '.join(each.bucket.name for each in seen)}: {common} in force"]
    if all(each.holds(ENCRYPTION) for each in seen):
        key = seen[0].bucket.encryption.kms_key_arn
        parts.append(f"AES-256 under KMS key {key}" if key else "AES-256 under the store's own key")
    parts += [_locked(each) for each in seen if each.bucket.object_lock.wanted and each.holds(LOCK)]
    cannot = "; ".join(_limits(seen))
    return "; ".join(parts) + (f". This store cannot do, and we do not claim: {cannot}" if cannot else "")


def _common(seen: Sequence[Seen], names: Iterable[str]) -> list[str]:
    return [name for name in names if all(each.holds(name) for each in seen)]


def _locked(each: Seen) -> str:
    lock = each.bucket.object_lock
    return f"objects of {each.bucket.name} locked for {lock.days} days ({str(lock.mode).capitalize()})"


def _limits(seen: Sequence[Seen]) -> list[str]:
    """Each limit once, with the buckets' names where it is not all of them."""
    found: dict[tuple[str, str], list[str]] = {}
    for each in seen:
        for aspect in each.aspects:
            if not aspect.holds:
                found.setdefault((aspect.name, aspect.detail), []).append(each.bucket.name)
    return [
        f"{name}: {detail}" if len(of) == len(seen) else f"{name} of {', '.join(of)}: {detail}"
        for (name, detail), of in found.items()
    ]
