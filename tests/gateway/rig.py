"""A real gateway for tests: our agent as its first process, Debian's HAProxy, and mounts that change the way the
kubelet does it.
"""

import base64
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, TypeVar

import grpc
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.pki import Pair, Pki
from zilliz_operator.agent.runtime import Runtime
from zilliz_operator.desired.door import DoorConfig, DoorFiles, DoorKey, DoorLimits, DoorPorts, TechnicalUser, render

ROOT = Path(__file__).resolve().parents[2]
PASSWORDS = {
    "root": "Root-Pass-2026!",
    "alice": "Alice:Pw-2026!",
    "bob": "Bobs-Pw-2026!",
    "zt_viewer": "Tech-viewer-9d2c51aa77",
    "zt_admin": "Tech-admin-4b1fe0c3d8",
}
KEY = "zbk_" + "k" * 43
EXPIRED_KEY = "zbk_" + "e" * 43
OTHER_KEY = "zbk_" + "o" * 43
T = TypeVar("T")
GENEROUS = DoorLimits(failures_slowed=5000, failures_refused=5000, new_connections_per_10s=5000)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def until(what: str, look: Callable[[], T | None], *, seconds: float = 60.0) -> T:
    """Wait for a condition with a deadline; returns what `look` found."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


class Gateway:
    """One gateway process tree and its files."""

    def __init__(self, pki: Pki, milvus: FakeMilvus, *, silent_seconds: float = 60.0, **changes: Any) -> None:
        self.silent_seconds = silent_seconds
        self.pki = pki
        self.home = Path(tempfile.mkdtemp(prefix="gateway-test-"))
        self.mounts = self.home / "mounts"
        self.stdout = self.home / "stdout"
        self.stderr = self.home / "stderr"
        door, metrics, ops, agent = free_ports(4)
        ports = DoorPorts(
            door=door,
            metrics=metrics,
            ops=ops,
            agent=agent,
            milvus_grpc=milvus.grpc_port,
            milvus_rest=milvus.rest_port,
            milvus_ops=milvus.ops_port,
        )
        usual = DoorConfig(
            cluster_id="in01-test",
            milvus_host="127.0.0.1",
            allow=("127.0.0.0/24", "::1/128"),
            keys=(
                DoorKey(digest=digest(KEY), key_id="team/ingest", user="zt_viewer"),
                DoorKey(digest=digest(EXPIRED_KEY), key_id="team/old", user="zt_viewer", expires=1_700_000_000),
            ),
            technical_users=(
                TechnicalUser(name="zt_viewer", password=PASSWORDS["zt_viewer"]),
                TechnicalUser(name="zt_admin", password=PASSWORDS["zt_admin"]),
            ),
            limits=GENEROUS,
            ports=ports,
        )
        self.config = dataclasses.replace(usual, **changes)
        self.process: subprocess.Popen[bytes] | None = None

    # --- the kubelet's part
    def mount(self, config: DoorConfig | None = None, *, door: Pair | None = None) -> DoorFiles:
        """Write all mounts for a configuration and return what was rendered."""
        self.config = config or self.config
        files = render(self.config)
        self.swap("config", files.config)
        self.swap("maps", files.maps)
        if door is not None or not (self.mounts / "tls").exists():
            served = door or self.pki.door
            self.swap("tls", {"tls.crt": served.cert, "tls.key": served.key})
        if not (self.mounts / "client").exists():
            mine = self.pki.gateway
            self.swap("client", {"tls.crt": mine.cert, "tls.key": mine.key, "ca.crt": self.pki.internal.pem})
            self.swap("operator-ca", {"ca.crt": self.pki.operator_ca.pem})
        return files

    def swap(self, volume: str, files: Any) -> None:
        """As the kubelet does: a new timestamped directory, and `..data` pointed at it in one step."""
        directory = self.mounts / volume
        directory.mkdir(parents=True, exist_ok=True)
        fresh = directory / f"..{time.time_ns()}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        link = directory / "..data_tmp"
        link.symlink_to(fresh.name)
        old = (directory / "..data").resolve() if (directory / "..data").exists() else None
        link.replace(directory / "..data")
        for name in files:
            with contextlib.suppress(FileExistsError):
                (directory / name).symlink_to(f"..data/{name}")
        if old is not None:
            shutil.rmtree(old)

    def change(self, **changes: Any) -> DoorFiles:
        """Mount a changed configuration."""
        return self.mount(dataclasses.replace(self.config, **changes))

    # --- life
    def start(self, *, stdout: int | None = None, wait: bool = True) -> "Gateway":
        """Mount, start, and wait until it serves."""
        files = self.mount()
        self.start_process(stdout=stdout)
        if wait:
            self.wait_in_force(files)
            until("/readyz", lambda: self.ops("/readyz") == 200)
        return self

    def start_process(self, *, stdout: int | None = None) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT / "operator")}
        command = [sys.executable, "-m", "zilliz_operator.agent", "gateway", "--mounts", str(self.mounts)]
        command += ["--run", str(self.home / "run"), "--port", str(self.config.ports.agent)]
        command += ["--silent-seconds", str(self.silent_seconds)]
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            sink: IO[bytes] | int = out if stdout is None else stdout
            self.process = subprocess.Popen(command, env=environment, stdout=sink, stderr=err)

    def kill(self) -> None:
        """End every process of this gateway at once. Soft stops are for the tests that are about them."""
        if self.process is not None:
            for pid in reversed(self.tree()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait(5)

    def stop(self) -> None:
        """The end of it, files and all."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def tree(self) -> list[int]:
        """The pids of all processes under ours, itself last."""
        assert self.process is not None
        return [*_descendants(self.process.pid), self.process.pid]

    def commands(self) -> list[str]:
        """The command lines of all of them, as any process on the node sees them."""
        return [_command(pid) for pid in self.tree()]

    def pid_of(self, word: str) -> int | None:
        """The pid of the direct child whose command line has this word."""
        assert self.process is not None
        return next((pid for pid in _children(self.process.pid) if word in _command(pid)), None)

    def children(self, pid: int) -> list[int]:
        return _children(pid)

    def command(self, text: str) -> str:
        """Type a command on HAProxy's own command line, as an intruder in the pod could."""
        processes = Runtime(self.home / "run/master.sock").processes()
        assert processes.current
        return Runtime(self.home / "run/master.sock").ask(f"@!{processes.current.pid} {text}")

    # --- asking
    @property
    def port(self) -> int:
        return self.config.ports.door

    def wait_in_force(self, files: DoorFiles, *, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until the gateway itself attests this configuration."""

        def look() -> dict[str, Any] | None:
            seen = self.attest()
            return seen if seen.get("config") == files.hash else None

        return until(f"configuration {files.hash[:12]} in force, last {self.attest()}", look, seconds=seconds)

    def attest(self, client: Pair | None = None) -> dict[str, Any]:
        """What the operator gets through the door; empty when there is no answer yet."""
        try:
            status, body = self.rest("/.zilliz/attest", client=client or self.pki.operator)
        except OSError:
            return {}
        return dict(json.loads(body)) if status == 200 else {"status": status}

    def rest(
        self,
        path: str = "/v1/vector/collections",
        *,
        headers: Sequence[tuple[str, str]] = (),
        source: str = "127.0.0.1",
        method: str = "GET",
        client: Pair | None = None,
        before: bytes = b"",
        context: ssl.SSLContext | None = None,
    ) -> tuple[int, str]:
        """One HTTP/1.1 request over its own TLS connection, from a source address of choice: status and body."""
        with self.tls(source=source, client=client, before=before, context=context) as link:
            lines = [
                f"{method} {path} HTTP/1.1",
                "Host: door.test",
                "Connection: close",
                *(f"{k}: {v}" for k, v in headers),
            ]
            link.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
            return answer(link)

    @contextlib.contextmanager
    def tls(
        self,
        *,
        source: str = "127.0.0.1",
        client: Pair | None = None,
        before: bytes = b"",
        context: ssl.SSLContext | None = None,
    ) -> Iterator[ssl.SSLSocket]:
        context = context or self.context(client)
        with socket.create_connection(
            ("::1" if ":" in source else "127.0.0.1", self.port), timeout=15, source_address=(source, 0)
        ) as plain:
            plain.sendall(before)
            with context.wrap_socket(plain, server_hostname="door.test") as link:
                yield link

    def context(self, client: Pair | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.pki.public.pem)
        if client is not None:
            path = self.home / "client.pem"
            path.write_text(client.cert + client.key)
            context.load_cert_chain(path)
        return context

    def served(self) -> bytes:
        """The certificate that a new connection is shown."""
        with self.tls() as link:
            shown = link.getpeercert(binary_form=True)
        assert shown
        return shown

    def ops(self, path: str) -> int:
        try:
            return plain_http(self.config.ports.ops, path)[0]
        except OSError:
            return 0

    def channel(self, *, client: Pair | None = None) -> Any:
        """A gRPC channel without retries."""
        pair = (client.key.encode(), client.cert.encode()) if client else (None, None)
        credentials = grpc.ssl_channel_credentials(self.pki.public.pem.encode(), *pair)
        options = [
            ("grpc.enable_retries", 0),
            ("grpc.ssl_target_name_override", "door.test"),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_send_message_length", -1),
        ]
        return grpc.secure_channel(f"127.0.0.1:{self.port}", credentials, options=options)

    def audit(self, *, kind: str = "request") -> list[dict[str, Any]]:
        """The audit lines so far; every line must be JSON."""
        lines = [json.loads(line) for line in self.stdout.read_text().splitlines()]
        return [line for line in lines if line["kind"] == kind]

    def line(self, **fields: Any) -> dict[str, Any]:
        """The latest audit line with these values; lines arrive a moment after the answer."""

        def look() -> dict[str, Any] | None:
            return next((one for one in reversed(self.audit()) if fields.items() <= one.items()), None)

        return until(f"an audit line with {fields}", look, seconds=5)

    def events(self) -> list[dict[str, Any]]:
        """The agent's own log; every line must be JSON."""
        return [json.loads(line) for line in self.stderr.read_text().splitlines()]


def basic(token: str) -> tuple[str, str]:
    """gRPC metadata as pymilvus sends it."""
    return ("authorization", base64.b64encode(token.encode()).decode())


def ask(channel: Any, *metadata: tuple[str, str], timeout: float = 15.0) -> str:
    """One gRPC call: "OK" or "CODE: details"."""
    stub = milvus_pb2_grpc.MilvusServiceStub(channel)
    try:
        reply = stub.HasCollection(
            milvus_pb2.HasCollectionRequest(collection_name="docs"), metadata=metadata, timeout=timeout
        )
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    assert reply.value
    return "OK"


def answer(link: Any) -> tuple[int, str]:
    """Read one HTTP/1.1 answer to its end."""
    data = b""
    while block := link.recv(65536):
        data += block
    if not data:
        raise ConnectionResetError("closed without an answer")
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def plain_http(port: int, path: str, *, method: str = "GET", extra: str = "", body: str = "") -> tuple[int, str]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{extra}\r\n{body}".encode())
        return answer(link)


def proxy_header(client: str) -> bytes:
    """PROXY protocol version 2."""
    source = ip_address(client)
    target = ip_address("192.0.2.1" if source.version == 4 else "2001:db8::1")
    body = source.packed + target.packed + struct.pack("!HH", 4242, 19530)
    return (
        b"\r\n\r\n\0\r\nQUIT\n"
        + bytes([0x21, 0x11 if source.version == 4 else 0x21])
        + struct.pack("!H", len(body))
        + body
    )


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def _descendants(pid: int) -> list[int]:
    return [deep for child in _children(pid) for deep in [*_descendants(child), child]]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
