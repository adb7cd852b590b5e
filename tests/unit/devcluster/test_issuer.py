"""The issuer of tests and trials: what it signs can be verified by what it serves, and by nothing else once its key is forgotten."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tools.devcluster import issuer as tool
from tools.devcluster.issuer import Issuer


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def verify(token: str, key: dict[str, str]) -> dict[str, Any]:
    head, body, signature = token.split(".")
    numbers = (int.from_bytes(decoded(key[name]), "big") for name in ("e", "n"))
    public = rsa.RSAPublicNumbers(*numbers).public_key()
    public.verify(decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(decoded(head))["kid"] == key["kid"]
    return dict(json.loads(decoded(body)))


def key_of(issuer: Issuer) -> dict[str, str]:
    (key,) = issuer.documents()["/keys"]["keys"]
    return dict(key)


def test_what_it_signs_is_verified_by_what_it_serves(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    claims = verify(issuer.token({"email": "anna@acme.com"}, audience="kubernetes"), key_of(issuer))
    assert (claims["iss"], claims["aud"], claims["email"]) == (issuer.url, "kubernetes", "anna@acme.com")
    assert claims["exp"] - claims["iat"] == 600
    assert issuer.documents()["/.well-known/openid-configuration"]["issuer"] == issuer.url


def test_a_forgotten_key_verifies_nothing_new(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    before = key_of(issuer)
    issuer.forget()
    assert key_of(issuer)["kid"] != before["kid"]
    with pytest.raises(InvalidSignature):
        verify(issuer.token({}, audience="kubernetes"), before)


def test_claims_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "token",
        str(tmp_path),
        "--audience",
        "milvus",
        "email=a@b.c",
        "groups=one,",
        "amr=pwd,mfa",
        "--seconds",
        "-5",
    ]
    assert tool.main(given) == 0
    claims = verify(capsys.readouterr().out.strip(), key_of(Issuer(tmp_path)))
    assert (claims["aud"], claims["email"]) == ("milvus", "a@b.c")
    assert (claims["groups"], claims["amr"]) == (["one"], ["pwd", "mfa"])
    assert claims["exp"] < claims["iat"]
