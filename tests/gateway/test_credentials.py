"""Passwords and keys that are rotated: both open during the grace period, and the end comes by the gateway's own clock."""

import json
import threading
import time
from collections.abc import Callable

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.pki import Pki
from tests.gateway.rig import KEY, OTHER_KEY, PASSWORDS, Gateway, ask, basic, digest, until
from tests.gateway.test_probe import address
from tests.gateway.test_who import bearer
from zilliz_operator.adapters.door_probe import TlsDoorProbe
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.desired.door import DoorKey, TechnicalUser

OLD, NEW = "app:Old~password-of-the-app-1", "app:New~password-of-the-app-2"
INNER = "Inner~what-milvus-knows-3"
USER = TechnicalUser(name="app", password=INNER)


def password(token: str, *, expires: int | None = None) -> DoorKey:
    plain = DoorKey(digest=digest(token), key_id="team/app/app", user="app")
    return plain if expires is None else DoorKey(digest=plain.digest, key_id=plain.key_id, user="app", expires=expires)


def wait_until(clock: int) -> None:
    until(f"the second {clock}", lambda: int(time.time()) >= clock)


def test_two_passwords_open_until_the_end_of_the_older_and_milvus_sees_neither(
    make_gateway: Callable[..., Gateway], milvus: FakeMilvus
) -> None:
    milvus.users = {**PASSWORDS, "app": INNER}
    gateway = make_gateway(cluster_users=(USER,), passwords=(password(OLD),)).start()
    try:
        with gateway.channel() as channel:
            assert ask(channel, basic(OLD)) == "OK"
            assert ask(channel, basic(NEW)).startswith("UNAUTHENTICATED: auth check failure")
            end = int(time.time()) + 4
            gateway.wait_in_force(gateway.change(passwords=(password(NEW), password(OLD, expires=end))))
            assert ask(channel, basic(NEW)) == "OK"
            assert milvus.last("HasCollection").headers["authorization"] == basic(f"app:{INNER}")[1]
            if int(time.time()) < end - 1:
                assert ask(channel, basic(OLD)) == "OK"
            wait_until(end)
            # nobody changed anything, and it is the same connection
            assert ask(channel, basic(OLD)).startswith("UNAUTHENTICATED: gateway: expired_password (request ")
            assert ask(channel, basic(NEW)) == "OK"
        assert gateway.rest(headers=bearer(NEW))[0] == 200
        status, body = gateway.rest(headers=bearer(OLD))
        assert (status, "expired_password" in json.loads(body)["message"]) == (401, True)
        line = gateway.line(
            auth="password", subject="app", key_id="team/app/app", milvus_user="app", decision="allowed"
        )
        assert line["reason"] == "-"
        written = gateway.stdout.read_text() + gateway.stderr.read_text()
        for secret in (OLD, NEW, INNER, basic(OLD)[1], basic(NEW)[1]):
            assert secret not in written
    finally:
        milvus.users = PASSWORDS


def test_no_call_is_refused_while_a_password_is_rotated(
    make_gateway: Callable[..., Gateway], milvus: FakeMilvus
) -> None:
    milvus.users = {**PASSWORDS, "app": INNER}
    gateway = make_gateway(cluster_users=(USER,), passwords=(password(OLD),)).start()
    answers: list[str] = []
    done = threading.Event()

    def call_on() -> None:
        with gateway.channel() as channel:
            while not done.is_set():
                answers.append(ask(channel, basic(OLD)))

    caller = threading.Thread(target=call_on)
    caller.start()
    try:
        until("the first answers", lambda: len(answers) > 5)
        end = int(time.time()) + 3600
        gateway.wait_in_force(gateway.change(passwords=(password(NEW), password(OLD, expires=end))))
        seen = len(answers)
        until("answers after the change", lambda: len(answers) > seen + 5)
    finally:
        done.set()
        caller.join(20)
        milvus.users = PASSWORDS
    assert set(answers) == {"OK"}


def test_what_milvus_knows_a_user_by_opens_nothing_from_outside(
    make_gateway: Callable[..., Gateway], milvus: FakeMilvus
) -> None:
    milvus.users = {**PASSWORDS, "app": INNER}
    gateway = make_gateway(cluster_users=(USER,), passwords=(password(NEW),)).start()
    try:
        begun = len(milvus.calls)
        with gateway.channel() as channel:
            answers = {ask(channel, basic(f"{user}:{INNER}")) for user in ("app", "nobody")}
        assert len(answers) == 1, "a stranger learns which users there are"
        assert answers.pop().startswith("UNAUTHENTICATED: auth check failure")
        (sent, _) = [call.headers["authorization"] for call in milvus.calls[begun:]]
        assert sent == basic(f"app:{digest(f'app:{INNER}')}")[1], (
            "nothing that a client made up is tried on a user of ours"
        )
        assert gateway.line(subject="app", decision="denied", reason="milvus_unauthenticated")["key_id"] == "-"
        with gateway.channel(client=gateway.pki.operator) as channel:
            assert ask(channel, basic(f"app:{INNER}")) == "OK", "the operator looks whether Milvus still knows it"
        with gateway.channel() as channel:
            assert ask(channel, basic(f"alice:{PASSWORDS['alice']}")) == "OK", "others are for Milvus to judge"
    finally:
        milvus.users = PASSWORDS


def test_a_user_taken_away_is_refused_on_open_connections(
    make_gateway: Callable[..., Gateway], milvus: FakeMilvus
) -> None:
    milvus.users = {**PASSWORDS, "app": INNER}
    gateway = make_gateway(cluster_users=(USER,), passwords=(password(NEW),)).start()
    try:
        with gateway.channel() as channel:
            assert ask(channel, basic(NEW)) == "OK"
            gateway.wait_in_force(gateway.change(passwords=()))
            assert ask(channel, basic(NEW)).startswith("UNAUTHENTICATED: auth check failure")
            gateway.wait_in_force(gateway.change(cluster_users=()))
            assert ask(channel, basic(NEW)).startswith("UNAUTHENTICATED: auth check failure")
        assert gateway.attest()["reloads"] == 0, "maps are swapped, nothing is loaded anew"
    finally:
        milvus.users = PASSWORDS


async def test_two_keys_of_one_subject_and_their_last_use(make_gateway: Callable[..., Gateway], pki: Pki) -> None:
    end = int(time.time()) + 5
    keys = (
        DoorKey(digest=digest(KEY), key_id="team/app/ingest", user="zt_viewer", expires=end),
        DoorKey(digest=digest(OTHER_KEY), key_id="team/app/ingest", user="zt_viewer"),
        DoorKey(digest=digest("zbk_" + "u" * 43), key_id="team/app/unused", user="zt_viewer"),
    )
    gateway = make_gateway(keys=keys).start()
    began = int(time.time())
    with gateway.channel() as channel:
        assert ask(channel, basic(OTHER_KEY)) == "OK"
        wait_until(end)
        assert ask(channel, basic(KEY)).startswith("UNAUTHENTICATED: gateway: expired_key")
        assert ask(channel, basic(OTHER_KEY)) == "OK"
    until("the last use", lambda: gateway.attest().get("used"), seconds=20)
    threads = Threads(1)
    used = (await TlsDoorProbe(threads).attest(address(gateway, pki))).used
    threads.close()
    assert set(used) == {"api_key:team/app/ingest"}
    assert began - 60 <= used["api_key:team/app/ingest"].timestamp() <= time.time()
