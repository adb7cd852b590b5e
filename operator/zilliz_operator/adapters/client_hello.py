"""The first message of a TLS handshake, written by hand, to ask a server what it would accept.

A library cannot ask for what it refuses itself: with OpenSSL's usual settings "TLS 1.1 was refused" may tell of our
side. Here the offer is exactly what we say, and the answer is the server's own: a ServerHello takes it, an alert or a
close refuses it.
"""

import os
import socket
import struct
from dataclasses import dataclass
from enum import Enum

TLS10, TLS11, TLS12, TLS13 = 0x0301, 0x0302, 0x0303, 0x0304

# Everything that is not AES-256, as far as a server might still have it.
WEAK_12 = (0xC02B, 0xC02F, 0xCCA8, 0xCCA9, 0xC009, 0xC013, 0x009C, 0x002F, 0xC027, 0xC023, 0x003C, 0x000A, 0x0005)
WEAK_13 = (0x1301, 0x1303, 0x1304, 0x1305)
STRONG_13 = (0x1302,)
OLD = (0xC009, 0xC00A, 0xC013, 0xC014, 0x002F, 0x0035, 0x000A)

_ALERT, _HANDSHAKE, _SERVER_HELLO = 21, 22, 2
_ALERTS = {40: "handshake_failure", 70: "protocol_version", 71: "insufficient_security", 86: "inappropriate_fallback"}
_SIGNATURES = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201)
_GROUPS = (0x001D, 0x0017, 0x0018)


class Verdict(Enum):
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Reply:
    verdict: Verdict
    detail: str


def offer(
    address: tuple[str, int], *, server_name: str, version: int, ciphers: tuple[int, ...], timeout: float
) -> Reply:
    """Offer exactly this and hear the answer. Raises OSError when nobody answers at all."""
    with socket.create_connection(address, timeout=timeout) as connection:
        connection.sendall(build(server_name=server_name, version=version, ciphers=ciphers))
        try:
            kind, body = _record(connection)
        except (ConnectionError, EOFError):
            return Reply(Verdict.REFUSED, "connection closed")
    if kind == _HANDSHAKE and body[:1] == bytes([_SERVER_HELLO]):
        return Reply(Verdict.ACCEPTED, "ServerHello")
    if kind == _ALERT and len(body) == 2:
        return Reply(Verdict.REFUSED, f"alert {_ALERTS.get(body[1], body[1])}")
    raise ConnectionError("the answer is not TLS")


def build(*, server_name: str, version: int, ciphers: tuple[int, ...]) -> bytes:
    """A ClientHello whose highest version is `version`."""
    extensions = [
        _extension(0x0000, _sized(b"\x00" + _sized(server_name.encode("idna"), 2), 2)),
        _extension(0x000A, _sized(_words(_GROUPS), 2)),
        _extension(0x000B, _sized(b"\x00", 1)),
    ]
    if version >= TLS12:
        extensions.append(_extension(0x000D, _sized(_words(_SIGNATURES), 2)))
    if version >= TLS13:
        key = _words((0x001D,)) + _sized(os.urandom(32), 2)  # any 32 bytes are a public key of this group
        extensions += [_extension(0x002B, _sized(_words((TLS13,)), 1)), _extension(0x0033, _sized(key, 2))]
    body = b"".join(
        (
            _words((min(version, TLS12),)),
            os.urandom(32),
            _sized(os.urandom(32), 1),
            _sized(_words(ciphers), 2),
            _sized(b"\x00", 1),
            _sized(b"".join(extensions), 2),
        )
    )
    handshake = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return bytes([_HANDSHAKE]) + _words((TLS10,)) + _sized(handshake, 2)


def _record(connection: socket.socket) -> tuple[int, bytes]:
    header = _exactly(connection, 5)
    return header[0], _exactly(connection, struct.unpack(">H", header[3:])[0])


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return received


def _words(values: tuple[int, ...]) -> bytes:
    return b"".join(struct.pack(">H", value) for value in values)


def _sized(content: bytes, width: int) -> bytes:
    return len(content).to_bytes(width, "big") + content


def _extension(kind: int, content: bytes) -> bytes:
    return _words((kind,)) + _sized(content, 2)
