"""The long allowlist that is measured is one: nothing in it merges away."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from bench import allowlist
from zilliz_operator.api.blocks import latest_ends


def test_every_entry_is_a_line_of_its_own() -> None:
    made = allowlist.entries(allowlist.ENTRIES, now=1_000)
    assert len(latest_ends((ip_network(cidr), end) for cidr, end in made)) == len(made) == allowlist.ENTRIES
    assert {ip_network(cidr).version for cidr, _ in made} == {4, 6}
    assert all(end > 1_000 for _, end in made)
    assert ip_address("127.0.0.1") in ip_network(made[-1][0])


def test_one_entry_is_the_one_that_admits_the_bench() -> None:
    assert [cidr for cidr, _ in allowlist.entries(1, now=0)] == ["127.0.0.0/24"]


def test_every_policy_has_a_key_and_one_of_them_has_ended() -> None:
    keys = allowlist.keys(allowlist.POLICIES)
    assert len({key.digest for key in keys}) == allowlist.POLICIES
    assert [key.expires for key in keys].count(1) == 1
