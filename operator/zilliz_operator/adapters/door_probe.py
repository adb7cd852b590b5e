"""Knocks at a door as strangers and as ourselves, and reports what was seen, never what was meant.

Every check needs the door's own answer: silence is an outage, and a refusal counts only when the same kind of knock,
made properly, is let in.
"""

import http.client
import json
import re
import secrets
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar

from cryptography import x509

from zilliz_operator.adapters import client_hello
from zilliz_operator.adapters.client_hello import Reply, Verdict
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.adapters.tls import load_client_certificate
from zilliz_operator.api.exceptions import NotReady, Rejected, Unavailable
from zilliz_operator.api.outside import Attestation, DoorAddress, DoorFinding

T = TypeVar("T")

TIMEOUT = 5.0
ATTEST_PATH = "/.zilliz/attest"
REST_PATH = "/v1/vector/collections"
MOST_BYTES = 262144
"""Room for the last uses of as many credentials as an agent remembers."""
_REASON = re.compile(r"gateway: (\w+)")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes

    @property
    def reason(self) -> str:
        """Why the door itself refused; empty when the answer is Milvus' own."""
        found = _REASON.search(self.body.decode(errors="replace"))
        return found[1] if found else ""

    @property
    def shown(self) -> str:
        return f"{self.status} {self.reason}".strip()


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    evidence: str
    ok: bool


class TlsDoorProbe:
    def __init__(self, threads: Threads, *, timeout: float = TIMEOUT) -> None:
        self._threads = threads
        self._timeout = timeout

    async def attest(self, door: DoorAddress) -> Attestation:
        return await self._threads.run(_attest, door, self._timeout)

    async def probe(
        self, door: DoorAddress, *, expected_certificate_sha256: str, outsider_expected: bool
    ) -> DoorFinding:
        return await self._threads.run(
            _probe, door, self._timeout, expected=expected_certificate_sha256, outsider_expected=outsider_expected
        )


def _attest(door: DoorAddress, timeout: float) -> Attestation:
    answer = _heard(door, lambda: _get(door, timeout, ATTEST_PATH, context=_ours(door)))
    if answer.status in (401, 403, 404):
        raise Rejected(_what(door), "does not know our client certificate: it still trusts another operator authority")
    if answer.status != 200:
        raise NotReady(f"{_what(door)}: its agent does not answer ({answer.status})")
    try:
        said: Mapping[str, Any] = json.loads(answer.body)
        return Attestation(
            pod=str(said["pod"]),
            config=str(said["config"]),
            certificate=str(said["certificate"]),
            reloads=int(said["reloads"]),
            last_error=str(said.get("lastError") or ""),
            used={str(name): datetime.fromtimestamp(int(at), UTC) for name, at in (said.get("used") or {}).items()},
        )
    except (OverflowError, OSError, AttributeError, ValueError, KeyError, TypeError) as error:
        raise NotReady(f"{_what(door)}: its agent's answer is not understood ({type(error).__name__})") from error


def _probe(door: DoorAddress, timeout: float, *, expected: str, outsider_expected: bool) -> DoorFinding:
    leaf = _heard(door, lambda: _served_leaf(door, timeout))
    digest = sha256(leaf).hexdigest()
    ends = x509.load_der_x509_certificate(leaf).not_valid_after_utc
    checks = [
        _heard(door, lambda: _certificate(door, timeout, digest=digest, expected=expected, ends=ends)),
        _heard(door, lambda: _old_tls(door, timeout)),
        _heard(door, lambda: _weak_ciphers(door, timeout)),
        _heard(door, lambda: _anonymous(door, timeout)),
        _heard(door, lambda: _wrong_credentials(door, timeout)),
    ]
    if outsider_expected:
        checks.append(_heard(door, lambda: _outsider(door, timeout)))
    return DoorFinding(
        address=f"{door.host}:{door.port}",
        certificate_sha256=digest,
        certificate_not_after=ends,
        checks={check.name: check.ok for check in checks},
        evidence={check.name: check.evidence for check in checks},
    )


# ---- the checks


def _certificate(door: DoorAddress, timeout: float, *, digest: str, expected: str, ends: datetime) -> _Check:
    shown = f"served certificate {digest[:12]}"
    try:
        with _connected(door, timeout, _ours(door)) as connection:
            spoken = connection.version()
    except ssl.SSLCertVerificationError as error:
        return _Check(
            "certificate", f"{shown} does not verify for {door.server_name}: {error.verify_message}", ok=False
        )
    if digest != expected:
        return _Check("certificate", f"{shown} is not {expected[:12]}, the one in the Secret", ok=False)
    return _Check(
        "certificate", f"{shown} verified for {door.server_name} over {spoken}, expires {ends:%Y-%m-%d}", ok=True
    )


def _old_tls(door: DoorAddress, timeout: float) -> _Check:
    reply = _offer(door, timeout, client_hello.TLS11, client_hello.OLD)
    return _judged("tls11_refused", "TLS 1.1 and older", (reply,))


def _weak_ciphers(door: DoorAddress, timeout: float) -> _Check:
    replies = (
        _offer(door, timeout, client_hello.TLS12, client_hello.WEAK_12),
        _offer(door, timeout, client_hello.TLS13, client_hello.WEAK_13),
    )
    # Had the door refused AES-256 in the same envelope as well, its refusals would say nothing about AES-128.
    proper = _offer(door, timeout, client_hello.TLS13, client_hello.STRONG_13)
    if proper.verdict is not Verdict.ACCEPTED:
        return _Check("weak_cipher_refused", f"AES-256 over TLS 1.3 is refused too ({proper.detail})", ok=False)
    return _judged("weak_cipher_refused", "ciphers below AES-256", replies)


def _judged(name: str, what: str, replies: tuple[Reply, ...]) -> _Check:
    if any(reply.verdict is Verdict.ACCEPTED for reply in replies):
        return _Check(name, f"{what} accepted", ok=False)
    details = ", ".join(dict.fromkeys(reply.detail for reply in replies))
    return _Check(name, f"{what} refused ({details})", ok=True)


def _anonymous(door: DoorAddress, timeout: float) -> _Check:
    # With our certificate: without it the address would be judged first, and the token never.
    answer = _get(door, timeout, REST_PATH, context=_ours(door, verify=False))
    _not_down(door, answer)
    return _Check("anonymous_refused", f"anonymous call answered {answer.shown}", ok=answer.status == 401)


def _wrong_credentials(door: DoorAddress, timeout: float) -> _Check:
    password = b64encode(f"nobody:{secrets.token_urlsafe(18)}".encode()).decode()
    answers = []
    for authorization in (f"Bearer zbk_{secrets.token_urlsafe(32)}", f"Basic {password}"):
        answer = _get(
            door, timeout, REST_PATH, context=_ours(door, verify=False), headers={"Authorization": authorization}
        )
        _not_down(door, answer)
        answers.append(answer)
    evidence = f"wrong API key answered {answers[0].shown}, wrong password {answers[1].shown}"
    return _Check("wrong_credentials_refused", evidence, ok=all(answer.status == 401 for answer in answers))


def _outsider(door: DoorAddress, timeout: float) -> _Check:
    try:
        answer = _get(door, timeout, REST_PATH, context=_strangers())
    except (ssl.SSLError, ConnectionResetError) as error:
        # Where clients must show certificates, a stranger does not get as far as its address.
        return _Check("outsider_refused", f"stranger without certificate refused ({_short(error)})", ok=True)
    ok = answer.status == 403 and answer.reason == "ip_not_allowed"
    return _Check("outsider_refused", f"unlisted address answered {answer.shown}", ok=ok)


# ---- knocking


def _offer(door: DoorAddress, timeout: float, version: int, ciphers: tuple[int, ...]) -> Reply:
    return client_hello.offer(
        (door.host, door.port), server_name=door.server_name, version=version, ciphers=ciphers, timeout=timeout
    )


def _get(
    door: DoorAddress,
    timeout: float,
    path: str,
    *,
    context: ssl.SSLContext,
    headers: Mapping[str, str] | None = None,
) -> _Answer:
    with _connected(door, timeout, context) as connection:
        http_connection = http.client.HTTPConnection(door.server_name, door.port, timeout=timeout)
        http_connection.sock = connection
        http_connection.request("GET", path, headers={"Accept": "application/json", **(headers or {})})
        response = http_connection.getresponse()
        return _Answer(response.status, response.read(MOST_BYTES))


def _connected(door: DoorAddress, timeout: float, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((door.host, door.port), timeout=timeout)
    try:
        return context.wrap_socket(plain, server_hostname=door.server_name)
    except BaseException:
        plain.close()
        raise


def _served_leaf(door: DoorAddress, timeout: float) -> bytes:
    with _connected(door, timeout, _ours(door, verify=False)) as connection:
        leaf = connection.getpeercert(binary_form=True)
    if leaf is None:
        raise ConnectionError("no certificate served")
    return leaf


def _ours(door: DoorAddress, *, verify: bool = True) -> ssl.SSLContext:
    """With our client certificate. Unverified for what must be looked at even when the served certificate is wrong."""
    context = ssl.create_default_context(cadata=door.ca_pem or None) if verify else _strangers()
    context.set_alpn_protocols(["http/1.1"])
    try:
        load_client_certificate(context, certificate=door.client_cert_pem.encode(), key=door.client_key_pem.encode())
    except ssl.SSLError:
        raise NotReady("our client certificate for the door does not fit its key: it is being renewed") from None
    return context


def _strangers() -> ssl.SSLContext:
    """Somebody who shows no certificate and takes any: it sends nothing worth protecting."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


# ---- telling an outage from an answer


def _heard(door: DoorAddress, knock: Callable[[], T]) -> T:
    try:
        return knock()
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(_what(door), f"serves a certificate that does not verify: {error.verify_message}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(_what(door), f"does not answer: {_short(error)}") from error


def _not_down(door: DoorAddress, answer: _Answer) -> None:
    if answer.status >= 500:
        raise Unavailable(_what(door), f"has no Milvus behind it ({answer.status})")


def _what(door: DoorAddress) -> str:
    return f"gateway {door.host}:{door.port}"


def _short(error: BaseException) -> str:
    return str(getattr(error, "reason", "") or error or type(error).__name__)[:200]
