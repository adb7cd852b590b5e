"""When a key pair of the object store is made anew, and when the one before it goes.

A rotation is never an outage of the store: the new key is made beside the old one, Milvus is moved to it, and only when all of
Milvus runs with the new one the old one goes. Nothing of that is remembered in a process: what the vault holds, what the store
lists and what the pods run with say how far it is, so a crash at any point is finished by the next pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

LISTED_AFTER = timedelta(seconds=30)
"""A store may list a key some seconds after it made it: one so young is not lost because it is not listed."""


class Cause(StrEnum):
    """Why a key pair was made."""

    FIRST = "First"
    LOST = "Lost"
    ASKED = "Asked"
    AGE = "Age"


@dataclass(frozen=True, slots=True)
class Marks:
    """What is kept beside a key pair: when and why it was made, and the last request that was acted on (its digest)."""

    made: datetime | None = None
    cause: Cause = Cause.AGE
    asked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the vault holds: the key in use, and the one before it while somebody may still run with that."""

    current: str | None = field(repr=False)
    previous: str | None = field(repr=False)
    marks: Marks = Marks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is: the identity's keys on the store (→ active), whether all of Milvus runs with the current one, the request."""

    listed: Mapping[str, bool] = field(repr=False)
    moved: bool
    asked: str
    window_open: bool
    now: datetime
    rotate_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`make`: a new key pair for this cause. `keep`: of all others, those that stay on the store. `previous` and `marks`: what
    the vault holds then. `wait`: seconds until a young key should be listed."""

    keep: frozenset[str] = field(repr=False)
    make: Cause | None = None
    previous: str | None = field(default=None, repr=False)
    marks: Marks = Marks()
    wait: float | None = None


def request_mark(value: str) -> str:
    """The digest of a request; people may write anything into an annotation."""
    return sha256(value.encode()).hexdigest()[:16] if value else ""


def decide(held: Held, seen: Seen) -> Decision:
    """One step of whatever is to be done; at rest everything is kept and nothing made."""
    made = held.marks.made
    if made is None or made > seen.now:  # older than these marks, or a clock that was wrong: its age counts from now
        made = seen.now
    before = held.previous if not seen.moved and seen.listed.get(held.previous or "", False) else None
    if held.current is None or not seen.listed.get(held.current, False):
        return _without_key(held, seen, made=made, before=before)
    wants = seen.asked not in ("", held.marks.asked)
    old = seen.now - made >= seen.rotate_after and seen.window_open
    if before is None and (wants or old):
        cause = Cause.ASKED if wants else Cause.AGE
        return _made(cause, seen, keep=frozenset({held.current}), previous=held.current)
    marks = replace(held.marks, made=made)
    if before is not None and wants:
        marks = replace(marks, cause=Cause.ASKED)  # the move that is on its way waits for no window; then comes another
    elif before is None and held.previous is not None and not seen.moved:
        marks = replace(marks, cause=Cause.LOST)  # what Milvus still runs with is gone: no window is worth waiting for
    keep = frozenset(key for key in (held.current, before) if key is not None)
    return Decision(keep=keep, previous=before, marks=marks)


def _without_key(held: Held, seen: Seen, *, made: datetime, before: str | None) -> Decision:
    """The vault's key is not in force on the store."""
    young = held.marks.made is not None and seen.now - made < LISTED_AFTER
    if held.current is not None and held.current not in seen.listed and young:
        left = (made + LISTED_AFTER - seen.now).total_seconds()
        return Decision(keep=frozenset(seen.listed), previous=held.previous, marks=held.marks, wait=left)
    cause = Cause.FIRST if held.current is None else Cause.LOST
    return _made(cause, seen, keep=frozenset({before} if before else ()), previous=before)


def _made(cause: Cause, seen: Seen, *, keep: frozenset[str], previous: str | None) -> Decision:
    return Decision(keep=keep, make=cause, previous=previous, marks=Marks(seen.now, cause, seen.asked))
