"""A stand-in for Milvus behind the door: gRPC and REST under mutual TLS, and the open port that must never be
reached.

It checks users and passwords like the real one, and remembers every call with its headers, so that a test can say
what reached it.
"""

import base64
import binascii
import http.server
import json
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from pymilvus.grpc_gen import common_pb2, milvus_pb2, milvus_pb2_grpc

from tests.gateway.pki import Pair

METRICS = "milvus_up 1\n"
FORBIDDEN = "rows and users for anyone"


@dataclass
class Call:
    """One call that reached Milvus."""

    method: str
    headers: dict[str, str]


class _Servicer(milvus_pb2_grpc.MilvusServiceServicer):  # type: ignore[misc, no-any-unimported]
    def Connect(self, request: Any, context: Any) -> Any:
        return milvus_pb2.ConnectResponse(server_info=common_pb2.ServerInfo(build_tags="v2.3.5"), identifier=7)

    def GetVersion(self, request: Any, context: Any) -> Any:
        return milvus_pb2.GetVersionResponse(version="v2.3.5")

    def HasCollection(self, request: Any, context: Any) -> Any:
        return milvus_pb2.BoolResponse(value=True)

    def ListCredUsers(self, request: Any, context: Any) -> Any:
        return milvus_pb2.ListCredUsersResponse(usernames=["root"])

    def ShowCollections(self, request: Any, context: Any) -> Any:
        return milvus_pb2.ShowCollectionsResponse(collection_names=["docs"])

    def Insert(self, request: Any, context: Any) -> Any:
        return milvus_pb2.MutationResult(insert_cnt=request.ByteSize())


@dataclass
class FakeMilvus:
    """Start with `start()`, and always `stop()`."""

    users: Mapping[str, str]
    host: str = "127.0.0.1"
    grpc_port: int = 0
    rest_port: int = 0
    ops_port: int = 0
    calls: list[Call] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    """Calls wait while it is cleared."""
    _stops: list[Callable[[], object]] = field(default_factory=list)

    def start(self, *, pair: Pair, client_ca: str) -> "FakeMilvus":
        self.hold.set()
        server = grpc.server(
            futures.ThreadPoolExecutor(8),
            interceptors=[_Guard(self)],
            options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
        )
        milvus_pb2_grpc.add_MilvusServiceServicer_to_server(_Servicer(), server)
        tls = grpc.ssl_server_credentials(
            [(pair.key.encode(), pair.cert.encode())], client_ca.encode(), require_client_auth=True
        )
        self.grpc_port = server.add_secure_port(f"{self.host}:{self.grpc_port}", tls)
        server.start()
        self._stops.append(lambda: server.stop(0).wait(5))
        self.rest_port = self._http(_rest(self), self.rest_port, context=_server_context(pair, client_ca))
        self.ops_port = self._http(_ops(self), self.ops_port, context=None)
        return self

    def stop(self) -> None:
        self.hold.set()
        for stop in self._stops:
            stop()
        self._stops.clear()

    def judge(self, authorization: str) -> bool:
        user, _, password = authorization.partition(":")
        return user in self.users and self.users[user] == password

    def last(self, method: str) -> Call:
        return next(call for call in reversed(self.calls) if call.method.endswith(method))

    def _http(
        self, handler: type[http.server.BaseHTTPRequestHandler], port: int, *, context: ssl.SSLContext | None
    ) -> int:
        server = http.server.ThreadingHTTPServer((self.host, port), handler)
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._stops += [server.shutdown, server.server_close]
        return int(server.server_address[1])


class _Guard(grpc.ServerInterceptor):  # type: ignore[misc, no-any-unimported]
    """Milvus' own check of the password, before any method."""

    def __init__(self, milvus: FakeMilvus) -> None:
        self._milvus = milvus

    def intercept_service(self, continuation: Any, details: Any) -> Any:
        headers = {key: value if isinstance(value, str) else value.hex() for key, value in details.invocation_metadata}
        self._milvus.calls.append(Call(details.method, headers))
        self._milvus.hold.wait(30)
        try:
            said = base64.b64decode(headers.get("authorization", "")).decode()
        except (binascii.Error, UnicodeDecodeError):
            said = ""
        if self._milvus.judge(said):
            return continuation(details)

        def refuse(_request: Any, context: Any) -> Any:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure, please check username and password")

        return grpc.unary_unary_rpc_method_handler(refuse)


def _server_context(pair: Pair, client_ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "pair.pem")
        path.write_text(pair.cert + pair.key)
        context.load_cert_chain(path)
    return context


def _rest(milvus: FakeMilvus) -> type[http.server.BaseHTTPRequestHandler]:
    class Rest(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            milvus.calls.append(Call(self.path, {key.lower(): value for key, value in self.headers.items()}))
            said = (self.headers.get("authorization") or "").removeprefix("Bearer ")
            ok = milvus.judge(said)
            body = json.dumps({"code": 200, "data": ["docs"]} if ok else {"code": 1800}).encode()
            self.send_response(200 if ok else 401)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _serve

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Rest


def _ops(milvus: FakeMilvus) -> type[http.server.BaseHTTPRequestHandler]:
    class Ops(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            milvus.calls.append(Call("ops " + self.path, {key.lower(): value for key, value in self.headers.items()}))
            body = (METRICS if self.path == "/metrics" else FORBIDDEN).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Ops
