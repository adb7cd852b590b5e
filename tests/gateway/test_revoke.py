"""Taking access away: in force at the door at once, on connections that are open too, by the door's own clock, for ours alone."""

import time

import pytest

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.rig import PASSWORDS, Gateway, ask, basic, until
from tests.gateway.test_life import Make, limits
from zilliz_operator.desired.door import DoorUserEnd

ALICE = basic(f"alice:{PASSWORDS['alice']}")
BOB = basic(f"bob:{PASSWORDS['bob']}")
GONE = DoorUserEnd(name="alice", ends=0)


@pytest.mark.parametrize("reload", [False, True])
def test_a_user_taken_away_is_refused_on_its_open_connection(
    make_gateway: Make, milvus: FakeMilvus, reload: bool
) -> None:
    gateway = make_gateway().start()
    with gateway.channel() as channel:
        assert ask(channel, ALICE) == "OK"
        assert ask(channel, BOB) == "OK"
        more = {"limits": limits(gateway, 1)} if reload else {}
        gateway.wait_in_force(gateway.change(user_ends=(GONE,), **more))
        reached = len(milvus.calls)
        assert ask(channel, ALICE).startswith("UNAUTHENTICATED: gateway: user_ended")
        assert gateway.rest(headers=[("Authorization", f"Bearer alice:{PASSWORDS['alice']}")])[0] == 401
        assert len(milvus.calls) == reached, "Milvus still knows the password"
        assert ask(channel, BOB) == "OK", "somebody else's user is not the door's matter"
        assert gateway.line(subject="alice", decision="denied", reason="user_ended", proto="h2")
        gateway.wait_in_force(gateway.change(user_ends=()))
        assert ask(channel, ALICE) == "OK"


def test_a_users_end_comes_without_anybody_telling_the_door(make_gateway: Make) -> None:
    soon = int(time.time()) + 4
    gateway = make_gateway(user_ends=(DoorUserEnd(name="alice", ends=soon),)).start()
    with gateway.channel() as channel:
        said, asked_at = ask(channel, ALICE), time.time()
        assert said == "OK" or asked_at >= soon
        said = until("refused", lambda: words if (words := ask(channel, ALICE)) != "OK" else None)
        assert said.startswith("UNAUTHENTICATED: gateway: user_ended")
        assert time.time() >= soon - 1
        assert ask(channel, BOB) == "OK"


def test_an_end_to_come_opens_nothing_to_wrong_passwords(make_gateway: Make) -> None:
    gateway = make_gateway(user_ends=(DoorUserEnd(name="alice", ends=int(time.time()) + 3600),)).start()
    with gateway.channel() as channel:
        assert ask(channel, ALICE) == "OK"
        assert ask(channel, basic("alice:wrong")).startswith("UNAUTHENTICATED: auth check failure")


def test_the_operator_is_not_kept_from_looking(gateway: Gateway) -> None:
    gateway.wait_in_force(gateway.change(user_ends=(GONE,)))
    try:
        with gateway.channel(client=gateway.pki.operator) as channel:
            assert ask(channel, ALICE) == "OK"
    finally:
        gateway.wait_in_force(gateway.change(user_ends=()))


@pytest.mark.parametrize("name", ["zt_0123456789ab", "ZT_viewer"])
def test_no_technical_user_comes_from_outside_whether_or_not_it_is_known(gateway: Gateway, name: str) -> None:
    with gateway.channel() as channel:
        assert ask(channel, basic(f"{name}:x")).startswith("PERMISSION_DENIED: gateway: user_not_from_outside")
