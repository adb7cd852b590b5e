"""An issuer asked over real https: what it may do to us, and what it may not."""

import asyncio
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway.pki import Authority
from zilliz_operator.adapters.jwks import MAX_BYTES, HttpsSigningKeys, forbidden
from zilliz_operator.api.exceptions import Unavailable

KEYS = b'{"keys": []}'


class Issuer:
    """https on loopback; every path answers as it is named."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority("issuer-ca")
        pair = self.authority.issue("issuer", dns=("localhost",))
        path = directory / "issuer.pem"
        path.write_text(pair.cert + pair.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self.asked: list[str] = []
        self.silence = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def url(self, path: str, host: str = "localhost") -> str:
        return f"https://{host}:{self._server.server_address[1]}{path}"

    def stop(self) -> None:
        self.silence.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(issuer: Issuer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            if self.path == "/silent":
                issuer.silence.wait(30)
                return
            target = {
                "/moved": "/keys",
                "/loop": "/loop",
                "/away": "https://127.0.0.1:1/keys",
                "/plain": "http://localhost/",
            }
            location = target.get(self.path)
            self.send_response(302 if location else 500 if self.path == "/broken" else 200)
            if location:
                self.send_header("location", location)
            self.end_headers()
            self.wfile.write(b"x" * (MAX_BYTES + 1) if self.path == "/huge" else KEYS)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    one = Issuer(tmp_path_factory.mktemp("issuer"))
    yield one
    one.stop()


def read(issuer: Issuer, url: str, *, ca: str | None = None, refused: Callable[[str], bool] = lambda _: False) -> bytes:
    reader = HttpsSigningKeys(refused=refused, seconds=2.0)
    return asyncio.run(reader.read(url, ca_pem=issuer.authority.pem if ca is None else ca))


def test_it_reads_what_is_there(issuer: Issuer) -> None:
    assert read(issuer, issuer.url("/keys")) == KEYS
    assert read(issuer, issuer.url("/moved")) == KEYS, "a redirect on the same host is followed"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/broken", "status 500"),
        ("/huge", "more than 256 KiB"),
        ("/loop", "redirects more than"),
        ("/away", "redirects to another host"),
        ("/plain", "redirects to another host"),
        ("/silent", "did not answer in time"),
    ],
)
def test_it_says_what_is_wrong_in_words_that_stay_the_same(issuer: Issuer, path: str, why: str) -> None:
    said = set()
    for _ in range(1 if path == "/silent" else 2):
        with pytest.raises(Unavailable, match=why) as error:
            read(issuer, issuer.url(path))
        said.add(str(error.value))
    assert len(said) == 1 and "issuer localhost" in said.pop()


def test_a_certificate_of_nobody_known_is_refused(issuer: Issuer) -> None:
    with pytest.raises(Unavailable, match="not trusted"):
        read(issuer, issuer.url("/keys"), ca=Authority("another").pem)
    with pytest.raises(Unavailable, match="no certificate in PEM"):
        read(issuer, issuer.url("/keys"), ca="garbage")


def test_this_machine_and_the_link_are_not_asked(issuer: Issuer) -> None:
    before = len(issuer.asked)
    for host in ("localhost", "127.0.0.1"):
        with pytest.raises(Unavailable, match="this machine or the link"):
            read(issuer, issuer.url("/keys", host), refused=forbidden)
    assert len(issuer.asked) == before


def test_nobody_there(issuer: Issuer) -> None:
    with pytest.raises(Unavailable, match="refuses the connection"):
        read(issuer, "https://localhost:1/keys")


def test_which_addresses_are_nobodys_issuer() -> None:
    inside = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "169.254.169.254",
        "fe80::1%eth0",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "::ffff:127.0.0.1",
    ]
    assert all(map(forbidden, inside))
    assert not any(map(forbidden, ["10.1.2.3", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.1"]))
