"""Signing keys and sign-on subjects over time: issuers fail, lie and change their keys, and we are restarted in between."""

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest

from tests.fake.world import NOW, PROJECT, SYSTEM, FakeWorld, encoded
from tests.gateway.tokens import Signer
from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.exceptions import Unavailable
from zilliz_operator.reconcile.queue import Key
from zilliz_operator.reconcile.signon import KIND

URL = "https://idp.test/jwks"
ISSUER = {
    "issuer": "https://idp.test",
    "audience": "milvus",
    "jwksURL": URL,
    "mfa": {"claim": "amr", "values": ["mfa"]},
}
DOWN = Unavailable("issuer idp.test", "did not answer in time")
ONE, TWO = Signer("one"), Signer("two", curve="P-256")
KEYS = Key(KIND, "", "default")


def jwks(*signers: Signer) -> str:
    return json.dumps({"keys": [signer.jwk() for signer in signers]})


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def with_issuer(world: FakeWorld, **issuer: Any) -> None:
    world.issuer.documents[URL] = jwks(ONE)
    world.data_plane(sso=[{k: v for k, v in (ISSUER | issuer).items() if v is not None}])
    world.cluster()
    world.allowlist()
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()


async def look(world: FakeWorld) -> None:
    """The minute is over."""
    world.operator.dirty[KEYS] = None
    await world.settle()


def fingerprints(world: FakeWorld) -> set[str]:
    """Of the keys at the door; each is in a file of its own, and in a rule."""
    data = world.kube.must("ConfigMap", "gateway-config", world.space())["data"]
    found = {name.removeprefix("sso-").removesuffix(".pem") for name in data if name.startswith("sso-")}
    assert all(f'"config/sso-{each}.pem"' in data["haproxy.cfg"] for each in found)
    return found


def entries(world: FakeWorld) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in world.door_file("sso.map"))


def given(world: FakeWorld, name: str, *, group: bool = True) -> str:
    kind = "g" if group else "u"
    return next((v for k, v in entries(world).items() if k.startswith(f"{sha(name)}.{kind}.")), "")


def condition(world: FakeWorld) -> dict[str, Any]:
    found: dict[str, Any] = world.conditions("default", "DataPlane", None)["SignOnReady"]
    return found


def policy(world: FakeWorld, **spec: Any) -> None:
    world.access_policy("people", **({"subjects": [{"kind": "Group", "name": "readers"}]} | spec))


def subject(world: FakeWorld) -> dict[str, Any]:
    found: dict[str, Any] = world.status("people", "AccessPolicy")["subjects"][0]
    return found


async def test_keys_reach_the_doors_and_the_world_comes_to_rest(world: FakeWorld) -> None:
    await with_issuer(world)
    assert fingerprints(world) == {ONE.key.fingerprint}
    assert condition(world)["status"] == "True"
    before = len(world.writes)
    for _ in range(5):
        await look(world)
    assert world.writes[before:] == []


async def test_a_new_key_is_followed_and_an_old_one_dropped(world: FakeWorld) -> None:
    await with_issuer(world)
    world.issuer.documents[URL] = jwks(ONE, TWO)
    await look(world)
    assert fingerprints(world) == {ONE.key.fingerprint, TWO.key.fingerprint}
    world.issuer.documents[URL] = jwks(TWO)
    await look(world)
    assert fingerprints(world) == {TWO.key.fingerprint}
    assert world.conditions()["AllowlistInForce"]["status"] == "True"


@pytest.mark.parametrize(
    "garbage", ["<html>login</html>", "{}", '{"keys": [{"kty": "oct", "kid": "one", "k": "AA"}]}', None]
)
async def test_an_issuer_in_trouble_keeps_its_known_keys_for_a_day_or_two(
    world: FakeWorld, garbage: str | None
) -> None:
    await with_issuer(world)
    until = NOW.replace(hour=0) + timedelta(days=2)
    if garbage is None:
        world.issuer.trouble = DOWN
    else:
        world.issuer.documents[URL] = garbage
    await look(world)
    assert fingerprints(world) == {ONE.key.fingerprint}
    said = condition(world)
    assert (said["status"], said["reason"]) == ("Unknown", "IdentityProviderUnavailable")
    assert f"trusted until {utc(until)}" in said["message"]
    assert world.ready()["status"] == "True", "clusters are as they were"
    assert str(int(until.timestamp())) in entries(world).values(), "the door ends it by itself"
    before = len(world.writes)
    await look(world)
    assert world.writes[before:] == []
    await world.pass_time(timedelta(days=2))
    await look(world)
    world.operator.dirty[Key("DataPlane", "", "default")] = None
    await world.settle()
    said = condition(world)
    assert (said["status"], said["reason"]) == ("False", "IdentityProviderUnavailable")
    world.issuer.trouble, world.issuer.documents[URL] = None, jwks(TWO)
    await look(world)
    assert fingerprints(world) == {TWO.key.fingerprint}
    assert condition(world)["status"] == "True"


async def test_a_restart_while_the_issuer_is_down_forgets_nothing(world: FakeWorld) -> None:
    await with_issuer(world)
    world.issuer.trouble = DOWN
    world.new_operator().start()
    await world.settle()
    assert fingerprints(world) == {ONE.key.fingerprint}
    assert condition(world)["status"] == "Unknown"


async def test_the_time_of_trust_moves_on_once_a_day_without_a_reload(world: FakeWorld) -> None:
    await with_issuer(world)
    files = world.kube.must("ConfigMap", "gateway-config", world.space())["data"]
    first = entries(world)
    await world.pass_time(timedelta(days=1))
    await look(world)
    assert entries(world) != first
    assert world.kube.must("ConfigMap", "gateway-config", world.space())["data"] == files


async def test_keys_of_another_source_are_not_taken_over(world: FakeWorld) -> None:
    await with_issuer(world)
    world.data_plane(sso=[ISSUER | {"jwksURL": "https://idp.test/other"}])
    await world.settle()
    assert fingerprints(world) == set()
    assert condition(world)["status"] == "False"
    assert "0" in entries(world).values(), "the door says that it has no keys"


async def test_a_set_of_keys_in_a_secret_needs_no_issuer_and_no_day(world: FakeWorld) -> None:
    world.data_plane(
        sso=[{k: v for k, v in ISSUER.items() if k != "jwksURL"} | {"jwksSecretRef": {"name": "idp", "key": "jwks"}}]
    )
    world.cluster()
    world.allowlist()
    await world.settle()
    assert "zilliz-system/idp" in condition(world)["message"]
    secret = {"kind": "Secret", "metadata": {"name": "idp", "namespace": SYSTEM}, "data": encoded({"jwks": jwks(TWO)})}
    world.kube.put(secret)
    await look(world)
    assert fingerprints(world) == {TWO.key.fingerprint}
    assert "253402300799" in entries(world).values()


async def test_a_private_authority_is_handed_to_whoever_asks(world: FakeWorld) -> None:
    secret = {"kind": "Secret", "metadata": {"name": "idp", "namespace": SYSTEM}, "data": encoded({"ca.crt": "PEM"})}
    world.kube.put(secret)
    await with_issuer(world, caSecretRef={"name": "idp", "key": "ca.crt"})
    assert set(world.issuer.authorities) == {"PEM"}


async def test_without_issuers_nothing_is_left(world: FakeWorld) -> None:
    await with_issuer(world)
    world.data_plane()
    await look(world)
    assert world.kube.peek("Secret", names.signing_keys_secret("default"), SYSTEM) is None
    assert "sso_not_configured" in "\n".join(world.door_file("haproxy.cfg"))
    assert "sso.map" not in world.secret("gateway-maps", world.space())
    assert "SignOnReady" not in world.conditions("default", "DataPlane", None)


async def test_groups_and_users_are_at_the_door_with_their_roles(world: FakeWorld) -> None:
    await with_issuer(world)
    policy(world, subjects=[{"kind": "Group", "name": "readers"}, {"kind": "User", "name": "00u-anna"}])
    await world.settle()
    assert subject(world)["state"] == "Applied"
    assert world.ready("people", "AccessPolicy")["status"] == "True"
    assert given(world, "readers") == given(world, "00u-anna", group=False) == "1"
    assert (given(world, "readers", group=False), given(world, "00u-anna")) == ("", "")
    assert entries(world)["user.1"] == "zt_viewer"
    assert "readers" not in repr(world.kube.must("ConfigMap", "gateway-config", world.space()))
    world.kube.remove("AccessPolicy", "people", PROJECT)
    await world.settle()
    assert given(world, "readers") == ""


async def test_a_second_factor_and_an_end_are_bits_of_their_own(world: FakeWorld) -> None:
    await with_issuer(world)
    end = NOW + timedelta(hours=1)
    policy(world, role="DataAdmin", requireMFA=True, expiresAt=utc(end))
    world.access_policy("all", subjects=[{"kind": "Group", "name": "staff"}])
    await world.settle()
    admin, staff = int(given(world, "readers")), int(given(world, "staff"))
    assert int(entries(world)["nomfa"]) == staff
    live = [line.split(" ") for line in world.door_file("sso-live.map")]
    mark = entries(world)["mark"]
    assert live == [
        [f"0:{int(end.timestamp()) - 1}", f"{mark}:{admin | staff}"],
        [f"{int(end.timestamp())}:", f"{mark}:{staff}"],
    ]
    await world.pass_time(timedelta(hours=2))
    assert given(world, "readers") == ""
    assert subject(world)["state"] == "Expired"


async def test_every_user_that_a_token_may_become_is_in_milvus_with_its_password(world: FakeWorld) -> None:
    await with_issuer(world)
    policy(world)
    world.access_policy("ops", role="DataOperator", subjects=[{"kind": "Group", "name": "ops"}])
    await world.settle()
    named = {value for key, value in entries(world).items() if key.startswith("user.")}
    passwords = dict(line.split(" ", 1) for line in world.door_file("users.map"))
    assert named == {"zt_viewer", "zt_operator"}
    assert all(world.server().accepts(user, passwords[user]) for user in named)


async def test_a_data_plane_without_issuers_is_named_and_nothing_else_disturbed(world: FakeWorld) -> None:
    await world.quickstart()
    policy(world)
    await world.settle()
    said = world.ready("people", "AccessPolicy")
    assert (said["status"], said["reason"]) == ("False", "SignOnMissing")
    assert "DataPlane default" in said["message"] and "spec.sso" in said["message"]
    assert subject(world)["state"] == "Pending"
    assert world.ready()["status"] == "True"


async def test_a_second_factor_that_no_issuer_tells_is_named(world: FakeWorld) -> None:
    await with_issuer(world, mfa=None)
    policy(world, requireMFA=True)
    await world.settle()
    assert world.ready("people", "AccessPolicy")["reason"] == "SignOnMissing"
    assert "spec.sso[].mfa" in subject(world)["message"]


async def test_a_name_without_its_issuers_prefix_is_named(world: FakeWorld) -> None:
    await with_issuer(world, prefix="corp:")
    policy(world)
    await world.settle()
    assert "corp:" in subject(world)["message"] and given(world, "readers") == ""
    policy(world, subjects=[{"kind": "Group", "name": "corp:readers"}])
    await world.settle()
    assert subject(world)["state"] == "Applied" and given(world, "readers") == "1"
