"""Which keys of an issuer are trusted: public ones, for signatures, strong, and such as the gateway can use."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.tokens import Signer
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.policy.jwks import MAX_BYTES, parse, trusted_until

RSA = Signer("r")
CURVE = Signer("e", curve="P-256")
WEAK = Signer("w", bits=1024)


def text(*keys: Any) -> str:
    return json.dumps({"keys": keys})


def test_good_keys_come_with_the_algorithms_they_are_for() -> None:
    found = parse(text(RSA.jwk(), CURVE.jwk(), Signer("p", curve="P-384").jwk(), Signer("q", curve="P-521").jwk()))
    said = {key.kid: key.algorithms for key in found.keys}
    assert said == {"r": ("RS256", "RS384", "RS512"), "e": ("ES256",), "p": ("ES384",), "q": ("ES512",)}
    assert {key.pem for key in found.keys if key.kid == "r"} == {RSA.pem}
    assert parse(text(RSA.jwk(alg="RS512"))).keys[0].algorithms == ("RS512",)
    assert parse(text(Signer(None).jwk())).keys[0].kid is None


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (RSA.jwk(use="enc"), "not for signatures"),
        (RSA.jwk(key_ops=["encrypt"]), "not for signatures"),
        ({"kty": "oct", "kid": "s", "k": "c2VjcmV0"}, "shared secret"),
        (RSA.jwk(d="AQAB"), "private key"),
        (RSA.jwk(alg="PS256"), "none that the gateway can check"),
        (RSA.jwk(alg="HS256"), "none that the gateway can check"),
        (RSA.jwk(alg="none"), "none that the gateway can check"),
        (WEAK.jwk(), "1024 bits"),
        (RSA.jwk(n="AQAB"), "bits"),
        (RSA.jwk(n=7), "no key"),
        (RSA.jwk(e="AA"), "no key"),
        (RSA.jwk(n="!!"), "no key"),
        (RSA.jwk(kid=5), "kid is no text"),
        (CURVE.jwk(x="AQAB"), "no key"),
        (CURVE.jwk(crv="secp256k1"), "type is none"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AQAB"}, "type is none"),
        ("key", "no object"),
        (None, "no object"),
    ],
)
def test_other_keys_are_left_out_and_the_good_ones_stay(key: Any, why: str) -> None:
    found = parse(text(key, Signer("good").jwk()))
    assert [each.kid for each in found.keys] == ["good"]
    assert len(found.ignored) == 1 and why in found.ignored[0]
    with pytest.raises(InvalidSpec, match="no key that can be used"):
        parse(text(key))


def test_of_two_keys_with_one_name_the_first_counts() -> None:
    found = parse(text(RSA.jwk(), Signer("r").jwk()))
    assert [key.pem for key in found.keys] == [RSA.pem]
    assert "same kid" in found.ignored[0]


@pytest.mark.parametrize(
    "garbage",
    ["", "{}", "[]", "null", "<html>", '{"keys": {}}', '{"keys": []}', '{"keys"', "[" * 100_000, "x" * (MAX_BYTES + 1)],
)
def test_garbage_is_no_set_of_keys(garbage: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse(garbage)
    assert "<html>" not in str(refused.value)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_json_is_a_set_of_keys_or_refused(said: Any) -> None:
    with pytest.raises(InvalidSpec):
        parse(json.dumps({"keys": [said, {"kty": "RSA", "n": said, "e": said}, {"kty": "EC", "crv": said}]}))


@given(st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)))
def test_keys_are_trusted_for_a_day_or_two(read: datetime) -> None:
    read = read.replace(tzinfo=UTC)
    assert timedelta(days=1) <= datetime.fromtimestamp(trusted_until(read), UTC) - read <= timedelta(days=2)
    assert trusted_until(read) == trusted_until(read.replace(hour=0, minute=0, second=0, microsecond=0)), (
        "one write a day"
    )
