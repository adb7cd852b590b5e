"""Ready checks: is the thing answering as it should? They run in the cluster's network and raise or say no."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
import time
from ipaddress import IPv4Address
from pathlib import Path

TIMEOUT = 3.0
SOA, IN, NO_ERROR = 6, 1, 0


def http_ok(*, port: int, path: str, host: str = "127.0.0.1") -> bool:
    """200 by plain HTTP."""
    return _ok(http.client.HTTPConnection(host, port, timeout=TIMEOUT), path)


def https_ok(*, port: int, path: str, host: str = "127.0.0.1", authority: Path | None = None) -> bool:
    """200 by HTTPS; without an authority the certificate is not judged (a daemon's own self-signed one)."""
    if authority is None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        context = ssl.create_default_context(cafile=str(authority))
    return _ok(http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context), path)


def socket_answers(path: Path) -> bool:
    """Somebody listens on the Unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(str(path))
    return True


def dns_answers(*, server: IPv4Address, zone: str) -> bool:
    """The name server answers for the zone."""
    query = struct.pack(">HHHHHH", 4711, 0, 1, 0, 0, 0)
    query += b"".join(bytes([len(label)]) + label.encode() for label in zone.split(".")) + b"\0"
    query += struct.pack(">HH", SOA, IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(TIMEOUT)
        sock.sendto(query, (str(server), 53))
        answer = sock.recv(512)
    identity, flags, _, answers = struct.unpack(">HHHH", answer[:8])
    return bool(identity == 4711 and flags & 0xF == NO_ERROR and answers > 0)


def fresh(path: Path, *, seconds: float) -> bool:
    """The file was written within the last seconds (a heartbeat)."""
    return time.time() - path.stat().st_mtime < seconds


def _ok(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path, headers={"User-Agent": "devcluster"})  # Pebble insists on one
        return connection.getresponse().status == 200
    finally:
        connection.close()
