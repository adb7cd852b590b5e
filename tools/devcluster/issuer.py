"""A small OpenID Connect issuer for tests and trials: discovery and keys over TLS, tokens signed on request. No login page.

    python -m tools.devcluster.issuer serve DIRECTORY --port 9443
    python -m tools.devcluster.issuer token DIRECTORY --audience kubernetes email=anna@acme.com groups=owners,staff amr=pwd,mfa
    python -m tools.devcluster.issuer forget DIRECTORY

Everything is in the directory, made at first use: the authority that a client must trust (`issuer-ca.crt`), the signing key. `forget`
ends the signing key: the next token has another. On the cluster's node (`tools.devcluster run`) the API server reaches it on loopback.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tools.devcluster.pki import Authority, Leaf, ensure_signing_key

LOOPBACK = IPv4Address("127.0.0.1")
PORT = 9443
ALGORITHM = "RS256"


@dataclass(frozen=True)
class Issuer:
    """One issuer on loopback."""

    directory: Path
    port: int = PORT

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    @property
    def authority(self) -> Path:
        """Certificate of the authority that clients must trust."""
        return Authority(directory=self._made, name="issuer-ca").ensure().certificate_file

    def token(
        self,
        claims: Mapping[str, Any],
        *,
        audience: str,
        seconds: float = 600.0,
        header: Mapping[str, Any] | None = None,
    ) -> str:
        """A signed token; `claims` may overrule every claim that it would have."""
        now = int(time.time())
        body = {"iss": self.url, "aud": audience, "iat": now, "nbf": now, "exp": now + int(seconds), **claims}
        head = {"alg": ALGORITHM, "typ": "JWT", "kid": self._key_id(), **(header or {})}
        signed = f"{_encoded(head)}.{_encoded(body)}"
        signature = self._key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(signature)}"

    def forget(self) -> None:
        """End the signing key; the next token is signed by a new one."""
        for suffix in ("key", "pub"):
            (self.directory / f"signing.{suffix}").unlink(missing_ok=True)

    def server(self) -> ThreadingHTTPServer:
        """Listens from now on, in this thread's network namespace; the caller runs and closes it."""
        handler = type("Handler", (_Handler,), {"issuer": self})
        made = ThreadingHTTPServer((str(LOOPBACK), self.port), handler)
        made.daemon_threads = True
        authority = Authority(directory=self._made, name="issuer-ca").ensure()
        leaf = Leaf(name="issuer", common_name="issuer", addresses=(LOOPBACK,), dns=("localhost",), server=True)
        certificate, key = authority.issue(leaf)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
        made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
        return made

    def documents(self) -> dict[str, dict[str, Any]]:
        """What is served, by path."""
        keys = f"{self.url}/keys"
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": keys,
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
            },
            "/keys": {"keys": [self._jwk()]},
        }

    @property
    def _made(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        return self.directory

    def _key(self) -> rsa.RSAPrivateKey:
        private, _ = ensure_signing_key(self._made, "signing")
        key = serialization.load_pem_private_key(private.read_bytes(), password=None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    def _key_id(self) -> str:
        return hashlib.sha256(str(self._key().public_key().public_numbers().n).encode()).hexdigest()[:16]

    def _jwk(self) -> dict[str, str]:
        numbers = self._key().public_key().public_numbers()
        parts = {name: _base64(_bytes(number)) for name, number in (("n", numbers.n), ("e", numbers.e))}
        return {"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": self._key_id(), **parts}


class _Handler(BaseHTTPRequestHandler):
    issuer: Issuer
    timeout = 10

    def do_GET(self) -> None:
        document = self.issuer.documents().get(self.path)
        body = json.dumps(document or {"error": "not found"}).encode()
        self.send_response(200 if document else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: tests read their own output."""


def serve(issuer: Issuer) -> ThreadingHTTPServer:
    """Serve in a thread of its own until `shutdown()`."""
    made = issuer.server()
    threading.Thread(target=made.serve_forever, name="issuer", daemon=True).start()
    return made


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encoded(value: Mapping[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _claim(text: str) -> tuple[str, Any]:
    """`groups=a,b` is a list, `groups=a,` a list of one, `email=x` a text."""
    name, _, value = text.partition("=")
    return name, [part for part in value.split(",") if part] if "," in value else value


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.devcluster.issuer", description=__doc__)
    parser.add_argument("what", choices=["serve", "token", "forget"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("claims", nargs="*", metavar="CLAIM=VALUE")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--audience", default="kubernetes")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long a token is valid")
    given = parser.parse_intermixed_args(arguments)
    issuer = Issuer(given.directory, given.port)
    if given.what == "serve":
        print(f"{issuer.url}, trust {issuer.authority}", flush=True)
        issuer.server().serve_forever()
    elif given.what == "forget":
        issuer.forget()
    else:
        print(issuer.token(dict(map(_claim, given.claims)), audience=given.audience, seconds=given.seconds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
