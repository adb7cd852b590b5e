"""The handwritten first message against servers that would take it: a refusal must be the server's, never our own
doing."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from zilliz_operator.adapters import client_hello as hello
from zilliz_operator.adapters.client_hello import Verdict

V = ssl.TLSVersion
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # old versions are the point here

MakeServer = Callable[..., tuple[str, int]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server.test")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    certificate = (
        builder.serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("pair") / "pair.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def server(pair: Path) -> Iterator[MakeServer]:
    listeners: list[socket.socket] = []

    def make(*, low: V, high: V, ciphers: str = "ALL:@SECLEVEL=0") -> tuple[str, int]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = low, high
        context.set_ciphers(ciphers)
        context.load_cert_chain(pair)
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(link, server_side=True).close()
                except OSError:
                    link.close()

        threading.Thread(target=serve, daemon=True).start()
        return "127.0.0.1", listener.getsockname()[1]

    yield make
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def ask(address: tuple[str, int], version: int, ciphers: tuple[int, ...]) -> hello.Reply:
    return hello.offer(address, server_name="server.test", version=version, ciphers=ciphers, timeout=5)


@pytest.mark.parametrize("old", [V.TLSv1, V.TLSv1_1])
def test_a_server_that_still_speaks_old_tls_is_found(server: MakeServer, old: V) -> None:
    address = server(low=old, high=old)
    assert ask(address, hello.TLS11, hello.OLD).verdict is Verdict.ACCEPTED


def test_a_server_that_takes_weak_ciphers_is_found(server: MakeServer) -> None:
    address = server(low=V.TLSv1_2, high=V.TLSv1_2, ciphers="ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
    assert ask(address, hello.TLS12, hello.WEAK_12).verdict is Verdict.ACCEPTED
    address = server(low=V.TLSv1_3, high=V.TLSv1_3)
    assert ask(address, hello.TLS13, hello.WEAK_13).verdict is Verdict.ACCEPTED
    assert ask(address, hello.TLS13, hello.STRONG_13).verdict is Verdict.ACCEPTED


def test_a_refusal_is_the_servers_alert(server: MakeServer) -> None:
    address = server(low=V.TLSv1_2, high=V.TLSv1_3, ciphers="ECDHE-RSA-AES256-GCM-SHA384")
    assert ask(address, hello.TLS11, hello.OLD) == hello.Reply(Verdict.REFUSED, "alert protocol_version")
    assert ask(address, hello.TLS12, hello.WEAK_12) == hello.Reply(Verdict.REFUSED, "alert handshake_failure")


def raw_server(answer: bytes) -> tuple[socket.socket, tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        link, _ = listener.accept()
        with link:
            link.recv(4096)
            link.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener, ("127.0.0.1", listener.getsockname()[1])


def test_a_silent_close_refuses() -> None:
    listener, address = raw_server(b"")
    assert ask(address, hello.TLS13, hello.WEAK_13) == hello.Reply(Verdict.REFUSED, "connection closed")
    listener.close()


def test_what_is_not_tls_is_no_refusal() -> None:
    listener, address = raw_server(b"HTTP/1.1 400 Bad Request\r\n" + b" " * 30000)
    with pytest.raises(ConnectionError, match="not TLS"):
        ask(address, hello.TLS13, hello.WEAK_13)
    listener.close()


def test_nobody_there_is_no_refusal() -> None:
    with pytest.raises(ConnectionRefusedError):
        ask(("127.0.0.1", 9), hello.TLS13, hello.WEAK_13)
