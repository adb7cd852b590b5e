"""Single sign-on at a real API server with a real issuer: who gets in, who writes, who is told to come back with a second factor.

The configuration is what `zilliz-operator sso render` prints, put where the API server reads it while it runs.
"""

import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver import samples
from tests.apiserver.client import Answer, Api, path_of, until
from tests.apiserver.conftest import PSA_RESTRICTED, control_plane
from tests.apiserver.helm import Helm
from tests.apiserver.test_doctor import run
from tools.devcluster.controlplane import ControlPlane
from tools.devcluster.issuer import Issuer, serve
from tools.devcluster.pki import write_private
from tools.generate_manifests import NAMESPACE
from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy
from zilliz_operator.api.people import MFA_KEY, SSO_NAMES
from zilliz_operator.desired.bindings import bindings
from zilliz_operator.policy import people

Manifest = dict[str, Any]

PROJECT = "sso-project"
AUDIENCE = "kubernetes"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:zilliz-operator"
ANNA = {"email": "anna@acme.com", "groups": ["scientists"], "amr": ["pwd"]}
FACTOR = {"amr": ["pwd", "mfa"]}


@dataclass(frozen=True)
class Door:
    """The API server as people reach it: by a token, with no certificate."""

    api: Api
    issuer: Issuer

    def token(self, *, audience: str = AUDIENCE, seconds: float = 600.0, **claims: Any) -> str:
        return self.issuer.token({**ANNA, **claims}, audience=audience, seconds=seconds)

    def request(self, token: str, method: str, path: str, body: Manifest | None = None) -> Answer:
        plane = self.api.plane
        host, _, port = plane.server.removeprefix("https://").partition(":")
        context = ssl.create_default_context(cafile=str(plane.layout.pki / "kube.crt"))
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
        with plane.inside():
            connection.connect()
        try:
            content = "application/merge-patch+json" if method == "PATCH" else "application/json"
            headers = {"Authorization": f"Bearer {token}", "Content-Type": content}
            connection.request(method, path, body=json.dumps(body) if body else None, headers=headers)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        try:
            return Answer(response.status, json.loads(data))
        except ValueError:
            return Answer(response.status, {"message": data.decode(errors="replace")})

    def whoami(self, token: str) -> Answer:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        return self.request(token, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body)

    def read(self, token: str, *, namespace: str = PROJECT) -> Answer:
        return self.request(token, "GET", path_of("ZillizCluster", namespace=namespace))

    def write(self, token: str, *, name: str = "search", note: str = "x", namespace: str = PROJECT) -> Answer:
        body = {"metadata": {"annotations": {"note": note}}}
        return self.request(token, "PATCH", path_of("ZillizCluster", name, namespace=namespace), body)


@pytest.fixture(scope="module")
def issuer(plane_of_its_own: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    found = Issuer(tmp_path_factory.mktemp("issuer"))
    with plane_of_its_own.inside():
        server = serve(found)
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def plane_of_its_own() -> Iterator[ControlPlane]:
    """Other tests' API server knows no identity provider."""
    found = control_plane("sso")
    try:
        yield found.start()
    finally:
        found.stop()


def data_plane(issuer: Issuer) -> Manifest:
    made = samples.data_plane()
    made["spec"] |= {
        "sso": [
            {
                "issuer": issuer.url,
                "audience": "milvus",
                "jwksURL": f"{issuer.url}/keys",
                "mfa": {"claim": "amr", "values": ["mfa", "hwk"]},
            }
        ]
    }
    return made


def policy(name: str, *, namespace: str = PROJECT, **spec: Any) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": names.API_VERSION, "kind": "AccessPolicy", "metadata": metadata, "spec": spec}


POLICIES = (
    policy(
        "scientists",
        level="Project",
        role="DataAdmin",
        requireMFA=True,
        subjects=[{"kind": "Group", "name": "scientists"}],
    ),
    policy("bob", level="Project", role="DataAdmin", subjects=[{"kind": "User", "name": "bob@acme.com"}]),
    policy(
        "owners",
        namespace=NAMESPACE,
        level="Organization",
        role="OrganizationOwner",
        requireMFA=True,
        subjects=[{"kind": "User", "name": "olga@acme.com"}],
    ),
)


@pytest.fixture(scope="module")
def door(plane_of_its_own: ControlPlane, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """The chart, a project with its people as the operator binds them, and the API server told of the issuer."""
    plane = plane_of_its_own
    api = Api(plane)
    api.namespace(NAMESPACE, labels=PSA_RESTRICTED)
    Helm(plane, tmp_path_factory.mktemp("helm")).install()
    until(lambda: api.get("AccessPolicy").ok, what="our kinds are served")
    api.namespace(PROJECT)
    api.apply(data_plane(issuer)).must()
    api.apply(samples.cluster("search", namespace=PROJECT, deletionProtection=False)).must()
    for manifest in POLICIES:
        made = AccessPolicy.parse(api.apply(manifest).must())
        spaces = people.namespaces(made, projects=[PROJECT], operator_namespace=NAMESPACE)
        role = people.cluster_role(made)
        for each in bindings(made, made.spec.subjects, role=role, namespaces=spaces, sso=SSO_NAMES):
            api.apply(each, user=OPERATOR).must()
    rendered = run(plane, "sso", "render", "--dataplane", "default", "--ca-file", str(issuer.authority))
    assert rendered.returncode == 0, rendered.stderr
    write_private(plane.authentication, rendered.stdout.encode())
    found = Door(api, issuer)
    until(lambda: found.whoami(found.token()).ok, what="the API server accepts the issuer's tokens", seconds=60)
    until(lambda: found.write(found.token()).status == 403, what="a second factor is asked for", seconds=90)
    return found


class TestWho:
    def test_user_and_groups_have_their_prefixes_and_the_claim_is_shown(self, door: Door) -> None:
        who = door.whoami(door.token(**FACTOR)).must()["status"]["userInfo"]
        assert who["username"] == "oidc:anna@acme.com"
        assert "oidc:scientists" in who["groups"]
        assert who["extra"][MFA_KEY] == ["mfa"]

    def test_without_a_second_factor_nothing_is_shown(self, door: Door) -> None:
        for claims in ({}, {"amr": []}, {"amr": "pwd"}, {"amr": None}):
            who = door.whoami(door.token(**claims)).must()["status"]["userInfo"]
            assert MFA_KEY not in who.get("extra", {}), claims

    def test_a_claim_that_is_one_text_counts(self, door: Door) -> None:
        who = door.whoami(door.token(amr="hwk")).must()["status"]["userInfo"]
        assert who["extra"][MFA_KEY] == ["hwk"]

    def test_a_group_of_kubernetes_is_one_with_a_prefix_here(self, door: Door) -> None:
        token = door.token(email="mallory@acme.com", groups=["system:masters"], **FACTOR)
        assert "oidc:system:masters" in door.whoami(token).must()["status"]["userInfo"]["groups"]
        assert door.read(token).status == 403
        assert door.request(token, "GET", "/api/v1/namespaces/kube-system/secrets").status == 403


class TestRefused:
    @pytest.mark.parametrize(
        "changed",
        [
            {"audience": "milvus"},
            {"seconds": -60.0},
            {"iss": "https://idp.example.com"},
            {"nbf": 4_000_000_000},
            {"email": None},
            {"email": ""},
            {"email_verified": False},
        ],
        ids=[
            "the doors' audience",
            "expired",
            "another issuer",
            "not yet valid",
            "nobody",
            "nobody in words",
            "an unproved address",
        ],
    )
    def test_a_token_that_is_not_for_us(self, door: Door, changed: dict[str, Any]) -> None:
        assert door.whoami(door.token(**FACTOR, **changed)).status == 401

    def test_a_token_signed_by_another(self, door: Door, tmp_path: Path) -> None:
        assert door.whoami(Issuer(tmp_path).token({**ANNA, **FACTOR}, audience=AUDIENCE)).status == 401

    def test_a_token_that_is_not_signed(self, door: Door) -> None:
        head, body, _ = door.issuer.token({**ANNA, **FACTOR}, audience=AUDIENCE, header={"alg": "none"}).split(".")
        assert door.whoami(f"{head}.{body}.").status == 401

    @pytest.mark.parametrize("token", ["garbage", "a.b.c", "x" * 100_000], ids=["garbage", "three parts", "100 KB"])
    def test_what_is_no_token(self, door: Door, token: str) -> None:
        assert door.whoami(token).status in (401, 431)

    def test_a_group_that_nobody_bound(self, door: Door) -> None:
        token = door.token(email="carl@acme.com", groups=["accounting"], **FACTOR)
        door.whoami(token).must()
        assert door.read(token).status == 403
        assert door.write(token).status == 403


class TestSecondFactor:
    def test_with_one_whom_the_policy_names_writes(self, door: Door) -> None:
        door.write(door.token(**FACTOR)).must()

    def test_without_one_they_read_and_are_told_what_is_missing(self, door: Door) -> None:
        token = door.token()
        door.read(token).must()
        answer = door.write(token)
        assert answer.status == 403
        assert f"AccessPolicy {PROJECT}/scientists requires a second factor" in answer.message
        assert "oidc:anna@acme.com" in answer.message

    def test_deleting_is_writing(self, door: Door) -> None:
        path = path_of("ZillizCluster", "search", namespace=PROJECT)
        answer = door.request(door.token(), "DELETE", path)
        assert answer.status == 403
        assert "second factor" in answer.message

    def test_whom_no_such_policy_names_writes_without(self, door: Door) -> None:
        door.write(door.token(email="bob@acme.com", groups=["pipelines"])).must()

    def test_another_policy_without_it_is_no_way_round(self, door: Door) -> None:
        answer = door.write(door.token(email="bob@acme.com", groups=["scientists"]))
        assert answer.status == 403
        assert "second factor" in answer.message

    def test_owners_need_it_in_every_project_and_for_data_planes(self, door: Door) -> None:
        olga = {"email": "olga@acme.com", "groups": []}
        granted = policy("first", level="Project", role="DataViewer", subjects=[{"kind": "User", "name": "x"}])
        path = f"{path_of('AccessPolicy', namespace=PROJECT)}?dryRun=All"
        refused = door.request(door.token(**olga), "POST", path, granted)
        assert refused.status == 403
        assert f"AccessPolicy {NAMESPACE}/owners requires a second factor" in refused.message
        door.request(door.token(**olga, **FACTOR), "POST", path, granted).must()

    def test_the_claim_is_in_the_audit_log(self, door: Door) -> None:
        door.write(door.token(**FACTOR), note="audited").must()
        with door.api.plane.audit_log.open() as lines:
            found = [
                event["user"]
                for event in map(json.loads, lines)
                if event["verb"] == "patch"
                and (event.get("requestObject") or {}).get("metadata", {}).get("annotations") == {"note": "audited"}
            ]
        assert found
        assert {user["username"] for user in found} == {"oidc:anna@acme.com"}
        assert all(user["extra"][MFA_KEY] == ["mfa"] for user in found)


def test_a_new_signing_key_is_followed(door: Door) -> None:
    before = door.token(**FACTOR)
    door.issuer.forget()
    until(lambda: door.whoami(door.token(**FACTOR)).ok, what="the new key is known", seconds=60)
    assert before.split(".")[0] != door.token(**FACTOR).split(".")[0]


def test_a_whole_server_may_ask_for_the_second_factor(door: Door) -> None:
    """`--require-mfa`: reading included, of everybody. Last, for it changes the server's configuration."""
    plane = door.api.plane
    rendered = run(plane, "sso", "render", "--require-mfa", "--ca-file", str(door.issuer.authority))
    assert yaml.safe_load(rendered.stdout)["jwt"][0]["claimValidationRules"]
    write_private(plane.authentication, rendered.stdout.encode())
    until(lambda: door.whoami(door.token()).status == 401, what="tokens without a factor are refused", seconds=120)
    door.read(door.token(**FACTOR)).must()
