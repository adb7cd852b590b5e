"""`zilliz-operator sso render`: what an API server is told, from a file; and that the page shows exactly that."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from zilliz_operator.api.dataplane import SsoIssuer
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.people import MFA_KEY, SsoNames
from zilliz_operator.cli import main
from zilliz_operator.policy import controlplane

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sso-control-plane.md"
AWS = ("--file", str(ROOT / "manifests/examples/dataplane-aws.yaml"), "--dataplane", "aws-us-west-2")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main.main(["sso", "render", *arguments]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main.main(["sso", "render", *arguments]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("number", [0, 1], ids=["self-managed", "EKS"])
def test_the_page_shows_what_the_command_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.chdir(ROOT)
    shown = re.findall(r"```sh\nzilliz-operator sso render (.*?)\n```\n\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(shown) == 2
    arguments, expected = shown[number]
    assert printed(capsys, *shlex.split(arguments)) == expected


@pytest.mark.parametrize(
    ("kubernetes", "version"), [("1.30", "v1beta1"), ("v1.33.4", "v1beta1"), ("1.34", "v1"), ("v1.36.0-eks-1", "v1")]
)
def test_the_file_is_of_a_version_that_the_server_reads(
    capsys: pytest.CaptureFixture[str], kubernetes: str, version: str
) -> None:
    made = yaml.safe_load(printed(capsys, *AWS, "--kubernetes-version", kubernetes))
    assert made["apiVersion"] == f"apiserver.config.k8s.io/{version}"


def test_options_are_in_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    given = ("--audience", "kubectl", "--username-claim", "sub", "--username-prefix", "acme:", "--groups-prefix", "ag:")
    text = printed(capsys, *AWS, *given, "--ca-file", str(authority), "--require-mfa")
    (found,) = yaml.safe_load(text)["jwt"]
    assert found["issuer"]["audiences"] == ["kubectl"]
    assert found["issuer"]["certificateAuthority"] == authority.read_text()
    mapped = found["claimMappings"]
    assert (mapped["username"], mapped["groups"]["prefix"]) == ({"claim": "sub", "prefix": "acme:"}, "ag:")
    assert [extra["key"] for extra in mapped["extra"]] == [MFA_KEY]
    assert found["claimValidationRules"][0]["message"] == "the token shows no second factor"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((*AWS[:3], "nowhere"), "there is no DataPlane nowhere: one of aws-us-west-2"),
        (
            ("--file", str(ROOT / "manifests/examples/dataplane-s3.yaml"), "--dataplane", "on-premises"),
            "spec.sso: of DataPlane on-premises is empty",
        ),
        (("--file", "/nowhere.yaml"), "/nowhere.yaml: cannot be read"),
        (("--file", str(ROOT / "charts/zilliz-operator/templates/rbac.yaml")), "is no YAML (line 1)"),
        ((*AWS, "--kubernetes-version", "1.29"), "1.30 is the first that does"),
        ((*AWS, "--kubernetes-version", "newest"), "write it as 1.34"),
        ((*AWS, "--username-prefix", ""), "--username-prefix: must be there"),
        ((*AWS, "--groups-prefix", "system:"), "--groups-prefix: must be there and not begin with system:"),
        ((*AWS, "--ca-file", "/nowhere.crt"), "/nowhere.crt: cannot be read"),
    ],
)
def test_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(capsys, *arguments)


def test_an_invalid_data_plane_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    plane: dict[str, Any] = yaml.safe_load((ROOT / "manifests/examples/dataplane-aws.yaml").read_text())
    plane["spec"]["sso"][0]["issuer"] = "http://idp.acme.com"
    file = tmp_path / "plane.yaml"
    file.write_text(yaml.safe_dump(plane))
    assert "must begin with https://" in refused(capsys, "--file", str(file), "--dataplane", "aws-us-west-2")


def issuer(**fields: Any) -> SsoIssuer:
    base = {"issuer": "https://idp.acme.com", "audience": "milvus", "jwksURL": "https://idp.acme.com/keys"}
    return SsoIssuer.model_validate({**base, **fields})


def request(*issuers: SsoIssuer, require_mfa: bool = False) -> controlplane.Request:
    return controlplane.Request(
        issuers=issuers, audience="kubernetes", username_claim="email", names=SsoNames(), require_mfa=require_mfa
    )


def test_a_second_factor_cannot_be_required_of_an_issuer_that_tells_none() -> None:
    with pytest.raises(InvalidSpec, match="say how it tells a second factor"):
        controlplane.configuration(request(issuer(), require_mfa=True), version="v1")
    (made,) = controlplane.configuration(request(issuer()), version="v1")["jwt"]
    assert "extra" not in made["claimMappings"]


def test_names_of_claims_and_values_cannot_leave_their_quotes() -> None:
    text = controlplane.evidence(issuer(mfa={"claim": 'a"]) || true || ("', "values": ["b\\", 'c"']}))
    assert text.startswith('["b\\\\", "c\\""].filter(v, type(claims[?"a\\"]) || true || (\\""]')


class TestEks:
    def test_one_issuer_and_the_others_are_named(self) -> None:
        second = issuer(issuer="https://other.acme.com")
        text = controlplane.eks(request(issuer(), second), cluster="cp")
        assert "# Left out, for it takes one only: https://other.acme.com" in text
        assert text.count("issuerUrl=") == 1

    def test_a_text_can_be_required_and_a_list_cannot(self) -> None:
        acr = issuer(mfa={"claim": "acr", "values": ["multi"]})
        assert "requiredClaims={acr=multi}" in controlplane.eks(request(acr, require_mfa=True), cluster="cp")
        amr = issuer(mfa={"claim": "amr", "values": ["mfa"]})
        text = controlplane.eks(request(amr, require_mfa=True), cluster="cp")
        assert "requiredClaims" not in text
        assert "--require-mfa has no effect here" in text
