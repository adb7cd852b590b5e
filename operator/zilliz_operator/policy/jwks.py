"""Which keys of an issuer's JWKS (RFC 7517) are trusted, and for how long.

Public keys for signatures only, strong ones only, and only those that the gateway can use. A set without one is as good as
none: what was known before stays.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.signon import EC_ALGORITHMS, RSA_ALGORITHMS, SigningKey

MAX_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 32
TRUSTED_DAYS: Final = 2
"""Days, of which the one of the reading is the first: so for 24 to 48 hours, and what is written changes once a day."""
_RSA_BITS: Final = range(2048, 8193)
_CURVES: Final[Mapping[str, ec.EllipticCurve]] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The usable keys, and why each of the others is not."""

    keys: tuple[SigningKey, ...]
    ignored: tuple[str, ...] = ()


class _Unusable(Exception):
    pass


def trusted_until(read: datetime) -> int:
    """When keys that were read at that time are no longer trusted, in seconds since 1970."""
    midnight = read.replace(hour=0, minute=0, second=0, microsecond=0)
    return int((midnight + timedelta(days=TRUSTED_DAYS)).timestamp())


def parse(text: str | bytes) -> KeySet:
    """Raises InvalidSpec when there is no key to be used; its message quotes nothing of the text."""
    if len(text) > MAX_BYTES:
        raise InvalidSpec("", f"has more than {MAX_BYTES // 1024} KiB: it is no set of keys")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidSpec("", "is not JSON: it is no set of keys") from None
    listed = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise InvalidSpec("", "has no list of keys: it is no JWKS")
    keys: list[SigningKey] = []
    ignored: list[str] = []
    taken: set[tuple[str | None, str]] = set()
    for number, each in enumerate(listed):
        try:
            key = _key(each)
            if len(keys) == MAX_KEYS:
                raise _Unusable(f"more than {MAX_KEYS} keys")
            if taken & {(key.kid, algorithm) for algorithm in key.algorithms}:
                raise _Unusable("another key has the same kid")
        except _Unusable as why:
            ignored.append(f"key {number + 1}: {why}")
            continue
        taken |= {(key.kid, algorithm) for algorithm in key.algorithms}
        keys.append(key)
    if not keys:
        raise InvalidSpec("", f"has no key that can be used ({'; '.join(ignored[:3]) or 'it is empty'})")
    return KeySet(keys=tuple(sorted(keys, key=lambda key: key.fingerprint)), ignored=tuple(ignored))


def _key(jwk: Any) -> SigningKey:
    if not isinstance(jwk, dict):
        raise _Unusable("it is no object")
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise _Unusable("it is not for signatures")
    if jwk.get("kty") == "oct":
        raise _Unusable("it is a shared secret, which anybody who can check a token could forge one with")
    if {"d", "p", "q"} & jwk.keys():
        raise _Unusable("it is a private key, known to everybody now")
    kid = jwk.get("kid")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= 512):
        raise _Unusable("its kid is no text")
    public, possible = _public(jwk)
    said = jwk.get("alg")
    algorithms = possible if said is None else tuple(each for each in possible if each == said)
    if not algorithms:
        raise _Unusable("its algorithm is none that the gateway can check (RS256 to RS512, ES256 to ES512)")
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return SigningKey(kid=kid, algorithms=algorithms, pem=pem, fingerprint=hashlib.sha256(der).hexdigest()[:32])


def _public(jwk: Mapping[str, Any]) -> tuple[rsa.RSAPublicKey | ec.EllipticCurvePublicKey, tuple[str, ...]]:
    try:
        if jwk.get("kty") == "RSA":
            modulus = _number(jwk["n"])
            if modulus.bit_length() not in _RSA_BITS:
                raise _Unusable(
                    f"RSA with {modulus.bit_length()} bits; {_RSA_BITS.start} to {_RSA_BITS.stop - 1} are taken"
                )
            return rsa.RSAPublicNumbers(_number(jwk["e"]), modulus).public_key(), RSA_ALGORITHMS
        if jwk.get("kty") == "EC" and jwk.get("crv") in _CURVES:
            numbers = ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), _CURVES[jwk["crv"]])
            return numbers.public_key(), (EC_ALGORITHMS[jwk["crv"]],)
    except (KeyError, TypeError, ValueError, UnsupportedAlgorithm):
        raise _Unusable("its numbers are no key") from None
    raise _Unusable("its type is none that the gateway can check (RSA, P-256, P-384, P-521)")


def _number(text: Any) -> int:
    if not isinstance(text, str) or len(text) > 2048:
        raise ValueError("no number")
    return int.from_bytes(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
