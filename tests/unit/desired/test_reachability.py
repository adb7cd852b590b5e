"""The first judge: for every example, who reaches whom by our own reading of the policies, against the documented table."""

import pytest

from tests.unit.desired.reach import CASES, Case
from tests.unit.desired.semantics import Peer, lets_through
from zilliz_operator.api import names
from zilliz_operator.api.flows import FLOWS, LISTENERS, OWN, Facts, Party, When, may


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_policies_let_through_exactly_what_the_table_says(case: Case) -> None:
    policies, peers = case.policies, case.peers
    asked = list(case.questions())
    seen = {q: lets_through(policies, peers[q.source], peers[q.target], q.port, protocol=q.protocol) for q in asked}
    assert [f"{q}: {found}" for q, found in seen.items() if found != q.expected] == []
    assert any(seen.values()), "a table that lets nobody through proves nothing"


def test_a_part_without_a_component_is_a_part_as_well() -> None:
    """Kubernetes lets `NotIn` match where the label is absent. The foreign analyser does not, so this is ours alone to say."""
    case = CASES["many parts"]
    bare = Peer(address="10.244.1.4", namespace=case.ctx.namespace, labels={"app": "minio"})
    assert lets_through(case.policies, case.peers[Party.MILVUS], bare, 9000)
    assert not lets_through(case.policies, case.peers[Party.GATEWAY], bare, 9000)


def test_every_flow_of_the_table_is_open_in_some_case_and_shut_in_none_by_mistake() -> None:
    open_somewhere = {(q.source, q.target) for case in CASES.values() for q in case.questions() if q.expected}
    node = {(flow.source, flow.target) for flow in FLOWS if flow.source is Party.NODE}
    assert open_somewhere == {(flow.source, flow.target) for flow in FLOWS} - node


def test_without_its_condition_a_flow_is_shut() -> None:
    nothing = Facts(operator=False)
    for flow in FLOWS:
        for port in flow.ports:
            assert may(nothing, source=flow.source, target=flow.target, port=port) == (flow.when is When.ALWAYS)


def test_strangers_are_in_no_flow() -> None:
    strangers = {
        *(Party.STRANGER, Party.PROJECT, Party.ELSEWHERE, Party.OTHER_GATEWAY, Party.OTHER_MILVUS),
        *(Party.METADATA, Party.API_SERVER, Party.KUBELET, Party.INTERNET),
    }
    assert not {party for flow in FLOWS for party in (flow.source, flow.target)} & strangers


def test_every_flow_begins_or_ends_at_the_cluster_and_none_leaves_to_a_guest() -> None:
    assert all(flow.source in OWN or flow.target in OWN for flow in FLOWS)
    assert {flow.target for flow in FLOWS if flow.source in OWN} == {*OWN, Party.STORE, Party.DNS} - {Party.GATEWAY}


def test_the_listeners_are_the_ports_that_the_product_names() -> None:
    ports = {(listener.party, listener.port) for listener in LISTENERS}
    for party, found in (
        (Party.GATEWAY, (names.GATEWAY_PORT, names.METRICS_PORT, names.OPS_PORT, names.AGENT_PORT)),
        (Party.MILVUS, (names.MILVUS_GRPC, names.MILVUS_REST, names.MILVUS_OPS)),
    ):
        assert {(party, port) for port in found} <= ports
