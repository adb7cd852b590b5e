"""What the door speaks: TLS 1.2 or later, AES-256 only, the mounted certificate, no resumed session."""

import hashlib
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.pki import Pair, Pki
from tests.gateway.rig import KEY, Gateway

V = ssl.TLSVersion
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # Old versions are the point here.


def client(gateway: Gateway, *, low: V, high: V, ciphers: str = "ALL:@SECLEVEL=0") -> ssl.SSLContext:
    context = gateway.context()
    context.minimum_version, context.maximum_version = low, high
    context.set_ciphers(ciphers)
    return context


def permissive_server(pair: Pair) -> tuple[int, Callable[[], None]]:
    """A server that takes anything, to show that the client really can."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = V.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    listener = socket.create_server(("127.0.0.1", 0))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "pair.pem")
        path.write_text(pair.cert + pair.key)
        context.load_cert_chain(path)

    def serve() -> None:
        try:
            while True:
                link, _ = listener.accept()
                try:
                    context.wrap_socket(link, server_side=True).close()
                except OSError:
                    link.close()
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], listener.close


def handshake(port: int, context: ssl.SSLContext) -> tuple[str, str]:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with plain, context.wrap_socket(plain, server_hostname="door.test") as link:
        cipher = link.cipher()
        assert cipher
        return link.version() or "", cipher[0]


@pytest.mark.parametrize("version", [V.TLSv1, V.TLSv1_1])
def test_old_versions_are_refused(gateway: Gateway, version: V) -> None:
    context = client(gateway, low=version, high=version)
    port, close = permissive_server(gateway.pki.door)
    try:
        assert handshake(port, context)[0] == {V.TLSv1: "TLSv1", V.TLSv1_1: "TLSv1.1"}[version]
    finally:
        close()
    with pytest.raises(ssl.SSLError):
        handshake(gateway.port, context)


@pytest.mark.parametrize(
    "ciphers", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES256-SHA"]
)
def test_other_suites_of_tls12_are_refused(gateway: Gateway, ciphers: str) -> None:
    context = client(gateway, low=V.TLSv1_2, high=V.TLSv1_2, ciphers=ciphers + ":@SECLEVEL=0")
    port, close = permissive_server(gateway.pki.door)
    try:
        assert handshake(port, context)[1] == ciphers
    finally:
        close()
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure"):
        handshake(gateway.port, context)


def test_tls12_speaks_aes256_with_forward_secrecy(gateway: Gateway) -> None:
    context = client(gateway, low=V.TLSv1_2, high=V.TLSv1_2)
    assert handshake(gateway.port, context) == ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"])
def test_other_suites_of_tls13_are_refused(gateway: Gateway, suite: str) -> None:
    assert "Cipher is (NONE)" in _openssl(gateway, suite) or "handshake failure" in _openssl(gateway, suite)


def test_tls13_speaks_aes256_even_to_a_client_that_prefers_less(gateway: Gateway) -> None:
    said = _openssl(gateway, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384")
    assert "Cipher is TLS_AES_256_GCM_SHA384" in said


def _openssl(gateway: Gateway, suites: str) -> str:
    """Python cannot choose TLS 1.3 suites; openssl can."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_3", "-ciphersuites", suites]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=20)
    return (done.stdout + done.stderr).decode(errors="replace")


def test_it_serves_the_mounted_certificate_and_attests_it(gateway: Gateway) -> None:
    assert gateway.served() == gateway.pki.door.der
    assert gateway.attest()["certificate"] == hashlib.sha256(gateway.pki.door.der).hexdigest()


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
def test_no_session_is_resumed(gateway: Gateway, version: V) -> None:
    context = client(gateway, low=version, high=version)
    session = None
    for _ in range(2):
        plain = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
        with plain, context.wrap_socket(plain, server_hostname="door.test", session=session) as link:
            link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while link.recv(4096):
                pass
            session = link.session
            assert link.session_reused is False


def test_plain_http_gets_nothing(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as plain:
        plain.sendall(b"GET /v1/vector/collections HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not plain.recv(100)


def test_minimum_version_1_3(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(min_tls="1.3").start()
    with pytest.raises(ssl.SSLError):
        handshake(gateway.port, client(gateway, low=V.TLSv1_2, high=V.TLSv1_2))
    assert handshake(gateway.port, client(gateway, low=V.TLSv1_2, high=V.TLSv1_3))[0] == "TLSv1.3"


@pytest.fixture(scope="module")
def mutual(pki: Pki, milvus: FakeMilvus) -> Iterator[Gateway]:
    mine = hashlib.sha256(pki.operator.der).hexdigest()
    one = Gateway(pki, milvus, client_ca_pem=pki.users.pem, operator_certificates=(mine,))
    try:
        yield one.start()
    finally:
        one.stop()


class TestClientCertificates:
    """Mutual TLS towards clients."""

    def test_without_a_certificate_there_is_no_connection(self, mutual: Gateway) -> None:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            mutual.rest(headers=[("Authorization", f"Bearer {KEY}")])

    def test_a_foreign_certificate_is_refused(self, mutual: Gateway) -> None:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            mutual.rest(headers=[("Authorization", f"Bearer {KEY}")], client=mutual.pki.evil.issue("someone"))

    def test_a_certificate_of_the_users_authority_is_accepted_and_named(self, mutual: Gateway) -> None:
        status, _ = mutual.rest(headers=[("Authorization", f"Bearer {KEY}")], client=mutual.pki.users.issue("app-7"))
        assert status == 200
        assert mutual.line(client_cert="app-7")["decision"] == "allowed"

    def test_the_users_authority_cannot_make_an_operator(self, mutual: Gateway) -> None:
        forged = mutual.pki.users.issue("zilliz-operator")
        assert mutual.rest("/.zilliz/attest", client=forged)[0] == 404
        assert mutual.attest()["haproxy"] == "running"
