"""What is wrong with the text of an address block, in CEL and in Python, to the letter the same."""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from zilliz_operator.api.rules import Rule

_SHAPE: Final = re.compile(r"[0-9a-fA-F.:]+/(0|[1-9][0-9]{0,2})")

ANYWHERE_IPV4: Final = 8
ANYWHERE_IPV6: Final = 7
"""Blocks shorter than these admit so much of the internet that two halves of it would do: they count as anywhere."""


@lru_cache(maxsize=65536)
def parse_cidr(text: str) -> IPv4Network | IPv6Network | None:
    """The block that contains `text`, host bits dropped; None when it is no CIDR block (as the API server judges
    it)."""
    if not _SHAPE.fullmatch(text):
        return None
    try:
        block = ip_network(text, strict=False)
    except ValueError:
        return None
    mapped = isinstance(block, IPv6Network) and block.network_address.ipv4_mapped is not None
    return None if mapped else block


def is_cidr(text: str) -> bool:
    """Whether the API server's isCIDR would say yes."""
    return parse_cidr(text) is not None


@lru_cache(maxsize=65536)
def has_host_bits(text: str) -> bool:
    """Whether the address before the slash is not the first of its block."""
    block = parse_cidr(text)
    return block is not None and ip_network(text.partition("/")[0]).network_address != block.network_address


def is_anywhere(text: str) -> bool:
    """Whether the block admits the internet at large."""
    block = parse_cidr(text)
    return block is not None and block.prefixlen < (ANYWHERE_IPV4 if block.version == 4 else ANYWHERE_IPV6)


def overlap(one: str, other: str) -> bool:
    """Whether two blocks share an address. What is no block shares none."""
    a, b = parse_cidr(one), parse_cidr(other)
    if isinstance(a, IPv4Network) and isinstance(b, IPv4Network):
        return a.overlaps(b)
    return isinstance(a, IPv6Network) and isinstance(b, IPv6Network) and a.overlaps(b)


NOT_A_CIDR: Final = (
    "is not a CIDR block: write 203.0.113.0/24 for a network, 203.0.113.7/32 or 2001:db8::7/128 for one address"
)
HOST_BITS: Final = (
    "has host bits set: write the first address of the block, for example 203.0.113.0/24 instead of 203.0.113.7/24"
)


def _masked(text: str) -> str:
    address = text.partition("/")[0]
    return (
        f"{text} has host bits set: write {parse_cidr(text)} instead, or {address} with its full length for one address"
    )


def cidr_rules(path: str) -> tuple[Rule, ...]:
    """The rules for one CIDR block at `path`."""
    return (
        Rule(
            path,
            "isCIDR(self)",
            NOT_A_CIDR,
            check=is_cidr,
        ),
        Rule(
            path,
            "!isCIDR(self) || cidr(self) == cidr(self).masked()",
            HOST_BITS,
            check=lambda text: not has_host_bits(text),
            # format: the API server cannot price the length of a sum with a converted block
            message_expression=(
                "'%s has host bits set: write %s instead, or %s with its full length for one address'"
                ".format([self, string(cidr(self).masked()), self.split('/')[0]])"
            ),
            explain=_masked,
        ),
    )
