"""The second judge: a foreign analyser reads every example's policies, as the API server keeps them, and says who reaches whom.

Its table must be the documented one, row by row. It decides by code that we did not write, on objects that passed the API
server's own validation.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import pytest

from tests.apiserver import cyclonus
from tests.apiserver.client import Api
from tests.unit.desired.reach import CASES, Case
from tests.unit.desired.semantics import Peer, lets_through
from tools.devcluster import build
from tools.devcluster.controlplane import ControlPlane

Policies = list[dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def analyser() -> None:
    build.ensure(build.BY_BINARY["cyclonus"], print)


@pytest.fixture(scope="module")
def kept(plane: ControlPlane) -> Callable[[str, Case], Policies]:
    """An example's policies as the API server keeps them. They are tried there in a namespace of the example's own."""
    api = Api(plane)

    def keep(name: str, case: Case) -> Policies:
        there = api.namespace(f"reach-{name.replace(' ', '-')}")
        found = []
        for policy in case.policies:
            sent = {**policy, "metadata": {**policy["metadata"], "namespace": there}}
            held = api.apply(sent).must()
            assert held["spec"] == policy["spec"], "the API server reads our policy in another way"
            found.append({**policy, "spec": held["spec"]})
        return found

    return keep


@pytest.mark.parametrize("name", CASES)
def test_the_analysers_table_is_the_documented_one(name: str, kept: Callable[[str, Case], Policies]) -> None:
    case = CASES[name]
    asked = list(case.questions())
    said = cyclonus.answers(kept(name, case), asked, case.peers)
    assert [f"{question}: {found}" for question, found in said.items() if found != question.expected] == []
    assert sum(said.values()) > 5, "a table that lets nobody through proves nothing"


def _without(name: str) -> Callable[[Policies], Policies]:
    return lambda policies: [each for each in policies if each["metadata"]["name"] != name]


def _with(**spec: Any) -> Callable[[Policies], Policies]:
    def add(policies: Policies) -> Policies:
        added = {**deepcopy(policies[0]), "spec": spec}
        return [*policies, {**added, "metadata": {**added["metadata"], "name": "added"}}]

    return add


BROKEN: Mapping[str, Callable[[Policies], Policies]] = {
    "no policy at all": lambda _: [],
    "no gateway-egress": _without("gateway-egress"),
    "no milvus-ingress": _without("milvus-ingress"),
    "a rule for everybody": _with(podSelector={}, policyTypes=["Ingress"], ingress=[{}]),
    "out to anywhere": _with(
        podSelector={}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]
    ),
    "one namespace more": _with(
        podSelector={},
        policyTypes=["Ingress"],
        ingress=[{"from": [{"namespaceSelector": {}}], "ports": [{"port": 9091}]}],
    ),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_set_of_policies_is_seen_and_both_judges_agree(damage: str) -> None:
    case = CASES["quickstart"]
    policies, peers, asked = BROKEN[damage](case.policies), case.peers, list(case.questions())
    said = cyclonus.answers(policies, asked, peers)
    assert any(found != question.expected for question, found in said.items())
    ours = {q: lets_through(policies, peers[q.source], peers[q.target], q.port, protocol=q.protocol) for q in asked}
    assert ours == said


def test_an_address_is_judged_by_block_and_hole_in_both_families() -> None:
    case = CASES["dual stack"]
    policies = case.policies
    for address, wanted in (
        ("203.0.113.9", True),
        ("203.0.114.1", False),
        ("2001:db8:1::9", True),
        ("2001:db8:2::9", False),
    ):
        question = next(q for q in case.questions() if q.expected and str(q.source) == "allowed host")
        peers = {**case.peers, question.source: Peer(address=address)}
        assert cyclonus.answers(policies, [question], peers) == {question: wanted}
