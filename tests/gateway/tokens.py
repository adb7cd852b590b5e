"""An identity provider's pen: keys of every kind, and tokens that say whatever a test wants."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from zilliz_operator.api.signon import EC_ALGORITHMS, RSA_ALGORITHMS, SigningKey

ISSUER = "https://idp.example.test/realms/acme"
AUDIENCE = "milvus"
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
_CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """One key of the issuer."""

    def __init__(self, kid: str | None, *, curve: str = "", bits: int = 2048) -> None:
        self.kid = kid
        self.curve = curve
        self.private: Any = ec.generate_private_key(_CURVES[curve]) if curve else rsa.generate_private_key(65537, bits)

    @property
    def algorithms(self) -> tuple[str, ...]:
        return (EC_ALGORITHMS[self.curve],) if self.curve else RSA_ALGORITHMS

    @property
    def pem(self) -> str:
        public = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return str(public.decode())

    @property
    def key(self) -> SigningKey:
        der = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return SigningKey(
            kid=self.kid, algorithms=self.algorithms, pem=self.pem, fingerprint=hashlib.sha256(der).hexdigest()[:32]
        )

    def jwk(self, **more: Any) -> dict[str, Any]:
        numbers = self.private.public_key().public_numbers()
        found: dict[str, Any] = {"use": "sig"} | ({"kid": self.kid} if self.kid is not None else {})
        if self.curve:
            size = (self.private.key_size + 7) // 8
            found |= {"kty": "EC", "crv": self.curve}
            found |= {name: b64(getattr(numbers, name).to_bytes(size, "big")) for name in ("x", "y")}
        else:
            found |= {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        return found | more

    def sign(self, payload: bytes, header: Mapping[str, Any]) -> str:
        text = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
        algorithm = str(header.get("alg", ""))
        return f"{text}.{b64(self._signature(text.encode(), algorithm))}"

    def _signature(self, text: bytes, algorithm: str) -> bytes:
        if algorithm == "none":
            return b""
        if algorithm.startswith("HS"):  # the confusion: the public key as a secret
            return hmac.new(self.pem.encode(), text, hashlib.sha256).digest()
        digest = _HASHES.get(algorithm[-3:], hashes.SHA256())
        if self.curve:
            r, s = utils.decode_dss_signature(self.private.sign(text, ec.ECDSA(digest)))
            size = (self.private.key_size + 7) // 8
            return bytes(r.to_bytes(size, "big") + s.to_bytes(size, "big"))
        pad = (
            padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
            if algorithm.startswith("PS")
            else padding.PKCS1v15()
        )
        return bytes(self.private.sign(text, pad, digest))


def claims(*, drop: Iterable[str] = (), **changes: Any) -> dict[str, Any]:
    """What a good token says."""
    now = int(time.time())
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "00u-anna",
        "email": "anna@acme.test",
        "iat": now,
        "exp": now + 3600,
        "amr": ["pwd", "mfa"],
        "groups": [],
    } | changes
    return {name: value for name, value in said.items() if name not in set(drop)}


def mint(
    signer: Signer,
    *,
    header: Mapping[str, Any] | None = None,
    raw: str | None = None,
    drop: Iterable[str] = (),
    **said: Any,
) -> str:
    """A token; `raw` is its payload as text."""
    head = {"alg": signer.algorithms[0], "typ": "JWT"} | ({"kid": signer.kid} if signer.kid is not None else {})
    payload = raw if raw is not None else json.dumps(claims(drop=drop, **said), ensure_ascii=False)
    return signer.sign(payload.encode(), head | dict(header or {}))


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))
