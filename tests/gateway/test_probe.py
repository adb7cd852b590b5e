"""The operator's own knock against the real door: what it sees when all is well, and each thing that is not."""

import dataclasses
from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.pki import Pair, Pki
from tests.gateway.rig import PASSWORDS, Gateway, until
from zilliz_operator.adapters.door_probe import TlsDoorProbe
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.exceptions import Rejected, Unavailable
from zilliz_operator.api.outside import DoorAddress

CHECKS = {"certificate", "tls11_refused", "weak_cipher_refused", "anonymous_refused", "wrong_credentials_refused"}


def address(gateway: Gateway, pki: Pki, *, client: Pair | None = None) -> DoorAddress:
    client = client or pki.operator
    return DoorAddress(
        host="127.0.0.1",
        port=gateway.config.ports.door,
        server_name="door.test",
        ca_pem=pki.public.pem,
        client_cert_pem=client.cert,
        client_key_pem=client.key,
    )


@pytest.fixture
def probe() -> Iterator[TlsDoorProbe]:
    threads = Threads(4)
    yield TlsDoorProbe(threads)
    threads.close()


@pytest.fixture
def closed(make_gateway: Callable[..., Gateway]) -> Gateway:
    """A door that admits nobody by address: this machine is an outsider."""
    return make_gateway(allow=()).start()


async def test_a_good_door_passes_every_check(probe: TlsDoorProbe, closed: Gateway, pki: Pki) -> None:
    expected = sha256(pki.door.der).hexdigest()
    door = address(closed, pki)
    found = await probe.probe(door, expected_certificate_sha256=expected, outsider_expected=True)
    assert set(found.checks) == CHECKS | {"outsider_refused"}
    assert all(found.checks.values()), found.evidence
    assert found.certificate_sha256 == expected
    assert found.certificate_not_after is not None
    assert found.evidence["outsider_refused"] == "unlisted address answered 403 ip_not_allowed"
    assert found.evidence["anonymous_refused"] == "anonymous call answered 401 no_token"
    assert "401 unknown_key" in found.evidence["wrong_credentials_refused"]
    again = await probe.probe(door, expected_certificate_sha256=expected, outsider_expected=True)
    assert again.evidence == found.evidence  # a condition's message must not change at rest


async def test_an_admitted_address_is_not_asked_to_be_an_outsider(
    probe: TlsDoorProbe, gateway: Gateway, pki: Pki
) -> None:
    digest = sha256(pki.door.der).hexdigest()
    door = address(gateway, pki)
    found = await probe.probe(door, expected_certificate_sha256=digest, outsider_expected=False)
    assert set(found.checks) == CHECKS
    assert all(found.checks.values()), found.evidence
    wrongly = await probe.probe(door, expected_certificate_sha256=digest, outsider_expected=True)
    assert not wrongly.checks["outsider_refused"]


async def test_another_certificate_than_the_secrets_is_seen(probe: TlsDoorProbe, gateway: Gateway, pki: Pki) -> None:
    door = address(gateway, pki)
    found = await probe.probe(door, expected_certificate_sha256="00" * 32, outsider_expected=False)
    assert [name for name, ok in found.checks.items() if not ok] == ["certificate"]
    assert "is not 000000000000" in found.evidence["certificate"]


@pytest.mark.parametrize("what", ["issuer", "name"])
async def test_a_certificate_that_does_not_verify_is_seen_and_the_rest_still_checked(
    probe: TlsDoorProbe, gateway: Gateway, pki: Pki, what: str
) -> None:
    changes = {"issuer": {"ca_pem": pki.evil.pem}, "name": {"server_name": "else.test"}}[what]
    door = dataclasses.replace(address(gateway, pki), **changes)  # type: ignore[arg-type]
    digest = sha256(pki.door.der).hexdigest()
    found = await probe.probe(door, expected_certificate_sha256=digest, outsider_expected=False)
    assert [name for name, ok in found.checks.items() if not ok] == ["certificate"]
    assert "does not verify" in found.evidence["certificate"]
    with pytest.raises(Unavailable, match="does not verify"):
        await probe.attest(door)


async def test_an_expired_certificate_is_seen(
    probe: TlsDoorProbe, make_gateway: Callable[..., Gateway], pki: Pki
) -> None:
    gateway = make_gateway()
    expired = pki.public.issue("door", dns=("door.test",), days=(-10, -1))
    gateway.mount(door=expired)
    gateway.start(wait=False)
    until("the door to open", lambda: gateway.ops("/readyz") == 200)
    digest = sha256(expired.der).hexdigest()
    found = await probe.probe(address(gateway, pki), expected_certificate_sha256=digest, outsider_expected=False)
    assert "expired" in found.evidence["certificate"]


async def test_where_clients_must_show_certificates_a_stranger_gets_nowhere(
    probe: TlsDoorProbe, make_gateway: Callable[..., Gateway], pki: Pki
) -> None:
    own = sha256(pki.operator.der).hexdigest()
    gateway = make_gateway(client_ca_pem=pki.users.pem, operator_certificates=(own,)).start()
    digest = sha256(pki.door.der).hexdigest()
    found = await probe.probe(address(gateway, pki), expected_certificate_sha256=digest, outsider_expected=True)
    assert all(found.checks.values()), found.evidence
    assert "stranger without certificate refused" in found.evidence["outsider_refused"]


async def test_the_agent_attests_what_is_in_force(probe: TlsDoorProbe, gateway: Gateway, pki: Pki) -> None:
    said = await probe.attest(address(gateway, pki))
    assert said.certificate == sha256(pki.door.der).hexdigest()
    assert len(said.config) == 64
    assert said.last_error == ""


async def test_the_agent_attests_to_nobody_else(probe: TlsDoorProbe, gateway: Gateway, pki: Pki) -> None:
    imposter = pki.evil.issue("zilliz-operator")
    with pytest.raises(Rejected, match="does not know our client certificate"):
        await probe.attest(address(gateway, pki, client=imposter))


async def test_no_door_is_an_outage(probe: TlsDoorProbe, gateway: Gateway, pki: Pki) -> None:
    nowhere = dataclasses.replace(address(gateway, pki), port=9)
    with pytest.raises(Unavailable, match=r"gateway 127\.0\.0\.1:9"):
        await probe.attest(nowhere)
    with pytest.raises(Unavailable):
        await probe.probe(nowhere, expected_certificate_sha256="", outsider_expected=True)


async def test_a_door_without_milvus_is_an_outage_and_no_finding(
    probe: TlsDoorProbe, make_gateway: Callable[..., Gateway], pki: Pki
) -> None:
    upstream = FakeMilvus(users=PASSWORDS).start(pair=pki.milvus, client_ca=pki.internal.pem)
    gateway = make_gateway(upstream).start()
    upstream.stop()
    digest = sha256(pki.door.der).hexdigest()
    with pytest.raises(Unavailable, match="no Milvus behind it"):
        await probe.probe(address(gateway, pki), expected_certificate_sha256=digest, outsider_expected=False)
