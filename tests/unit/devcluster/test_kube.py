"""The small API client: refusals carry the server's words, outages are OSErrors, watches end in errors that say so."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tools.devcluster.kube import ApiError, Kube
from tools.devcluster.pki import Authority, Leaf


class Server(BaseHTTPRequestHandler):
    """A few canned answers."""

    def log_message(self, *_arguments: object) -> None:
        return

    def do_GET(self) -> None:
        if self.path == "/missing":
            self._answer(404, json.dumps({"message": 'pods "x" not found'}))
        elif self.path == "/broken":
            self._answer(502, "<html>bad gateway</html>")
        elif self.path.startswith("/watch"):
            good = {"type": "ADDED", "object": {"metadata": {"resourceVersion": "2"}}}
            bad = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
            self._answer(200, json.dumps(good) + "\n" + json.dumps(bad) + "\n")
        elif self.path == "/dies":
            self.connection.close()
        else:
            self._answer(200, json.dumps({"path": self.path}))

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(
            200, json.dumps({"path": self.path, "type": self.headers["Content-Type"], "body": json.loads(body)})
        )

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Kube]:
    authority = Authority(directory=tmp_path, name="ca").ensure()
    leaf = Leaf(name="both", common_name="both", addresses=(IPv4Address("127.0.0.1"),), server=True, client=True)
    certificate, key = authority.issue(leaf)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate_file))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Kube(
        host="127.0.0.1",
        port=server.server_port,
        authority=authority.certificate_file,
        certificate=certificate,
        key=key,
    )
    server.shutdown()
    server.server_close()


def test_refusals_carry_status_and_message(api: Kube) -> None:
    with pytest.raises(ApiError, match='404: pods "x" not found') as caught:
        api.request("GET", "/missing")
    assert caught.value.status == 404
    with pytest.raises(ApiError, match="502: <html>"):
        api.request("GET", "/broken")


def test_absence_is_an_answer(api: Kube) -> None:
    assert api.find("/missing") is None
    assert api.find("/there") == {"path": "/there"}


def test_apply_is_server_side_with_our_name(api: Kube) -> None:
    manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "a", "name": "b"}}
    answer = api.apply(manifest)
    assert answer["path"] == "/api/v1/namespaces/a/secrets/b?fieldManager=devcluster&force=true"
    assert answer["type"] == "application/apply-patch+yaml"
    assert answer["body"] == manifest


def test_a_watch_yields_events_and_raises_the_servers_error(api: Kube) -> None:
    events = api.watch("/watch", resource_version="1")
    assert next(events)["type"] == "ADDED"
    with pytest.raises(ApiError, match="410: too old"):
        next(events)


def test_a_cut_connection_and_a_closed_port_are_outages(api: Kube) -> None:
    with pytest.raises(OSError, match="dies"):
        api.request("GET", "/dies")
    nobody = Kube(host="127.0.0.1", port=1, authority=api.authority, certificate=api.certificate, key=api.key)
    with pytest.raises(OSError, match="refused"):
        nobody.request("GET", "/")
