"""Policies that strangers add: only what opens something for a pod of ours counts, however it is spelled."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.desired.semantics import Peer, lets_through, matches
from zilliz_operator.policy.widening import selects, wideners

GATEWAY = {"app.kubernetes.io/component": "gateway", "tier": "gold"}
MILVUS = {"app.kubernetes.io/component": "milvus"}
PODS = [GATEWAY, MILVUS]
ALL = {"podSelector": {}}
ANYBODY: list[dict[str, Any]] = [{}]


def policy(name: str = "theirs", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "milvus-x"}, "spec": {**ALL, **spec}}


def in_(key: str, *values: str, operator: str = "In") -> dict[str, Any]:
    return {"podSelector": {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"ingress": ANYBODY}, "lets in"),
        ({"ingress": ANYBODY, "policyTypes": ["Ingress"]}, "lets in"),
        ({"egress": ANYBODY}, "lets out"),
        ({"egress": ANYBODY, "policyTypes": ["Egress"]}, "lets out"),
        ({"ingress": ANYBODY, "egress": ANYBODY}, "lets in and lets out"),
        ({"ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.7/32"}}], "ports": [{"port": 9091}]}]}, "lets in"),
        ({"ingress": ANYBODY, "podSelector": {"matchLabels": MILVUS}}, "lets in"),
        ({"ingress": ANYBODY, **in_("app.kubernetes.io/component", "gateway", "x")}, "lets in"),
        ({"ingress": ANYBODY, **in_("app", operator="DoesNotExist")}, "lets in"),
        ({"ingress": ANYBODY, **in_("tier", operator="Exists")}, "lets in"),
        ({"ingress": ANYBODY, **in_("tier", "gold", operator="NotIn")}, "lets in"),
    ],
)
def test_what_opens_something_for_a_pod_of_ours_is_named(spec: dict[str, Any], said: str) -> None:
    assert wideners([policy(**spec)], PODS) == (f"theirs ({said})",)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"policyTypes": ["Ingress", "Egress"]},
        {"ingress": [], "egress": []},
        {"ingress": ANYBODY, "policyTypes": ["Egress"]},  # a rule of a direction that the policy is not about
        {"ingress": ANYBODY, "podSelector": {"matchLabels": {"app": "debug"}}},
        {"ingress": ANYBODY, **in_("app.kubernetes.io/component", "gateway", "milvus", operator="NotIn")},
        {"ingress": ANYBODY, **in_("app", operator="Exists")},
    ],
)
def test_what_opens_nothing_of_ours_is_not(spec: dict[str, Any]) -> None:
    assert wideners([policy(**spec)], PODS) == ()


def test_all_are_named_in_one_order() -> None:
    found = wideners([policy("b", ingress=ANYBODY), policy("a", egress=ANYBODY), policy("c")], PODS)
    assert found == ("a (lets out)", "b (lets in)")


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))
expressions = st.builds(
    lambda key, operator, values: {
        "key": key,
        "operator": operator,
        "values": values if operator in ("In", "NotIn") else [],
    },
    st.sampled_from("abc"),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    st.lists(st.sampled_from("xyz"), min_size=1),
)
selectors = st.builds(
    lambda wanted, found: {"matchLabels": wanted, "matchExpressions": found}, labels, st.lists(expressions, max_size=3)
)


@given(selectors, labels)
def test_selectors_are_read_as_everywhere(selector: dict[str, Any], of: dict[str, str]) -> None:
    assert selects(selector, of) == matches(selector, of)


rules = st.lists(
    st.sampled_from(
        [
            {},
            {"from": [{"ipBlock": {"cidr": "198.51.100.0/24"}}]},
            {"from": [{"podSelector": {}}], "ports": [{"port": 19530, "protocol": "TCP"}]},
        ]
    ),
    max_size=2,
)


@given(selectors, rules, labels, st.sampled_from(["198.51.100.7", "10.0.0.1"]))
def test_nothing_widens_unseen(
    selector: dict[str, Any], ingress: list[dict[str, Any]], pod: dict[str, str], address: str
) -> None:
    """Whenever a stranger's policy lets through what ours alone do not, it is named."""
    deny = policy("default-deny", policyTypes=["Ingress", "Egress"])
    theirs = {**policy(ingress=ingress), "spec": {"podSelector": selector, "ingress": ingress}}
    target = Peer(address="10.244.0.1", namespace="milvus-x", labels=pod)
    if lets_through([deny, theirs], Peer(address=address), target, 19530):
        assert wideners([theirs], [pod])
