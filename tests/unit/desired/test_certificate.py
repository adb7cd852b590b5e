"""Who signs what: three authorities that never mix, and a door whose names its issuer can prove."""

from typing import Any

import pytest

from tests.unit.desired.samples import context, data_plane
from zilliz_operator.desired.certificate import certificates
from zilliz_operator.desired.context import ClusterContext


def built(ctx: ClusterContext | None = None, *, public_issuer: bool = False) -> dict[tuple[str, str], dict[str, Any]]:
    found = certificates(ctx or context(), public_issuer=public_issuer)
    return {(each["kind"], each["metadata"]["name"]): each["spec"] for each in found}


def test_each_certificate_has_its_own_authority() -> None:
    found = built()
    signed_by = {name: spec["issuerRef"]["name"] for (kind, name), spec in found.items() if kind == "Certificate"}
    assert signed_by == {
        "internal-ca": "selfsigned",
        "operator-ca": "selfsigned",
        "milvus-tls": "internal",
        "gateway-client": "internal",
        "operator-client": "operator-ca",
        "gateway-tls": "ca",
    }
    assert found["Issuer", "internal"] == {"ca": {"secretName": "internal-ca"}}
    assert found["Issuer", "operator-ca"] == {"ca": {"secretName": "operator-ca"}}
    assert all(spec["secretName"] == name for (kind, name), spec in found.items() if kind == "Certificate")


def test_keys_change_with_every_renewal_but_those_of_authorities() -> None:
    for (kind, name), spec in built().items():
        if kind == "Certificate":
            policy = spec["privateKey"]["rotationPolicy"]
            assert policy == ("Never" if name.endswith("-ca") else "Always")
            assert int(spec["renewBefore"][:-1]) < int(spec["duration"][:-1])


def test_clients_and_servers_can_do_no_more_than_that() -> None:
    found = built()
    for name, usage in (
        ("milvus-tls", "server auth"),
        ("gateway-client", "client auth"),
        ("gateway-tls", "server auth"),
    ):
        auth = {each for each in found["Certificate", name]["usages"] if each.endswith("auth")}
        assert auth == {usage}
        assert "isCA" not in found["Certificate", name]
    assert found["Certificate", "operator-client"]["commonName"] == "zilliz-operator"


def test_the_door_is_renewed_a_month_before_its_ninety_days_are_over() -> None:
    door = built()["Certificate", "gateway-tls"]
    assert (door["duration"], door["renewBefore"]) == ("2160h", "720h")
    assert door["privateKey"]["algorithm"] == "ECDSA" and "commonName" not in door
    other = built(context({"tls": {"duration": "48h", "renewBefore": "24h"}}))["Certificate", "gateway-tls"]
    assert (other["duration"], other["renewBefore"]) == ("48h", "24h")


@pytest.mark.parametrize("public", [True, False])
def test_the_door_asks_for_names_inside_kubernetes_only_where_the_issuer_can_sign_them(public: bool) -> None:
    ctx = context({"tls": {"dnsNames": ["vectors.acme.com", "vectors.acme.com"]}})
    found = built(ctx, public_issuer=public)["Certificate", "gateway-tls"]["dnsNames"]
    assert found[0] == ctx.door_host and found[-1] == "vectors.acme.com"
    inside = [f"gateway.{ctx.namespace}.svc", f"gateway.{ctx.namespace}.svc.cluster.local"]
    assert found[1:-1] == ([] if public else inside)


def test_without_an_issuer_the_internal_authority_signs_the_hop_behind_acm() -> None:
    acm = {"domain": "byoc.test", "acm": {"certificateArn": "arn:aws:acm:us-west-2:111122223333:certificate/x"}}
    ctx = context({"exposure": "LoadBalancer"}, data_plane(certificates=acm))
    assert built(ctx)["Certificate", "gateway-tls"]["issuerRef"]["name"] == "internal"
