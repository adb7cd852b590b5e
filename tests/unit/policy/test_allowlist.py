"""The union of allowlists: never wider than asked, whatever the order, whatever the moment."""

import dataclasses
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.policy.allowlist import NOBODY, active, union

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def allowlist(*cidrs: str, workloads: tuple[tuple[str, str], ...] = (), **spec: Any) -> Allowlist:
    entries = [{"cidr": cidr} for cidr in cidrs]
    pods = [{"namespace": namespace, "podLabels": {"app": app}} for namespace, app in workloads]
    return Allowlist.model_validate({"spec": {"entries": entries, "workloads": pods, **spec}})


# Blocks from a small corner of the address space, so that they meet, contain and touch each other often.
v4_blocks = st.builds(
    lambda host, length: str(ip_network((0xCB007100 + host, length), strict=False)),
    st.integers(0, 255),
    st.integers(20, 32),
)
v6_blocks = st.builds(
    lambda host, length: str(IPv6Network(((0x20010DB8 << 96) + host, length), strict=False)),
    st.integers(0, 255),
    st.integers(112, 128),
)
blocks = st.lists(v4_blocks | v6_blocks, max_size=12)
addresses = st.one_of(
    st.integers(0xCB007000, 0xCB007200).map(ip_address),
    st.integers((0x20010DB8 << 96), (0x20010DB8 << 96) + 600).map(ip_address),
)


def admits(cidrs: tuple[str, ...] | list[str], address: Any) -> bool:
    return any(address in ip_network(cidr) for cidr in cidrs)


@given(blocks, addresses)
def test_an_address_is_admitted_exactly_when_it_was_asked_for(asked: list[str], address: Any) -> None:
    assert admits(union([allowlist(*asked)], now=NOW).cidrs, address) == admits(asked, address)


@given(blocks)
def test_no_address_more_and_none_less(asked: list[str]) -> None:
    admitted = union([allowlist(*asked)], now=NOW).cidrs
    for network in (IPv4Network, IPv6Network):
        nets = [net for text in admitted if isinstance(net := ip_network(text), network)]
        assert not any(a.overlaps(b) for i, a in enumerate(nets) for b in nets[i + 1 :])
        want = {address for text in asked if isinstance(net := ip_network(text), network) for address in _ends(net)}
        assert all(any(address in net for net in nets) for address in want)
    assert all(any(ip_network(part).version == ip_network(whole).version for whole in asked) for part in admitted)


def _ends(net: Any) -> tuple[Any, Any]:
    return net.network_address, net.broadcast_address


@given(blocks, st.randoms(use_true_random=False))
def test_order_does_not_matter(asked: list[str], random: Any) -> None:
    shuffled = list(asked)
    random.shuffle(shuffled)
    assert union([allowlist(*shuffled)], now=NOW) == union([allowlist(*asked)], now=NOW)


@given(blocks, blocks, addresses)
def test_two_lists_admit_what_either_admits(one: list[str], two: list[str], address: Any) -> None:
    both = union([allowlist(*one), allowlist(*two)], now=NOW)
    assert both == union([allowlist(*two), allowlist(*one)], now=NOW)
    either = admits(union([allowlist(*one)], now=NOW).cidrs, address) or admits(
        union([allowlist(*two)], now=NOW).cidrs, address
    )
    assert admits(both.cidrs, address) == either


@given(blocks)
def test_saying_it_twice_changes_nothing(asked: list[str]) -> None:
    once = dataclasses.replace(union([allowlist(*asked)], now=NOW), entries=0)
    for again in ([allowlist(*asked), allowlist(*asked, *asked)], [allowlist(*once.cidrs)]):
        assert dataclasses.replace(union(again, now=NOW), entries=0) == once


@given(st.integers(-5, 5))
def test_an_entry_ends_at_its_moment(seconds: int) -> None:
    end = NOW + timedelta(seconds=seconds)
    spec = {"entries": [{"cidr": "203.0.113.0/24", "expiresAt": end.isoformat()}]}
    found = union([Allowlist.model_validate({"spec": spec})], now=NOW).cidrs
    assert found == (("203.0.113.0/24",) if end > NOW else ())


def ending(**ends: int | None) -> Allowlist:
    """Blocks with their ends, in seconds from now."""
    entries = [
        {"cidr": cidr, **({} if end is None else {"expiresAt": (NOW + timedelta(seconds=end)).isoformat()})}
        for cidr, end in ends.items()
    ]
    return Allowlist.model_validate({"spec": {"entries": entries}})


def test_what_ends_is_told_from_what_lasts() -> None:
    one = ending(**{"203.0.113.0/25": 60, "203.0.113.128/25": 60, "198.51.100.0/24": None, "198.51.100.7/32": 60})
    two = ending(**{"203.0.113.7/32": 90, "192.0.2.0/24": -1, "2001:db8::/48": None})
    found = union([one, two], now=NOW)
    soon = int(NOW.timestamp()) + 60
    assert found.lasting == ("198.51.100.0/24", "2001:db8::/48")
    assert found.until == (("203.0.113.0/24", soon), ("203.0.113.7/32", soon + 30))
    assert found.cidrs == ("198.51.100.0/24", "203.0.113.0/24", "2001:db8::/48")
    assert (found.entries, found.next_end) == (6, NOW + timedelta(seconds=60))


def test_an_end_in_the_last_hour_of_all_years_is_an_end() -> None:
    entry = {"cidr": "192.0.2.0/24", "expiresAt": "9999-12-31T23:59:59-12:00"}
    found = union([Allowlist.model_validate({"spec": {"entries": [entry]}})], now=NOW)
    assert found.lasting == ("192.0.2.0/24",) and found.until == ()


def test_the_youngest_lists_are_left_out_where_there_is_no_room_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zilliz_operator.policy.allowlist.MOST_BLOCKS", 3)

    def born(name: str, day: int, *cidrs: str) -> Allowlist:
        metadata = {"name": name, "namespace": "team-a", "creationTimestamp": f"2026-11-{day:02}T00:00:00Z"}
        spec = {"entries": [{"cidr": cidr} for cidr in cidrs]}
        return Allowlist.model_validate({"metadata": metadata, "spec": spec})

    old = born("old", 1, "192.0.2.0/25", "198.51.100.0/24")
    young = born("young", 2, "203.0.113.0/25", "203.0.113.128/25")
    small = born("small", 3, "2001:db8::/64")
    for order in ([old, young, small], [small, young, old]):
        found = union(order, now=NOW)
        assert found.cidrs == ("192.0.2.0/25", "198.51.100.0/24", "2001:db8::/64")
        assert found.left_out == ("young",)
    assert union([young, small], now=NOW).left_out == ()


def test_nothing_asked_is_nobody() -> None:
    assert union([], now=NOW) == NOBODY == union([allowlist()], now=NOW)
    assert NOBODY.cidrs == () and NOBODY.workloads == () and not NOBODY.anywhere


def test_workloads_are_joined_once_and_in_order() -> None:
    one, two = allowlist(workloads=(("b", "x"), ("a", "y"))), allowlist(workloads=(("a", "y"), ("a", "x")))
    found = union([one, two], now=NOW).workloads
    assert [(each.namespace, each.pod_labels["app"]) for each in found] == [("a", "x"), ("a", "y"), ("b", "x")]
    assert union([two, one], now=NOW).workloads == found


@pytest.mark.parametrize(
    "asked",
    [
        ["0.0.0.0/0"],
        ["::/0"],
        ["0.0.0.0/1", "128.0.0.0/1"],
        ["0.0.0.0/7"],
        [f"{first}.0.0.0/8" for first in range(256)],
    ],
)
def test_the_internet_needs_to_be_asked_for_by_name(asked: list[str]) -> None:
    assert union([allowlist(*asked)], now=NOW) == NOBODY
    permitted = union([allowlist(*asked, allowAnywhere=True)], now=NOW)
    assert permitted.cidrs and permitted.anywhere


def test_one_list_that_asks_too_much_does_not_close_the_door_to_others() -> None:
    greedy, modest = allowlist("0.0.0.0/0", "2001:db8::/64"), allowlist("203.0.113.7/32")
    found = union([greedy, modest], now=NOW)
    assert found.cidrs == ("203.0.113.7/32", "2001:db8::/64")
    assert not found.anywhere


@pytest.mark.parametrize("text", ["203.0.113.7/24", "nonsense", "::ffff:203.0.113.0/120", "203.0.113.0"])
def test_what_is_not_a_plain_block_admits_nobody(text: str) -> None:
    assert active(allowlist(text), now=NOW) == []
