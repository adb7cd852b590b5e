"""What is said about each entry of an Allowlist: whether it admits now, and if not, why and what helps.

Nothing in here moves but when an entry ends, so a list at rest is written once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zilliz_operator.api.allowlist import Allowlist, Entry
from zilliz_operator.api.base import utc
from zilliz_operator.api.cidrs import HOST_BITS, NOT_A_CIDR, has_host_bits, parse_cidr
from zilliz_operator.policy.allowlist import active, end_of


class State(StrEnum):
    ACTIVE = "Active"
    EXPIRED = "Expired"
    REFUSED = "Refused"


TOO_WIDE = (
    "admits the internet at large, alone or with its neighbours: list smaller networks, or set spec.allowAnywhere"
)
LIST_REFUSED = "the list is refused as a whole, see Ready; nothing in it admits anybody"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFound:
    """One entry at one moment."""

    cidr: str
    state: State
    expires_at: datetime | None
    message: str = ""

    def as_status(self) -> dict[str, str]:
        shown = {"cidr": self.cidr, "state": str(self.state)}
        if self.expires_at is not None:
            shown["expiresAt"] = utc(self.expires_at)
        return shown | ({"message": self.message} if self.message else {})


def entries_found(allowlist: Allowlist, *, now: datetime, refused: bool = False) -> tuple[EntryFound, ...]:
    """Every entry, in the order of the spec. `refused`: the list breaks a rule, so that none of it counts."""
    admitting = [] if refused else active(allowlist, now=now)
    wider = _Wider(admitting)
    texts = {entry.cidr for entry in admitting}
    found = []
    for entry in allowlist.spec.entries:
        state, message = _judged(entry, now=now, admits=entry.cidr in texts, refused=refused, wider=wider)
        found.append(EntryFound(cidr=entry.cidr, state=state, expires_at=entry.expires_at, message=message))
    return tuple(found)


def _judged(entry: Entry, *, now: datetime, admits: bool, refused: bool, wider: "_Wider") -> tuple[State, str]:
    if parse_cidr(entry.cidr) is None:
        return State.REFUSED, NOT_A_CIDR
    if has_host_bits(entry.cidr):
        return State.REFUSED, HOST_BITS
    if entry.expires_at is not None and entry.expires_at <= now:
        ended = f"ended on {utc(entry.expires_at)}"
        around = wider.than(entry)
        if around:
            return State.EXPIRED, f"{ended}, but {around} of this list still admits it"
        return State.EXPIRED, f"{ended}: set a later expiresAt, or remove the entry"
    if not admits:
        return State.REFUSED, LIST_REFUSED if refused else TOO_WIDE
    around = wider.than(entry)
    return State.ACTIVE, f"inside {around} of this list, which admits it at least as long" if around else ""


class _Wider:
    """Which of the entries that admit holds another one whole, and lasts as long."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._by_block = {parse_cidr(entry.cidr): entry for entry in entries}
        self._lengths = {4: set[int](), 6: set[int]()}
        for block in self._by_block:
            if block is not None:
                self._lengths[block.version].add(block.prefixlen)

    def than(self, entry: Entry) -> str:
        """The widest; empty when there is none."""
        block = parse_cidr(entry.cidr)
        for length in sorted(self._lengths[block.version]) if block is not None else ():
            if block is None or length >= block.prefixlen:
                break
            around = self._by_block.get(block.supernet(new_prefix=length))
            if around is not None and end_of(around) >= end_of(entry):
                return around.cidr
        return ""
