"""The agent's answers on loopback. HAProxy lets the operator reach them, and monitoring the metrics alone."""

import json
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from zilliz_operator.agent.events import event

Answer = Callable[[], Mapping[str, Any]]


def server(*, port: int, attest: Answer, metrics: Callable[[], str]) -> ThreadingHTTPServer:
    """An HTTP server for `/.zilliz/attest`, `/metrics/agent` and `/healthz`, bound to loopback."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        protocol_version = "HTTP/1.1"
        server_version = "zilliz-agent"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path == "/.zilliz/attest":
                self._answer(HTTPStatus.OK, attest())
            elif self.path == "/metrics/agent":
                self._send(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", metrics().encode())
            elif self.path in ("/healthz", "/.zilliz/healthz"):
                self._answer(HTTPStatus.OK, {"status": "ok"})
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"message": "not found"})

        def _answer(self, status: HTTPStatus, content: Mapping[str, Any]) -> None:
            self._send(status, "application/json", json.dumps(content).encode() + b"\n")

        def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header("cache-control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """HAProxy has written the audit line already."""

    return _Server(("127.0.0.1", port), Handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is HAProxy's business; anything else is told in one line."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            event("attest-failed", level="error", message=repr(error))
