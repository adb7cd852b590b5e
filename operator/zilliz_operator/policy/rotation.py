"""When a generated credential is made anew, and for how long the one before it stays valid.

Nothing of a rotation is remembered in a process. The marks stand beside the credential, in the same object and written in the
same write: when it was made, which request it answered, and the digest and the end of the one before it. So a crash at any point
leaves either the old state or the new one.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from zilliz_operator.api import names
from zilliz_operator.api.base import utc

GRACE = timedelta(minutes=60)
"""How long both credentials are valid unless the subject says otherwise."""
LONGEST_GRACE = timedelta(days=7)
ROOT_AFTER = timedelta(days=90)
"""The age at which root's password is made anew."""
MADE, ANSWERED, PREVIOUS, PREVIOUS_UNTIL = "made-at", "rotation-answered", "previous-digest", "previous-until"
_SHORTEST = 20
"""Characters of a credential that may be known by a plain SHA-256: ours have more. One that somebody put in by hand may be guessable,
and gets no grace period, for its digest would outlive it."""
_KINDS = ("ClusterUser/", "ApiKey/")


@dataclass(frozen=True, slots=True)
class Previous:
    """The credential before: its SHA-256, and from when on it opens nothing."""

    digest: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What stands beside a credential."""

    made: datetime | None = None
    answered: str = ""
    """The last request that was acted on, as `request_mark` spells it."""
    previous: Previous | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of a credential now."""

    asked: str = ""
    rotate_after: timedelta | None = None
    grace: timedelta = GRACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`make`: a new credential is due, and `marks` are its. `look_at`: when the next thing is due."""

    make: bool
    marks: Marks
    rotates_at: datetime | None = None

    @property
    def look_at(self) -> datetime | None:
        ends = self.marks.previous.until if self.marks.previous else None
        return min((each for each in (ends, self.rotates_at) if each is not None), default=None)


def decide(marks: Marks, wish: Wish, *, token: str | None, now: datetime) -> Decision:
    """What is to be done about a credential, `token` being what a client sends for it; None: there is none yet."""
    if token is None:
        return _decided(Marks(made=now, answered=wish.asked), wish, make=True)
    made = marks.made if marks.made is not None and marks.made <= now else now  # unknown, or a clock that was wrong
    old = wish.rotate_after is not None and now - made >= wish.rotate_after
    if old or wish.asked not in ("", marks.answered):
        keep = wish.grace > timedelta(0) and len(token) >= _SHORTEST
        previous = Previous(digest_of(token), now + wish.grace) if keep else None
        answered = wish.asked or marks.answered
        return _decided(Marks(made=now, answered=answered, previous=previous), wish, make=True)
    previous = marks.previous
    if previous is not None and (previous.until <= now or previous.digest == digest_of(token)):
        previous = None
    return _decided(replace(marks, made=made, previous=previous), wish, make=False)


def _decided(marks: Marks, wish: Wish, *, make: bool) -> Decision:
    due = marks.made + wish.rotate_after if marks.made and wish.rotate_after else None
    return Decision(make=make, marks=marks, rotates_at=due)


def digest_of(token: str) -> str:
    """SHA-256, as the door looks it up. Enough for what is longer than any guess; it is looked up in every request, where a slow
    hash (bcrypt takes a quarter of a second) would hold everybody up."""
    return sha256(token.encode()).hexdigest()


def request_mark(value: str, *, kind: str, name: str) -> str:
    """The request as it concerns one subject: the digest of the annotation's value, for people may write anything into it. Empty:
    nothing is asked, or it begins with the kind and name of another subject."""
    target = value.split(maxsplit=1)[0] if value.strip() else ""
    if not target or (target.startswith(_KINDS) and target != f"{kind}/{name}"):
        return ""
    return sha256(value.encode()).hexdigest()[:16]


def names_nobody(value: str, subjects: Collection[tuple[str, str]]) -> str:
    """The subject that a request names and that is none of (kind, name); empty when all is well."""
    target = value.split(maxsplit=1)[0] if value.strip() else ""
    kind, _, name = target.partition("/")
    return target if target.startswith(_KINDS) and (kind, name) not in subjects else ""


def annotations(marks: Marks, *, of: str = "") -> dict[str, str]:
    """The marks as they stand on the object. `of`: of which of its credentials, where it holds several."""
    found = {MADE: utc(marks.made) if marks.made else "", ANSWERED: marks.answered}
    if marks.previous:
        found |= {PREVIOUS: marks.previous.digest, PREVIOUS_UNTIL: utc(marks.previous.until)}
    return {f"{names.PREFIX}{of}{key}": value for key, value in found.items() if value}


def read(annotations: Mapping[str, str], *, of: str = "", born: datetime | None = None) -> Marks:
    """The marks of an object. One made before there were marks is as old as the object (`born`). What cannot be read, and a previous
    credential that would be valid for longer than we ever let one be, counts as absent."""
    made_at, answered, digest, until_at = (
        annotations.get(f"{names.PREFIX}{of}{key}", "") for key in (MADE, ANSWERED, PREVIOUS, PREVIOUS_UNTIL)
    )
    made, until = _time(made_at) or born, _time(until_at)
    previous = Previous(digest, until) if _is_digest(digest) and until else None
    if previous and not (made and made <= previous.until <= made + LONGEST_GRACE):
        previous = None
    return Marks(made=made, answered=answered, previous=previous)


def _is_digest(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
