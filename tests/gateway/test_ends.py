"""An entry of an allowlist that ends is held to its end by the gateway's own clock, with nobody else at work."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.pki import Pki
from tests.gateway.rig import KEY, Gateway, ask, basic, proxy_header, until
from tests.gateway.test_life import _again as again
from tests.gateway.test_who import bearer

Make = Callable[..., Gateway]
FAR = 4_000_000_000
PAST = 1_700_000_000


def test_an_entry_ends_on_time_with_nobody_at_work_on_open_connections_too(make_gateway: Make) -> None:
    """No file changes, and no reload: the clock alone."""
    gateway = make_gateway(allow=("127.0.0.1/32",)).start()
    end = int(time.time()) + 4
    gateway.wait_in_force(gateway.change(allow=("127.0.0.2/32",), allow_until=(("127.0.0.1/32", end),)))
    before = gateway.attest()
    with gateway.channel() as channel, gateway.tls() as kept:
        seen = [ask(channel, basic(KEY)), again(kept)]
        assert seen == ["OK", 200] and time.time() < end, "it ended before it was tried"
        refused = until("the end", lambda: None if (said := ask(channel, basic(KEY))) == "OK" else said, seconds=20)
        assert time.time() >= end, "it ended too early"
        assert refused.startswith("PERMISSION_DENIED: gateway: ip_entry_ended")
        assert again(kept) == 403
    assert gateway.rest(headers=bearer(KEY))[0] == 403
    assert gateway.rest(headers=bearer(KEY), source="127.0.0.2")[0] == 200, "what does not end goes on"
    assert gateway.line(client_ip="127.0.0.1", decision="denied", reason="ip_entry_ended", subject="-")
    after = gateway.attest()
    same = ("config", "certificate", "reloads")  # counts of lines and of use go on
    assert [after[each] for each in same] == [before[each] for each in same]


def test_an_end_moved_out_needs_no_reload_and_reopens(make_gateway: Make) -> None:
    gateway = make_gateway(allow=(), allow_until=(("127.0.0.0/24", PAST), ("::1/128", PAST))).start()
    reloads = gateway.attest()["reloads"]
    with gateway.tls() as kept:
        assert again(kept) == 403
        gateway.wait_in_force(gateway.change(allow_until=(("127.0.0.0/24", FAR),)))
        assert again(kept) == 200
        gateway.wait_in_force(gateway.change(allow_until=()))
        assert again(kept) == 403
    assert gateway.attest()["reloads"] == reloads


@pytest.mark.parametrize(
    ("client", "status"),
    [
        ("203.0.113.9", 403),  # in the wide block, which has ended
        ("203.0.113.130", 200),  # in a narrow one within, which has not
        ("198.51.100.9", 200),  # in the wide block, which has not ended
        ("198.51.100.130", 200),  # in a narrow one within that ended before: the latest end counts
        ("2001:db8:0:1::9", 200),
        ("2001:db8:0:2::9", 403),
        ("192.0.2.1", 403),
    ],
)
def test_of_several_ends_the_latest_counts(ending: Gateway, client: str, status: int) -> None:
    assert ending.rest(headers=bearer(KEY), source="127.0.5.9", before=proxy_header(client))[0] == status


@pytest.fixture(scope="module")
def ending(pki: Pki, milvus: FakeMilvus) -> Iterator[Gateway]:
    asked = {
        "203.0.113.0/24": PAST,
        "203.0.113.128/25": FAR,
        "198.51.100.0/24": FAR,
        "198.51.100.128/25": PAST,
        "2001:db8::/32": PAST,
        "2001:db8:0:1::/64": FAR,
    }
    one = Gateway(pki, milvus, allow=(), allow_until=tuple(asked.items()), load_balancers=("127.0.5.0/24",))
    try:
        yield one.start()
    finally:
        one.stop()
