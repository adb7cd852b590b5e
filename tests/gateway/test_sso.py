"""Tokens of single sign-on at a real door: who comes in, as whom, and what everybody else is told."""

import base64
import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymilvus import MilvusClient

from tests.gateway.fakemilvus import FakeMilvus
from tests.gateway.pki import Pki
from tests.gateway.rig import KEY, PASSWORDS, Gateway, ask, basic, until
from tests.gateway.tokens import AUDIENCE, ISSUER, Signer, b64, claims, mint
from zilliz_operator.api.rolenames import technical_user
from zilliz_operator.api.signon import MAX_GROUPS, IssuerKeys
from zilliz_operator.desired.door import DoorLimits, TechnicalUser
from zilliz_operator.desired.signon import DoorIssuer, DoorSso
from zilliz_operator.policy.signon import Given, plan

Make = Callable[..., Gateway]
OTHER_ISSUER = "https://partner.example.test"
GRANTED = "zg_0123456789ab"
FOREVER = 4_000_000_000
VIEWER, OPERATOR, ADMIN = (frozenset({role}) for role in ("zr_viewer", "zr_operator", "zr_admin"))
BOTH = frozenset({"zr_viewer", GRANTED})


def given(policy: str, name: str, roles: frozenset[str], *, user: bool = False, **more: Any) -> Given:
    return Given(policy=policy, group=not user, name=name, roles=roles, **more)


POLICIES = (
    given("a/viewers", "readers", VIEWER),
    given("a/viewers", "00u-anna", VIEWER, user=True),
    given("b/operators", "Data / Ops: EU", OPERATOR),
    given("b/operators", "équipe-數據", OPERATOR),
    given("c/admins", "admins", ADMIN, require_mfa=True),
    given("d/grants", "grantees", frozenset({GRANTED})),
    given("e/ended", "ended", ADMIN, ends=datetime(2026, 1, 1, tzinfo=UTC)),
    given("f/partners", "partner:readers", VIEWER),
    given("g/quotes", 'x"readers"y', ADMIN),
)
KEYS = {
    "one": Signer("2026-a"),
    "two": Signer("2026/b+c="),
    "elliptic": Signer("ec", curve="P-256"),
    "big": Signer("ec384", curve="P-384"),
    "nameless": Signer(None),
    "partner": Signer("2026-a"),  # the same kid as the first issuer's: it is another key
    "strange": Signer("2026-a"),
    "unpublished": Signer("2027-z"),
}


def sso(*signers: str, policies: tuple[Given, ...] = POLICIES, until: int = FOREVER, **changes: Any) -> DoorSso:
    names = signers or ("one", "two", "elliptic", "big", "nameless")
    first = DoorIssuer(
        issuer=ISSUER,
        audience=AUDIENCE,
        mfa_claim="amr",
        mfa_values=("mfa", "hwk"),
        keys=IssuerKeys(keys=tuple(KEYS[name].key for name in names), trusted_until=until),
    )
    partner = DoorIssuer(
        issuer=OTHER_ISSUER,
        audience="partner/milvus",
        username_claim="email",
        groups_claim="realm_access.roles",
        prefix="partner:",
        mfa_claim="acr",
        mfa_values=("gold",),
        keys=IssuerKeys(keys=(KEYS["partner"].key,), trusted_until=FOREVER),
    )
    return DoorSso(
        issuers=(dataclasses.replace(first, **changes), partner), masks=plan(policies, user=technical_user).masks
    )


USERS = {technical_user(roles) for roles in plan(POLICIES, user=technical_user).role_sets}
PASSWORD_OF = {user: PASSWORDS.get(user, f"Tech-{user}-5f1c") for user in USERS | {"zt_viewer", "zt_admin"}}


def settings(**changes: Any) -> dict[str, Any]:
    users = tuple(TechnicalUser(name=user, password=password) for user, password in sorted(PASSWORD_OF.items()))
    return {"sso": sso(), "technical_users": users, **changes}


@pytest.fixture(scope="module")
def server(pki: Pki) -> Iterator[FakeMilvus]:
    fake = FakeMilvus(users=PASSWORDS | PASSWORD_OF).start(pair=pki.milvus, client_ca=pki.internal.pem)
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def door(pki: Pki, server: FakeMilvus) -> Iterator[Gateway]:
    one = Gateway(pki, server, **settings())
    try:
        yield one.start()
    finally:
        one.stop()


def acted_as(server: FakeMilvus) -> str:
    """The user of the last call that reached Milvus."""
    sent = server.last("/HasCollection").headers["authorization"]
    return base64.b64decode(sent).decode().partition(":")[0]


READER = {"groups": ["readers"]}
LATER = int(time.time()) + 3600
MANY = [f"group-{number:04}" for number in range(MAX_GROUPS - 1)]
PARTNER = {"iss": OTHER_ISSUER, "aud": "partner/milvus", "realm_access": {"roles": ["readers"]}, "acr": "gold"}
ESCAPED = json.dumps(claims(groups=["équipe-數據"]))
"""As some issuers write it: with \\u escapes."""

ADMITTED: list[tuple[str, str, frozenset[str]]] = [
    ("RS256", mint(KEYS["one"], **READER), VIEWER),
    ("RS384", mint(KEYS["one"], header={"alg": "RS384"}, **READER), VIEWER),
    ("RS512", mint(KEYS["one"], header={"alg": "RS512"}, **READER), VIEWER),
    ("a second key, with an awkward kid", mint(KEYS["two"], **READER), VIEWER),
    ("ES256", mint(KEYS["elliptic"], **READER), VIEWER),
    ("ES384", mint(KEYS["big"], **READER), VIEWER),
    ("no kid, and a key without one", mint(KEYS["nameless"], **READER), VIEWER),
    ("audience in a list", mint(KEYS["one"], aud=["x", "y", AUDIENCE], **READER), VIEWER),
    ("by name alone", mint(KEYS["one"]), VIEWER),
    ("by name, without any groups claim", mint(KEYS["one"], drop=["groups"]), VIEWER),
    ("one group as a text", mint(KEYS["one"], sub="x", groups="readers"), VIEWER),
    ("group with spaces, a slash and a colon", mint(KEYS["one"], sub="x", groups=["Data / Ops: EU"]), OPERATOR),
    ("group outside ASCII", mint(KEYS["one"], sub="x", groups=["équipe-數據"]), OPERATOR),
    ("two groups: the higher role holds the lower", mint(KEYS["one"], groups=["readers", "Data / Ops: EU"]), OPERATOR),
    ("second factor", mint(KEYS["one"], groups=["readers", "admins"]), ADMIN),
    ("another second factor", mint(KEYS["one"], groups=["admins"], amr=["pwd", "hwk"]), ADMIN),
    ("no second factor: what needs none remains", mint(KEYS["one"], groups=["readers", "admins"], amr=["pwd"]), VIEWER),
    ("a role and grants together", mint(KEYS["one"], groups=["readers", "grantees"]), BOTH),
    ("an ended policy adds nothing", mint(KEYS["one"], groups=["readers", "ended"]), VIEWER),
    ("the last group that is looked at", mint(KEYS["one"], sub="x", groups=[*MANY, "readers"]), VIEWER),
    ("a group with quotes is itself", mint(KEYS["one"], sub="x", groups=['x"readers"y']), ADMIN),
    ("begun half a minute from now, by a fast clock", mint(KEYS["one"], nbf=int(time.time()) + 20, **READER), VIEWER),
    ("12 KB", mint(KEYS["one"], pad="x" * 9000, **READER), VIEWER),
    ("another issuer: nested claim, prefix, acr", mint(KEYS["partner"], **PARTNER), VIEWER),
    ("another issuer: e-mail verified", mint(KEYS["partner"], email_verified=True, **PARTNER), VIEWER),
]


@pytest.mark.parametrize(("token", "roles"), [case[1:] for case in ADMITTED], ids=[case[0] for case in ADMITTED])
def test_a_good_token_acts_with_the_union_of_its_roles(
    door: Gateway, server: FakeMilvus, token: str, roles: frozenset[str]
) -> None:
    with door.channel() as channel:
        assert ask(channel, basic(token)) == "OK"
    assert acted_as(server) == technical_user(roles)
    assert door.rest(headers=[("Authorization", f"Bearer {token}")])[0] == 200


@dataclass(frozen=True)
class Bad:
    what: str
    token: str
    reason: str
    grpc: str = "UNAUTHENTICATED"
    rest: int = 401


def forbidden(what: str, token: str, reason: str) -> Bad:
    return Bad(what, token, reason, "PERMISSION_DENIED", 403)


def tampered() -> str:
    head, _, signature = mint(KEYS["one"], **READER).split(".")
    return f"{head}.{b64(json.dumps(claims(groups=['admins'])).encode())}.{signature}"


def injected(inside: str) -> str:
    """A claim within another claim's text."""
    return mint(KEYS["one"], amr=["pwd"], groups=["admins"], name=inside)


REFUSED = [
    Bad("another issuer", mint(KEYS["one"], iss="https://evil.test", **READER), "unknown_issuer"),
    Bad("an issuer that begins alike", mint(KEYS["one"], iss=ISSUER + "/x", **READER), "unknown_issuer"),
    Bad("no issuer", mint(KEYS["one"], drop=["iss"], **READER), "unknown_issuer"),
    Bad("alg none", mint(KEYS["one"], header={"alg": "none"}, **READER), "bad_algorithm"),
    Bad("alg None, spelled otherwise", mint(KEYS["one"], header={"alg": "nOnE"}, **READER), "bad_algorithm"),
    Bad("HS256 with the public key", mint(KEYS["one"], header={"alg": "HS256"}, **READER), "bad_algorithm"),
    Bad(
        "PS256, which this HAProxy cannot check", mint(KEYS["one"], header={"alg": "PS256"}, **READER), "bad_algorithm"
    ),
    Bad("a header that must be understood", mint(KEYS["one"], header={"crit": ["b64"]}, **READER), "bad_algorithm"),
    Bad("RS256 claimed for an elliptic key", mint(KEYS["elliptic"], header={"alg": "RS256"}), "unknown_signing_key"),
    Bad("a key that was never published", mint(KEYS["unpublished"], **READER), "unknown_signing_key"),
    Bad("another's key under a known kid", mint(KEYS["strange"], **READER), "bad_signature"),
    Bad("the partner's key, the same kid", mint(KEYS["partner"], **READER), "bad_signature"),
    Bad("the claims exchanged", tampered(), "bad_signature"),
    Bad("the signature cut off", mint(KEYS["one"], **READER).rpartition(".")[0] + ".", "bad_signature"),
    Bad("another audience", mint(KEYS["one"], aud="grafana", **READER), "wrong_audience"),
    Bad("an audience that contains it", mint(KEYS["one"], aud=["milvus-test", "x,milvus"], **READER), "wrong_audience"),
    Bad("no audience", mint(KEYS["one"], drop=["aud"], **READER), "wrong_audience"),
    Bad("the partner's audience", mint(KEYS["one"], aud="partner/milvus", **READER), "wrong_audience"),
    Bad("ended a second ago", mint(KEYS["one"], exp=int(time.time()) - 1, **READER), "token_expired"),
    Bad("no end", mint(KEYS["one"], drop=["exp"], **READER), "token_expired"),
    Bad("an end in words", mint(KEYS["one"], exp="never", **READER), "token_expired"),
    Bad(
        "an end beyond all numbers",
        mint(KEYS["one"], raw=json.dumps(claims(**READER) | {"exp": 10**30})),
        "token_expired",
    ),
    Bad("begins in an hour", mint(KEYS["one"], nbf=LATER, **READER), "token_not_yet_valid"),
    Bad("no second factor", mint(KEYS["one"], sub="x", groups=["admins"], amr=["pwd"]), "mfa_required"),
    Bad("no word about factors", mint(KEYS["one"], sub="x", groups=["admins"], drop=["amr"]), "mfa_required"),
    Bad("a factor that begins alike", mint(KEYS["one"], sub="x", groups=["admins"], amr=["mfa2"]), "mfa_required"),
    Bad(
        "the partner's word for it",
        mint(KEYS["one"], sub="x", groups=["admins"], amr=["pwd"], acr="gold"),
        "mfa_required",
    ),
    forbidden("no group that counts", mint(KEYS["one"], sub="x", groups=["staff"]), "no_role"),
    forbidden("a group that begins alike", mint(KEYS["one"], sub="x", groups=["readers2", "reader"]), "no_role"),
    forbidden("a group of other case", mint(KEYS["one"], sub="x", groups=["Readers"]), "no_role"),
    forbidden("only an ended policy", mint(KEYS["one"], sub="x", groups=["ended"]), "no_role"),
    forbidden("a user's name as a group", mint(KEYS["one"], sub="x", groups=["00u-anna"]), "no_role"),
    forbidden("a group's name as a user", mint(KEYS["one"], sub="readers"), "no_role"),
    forbidden(
        "the partner's prefix in our own token", mint(KEYS["one"], sub="x", groups=["partner:readers"]), "no_role"
    ),
    forbidden(
        "our group in the partner's token",
        mint(KEYS["partner"], **PARTNER | {"realm_access": {"roles": ["admins"]}}),
        "no_role",
    ),
    forbidden("a groups claim elsewhere", mint(KEYS["one"], sub="x", nested={"groups": ["readers"]}), "no_role"),
    forbidden("a group written with escapes", mint(KEYS["one"], raw=ESCAPED.replace("00u-anna", "x")), "no_role"),
    forbidden("too many groups", mint(KEYS["one"], groups=[*MANY, "readers", "more"]), "too_many_groups"),
    Bad("an unverified e-mail address", mint(KEYS["partner"], email_verified=False, **PARTNER), "email_not_verified"),
    Bad("17 KB", mint(KEYS["one"], pad="x" * 13000, **READER), "token_too_large"),
    Bad("not JSON", mint(KEYS["one"], raw="groups"), "unknown_issuer"),
    Bad("JSON of depth", mint(KEYS["one"], raw='{"a":' * 500 + "1" + "}" * 500), "unknown_issuer"),
]


@pytest.mark.parametrize("bad", REFUSED, ids=[bad.what for bad in REFUSED])
def test_a_bad_token_is_told_why_and_reaches_nobody(door: Gateway, server: FakeMilvus, bad: Bad) -> None:
    reached = len(server.calls)
    with door.channel() as channel:
        said = ask(channel, basic(bad.token))
        assert said.startswith(f"{bad.grpc}: gateway: {bad.reason}: "), said
        assert ask(channel, basic(KEY)) == "OK", "the connection goes on"
    status, body = door.rest(headers=[("Authorization", f"Bearer {bad.token}")])
    assert status == bad.rest
    assert json.loads(body)["code"] == bad.rest and f"gateway: {bad.reason}: " in json.loads(body)["message"]
    assert len(server.calls) == reached + 1
    line = door.line(reason=bad.reason)
    assert line["decision"] == "denied" and line["milvus_user"] == "-"


@pytest.mark.parametrize(
    "inside",
    [
        'x","amr":["mfa"],"y":"',
        '"amr":["mfa"]',
        '\\","amr":["mfa"],"z":"',
        '{"amr":["mfa"]}',
        '\u0000","amr":["mfa"],"y":"',
    ],
)
def test_claims_within_claims_are_only_text(door: Gateway, server: FakeMilvus, inside: str) -> None:
    with door.channel() as channel:
        assert ask(channel, basic(injected(inside))) == "OK"
    assert acted_as(server) == "zt_viewer", "admins needs a second factor, which only a text claims"


FORGED = {
    "a strange key": mint(KEYS["strange"], **READER),
    "a short signature": mint(KEYS["one"], **READER).rpartition(".")[0] + ".AAAA",
    "a curve's numbers out of range": mint(KEYS["elliptic"], **READER).rpartition(".")[0] + "." + b64(b"\xff" * 64),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_token_closes_nobodys_connection(door: Gateway, forged: str) -> None:
    """HAProxy 2.6.12 by itself closes the connection that it reads next: see templates/signon.lua."""
    with door.channel() as own, door.channel() as other, door.tls() as kept:
        assert ask(own, basic(KEY)) == ask(other, basic(KEY)) == "OK" and _again(kept, KEY) == 200
        for _ in range(10):
            assert "bad_signature" in ask(own, basic(forged))
            assert ask(other, basic(KEY)) == "OK"
            assert "bad_signature" in ask(own, basic(forged))
            assert _again(kept, KEY) == 200
            assert "bad_signature" in ask(own, basic(forged))
            assert ask(own, basic(KEY)) == "OK"


def test_the_audit_line_names_the_bearer_and_never_the_token(door: Gateway) -> None:
    token = mint(KEYS["one"], sub='anna "the\\admin"\n', groups=["readers", "admins"])
    with door.channel() as channel:
        assert ask(channel, basic(token)) == "OK"
    line = door.line(subject='anna "the\\admin"\n')
    wanted = {"auth": "oidc", "issuer": ISSUER, "mfa": "yes", "milvus_user": "zt_admin", "decision": "allowed"}
    assert wanted.items() <= line.items()
    with door.channel() as channel:
        ask(channel, basic(mint(KEYS["one"], sub="carl", groups=["admins"], amr=["pwd"])))
    assert {"mfa": "no", "reason": "mfa_required"}.items() <= door.line(subject="carl").items()
    written = door.stdout.read_text() + door.stderr.read_text()
    assert token.rpartition(".")[2] not in written and basic(token)[1] not in written


def test_what_nobody_signed_is_not_believed_in_the_audit_line(door: Gateway) -> None:
    with door.channel() as channel:
        ask(channel, basic(mint(KEYS["strange"], sub="ceo", **READER)))
    line = door.line(reason="bad_signature")
    assert line["subject"] == "-"


def test_pymilvus_comes_in_by_a_token(door: Gateway) -> None:
    path = door.home / "public-ca.pem"
    path.write_text(door.pki.public.pem)
    client = MilvusClient(
        uri=f"https://127.0.0.1:{door.port}",
        token=mint(KEYS["one"], **READER),
        server_pem_path=str(path),
        server_name="door.test",
        secure=True,
    )
    assert client.list_collections() == ["docs"]
    client.close()


def test_access_ends_with_the_token_on_an_open_connection(door: Gateway) -> None:
    token = mint(KEYS["one"], exp=int(time.time()) + 3, **READER)
    with door.channel() as channel:
        assert ask(channel, basic(token)) == "OK"
        until("the token ends", lambda: "token_expired" in ask(channel, basic(token)), seconds=15)
        assert ask(channel, basic(mint(KEYS["one"], **READER))) == "OK"


def test_100_kb_end_their_own_connection_and_no_other(door: Gateway) -> None:
    """The headers of one request must fit into one buffer; beyond it HTTP/2 has no answer for a single stream."""
    huge = mint(KEYS["one"], pad="x" * 75_000, **READER)
    assert len(huge) > 100_000
    with door.channel() as others, door.channel() as own:
        assert ask(others, basic(KEY)) == "OK" and ask(own, basic(KEY)) == "OK"
        assert ask(own, basic(huge)).startswith("UNAVAILABLE")
        assert ask(others, basic(KEY)) == "OK"
        until("the client is back on a new connection", lambda: ask(own, basic(KEY)) == "OK", seconds=15)
    with contextlib.suppress(OSError):  # HTTP/1.1 is answered, but the client may still be writing when the door closes
        assert door.rest(headers=[("Authorization", f"Bearer {huge}")])[0] == 400


def test_a_key_comes_and_another_goes_while_a_connection_stays(make_gateway: Make, server: FakeMilvus) -> None:
    gateway = make_gateway(server, **settings(sso=sso("one"))).start()
    first, second = mint(KEYS["one"], **READER), mint(KEYS["two"], **READER)
    with gateway.channel() as channel:
        assert ask(channel, basic(first)) == "OK"
        assert "unknown_signing_key" in ask(channel, basic(second))
        gateway.wait_in_force(gateway.change(sso=sso("one", "two")))
        assert ask(channel, basic(first)) == "OK"
        # The old worker does not know the key; it says so in a way that clients try again, and its connections move.
        seen: set[str] = set()

        def moved() -> bool:
            seen.add(ask(channel, basic(second)).partition(" (")[0])
            return "OK" in seen

        until("the connection has moved", moved, seconds=60)
        assert all("gateway: sso_changing: " in said and said.startswith("UNAVAILABLE") for said in seen - {"OK"}), seen
        gateway.wait_in_force(gateway.change(sso=sso("two")))
        assert "unknown_signing_key" in ask(channel, basic(first))
        assert ask(channel, basic(second)) == "OK"


def test_keys_too_old_are_trusted_no_more_though_nobody_changes_anything(
    make_gateway: Make, server: FakeMilvus
) -> None:
    end = int(time.time()) + 4
    gateway = make_gateway(server, **settings(sso=sso(until=end))).start()
    token = mint(KEYS["one"], **READER)
    with gateway.channel() as channel:
        assert ask(channel, basic(token)) == "OK"
        until("the keys are too old", lambda: "sso_keys_stale" in ask(channel, basic(token)), seconds=15)
        assert ask(channel, basic(mint(KEYS["partner"], **PARTNER))) == "OK", "the other issuer's are not"
        assert ask(channel, basic(KEY)) == "OK"


def test_a_policy_ends_by_the_gateways_own_clock(make_gateway: Make, server: FakeMilvus) -> None:
    end = datetime.now(UTC) + timedelta(seconds=4)
    policies = (given("a/temporary", "readers", ADMIN, ends=end), given("b/lasting", "readers", VIEWER))
    gateway = make_gateway(server, **settings(sso=sso(policies=policies))).start()
    token = mint(KEYS["one"], **READER)
    with gateway.channel() as channel:
        assert ask(channel, basic(token)) == "OK" and acted_as(server) == "zt_admin"

        def lesser() -> bool:
            assert ask(channel, basic(token)) == "OK"
            return acted_as(server) == "zt_viewer"

        until("the policy ends", lesser, seconds=15)


def test_policies_change_without_a_reload(make_gateway: Make, server: FakeMilvus) -> None:
    gateway = make_gateway(server, **settings()).start()
    token = mint(KEYS["one"], sub="x", **READER)
    with gateway.channel() as channel:
        assert ask(channel, basic(token)) == "OK"
        seen = gateway.wait_in_force(gateway.change(sso=sso(policies=POLICIES[2:])))
        assert "no_role" in ask(channel, basic(token))
        more = (*POLICIES[2:], given("z/again", "readers", OPERATOR))
        assert gateway.wait_in_force(gateway.change(sso=sso(policies=more)))["reloads"] == seen["reloads"] == 0
        assert ask(channel, basic(token)) == "OK" and acted_as(server) == "zt_operator"


def test_an_old_worker_learns_what_a_reload_brings(make_gateway: Make, server: FakeMilvus) -> None:
    """Also when sign-on is new to it: what it has must be revoked all the same."""
    gateway = make_gateway(server, **settings(sso=None)).start()
    with gateway.tls() as kept:
        assert _again(kept, KEY) == 200
        gateway.wait_in_force(gateway.change(sso=sso(), keys=()))
        assert gateway.attest()["draining"] == 1
        assert _again(kept, KEY) == 401


def test_expired_tokens_do_not_lock_their_address_out_and_forged_ones_do(
    make_gateway: Make, server: FakeMilvus
) -> None:
    few = dataclasses.replace(DoorLimits(), failures_slowed=5, failures_refused=6, slow_seconds=1)
    gateway = make_gateway(server, **settings(limits=few)).start()
    with gateway.channel() as channel:
        for token in (mint(KEYS["one"], exp=1, **READER), mint(KEYS["unpublished"]), mint(KEYS["one"], sub="x")):
            for _ in range(8):
                ask(channel, basic(token))
        assert ask(channel, basic(KEY)) == "OK"
        for _ in range(8):
            said = ask(channel, basic(mint(KEYS["strange"], **READER)))
        assert said.startswith("RESOURCE_EXHAUSTED: gateway: throttled"), said


def _again(link: Any, token: str) -> int:
    """One more request on a connection that stays open."""
    link.sendall(f"GET /v1/vector/collections HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    data = b""
    while b"}" not in data:
        block = link.recv(65536)
        assert block, "the connection was closed"
        data += block
    return int(data.split()[1])
