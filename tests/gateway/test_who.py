"""Who comes in, as whom, and what they are told otherwise."""

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from pymilvus import MilvusClient, MilvusException

from tests.gateway.fakemilvus import FORBIDDEN, METRICS, FakeMilvus
from tests.gateway.pki import Pki
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

JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln"


def bearer(token: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {token}")]


REFUSED = [
    ("", "no_token", "UNAUTHENTICATED", 401),
    (OTHER_KEY, "unknown_key", "UNAUTHENTICATED", 401),
    (EXPIRED_KEY, "expired_key", "UNAUTHENTICATED", 401),
    (JWT, "sso_not_configured", "UNAUTHENTICATED", 401),
    ("root:" + PASSWORDS["root"], "user_not_from_outside", "PERMISSION_DENIED", 403),
    ("ROOT:" + PASSWORDS["root"], "user_not_from_outside", "PERMISSION_DENIED", 403),
    ("zt_viewer:" + PASSWORDS["zt_viewer"], "user_not_from_outside", "PERMISSION_DENIED", 403),
]


@pytest.mark.parametrize(("token", "reason", "code", "status"), REFUSED)
def test_refusals_have_a_reason_in_grpc_and_rest(
    gateway: Gateway, milvus: FakeMilvus, token: str, reason: str, code: str, status: int
) -> None:
    reached = len(milvus.calls)
    with gateway.channel() as channel:
        assert ask(channel, *([basic(token)] if token else [])).startswith(f"{code}: gateway: {reason}")
    said, body = gateway.rest(headers=bearer(token) if token else [])
    assert (said, json.loads(body)["code"]) == (status, status)
    assert reason in json.loads(body)["message"]
    assert len(milvus.calls) == reached, "a refused call reached Milvus"


def test_a_key_becomes_its_technical_user(gateway: Gateway, milvus: FakeMilvus) -> None:
    with gateway.channel() as channel:
        assert ask(channel, basic(KEY)) == "OK"
    assert milvus.last("HasCollection").headers["authorization"] == basic(f"zt_viewer:{PASSWORDS['zt_viewer']}")[1]
    assert gateway.rest(headers=bearer(KEY))[0] == 200
    assert gateway.line(auth="api_key", key_id="team/ingest", milvus_user="zt_viewer", decision="allowed", proto="h1")


def test_a_persons_password_is_for_milvus_to_judge(gateway: Gateway, milvus: FakeMilvus) -> None:
    with gateway.channel() as channel:
        assert ask(channel, basic(f"alice:{PASSWORDS['alice']}")) == "OK"
        assert ask(channel, basic("alice:wrong")).startswith("UNAUTHENTICATED: auth check failure")
    assert gateway.rest(headers=bearer(f"alice:{PASSWORDS['alice']}"))[0] == 200
    assert gateway.rest(headers=[("Authorization", "Basic " + basic(f"alice:{PASSWORDS['alice']}")[1])])[0] == 200
    assert gateway.rest(headers=bearer("alice:wrong"))[0] == 401
    assert gateway.line(subject="alice", decision="denied", reason="milvus_unauthenticated", proto="h1")


def test_two_authorization_headers_are_refused(gateway: Gateway, milvus: FakeMilvus) -> None:
    reached = len(milvus.calls)
    with gateway.channel() as channel:
        said = ask(channel, basic(KEY), basic(f"alice:{PASSWORDS['alice']}"))
    assert said.startswith("UNAUTHENTICATED: gateway: bad_authorization")
    assert gateway.rest(headers=[*bearer(KEY), *bearer("x")])[0] == 401
    assert len(milvus.calls) == reached


def test_headers_are_an_allow_list(gateway: Gateway, milvus: FakeMilvus) -> None:
    with gateway.channel() as channel:
        assert (
            ask(
                channel,
                basic(KEY),
                ("sourceid", basic("@@milvus-member@@")[1]),
                ("x-anything", "1"),
                ("dbname", "sales"),
            )
            == "OK"
        )
    headers = milvus.last("HasCollection").headers
    assert "sourceid" not in headers and "x-anything" not in headers
    assert headers["dbname"] == "sales"
    with gateway.channel() as channel:
        said = ask(channel, ("sourceid", basic("@@milvus-member@@")[1]), basic("root:x"))
    assert said.startswith("PERMISSION_DENIED: gateway: user_not_from_outside")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/debug/pprof/",
        "/v1/vector/../../debug/pprof",
        "/v1/vector/%2e%2e/x",
        "/metrics",
        "/.zilliz/attest",
        "/api/v1/credential",
    ],
)
def test_other_paths_do_not_exist(gateway: Gateway, milvus: FakeMilvus, path: str) -> None:
    reached = len(milvus.calls)
    status, body = gateway.rest(path, headers=bearer(KEY))
    assert (status, "bad_path" in body) == (404, True)
    assert len(milvus.calls) == reached


def test_internal_grpc_services_do_not_exist(gateway: Gateway, milvus: FakeMilvus) -> None:
    reached = len(milvus.calls)
    with gateway.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/milvus.proto.proxy.Proxy/InvalidateCollectionMetaCache")(
            b"", metadata=[basic(KEY)], timeout=10
        )
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert len(milvus.calls) == reached


class TestOperator:
    """The operator's certificate, and everything that merely looks like it."""

    def test_root_and_technical_users_are_accepted(self, gateway: Gateway) -> None:
        with gateway.channel(client=gateway.pki.operator) as channel:
            assert ask(channel, basic(f"root:{PASSWORDS['root']}")) == "OK"
            assert ask(channel, basic(f"zt_admin:{PASSWORDS['zt_admin']}")) == "OK"
            assert ask(channel, basic("root:wrong")).startswith("UNAUTHENTICATED: auth check")
            assert ask(channel).startswith("UNAUTHENTICATED: gateway: no_token")
        assert gateway.line(via="operator", client_cert="zilliz-operator", reason="no_token")

    def test_it_may_come_from_any_address(self, gateway: Gateway) -> None:
        assert (
            gateway.rest(headers=bearer(f"root:{PASSWORDS['root']}"), client=gateway.pki.operator, source="127.9.9.9")[
                0
            ]
            == 200
        )

    def test_attestation_is_for_the_operator_alone(self, gateway: Gateway) -> None:
        assert gateway.attest()["haproxy"] == "running"
        assert gateway.rest("/.zilliz/attest")[0] == 404
        assert gateway.rest("/.zilliz/attest", method="POST", client=gateway.pki.operator)[0] == 404
        assert gateway.rest("/.zilliz/../attest", client=gateway.pki.operator)[0] == 404

    @pytest.mark.parametrize(
        "forgery", ["same-name-other-authority", "expired", "not-yet", "other-name", "internal-ca"]
    )
    def test_forgeries_count_as_no_certificate(self, gateway: Gateway, forgery: str) -> None:
        pki = gateway.pki
        pair = {
            "same-name-other-authority": lambda: pki.evil.issue("zilliz-operator"),
            "expired": lambda: pki.operator_ca.issue("zilliz-operator", days=(-10, -1)),
            "not-yet": lambda: pki.operator_ca.issue("zilliz-operator", days=(1, 10)),
            "other-name": lambda: pki.operator_ca.issue("zilliz-operator2"),
            "internal-ca": lambda: pki.internal.issue("zilliz-operator"),
        }[forgery]()
        assert gateway.rest("/.zilliz/attest", client=pair)[0] == 404
        assert gateway.rest(headers=bearer(f"root:{PASSWORDS['root']}"), client=pair)[0] == 403
        assert gateway.rest(headers=bearer(KEY), client=pair)[0] == 200, (
            "a client with some other certificate is still a client"
        )
        assert gateway.rest(headers=bearer(KEY), client=pair, source="127.9.9.9")[0] == 403


@pytest.fixture(scope="module")
def listed(pki: Pki, milvus: FakeMilvus) -> Iterator[Gateway]:
    allow = ("127.0.0.0/30", "203.0.113.0/24", "2001:db8::/32")
    one = Gateway(pki, milvus, allow=allow, load_balancers=("127.0.5.0/24",))
    try:
        yield one.start()
    finally:
        one.stop()


class TestAddresses:
    """The allowlist, and load balancers that speak for clients."""

    def test_listed_addresses_come_in(self, listed: Gateway) -> None:
        assert listed.rest(headers=bearer(KEY), source="127.0.0.3")[0] == 200

    def test_others_learn_nothing_about_their_token(self, listed: Gateway) -> None:
        for headers in ([], bearer(KEY), bearer(OTHER_KEY)):
            status, body = listed.rest(headers=headers, source="127.0.0.4")
            assert (status, "ip_not_allowed" in body) == (403, True)
        assert listed.line(client_ip="127.0.0.4", decision="denied", reason="ip_not_allowed", subject="-")

    @pytest.mark.parametrize(
        ("client", "status"), [("203.0.113.9", 200), ("198.51.100.1", 403), ("2001:db8::9", 200), ("2001:dead::1", 403)]
    )
    def test_a_load_balancer_speaks_for_its_client(self, listed: Gateway, client: str, status: int) -> None:
        assert listed.rest(headers=bearer(KEY), source="127.0.5.9", before=proxy_header(client))[0] == status
        assert listed.line(client_ip=client, lb_ip="127.0.5.9")

    def test_a_load_balancer_must_say_for_whom(self, listed: Gateway) -> None:
        with pytest.raises(OSError):
            listed.rest(headers=bearer(KEY), source="127.0.5.9")

    @pytest.mark.parametrize("source", ["127.0.0.4", "127.0.0.2"])
    @pytest.mark.parametrize("version", [1, 2])
    def test_nobody_else_may_speak_for_another(self, listed: Gateway, source: str, version: int) -> None:
        """Neither a stranger for a listed address, nor a listed one."""
        header = proxy_header("203.0.113.9") if version == 2 else b"PROXY TCP4 203.0.113.9 192.0.2.1 4242 19530\r\n"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            listed.rest(headers=bearer(KEY), source=source, before=header)
        assert until("a line of the refused connection", lambda: refused_connections(listed, source))

    def test_a_load_balancers_own_address_is_no_clients(self, listed: Gateway) -> None:
        """Health checks come with a header that speaks for nobody; then the balancer itself is judged, and it is on no list."""
        assert listed.rest(headers=bearer(KEY), source="127.0.5.9", before=LOCAL)[0] == 403
        assert listed.rest(headers=bearer(KEY), source="127.0.5.9", before=proxy_header("127.0.5.9"))[0] == 403

    def test_a_header_within_a_header_is_not_believed(self, listed: Gateway) -> None:
        """What a client sends through the balancer is its own bytes, and must be TLS."""
        twice = proxy_header("198.51.100.1") + proxy_header("203.0.113.9")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            listed.rest(headers=bearer(KEY), source="127.0.5.9", before=twice)

    @pytest.mark.parametrize("damage", [slice(0, 15), slice(1, None)])
    def test_half_a_header_is_no_header(self, listed: Gateway, damage: slice) -> None:
        with pytest.raises(OSError):
            listed.rest(headers=bearer(KEY), source="127.0.5.9", before=proxy_header("203.0.113.9")[damage])

    def test_without_load_balancers_nobody_is_believed(self, make_gateway: Callable[..., Gateway]) -> None:
        plain = make_gateway(allow=("203.0.113.0/24",), load_balancers=()).start()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            plain.rest(headers=bearer(KEY), source="127.0.5.9", before=proxy_header("203.0.113.9"))
        assert plain.rest(headers=bearer(KEY), source="127.0.5.9")[0] == 403

    def test_an_empty_list_admits_nobody(self, make_gateway: Callable[..., Gateway]) -> None:
        closed = make_gateway(allow=(), pods=("127.0.0.0/8",)).start()
        assert closed.rest(headers=bearer(KEY))[0] == 403
        closed.wait_in_force(closed.change(workloads_listed=True))
        assert closed.rest(headers=bearer(KEY))[0] == 200
        closed.wait_in_force(closed.change(workloads_listed=False))
        assert closed.rest(headers=bearer(KEY))[0] == 403


LOCAL = b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20, 0x00, 0x00, 0x00])
"""PROXY protocol version 2, on the sender's own behalf."""


def refused_connections(gateway: Gateway, source: str) -> list[dict[str, Any]]:
    return [line for line in gateway.audit(kind="connection") if line["client_ip"] == source]


class TestPymilvus:
    """The unmodified client."""

    def connect(self, gateway: Gateway, token: str) -> MilvusClient:
        ca = gateway.home / "ca.crt"
        ca.write_text(gateway.pki.public.pem)
        return MilvusClient(
            uri=f"https://localhost:{gateway.port}", token=token, server_pem_path=str(ca), timeout=10, dedicated=True
        )

    def test_a_key_works(self, gateway: Gateway) -> None:
        client = self.connect(gateway, KEY)
        assert client.list_collections() == ["docs"]
        client.close()

    @pytest.mark.parametrize("token", ["", OTHER_KEY, EXPIRED_KEY, f"root:{PASSWORDS['root']}", "alice:wrong"])
    def test_others_are_refused(self, gateway: Gateway, token: str) -> None:
        with pytest.raises(MilvusException):
            self.connect(gateway, token).list_collections()


class TestAudit:
    """Every request leaves one true line."""

    def test_hostile_text_cannot_forge_or_break_a_line(self, gateway: Gateway) -> None:
        hostile = '","decision":"allowed","x":"\\\t\u2028' + '"' * 300
        before = len(gateway.audit())
        with gateway.channel() as channel:
            ask(
                channel,
                basic("alice:x"),
                ("dbname", '","decision":"allowed' + '"\\' * 200),
                ("client-request-id", '"' * 300),
            )
        headers = [("User-Agent", hostile), ("dbname", hostile), ("client-request-id", hostile)]
        path = "/v1/vector/" + "a%22" * 2000
        with gateway.tls() as link:
            lines = [f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *(f"{k}: {v}" for k, v in headers)]
            link.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            assert link.recv(100)
        lines = until("two more lines", lambda: new if len(new := gateway.audit()[before:]) >= 2 else None)
        assert [line["decision"] for line in lines] == ["denied", "denied"]
        assert max(map(len, gateway.stdout.read_bytes().splitlines())) < 4096

    def test_connections_that_never_become_requests_leave_a_line(self, gateway: Gateway) -> None:
        context = gateway.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises(ssl.SSLError):
            gateway.rest(context=context, source="127.0.0.77")

        def line() -> dict[str, object] | None:
            return next((one for one in gateway.audit(kind="connection") if one["client_ip"] == "127.0.0.77"), None)

        assert until("a line for the broken handshake", line)["decision"] == "denied"

    def test_no_secret_is_written_anywhere(self, gateway: Gateway) -> None:
        gateway.rest(headers=bearer(KEY))
        gateway.rest(headers=bearer(f"alice:{PASSWORDS['alice']}"))
        written = gateway.stdout.read_text() + gateway.stderr.read_text()
        commands = "".join(gateway_command for gateway_command in gateway.commands())
        config = "".join(path.read_text() for path in (gateway.mounts / "config").iterdir() if path.is_file())
        assert len(written) > 1000 and len(commands) > 100
        for secret in (KEY, basic(KEY)[1], *PASSWORDS.values()):
            assert secret not in written
            assert secret not in commands
            assert secret not in config


def test_metrics_pass_one_request_and_no_other(gateway: Gateway, milvus: FakeMilvus) -> None:
    port = gateway.config.ports.metrics
    assert plain_http(port, "/metrics") == (200, METRICS)
    assert plain_http(port, "/metrics?name=x", extra="Authorization: Bearer x\r\nX-Evil: 1\r\n") == (200, METRICS)
    last = milvus.last("/metrics")
    assert last.method == "ops /metrics" and not {"authorization", "x-evil"} & set(last.headers)
    assert "haproxy_process_" in plain_http(port, "/metrics/gateway")[1]
    reached = len(milvus.calls)
    tries = [
        ("GET", "/api/v1/collections", "", ""),
        ("GET", "/metrics/", "", ""),
        ("GET", "/metrics/../api/v1/credential/users", "", ""),
        ("GET", "/expr?auth=x&code=1", "", ""),
        ("POST", "/metrics", "Content-Length: 2\r\n", "{}"),
        ("DELETE", "/metrics", "", ""),
        ("GET", "/metrics", "Content-Length: 2\r\n", "{}"),
        ("GET", "/metrics", "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ]
    for method, path, extra, body in tries:
        status, said = plain_http(port, path, method=method, extra=extra, body=body)
        assert status in (400, 404), (method, path, status)
        assert FORBIDDEN not in said
    assert len(milvus.calls) == reached


def test_ops_port_answers_the_kubelet_only(gateway: Gateway) -> None:
    port = gateway.config.ports.ops
    assert [plain_http(port, path)[0] for path in ("/livez", "/readyz", "/metrics", "/.zilliz/attest")] == [
        200,
        200,
        404,
        404,
    ]
