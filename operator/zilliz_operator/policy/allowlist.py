"""Who may knock: the union of all Allowlists that select a cluster, at one moment.

Never wider than asked. Blocks are merged exactly, so the result holds the same addresses as what was asked, in one form
whatever order it came in. What an older object holds against today's rules (host bits, half the internet without
`allowAnywhere`) is left out, not guessed at; the Allowlist's own status says why.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from zilliz_operator.api.allowlist import Allowlist, Workload
from zilliz_operator.api.cidrs import has_host_bits, is_anywhere, parse_cidr

Block = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who may knock now."""

    cidrs: tuple[str, ...] = ()
    """Canonical, disjoint, IPv4 before IPv6, ascending."""
    workloads: tuple[Workload, ...] = ()
    """Each once, by namespace and labels."""
    anywhere: bool = False
    """Whether some Allowlist admits the internet on purpose."""


NOBODY = Admission()


def union(allowlists: Iterable[Allowlist], *, now: datetime) -> Admission:
    """Everything that `allowlists` (those that select the cluster) admit at `now`."""
    lists = list(allowlists)
    asked = [merged(active(each, now=now)) for each in lists]
    return Admission(
        cidrs=merged([text for each in asked for text in each]),
        workloads=_distinct(workload for each in lists for workload in each.spec.workloads),
        anywhere=any(is_anywhere(text) for each in asked for text in each),
    )


def active(allowlist: Allowlist, *, now: datetime) -> list[str]:
    """The blocks of one Allowlist that admit at `now`. Without `allowAnywhere` none that is too wide, be it alone or
    because the list's blocks add up to one."""
    spec = allowlist.spec
    current = [entry.cidr for entry in spec.entries if entry.expires_at is None or entry.expires_at > now]
    sound = [text for text in current if parse_cidr(text) is not None and not has_host_bits(text)]
    if spec.allow_anywhere:
        return sound
    too_wide = [block for text in merged(sound) if is_anywhere(text) and (block := parse_cidr(text)) is not None]
    return [text for text in sound if not any(_inside(parse_cidr(text), block) for block in too_wide)]


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
