"""Address blocks that end: written so that a longest-prefix match gives an address its latest end.

HAProxy asks a map for the most specific block that holds an address, and for that one alone. So each block carries the
latest end of all that contain it, and blocks that say nothing new are left out: never more blocks than were given, and
one form whatever their order.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

Block = IPv4Network | IPv6Network


def latest_ends(blocks: Iterable[tuple[Block, int]]) -> dict[Block, int]:
    """Block → end, such that the longest prefix with an address in it has the latest end of all that were given with it."""
    found: dict[Block, int] = {}
    known = {4: _Cover(32), 6: _Cover(128)}
    by_end: dict[int, list[Block]] = {}
    for block, end in blocks:
        by_end.setdefault(end, []).append(block)
    for end in sorted(by_end, reverse=True):
        fresh: set[Block] = set()
        # Wide ones first, so that none is followed by one that makes it needless.
        for block in sorted(by_end[end], key=lambda each: each.prefixlen):
            fresh |= known[block.version].add(block, fresh)
        found |= dict.fromkeys(fresh, end)
    return found


class _Cover:
    """A set of addresses as the largest blocks that it is made of."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._by_length: dict[int, set[int]] = {}
        """Prefix length → prefixes, without their host bits."""

    def add(self, block: Block, fresh: set[Block]) -> set[Block]:
        """The block that it became, nothing if it was there. What was merged into it is taken out of `fresh`."""
        length, prefix = block.prefixlen, int(block.network_address) >> (self._bits - block.prefixlen)
        if any(prefix >> (length - shorter) in held for shorter, held in self._by_length.items() if shorter <= length):
            return set()
        while length and prefix ^ 1 in self._by_length.get(length, ()):
            self._by_length[length].remove(prefix ^ 1)
            fresh.discard(self._block(prefix ^ 1, length))
            length, prefix = length - 1, prefix >> 1
        self._by_length.setdefault(length, set()).add(prefix)
        return {self._block(prefix, length)}

    def _block(self, prefix: int, length: int) -> Block:
        address = prefix << (self._bits - length)
        return IPv4Network((address, length)) if self._bits == 32 else IPv6Network((address, length))
