"""The network policies: closed by default, open to what was asked, and never to everybody by an empty list."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.desired.samples import NOW, context, data_plane
from tests.unit.policy.test_allowlist import addresses, admits, allowlist, blocks
from zilliz_operator.desired import network
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.policy.allowlist import NOBODY, Admission, union

OFFICE = union([allowlist("203.0.113.0/24", workloads=(("team-a-apps", "api"),))], now=NOW)
INTERNAL = context()


def policies(ctx: ClusterContext = INTERNAL, admission: Admission = OFFICE) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each["spec"] for each in network.policies(ctx, admission)}


def blocks_of(rules: list[dict[str, Any]], side: str) -> list[str]:
    return [peer["ipBlock"]["cidr"] for rule in rules for peer in rule[side] if "ipBlock" in peer]


def reaches(rules: list[dict[str, Any]], address: str) -> bool:
    """Whether some `to` of these rules lets a packet to this address out."""
    target = ip_address(address)
    return any(
        target in ip_network(peer["ipBlock"]["cidr"])
        and not any(target in ip_network(hole) for hole in peer["ipBlock"].get("except", ()))
        for rule in rules
        for peer in rule["to"]
        if "ipBlock" in peer
    )


def test_names_of_the_policies() -> None:
    assert list(policies()) == [
        "default-deny",
        "dns",
        "gateway-clients",
        "gateway-operator",
        "gateway-metrics",
        "gateway-egress",
        "milvus-ingress",
        "milvus-egress",
    ]


def test_everything_is_denied_both_ways_first() -> None:
    assert policies()["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("admission", [NOBODY, OFFICE])
@pytest.mark.parametrize("exposure", ["Internal", "LoadBalancer"])
@pytest.mark.parametrize("engine", ["BuiltIn", "MilvusOperator"])
def test_no_rule_is_open_to_everybody(admission: Admission, exposure: str, engine: str) -> None:
    bare = data_plane(engine=engine, network={}, objectStorage={"provider": "AWS"}, region="eu-west-1")
    for plane in (bare, data_plane(engine=engine)):
        for name, spec in policies(context({"exposure": exposure}, plane), admission).items():
            for side, rules in (("from", spec.get("ingress", ())), ("to", spec.get("egress", ()))):
                for rule in rules:
                    assert rule[side], f"{name} has a rule without {side}: Kubernetes reads it as everybody"
                    assert rule.get("ports") or name == "milvus-parts", f"{name} opens every port"


def test_a_closed_door_has_no_policy_for_clients_at_all() -> None:
    plane = data_plane()
    plane["spec"]["network"]["loadBalancerCIDRs"] = ["192.0.2.0/24"]
    for ctx in (INTERNAL, context({"exposure": "LoadBalancer"}, plane)):
        assert "gateway-clients" not in policies(ctx, NOBODY)


def test_clients_are_blocks_and_workloads_on_the_doors_port_only() -> None:
    (rule,) = policies()["gateway-clients"]["ingress"]
    assert rule["ports"] == [{"port": 19530, "protocol": "TCP"}]
    assert rule["from"] == [
        {"ipBlock": {"cidr": "203.0.113.0/24"}},
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "team-a-apps"}},
            "podSelector": {"matchLabels": {"app": "api"}},
        },
    ]


@given(blocks, addresses)
def test_clients_are_never_wider_than_asked(asked: list[str], address: Any) -> None:
    found = policies(INTERNAL, union([allowlist(*asked)], now=NOW))
    admitted = blocks_of(found["gateway-clients"]["ingress"], "from") if "gateway-clients" in found else []
    assert admits(admitted, address) == admits(asked, address)


@given(st.lists(st.sampled_from(["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/64"]), min_size=1), st.randoms())
def test_order_of_the_lists_changes_no_policy(asked: list[str], random: Any) -> None:
    lists = [allowlist(cidr, workloads=((f"ns{index}", "x"),)) for index, cidr in enumerate(asked)]
    shuffled = list(lists)
    random.shuffle(shuffled)
    assert policies(INTERNAL, union(shuffled, now=NOW)) == policies(INTERNAL, union(lists, now=NOW))


def test_load_balancers_come_in_only_when_the_door_is_exposed_to_somebody() -> None:
    plane = data_plane()
    plane["spec"]["network"]["loadBalancerCIDRs"] = ["192.0.2.0/24"]
    exposed, internal = context({"exposure": "LoadBalancer"}, plane), context({}, plane)
    assert "192.0.2.0/24" in blocks_of(policies(exposed)["gateway-clients"]["ingress"], "from")
    assert "192.0.2.0/24" not in blocks_of(policies(internal)["gateway-clients"]["ingress"], "from")


def test_milvus_is_heard_by_gateways_alone() -> None:
    (rule,) = policies()["milvus-ingress"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}}}]
    assert {port["port"] for port in rule["ports"]} == {19530, 8080, 9091}
    into_milvus = [name for name, spec in policies().items() if "ingress" in spec and _milvus(spec["podSelector"])]
    assert into_milvus == ["milvus-ingress"]


def _milvus(selector: dict[str, Any]) -> bool:
    return selector.get("matchLabels", {}).get("app.kubernetes.io/component") == "milvus"


def test_the_operator_comes_from_its_namespace_here_and_from_its_addresses_elsewhere() -> None:
    (here,) = policies()["gateway-operator"]["ingress"]
    assert here["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "zilliz-system"}}}]
    remote = data_plane(kubernetes={"kubeconfigSecretRef": {"name": "k", "key": "kubeconfig"}})
    remote["spec"]["network"]["operatorCIDRs"] = ["10.80.0.0/20"]
    (rule,) = policies(context({}, remote))["gateway-operator"]["ingress"]
    assert rule["from"] == [{"ipBlock": {"cidr": "10.80.0.0/20"}}]


def test_metrics_are_for_the_monitoring_namespace_or_for_nobody() -> None:
    (rule,) = policies()["gateway-metrics"]["ingress"]
    assert rule["ports"] == [{"port": 9530, "protocol": "TCP"}]
    assert "gateway-metrics" not in policies(context({}, data_plane(network={})))


def test_milvus_reaches_its_store_on_its_port_and_nothing_else() -> None:
    (rule,) = policies()["milvus-egress"]["egress"]
    assert rule == {"to": [{"ipBlock": {"cidr": "10.200.0.1/32"}}], "ports": [{"port": 8333, "protocol": "TCP"}]}


INSIDE = ("10.244.3.4", "10.96.0.1", "10.200.0.1", "169.254.169.254", "169.254.170.23")


@pytest.mark.parametrize("cidrs", [[], ["0.0.0.0/0"], ["0.0.0.0/0", "8.0.0.0/6"], ["10.0.0.0/8", "128.0.0.0/1"]])
def test_a_wide_range_is_cut_clear_of_the_data_plane_and_of_metadata(cidrs: list[str]) -> None:
    plane = data_plane(region="us-east-1", objectStorage={"provider": "AWS", "cidrs": cidrs})
    rules = policies(context({}, plane))["milvus-egress"]["egress"]
    assert [rule["ports"] for rule in rules] == [[{"port": 443, "protocol": "TCP"}]]
    assert not any(reaches(rules, address) for address in INSIDE)
    assert reaches(rules, "169.253.255.255") or reaches(rules, "52.92.128.7") or reaches(rules, "10.1.2.3")


def test_metadata_cannot_even_be_declared() -> None:
    plane = data_plane()
    plane["spec"]["objectStorage"]["cidrs"] = ["169.254.169.254/32"]
    assert policies(context({}, plane))["milvus-egress"]["egress"] == []


def test_an_address_as_endpoint_is_the_only_destination() -> None:
    plane = data_plane()
    plane["spec"]["objectStorage"] |= {"cidrs": [], "endpoint": "https://10.200.0.1:8333"}
    rules = policies(context({}, plane))["milvus-egress"]["egress"]
    assert blocks_of(rules, "to") == ["10.200.0.1/32"]


def test_ipv6_goes_out_only_where_pods_have_it() -> None:
    dual = data_plane(region="us-east-1", objectStorage={"provider": "AWS"})
    assert blocks_of(policies(context({}, dual))["milvus-egress"]["egress"], "to") == ["0.0.0.0/0"]
    dual["spec"]["network"]["podCIDRs"] = ["10.244.0.0/16", "fd00:10::/56"]
    rules = policies(context({}, dual))["milvus-egress"]["egress"]
    assert blocks_of(rules, "to") == ["0.0.0.0/0", "::/0"]
    assert not any(reaches(rules, address) for address in ("fd00:10::1", "fe80::1", "fd00:ec2::254"))
    assert reaches(rules, "2600:1f18::1")


def test_gateways_talk_to_milvus_and_dns_only() -> None:
    out = {name for name, spec in policies().items() if "egress" in spec and not _milvus(spec["podSelector"])}
    assert out == {"dns", "gateway-egress"}
    (rule,) = policies()["gateway-egress"]["egress"]
    assert rule["to"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "milvus"}}}]


def test_with_the_milvus_operator_parts_talk_among_themselves_without_the_gateways() -> None:
    found = policies(context({}, data_plane(engine="MilvusOperator")))
    (rule,) = found["milvus-parts"]["ingress"]
    not_gateways = {
        "matchExpressions": [{"key": "app.kubernetes.io/component", "operator": "NotIn", "values": ["gateway"]}]
    }
    assert found["milvus-parts"]["podSelector"] == not_gateways
    assert rule == {"from": [{"podSelector": not_gateways}]}
