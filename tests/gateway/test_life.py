"""A door under change: reloads, renewals, mistakes, deaths and stops. None of them may lose a call or the door."""

import dataclasses
import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from tests.gateway.dns import NameServer
from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.pki import Pki
from tests.gateway.rig import KEY, OTHER_KEY, PASSWORDS, Gateway, ask, basic, digest, until
from zilliz_operator.agent.settings import ipv6_available
from zilliz_operator.desired.door import DoorConfig, DoorKey, DoorLimits

Make = Callable[..., Gateway]


@contextmanager
def load(gateway: Gateway, *, clients: int = 3, pause: float = 0.004) -> Iterator[Counter[str]]:
    """Calls without retries on long-lived connections; the tally is complete at the end."""
    seen: Counter[str] = Counter()
    stop, counting = threading.Event(), threading.Lock()

    def work() -> None:
        with gateway.channel() as channel:
            while not stop.is_set():
                said = ask(channel, basic(KEY))
                with counting:
                    seen[said] += 1
                stop.wait(pause)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        until("calls flow", lambda: seen["OK"] > 20)
        yield seen
        before = seen["OK"]
        until("calls still flow", lambda: seen["OK"] > before + 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def limits(gateway: Gateway, number: int) -> DoorLimits:
    """A change that only a reload can bring."""
    return dataclasses.replace(gateway.config.limits, connections=2000 + number)


def test_reloads_and_swaps_lose_no_call(make_gateway: Make) -> None:
    gateway = make_gateway().start()
    with load(gateway) as seen:
        for number in range(4):
            swapped = gateway.change(allow=("127.0.0.0/24", f"203.0.113.{number}/32"))
            assert gateway.wait_in_force(swapped)["reloads"] == number
            reloaded = gateway.change(limits=limits(gateway, number))
            assert gateway.wait_in_force(reloaded)["reloads"] == number + 1
    assert set(seen) == {"OK"}, seen
    assert seen["OK"] > 200
    lines = until("a line for every call", lambda: calls if len(calls := _calls(gateway)) == seen["OK"] else None)
    assert {line["decision"] for line in lines} == {"allowed"}


def _calls(gateway: Gateway) -> list[dict[str, Any]]:
    return [line for line in gateway.audit() if line["rpc"].endswith("/HasCollection")]


def test_a_revoked_key_ends_on_the_connections_it_has(make_gateway: Make) -> None:
    """Also on those of an old worker that a reload left behind."""
    gateway = make_gateway().start()
    only_other = (DoorKey(digest=digest(OTHER_KEY), key_id="team/new", user="zt_viewer"),)
    with gateway.channel() as channel, gateway.tls() as kept:
        assert ask(channel, basic(KEY)) == "OK"
        assert _again(kept) == 200
        gateway.wait_in_force(gateway.change(keys=only_other, limits=limits(gateway, 1)))
        assert gateway.attest()["draining"] == 1
        assert _again(kept) == 401, "the old worker must know the new list"
        assert ask(channel, basic(KEY)).startswith("UNAUTHENTICATED: gateway: unknown_key")
        assert ask(channel, basic(OTHER_KEY)) == "OK"


def test_a_swap_needs_no_reload(make_gateway: Make) -> None:
    gateway = make_gateway().start()
    pid = _worker(gateway)
    with gateway.channel() as channel, gateway.tls() as kept:
        assert ask(channel, basic(KEY)) == "OK"
        many = tuple(DoorKey(digest=digest(f"zbk_{n}"), key_id=f"team/{n}", user="zt_admin") for n in range(1000))
        gateway.wait_in_force(gateway.change(keys=many, allow=tuple(f"127.0.{n}.0/28" for n in range(0, 250, 2))))
        assert ask(channel, basic("zbk_999")) == "OK"
        assert ask(channel, basic(KEY)).startswith("UNAUTHENTICATED")
        assert _again(kept) == 401
        gateway.wait_in_force(gateway.change(allow=()))
        assert ask(channel, basic("zbk_999")).startswith("PERMISSION_DENIED: gateway: ip_not_allowed")
    assert _worker(gateway) == pid


def _again(link: Any) -> int:
    """One more request on a connection that stays open."""
    link.sendall(f"GET /v1/vector/collections HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
    data = b""
    while b"}" not in data:
        block = link.recv(65536)
        assert block, "the connection was closed"
        data += block
    return int(data.split()[1])


def _worker(gateway: Gateway) -> list[int]:
    master = gateway.pid_of("-db")
    assert master
    return gateway.children(master)


def test_a_call_in_flight_survives_a_reload(make_gateway: Make, milvus: FakeMilvus) -> None:
    gateway = make_gateway().start()
    said: list[str] = []
    milvus.hold.clear()
    try:
        with gateway.channel() as channel:
            reached = len(milvus.calls)
            thread = threading.Thread(target=lambda: said.append(ask(channel, basic(KEY))))
            thread.start()
            until("the call reached Milvus", lambda: len(milvus.calls) > reached)
            gateway.wait_in_force(gateway.change(limits=limits(gateway, 1)))
            milvus.hold.set()
            thread.join()
            said += [ask(channel, basic(KEY)) for _ in range(3)]
    finally:
        milvus.hold.set()
    assert said == ["OK"] * 4, "the next calls on that connection must not suffer either"


def test_a_renewed_certificate_is_served_and_attested(make_gateway: Make, pki: Pki) -> None:
    gateway = make_gateway().start()
    renewed = pki.public.issue("door", dns=("door.test", "localhost"), use_rsa=True)
    with load(gateway, clients=1) as seen:
        gateway.mount(door=renewed)
        wanted = hashlib.sha256(renewed.der).hexdigest()
        until("the new certificate attested", lambda: gateway.attest().get("certificate") == wanted)
        assert {gateway.served() for _ in range(20)} == {renewed.der}
    assert set(seen) == {"OK"}, seen


class TestMistakes:
    """A configuration that cannot be: the old one stays in force, and the reason is told."""

    def broken(self, gateway: Gateway) -> Iterator[Callable[[], None]]:
        config = (gateway.mounts / "config/haproxy.cfg").read_text()
        rest = {path.name: path.read_text() for path in (gateway.mounts / "config").glob("*.acl")}
        yield lambda: gateway.swap("config", rest | {"haproxy.cfg": config + "\nbogus line\n"})
        yield lambda: gateway.swap("config", rest | {"haproxy.cfg": config, "allow.map": "not-an-address 1\n"})
        yield lambda: gateway.swap("tls", {"tls.crt": gateway.pki.door.cert, "tls.key": gateway.pki.gateway.key})
        yield lambda: gateway.swap("tls", {"tls.crt": "nonsense", "tls.key": "nonsense"})
        yield lambda: gateway.swap("maps", {"keys.map": "x y\n"})
        yield lambda: gateway.swap("operator-ca", {"ca.crt": "nonsense"})

    def test_the_old_stays_and_the_new_heals(self, make_gateway: Make) -> None:
        gateway = make_gateway().start()
        for breaking in list(self.broken(gateway)):
            before = gateway.attest()
            breaking()
            told = until("the reason told", lambda: seen if (seen := gateway.attest()).get("lastError") else None)
            assert (told["config"], told["certificate"]) == (before["config"], before["certificate"])
            assert told["reloads"] == before["reloads"], "a bad configuration must not even be tried"
            assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 200
            assert not any(secret in json.dumps(told) for secret in PASSWORDS.values())
            gateway.swap("operator-ca", {"ca.crt": gateway.pki.operator_ca.pem})
            gateway.mount(door=gateway.pki.door)
            until("the error gone", lambda: gateway.attest().get("lastError") == "")
        assert gateway.wait_in_force(gateway.change(limits=limits(gateway, 9)))["lastError"] == ""

    def test_a_load_that_fails_after_the_check_is_rolled_back(self, make_gateway: Make) -> None:
        """The check cannot see a port that is taken; only the real start does."""
        gateway = make_gateway().start()
        before = gateway.attest()["config"]
        with taken_port() as port:
            ports = dataclasses.replace(gateway.config.ports, metrics=port)
            old = gateway.config
            gateway.change(ports=ports, keys=())
            until("the failure told", lambda: "failed to load" in gateway.attest().get("lastError", ""))
            until("the old configuration back", lambda: gateway.attest()["config"] == before)
            for _ in range(20):
                assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 200
            assert gateway.attest()["reloads"] <= 2, "each try stops the door for two seconds: it must not be repeated"
        gateway.wait_in_force(gateway.mount(old))

    def test_a_first_configuration_may_come_late(self, make_gateway: Make) -> None:
        gateway = make_gateway()
        gateway.mount()
        gateway.swap("maps", {})
        for name in ("keys.map", "users.map"):
            (gateway.mounts / "maps" / name).unlink()
        gateway.start_process()
        until("the agent waits", lambda: any("maps/keys.map is missing" in str(one) for one in gateway.events()))
        assert gateway.ops("/livez") == 0
        gateway.wait_in_force(gateway.mount())


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        yield listener.getsockname()[1]


def another_agent(gateway: Gateway, *, than: int) -> None:
    until("a new agent", lambda: (pid := gateway.pid_of("agent door")) and pid != than)


class TestDeaths:
    """Processes die. What each death may cost, and what comes back by itself."""

    def test_the_agents_death_does_not_close_the_door(self, make_gateway: Make) -> None:
        gateway = make_gateway().start()
        workers = _worker(gateway)
        with load(gateway) as seen:
            for _ in range(3):
                first = gateway.pid_of("agent door")
                assert first
                os.kill(first, signal.SIGKILL)
                another_agent(gateway, than=first)
                files = gateway.change(
                    keys=(
                        *gateway.config.keys,
                        DoorKey(digest=digest(str(first)), key_id=f"k/{first}", user="zt_admin"),
                    )
                )
                gateway.wait_in_force(files)
        assert set(seen) == {"OK"}, seen
        assert _worker(gateway) == workers, "HAProxy must not have noticed"
        until(f"a line for each of {seen}", lambda: len(_calls(gateway)) == seen["OK"], seconds=5)

    def test_a_frozen_agent_is_replaced(self, make_gateway: Make) -> None:
        gateway = make_gateway(silent_seconds=2.0).start()
        frozen = gateway.pid_of("agent door")
        assert frozen
        os.kill(frozen, signal.SIGSTOP)
        assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 200
        another_agent(gateway, than=frozen)
        gateway.wait_in_force(gateway.change(allow=("127.0.0.0/16",)))

    @pytest.mark.parametrize("whom", ["master", "worker"])
    def test_haproxy_comes_back_with_the_latest_configuration(self, make_gateway: Make, whom: str) -> None:
        gateway = make_gateway().start()
        latest = gateway.change(keys=(DoorKey(digest=digest(OTHER_KEY), key_id="team/new", user="zt_viewer"),))
        gateway.wait_in_force(latest)
        master = gateway.pid_of("-db")
        assert master
        os.kill(master if whom == "master" else gateway.children(master)[0], signal.SIGKILL)
        until("another HAProxy", lambda: (pid := gateway.pid_of("-db")) and pid != master)
        gateway.wait_in_force(latest)
        assert gateway.rest(headers=[("Authorization", f"Bearer {OTHER_KEY}")])[0] == 200
        assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 401

    def test_a_container_that_restarts_finds_its_volume_and_the_latest_mounts(self, make_gateway: Make) -> None:
        gateway = make_gateway().start()
        gateway.kill()
        assert (gateway.home / "run/master.sock").exists(), "what the last life left must be in the way"
        files = gateway.change(keys=())
        gateway.start_process()
        gateway.wait_in_force(files)
        assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 401

    def test_what_someone_changed_behind_our_back_is_seen_and_undone(self, make_gateway: Make) -> None:
        gateway = make_gateway().start()
        files = gateway.mount()
        assert gateway.command("add map config/allow.map 0.0.0.0/0 4000000000").strip() == ""
        assert gateway.attest()["config"] == "", "what is not in force must not be attested"
        gateway.wait_in_force(files)
        assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")], source="127.7.7.7")[0] == 403


class TestStop:
    """TERM is soft: calls finish, lines get out, nothing is left."""

    def test_calls_in_flight_finish_and_are_recorded(self, make_gateway: Make, milvus: FakeMilvus) -> None:
        gateway = make_gateway().start()
        assert gateway.process
        said: list[str] = []
        milvus.hold.clear()
        try:
            with gateway.channel() as channel:
                reached = len(milvus.calls)
                thread = threading.Thread(target=lambda: said.append(ask(channel, basic(KEY))))
                thread.start()
                until("the call reached Milvus", lambda: len(milvus.calls) > reached)
                tree = gateway.tree()
                gateway.process.send_signal(signal.SIGTERM)
                assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 200, (
                    "it serves while endpoints forget it"
                )
                until("new connections are refused", lambda: gateway.ops("/livez") == 0)
                milvus.hold.set()
                thread.join()
        finally:
            milvus.hold.set()
        assert said == ["OK"]
        assert gateway.process.wait(20) == 0
        assert len(_calls(gateway)) == 1
        assert any("Proxy door stopped" in str(one) for one in gateway.events()), "HAProxy's last word went astray"
        assert not [pid for pid in tree if Path(f"/proc/{pid}").exists()], "processes are left"

    def test_a_stop_before_any_configuration(self, make_gateway: Make) -> None:
        gateway = make_gateway()
        gateway.mounts.mkdir()
        gateway.start_process()
        until("the agent waits", lambda: any("is missing" in str(one) for one in gateway.events()))
        assert gateway.process
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0


def test_a_stalled_log_reader_does_not_stall_the_door(make_gateway: Make) -> None:
    """Nobody reads stdout; calls go on, and every line is there once somebody does."""
    reader, writer = os.pipe()
    gateway = make_gateway().start(stdout=writer)
    os.close(writer)
    with gateway.channel() as channel:
        started = time.monotonic()
        answers = Counter(ask(channel, basic(KEY)) for _ in range(600))
        took = time.monotonic() - started
    assert answers == {"OK": 600}
    assert took < 30
    data = b""

    def read() -> bool:
        nonlocal data
        data += os.read(reader, 1 << 20)
        return data.count(b"/HasCollection") == 600

    until("all 600 lines", read)
    os.close(reader)
    assert all(json.loads(line) for line in data.splitlines()[:-1])
    assert gateway.attest()["auditDropped"] == 0


class TestNames:
    """Milvus is found by name, before and after it has one."""

    @pytest.fixture
    def names(self) -> Iterator[NameServer]:
        server = NameServer()
        yield server
        server.close()

    def test_it_starts_without_milvus_and_follows_its_address(
        self, make_gateway: Make, pki: Pki, names: NameServer
    ) -> None:
        here = FakeMilvus(PASSWORDS).start(pair=pki.milvus, client_ca=pki.internal.pem)
        there = FakeMilvus(PASSWORDS, "127.0.0.2", here.grpc_port, here.rest_port, here.ops_port)
        there.start(pair=pki.milvus, client_ca=pki.internal.pem)
        try:
            gateway = make_gateway(here, milvus_host="milvus.somewhere.invalid", nameservers=(names.where,))
            gateway.start(wait=False)
            gateway.wait_in_force(gateway.mount(), seconds=40)
            assert (gateway.ops("/livez"), gateway.ops("/readyz")) == (200, 503)
            assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 503
            names.address = "127.0.0.1"
            until("ready once the name exists", lambda: gateway.ops("/readyz") == 200)
            with gateway.channel() as channel:
                assert ask(channel, basic(KEY)) == "OK"
                assert not there.calls
                names.address = "127.0.0.2"
                here.stop()
                until("calls follow", lambda: ask(channel, basic(KEY)) == "OK")
                assert there.calls
        finally:
            here.stop()
            there.stop()

    def test_a_reload_without_name_server_keeps_the_address(self, make_gateway: Make, names: NameServer) -> None:
        names.address = "127.0.0.1"
        gateway = make_gateway(milvus_host="milvus.somewhere.invalid", nameservers=(names.where,)).start()
        names.silent = True
        with load(gateway) as seen:
            gateway.wait_in_force(gateway.change(limits=limits(gateway, 1)), seconds=40)
        assert set(seen) == {"OK"}, seen


class TestUpstream:
    """Milvus must prove itself to the door."""

    def test_another_authority_is_not_milvus(self, make_gateway: Make, pki: Pki) -> None:
        impostor = FakeMilvus(PASSWORDS).start(
            pair=pki.evil.issue("milvus", dns=("milvus",)), client_ca=pki.internal.pem
        )
        try:
            gateway = make_gateway(impostor).start(wait=False)
            gateway.wait_in_force(gateway.mount())
            assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 503
            assert not impostor.calls
        finally:
            impostor.stop()

    def test_another_name_is_not_milvus(self, make_gateway: Make, pki: Pki) -> None:
        other = FakeMilvus(PASSWORDS).start(
            pair=pki.internal.issue("other", dns=("other",)), client_ca=pki.internal.pem
        )
        try:
            gateway = make_gateway(other).start(wait=False)
            gateway.wait_in_force(gateway.mount())
            assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 503
            assert not other.calls
        finally:
            other.stop()

    def test_milvus_gone_and_back(self, make_gateway: Make, pki: Pki) -> None:
        first = FakeMilvus(PASSWORDS).start(pair=pki.milvus, client_ca=pki.internal.pem)
        gateway = make_gateway(first).start()
        first.stop()
        with gateway.channel() as channel:
            assert ask(channel, basic(KEY)).startswith("UNAVAILABLE")
            until("not ready", lambda: gateway.ops("/readyz") == 503)
            again = FakeMilvus(PASSWORDS, grpc_port=first.grpc_port, rest_port=first.rest_port, ops_port=first.ops_port)
            again.start(pair=pki.milvus, client_ca=pki.internal.pem)
            try:
                until("calls work again", lambda: ask(channel, basic(KEY)) == "OK")
                until("ready again", lambda: gateway.ops("/readyz") == 200)
            finally:
                again.stop()


def test_big_calls_pass(make_gateway: Make) -> None:
    gateway = make_gateway().start()
    request = milvus_pb2.InsertRequest(collection_name="x" * (20 * 1024 * 1024))
    with gateway.channel() as channel:
        reply = milvus_pb2_grpc.MilvusServiceStub(channel).Insert(request, metadata=[basic(KEY)], timeout=60)
    assert reply.insert_cnt == request.ByteSize()


def test_ipv6_clients_come_in_where_there_is_ipv6(make_gateway: Make) -> None:
    gateway = make_gateway().start()
    if ipv6_available():
        assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")], source="::1")[0] == 200
        assert gateway.line(client_ip="::1")
    else:
        assert gateway.rest(headers=[("Authorization", f"Bearer {KEY}")])[0] == 200


def test_defaults_are_the_products(pki: Pki) -> None:
    """The rig's own ports and limits are the only difference from what runs in a pod."""
    plain = DoorConfig(cluster_id="in01-0", milvus_host="milvus.x.svc.cluster.local")
    assert (plain.allow, plain.load_balancers, plain.workloads_listed, plain.min_tls) == ((), (), False, "1.2")
