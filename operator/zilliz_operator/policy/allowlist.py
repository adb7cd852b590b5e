"""Who may knock: the union of all Allowlists that select a cluster, at one moment.

Never wider than asked. Blocks are merged exactly, so the result holds the same addresses as what was asked, in one form
whatever order it came in. What an older object holds against today's rules (host bits, half the internet without
`allowAnywhere`) is left out, not guessed at; the Allowlist's own status says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from zilliz_operator.api.allowlist import Allowlist, Entry, Workload
from zilliz_operator.api.base import utc
from zilliz_operator.api.blocks import Block, latest_ends
from zilliz_operator.api.cidrs import ANYWHERE_IPV4, ANYWHERE_IPV6, has_host_bits, is_anywhere, parse_cidr

MOST_BLOCKS = 10_000
"""As many as a ConfigMap and a NetworkPolicy hold with room to spare."""
_WIDE = ((4, ANYWHERE_IPV4 - 1), (6, ANYWHERE_IPV6 - 1))
"""The longest prefix, by version, that counts as anywhere."""
FOREVER = 253402300799
"""The end of what has none: the last second of the year 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who may knock now."""

    cidrs: tuple[str, ...] = ()
    """Canonical, disjoint, IPv4 before IPv6, ascending."""
    lasting: tuple[str, ...] = ()
    """Of these the blocks that never end."""
    until: tuple[tuple[str, int], ...] = ()
    """The others with their ends, in seconds since 1970, to which the gateways hold them by their own clocks."""
    entries: int = 0
    """Entries of all lists that admit now."""
    next_end: datetime | None = None
    """When the first of them ends."""
    workloads: tuple[Workload, ...] = ()
    """Each once, by namespace and labels."""
    anywhere: bool = False
    """Whether some Allowlist admits the internet on purpose."""
    left_out: tuple[str, ...] = ()
    """Allowlists for whose blocks there was no room, the youngest ones."""


NOBODY = Admission()


def union(allowlists: Iterable[Allowlist], *, now: datetime) -> Admission:
    """Everything that `allowlists` (those that select the cluster) admit at `now`."""
    found, left_out = _with_room(allowlists, now=now)
    entries = [entry for _, each in found for entry in each]
    lasting, until = _ends(entries)
    return Admission(
        cidrs=merged([entry.cidr for entry in entries]),
        lasting=lasting,
        until=until,
        entries=len(entries),
        next_end=min((entry.expires_at for entry in entries if entry.expires_at), default=None),
        workloads=_distinct(workload for each, _ in found for workload in each.spec.workloads),
        anywhere=any(_too_wide(each) for asked, each in found if asked.spec.allow_anywhere),
        left_out=left_out,
    )


def _with_room(
    allowlists: Iterable[Allowlist], *, now: datetime
) -> tuple[list[tuple[Allowlist, list[Entry]]], tuple[str, ...]]:
    """The oldest lists that fit, each whole or not at all, with what they admit; and the names of those that do not."""
    room = MOST_BLOCKS
    kept: list[tuple[Allowlist, list[Entry]]] = []
    left_out: list[str] = []
    for each in sorted(allowlists, key=_age):
        entries = active(each, now=now)
        if len(entries) > room:
            left_out.append(each.metadata.name)
            continue
        room -= len(entries)
        kept.append((each, entries))
    return kept, tuple(left_out)


def _age(allowlist: Allowlist) -> tuple[str, str]:
    born = allowlist.metadata.creation_timestamp
    return utc(born) if born else "", allowlist.metadata.name


def active(allowlist: Allowlist, *, now: datetime) -> list[Entry]:
    """The entries of one Allowlist that admit at `now`. Without `allowAnywhere` none that is too wide, be it alone or
    because the list's blocks add up to one."""
    spec = allowlist.spec
    current = [entry for entry in spec.entries if entry.expires_at is None or entry.expires_at > now]
    sound = [entry for entry in current if parse_cidr(entry.cidr) is not None and not has_host_bits(entry.cidr)]
    if spec.allow_anywhere:
        return sound
    too_wide = _too_wide(sound)
    return [entry for entry in sound if not any(_inside(parse_cidr(entry.cidr), block) for block in too_wide)]


def _too_wide(entries: Sequence[Entry]) -> list[Block]:
    """Blocks of the internet at large that they are, or add up to."""
    blocks = [block for entry in entries if (block := parse_cidr(entry.cidr)) is not None]
    if not any(
        sum(1 << (128 - b.prefixlen) for b in blocks if b.version == v) >= 1 << (128 - most) for v, most in _WIDE
    ):
        return []  # Together they are too few, so there is no need to merge them.
    return [block for text in merged([e.cidr for e in entries]) if is_anywhere(text) and (block := parse_cidr(text))]


def end_of(entry: Entry) -> int:
    """In seconds since 1970, as the gateways count: a part of a second is not given."""
    return FOREVER if entry.expires_at is None else min(int(entry.expires_at.timestamp()), FOREVER)


def _ends(entries: Iterable[Entry]) -> tuple[tuple[str, ...], tuple[tuple[str, int], ...]]:
    """What never ends, and what does with its end."""
    asked = [(block, end_of(entry)) for entry in entries if (block := parse_cidr(entry.cidr)) is not None]
    ends = latest_ends(asked)
    lasting = merged([str(block) for block, end in ends.items() if end == FOREVER])  # for its order alone
    return lasting, tuple(sorted((str(block), end) for block, end in ends.items() if end != FOREVER))


def merged(texts: Sequence[str]) -> tuple[str, ...]:
    """The same addresses in the fewest blocks."""
    blocks = [block for text in texts if (block := parse_cidr(text)) is not None]
    v4 = collapse_addresses(block for block in blocks if isinstance(block, IPv4Network))
    v6 = collapse_addresses(block for block in blocks if isinstance(block, IPv6Network))
    return tuple(str(block) for block in (*v4, *v6))


def _inside(block: Block | None, outer: Block) -> bool:
    if isinstance(block, IPv4Network) and isinstance(outer, IPv4Network):
        return block.subnet_of(outer)
    return isinstance(block, IPv6Network) and isinstance(outer, IPv6Network) and block.subnet_of(outer)


def _distinct(workloads: Iterable[Workload]) -> tuple[Workload, ...]:
    by_key = {(each.namespace, tuple(sorted(each.pod_labels.items()))): each for each in workloads}
    return tuple(by_key[key] for key in sorted(by_key))
