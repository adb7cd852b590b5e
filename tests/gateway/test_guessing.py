"""Whoever guesses is slowed, then refused for a while, and seen; nobody else is."""

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.rig import (
    EXPIRED_KEY,
    KEY,
    OTHER_KEY,
    PASSWORDS,
    Gateway,
    ask,
    basic,
    plain_http,
    proxy_header,
    until,
)
from tests.gateway.test_who import JWT, bearer
from zilliz_operator.desired.door import DoorKey, DoorLimits, TechnicalUser

Make = Callable[..., Gateway]
ALICE = f"alice:{PASSWORDS['alice']}"
ATTACKER, OTHER = "127.0.0.11", "127.0.0.12"
QUICK = DoorLimits(failures_slowed=3, failures_refused=6, slow_seconds=1, failure_window_seconds=30, refuse_seconds=60)
FOUND = [
    ("unknown_key", 401, OTHER_KEY),
    ("milvus_unauthenticated", 401, "alice:wrong"),
    ("user_not_from_outside", 403, "root:Milvus"),
]
"""Failures that count: reason, status, token."""


def guess(gateway: Gateway, token: str = "alice:wrong", *, source: str = ATTACKER, **more: Any) -> int:
    return gateway.rest(headers=bearer(token), source=source, **more)[0]


def hold(gateway: Gateway, **more: Any) -> None:
    """Guess until held off."""
    assert 429 in [guess(gateway, **more) for _ in range(gateway.config.limits.failures_refused + 2)]


def counted(gateway: Gateway) -> dict[str, float]:
    """The gateway's own numbers, as monitoring reads them."""
    status, body = plain_http(gateway.config.ports.metrics, "/metrics/agent")
    assert status == 200
    lines = [line for line in body.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_slowed_then_refused_then_heard_again(make_gateway: Make) -> None:
    limits = DoorLimits(
        failures_slowed=2, failures_refused=4, slow_seconds=1, failure_window_seconds=6, refuse_seconds=4
    )
    gateway = make_gateway(limits=limits).start()
    seen = [guess(gateway) for _ in range(3)]
    assert seen == [401] * 3
    assert gateway.line(client_ip=ATTACKER, guard="slowed", reason="milvus_unauthenticated", status=401)
    until("refused", lambda: guess(gateway) == 429, seconds=20)
    assert gateway.line(client_ip=ATTACKER, guard="throttled", reason="throttled", decision="denied", status=429)
    assert guess(gateway, ALICE) == 429, "the right password is not told from a wrong one meanwhile"
    until("heard again", lambda: guess(gateway, ALICE) == 200, seconds=60)


def test_others_are_answered_meanwhile(make_gateway: Make) -> None:
    """While the attacker waits, and while it is held off."""
    limits = DoorLimits(
        failures_slowed=2, failures_refused=4, slow_seconds=8, failure_window_seconds=60, refuse_seconds=60
    )
    gateway = make_gateway(limits=limits).start()
    assert [guess(gateway) for _ in range(2)] == [401] * 2
    answered: list[int] = []
    waiting = threading.Thread(target=lambda: answered.append(guess(gateway)))
    waiting.start()
    for token in (KEY, ALICE):
        assert guess(gateway, token, source=OTHER) == 200
    with gateway.channel() as channel:
        assert ask(channel, basic(KEY)) == "OK"
    assert guess(gateway, KEY) == 200, "a key that exists does not wait, not even at the attacker's address"
    assert not answered, "the attacker did not wait"
    waiting.join(30)
    assert answered == [401]
    assert guess(gateway) == 401
    assert guess(gateway) == 429
    for token in (KEY, ALICE):
        assert guess(gateway, token, source=OTHER) == 200


def test_a_key_that_exists_passes_where_passwords_are_held_off(make_gateway: Make, milvus: FakeMilvus) -> None:
    """Behind one address of a NAT: what nobody can guess is no guess."""
    gateway = make_gateway(limits=QUICK).start()
    hold(gateway)
    reached = len(milvus.calls)
    assert [guess(gateway, token) for token in (ALICE, "alice:wrong", OTHER_KEY, "root:Milvus")] == [429] * 4
    assert len(milvus.calls) == reached, "none of them may reach Milvus"
    assert guess(gateway, KEY) == 200
    assert guess(gateway, EXPIRED_KEY) == 401


def test_a_generated_password_passes_where_others_are_held_off(make_gateway: Make, milvus: FakeMilvus) -> None:
    """And is none of the guesses, though Milvus be late to learn of it."""
    generated = "app:" + "p4ssw0rd" * 4
    known = DoorKey(digest=hashlib.sha256(generated.encode()).hexdigest(), key_id="team/app/app", user="app")
    user = TechnicalUser(name="app", password="inner")
    gateway = make_gateway(limits=QUICK, cluster_users=(user,), passwords=(known,)).start()
    for _ in range(QUICK.failures_refused + 2):
        assert guess(gateway, generated) == 401, "Milvus does not know it yet"
    assert {line["guard"] for line in gateway.audit()} == {"-"}
    hold(gateway)
    milvus.users = {**PASSWORDS, "app": "inner"}
    try:
        assert guess(gateway, generated) == 200
        assert guess(gateway, "app:wrong") == 429
    finally:
        milvus.users = PASSWORDS


def test_the_client_is_told_when_to_come_back(make_gateway: Make) -> None:
    gateway = make_gateway(limits=QUICK).start()
    hold(gateway, source="127.0.0.1")
    with gateway.channel() as channel:
        said = ask(channel, basic("alice:wrong"))
    assert said.startswith("RESOURCE_EXHAUSTED: gateway: throttled")
    assert 0 < int(said.partition("again in ")[2].split()[0]) <= QUICK.refuse_seconds
    with gateway.tls(source=ATTACKER.replace("11", "1")) as link:
        link.sendall(b"GET /v1/vector/collections HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice:x\r\n\r\n")
        head = link.recv(65536).decode().lower()
    assert 0 < int(head.partition("retry-after: ")[2].split()[0]) <= QUICK.refuse_seconds


@pytest.mark.parametrize(("reason", "status", "token"), FOUND)
def test_failures_that_count(make_gateway: Make, reason: str, status: int, token: str) -> None:
    gateway = make_gateway(limits=QUICK).start()
    assert guess(gateway, token) == status
    assert gateway.line(client_ip=ATTACKER, reason=reason)
    hold(gateway, token=token)


@pytest.mark.parametrize(("token", "path"), [("", None), (EXPIRED_KEY, None), (JWT, None), (KEY, "/nothing")])
def test_refusals_that_are_no_guesses_do_not_count(make_gateway: Make, token: str, path: str | None) -> None:
    """Or a client with an old key would lock out everybody behind its address."""
    gateway = make_gateway(limits=QUICK).start()
    headers = bearer(token) if token else []
    asked = {"path": path} if path else {}
    status = {gateway.rest(headers=headers, source=ATTACKER, **asked)[0] for _ in range(QUICK.failures_refused + 2)}
    assert status == {404 if path else 401}
    assert guess(gateway, ALICE) == 200
    assert {line["guard"] for line in gateway.audit()} == {"-"}


def test_behind_a_load_balancer_its_clients_count_one_by_one(make_gateway: Make) -> None:
    """IPv4 by address, IPv6 by /64."""
    allow = ("203.0.113.0/24", "2001:db8::/32")
    gateway = make_gateway(limits=QUICK, allow=allow, load_balancers=("127.0.5.0/24",)).start()

    def knock(client: str, token: str = ALICE) -> int:
        return guess(gateway, token, source="127.0.5.9", before=proxy_header(client))

    for attacker, same, other in [
        ("203.0.113.9", "203.0.113.9", "203.0.113.10"),
        ("2001:db8:0:1::9", "2001:db8:0:1:ffff::1", "2001:db8:0:2::9"),
    ]:
        assert 429 in [knock(attacker, "alice:wrong") for _ in range(QUICK.failures_refused + 2)]
        assert knock(same) == 429
        assert knock(other) == 200


def test_the_operator_is_never_held_off(make_gateway: Make) -> None:
    gateway = make_gateway(limits=QUICK).start()
    hold(gateway)
    operator = {"client": gateway.pki.operator}
    assert {guess(gateway, "root:wrong", **operator) for _ in range(QUICK.failures_refused + 2)} == {401}
    assert guess(gateway, f"root:{PASSWORDS['root']}", **operator) == 200


def test_it_is_seen_in_metrics(make_gateway: Make) -> None:
    """By reason, so that an alert can be written; no address and no user in there."""
    gateway = make_gateway(limits=QUICK).start()
    before = counted(gateway)
    assert before['zilliz_gateway_refused_total{reason="throttled"}'] == 0
    assert before["zilliz_gateway_held_addresses"] == 0
    hold(gateway)
    guess(gateway, KEY, source="127.9.9.9")

    def told() -> dict[str, float] | None:
        seen = counted(gateway)
        return seen if seen['zilliz_gateway_refused_total{reason="ip_not_allowed"}'] else None

    seen = until("the counts", told, seconds=10)
    assert seen['zilliz_gateway_refused_total{reason="milvus_unauthenticated"}'] == QUICK.failures_refused
    assert seen['zilliz_gateway_refused_total{reason="throttled"}'] >= 1
    assert seen["zilliz_gateway_slowed_total"] >= 1
    assert seen["zilliz_gateway_held_addresses"] == 1
    assert seen["zilliz_gateway_audit_lines_total"] >= QUICK.failures_refused
    body = plain_http(gateway.config.ports.metrics, "/metrics/agent")[1]
    assert ATTACKER not in body and "alice" not in body


def test_a_flood_leaves_counters_though_no_line(make_gateway: Make) -> None:
    gateway = make_gateway(limits=DoorLimits(new_connections_per_10s=3)).start()

    def refused() -> bool:
        try:
            return guess(gateway, KEY) == 0
        except OSError:
            return True

    until("a connection is refused", refused, seconds=20)
    metrics = plain_http(gateway.config.ports.metrics, "/metrics/gateway")[1]
    name = 'haproxy_frontend_denied_sessions_total{proxy="door"} '
    assert float(metrics.partition(name)[2].split()[0]) >= 1


def test_only_so_many_wait_at_a_time(make_gateway: Make) -> None:
    """A wait costs memory: those beyond are told to come back at once."""
    limits = DoorLimits(failures_slowed=1, failures_refused=50, slow_seconds=6, slow_at_once=2, refuse_seconds=60)
    gateway = make_gateway(limits=limits).start()
    assert guess(gateway) == 401
    answered: list[int] = []
    crowd = [threading.Thread(target=lambda: answered.append(guess(gateway))) for _ in range(6)]
    for one in crowd:
        one.start()
    until("the others are told", lambda: answered.count(429) >= 4, seconds=20)
    assert 401 not in answered, "those that wait were answered first"
    for one in crowd:
        one.join(30)
    assert sorted(answered) == [401, 401, 429, 429, 429, 429]
