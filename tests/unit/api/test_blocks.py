"""Blocks with ends: a longest-prefix match must give every address the latest end of all blocks that hold it."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.blocks import Block, latest_ends

V4, V6 = 0xCB007100, 0x20010DB8 << 96
# A small corner of the address space, so that blocks meet, contain and touch each other often; and few ends, so that they merge.
blocks = st.one_of(
    st.builds(lambda n, bits: IPv4Network((V4 + n, bits), strict=False), st.integers(0, 63), st.integers(24, 32)),
    st.builds(lambda n, bits: IPv6Network((V6 + n, bits), strict=False), st.integers(0, 63), st.integers(120, 128)),
    st.just(IPv4Network("0.0.0.0/0")),
)
asked = st.lists(st.tuples(blocks, st.integers(0, 4)), max_size=14)
EVERY = [ip_address(V4 + n) for n in range(66)] + [ip_address(V6 + n) for n in range(66)] + [ip_address("192.0.2.1")]


def longest_match(table: dict[Block, int], address: Any) -> int | None:
    """What HAProxy answers."""
    holding = [block for block in table if address in block]
    return table[max(holding, key=lambda block: block.prefixlen)] if holding else None


def latest(pairs: list[tuple[Block, int]], address: Any) -> int | None:
    """What was asked for."""
    return max((end for block, end in pairs if address in block), default=None)


@given(asked)
def test_every_address_has_its_latest_end(pairs: list[tuple[Block, int]]) -> None:
    table = latest_ends(pairs)
    for address in EVERY:
        assert longest_match(table, address) == latest(pairs, address)


@given(asked)
def test_at_every_moment_it_admits_what_the_open_blocks_admit(pairs: list[tuple[Block, int]]) -> None:
    table = latest_ends(pairs)
    for now in range(-1, 6):
        for address in EVERY:
            found = longest_match(table, address)
            naive = any(address in block for block, end in pairs if end > now)
            assert (found is not None and found > now) == naive


@given(asked, st.randoms(use_true_random=False))
def test_one_form_whatever_the_order_and_never_more_blocks(pairs: list[tuple[Block, int]], random: Any) -> None:
    shuffled = [*pairs, *pairs]
    random.shuffle(shuffled)
    table = latest_ends(pairs)
    assert latest_ends(shuffled) == table
    assert latest_ends(table.items()) == table
    assert len(table) <= len({block for block, _ in pairs})


def test_what_says_nothing_new_is_left_out() -> None:
    pairs = [("10.0.0.0/25", 5), ("10.0.0.128/25", 5), ("10.0.0.7/32", 5), ("10.0.0.8/32", 3), ("10.0.0.9/32", 9)]
    table = latest_ends((ip_network(text), end) for text, end in pairs)
    assert table == {ip_network("10.0.0.0/24"): 5, ip_network("10.0.0.9/32"): 9}


def test_everything_at_once_is_one_block() -> None:
    halves = [(ip_network("0.0.0.0/1"), 7), (ip_network("128.0.0.0/1"), 7), (ip_network("::/0"), 7)]
    assert latest_ends(halves) == {ip_network("0.0.0.0/0"): 7, ip_network("::/0"): 7}
