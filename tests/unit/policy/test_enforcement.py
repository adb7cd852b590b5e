"""What our knocks prove, and what they do not: silence accuses nobody, and a pod that nobody hears proves nothing."""

import pytest

from zilliz_operator.policy.enforcement import UNSEEN, Enforcement, Plan, Shut, judge

POD = "10.244.0.9"
DOOR, METRICS, MILVUS = ("10.244.0.11", 19530), ("10.244.0.11", 9530), ("10.244.0.12", 9091)
NODES, PODS = ("10.200.0.0/24",), ("10.244.0.0/16",)


def plan(*, milvus_listens: bool = True, nodes: tuple[str, ...] = NODES, pods: tuple[str, ...] = PODS) -> Plan:
    shut = (
        Shut(pod="gateway-1", address=METRICS, listens=True),
        Shut(pod="milvus-0", address=MILVUS, listens=milvus_listens),
    )
    return Plan(shut=shut, doors={"gateway-1": DOOR}, nodes=nodes, pods=pods)


def heard(*targets: tuple[str, int], own: str = POD) -> dict[tuple[str, int], str]:
    return dict.fromkeys(targets, own)


def test_the_door_alone_answers_so_somebody_enforces() -> None:
    assert judge(plan(), heard(DOOR)) == Enforcement(enforced=True)


@pytest.mark.parametrize("through", [METRICS, MILVUS])
def test_one_connection_where_none_may_be_is_enough(through: tuple[str, int]) -> None:
    pod = "gateway-1" if through is METRICS else "milvus-0"
    assert judge(plan(), heard(DOOR, through)).opened == (f"{through[1]} of {pod}",)
    assert judge(plan(), heard(through)).opened, "even where the door itself does not answer"


def test_all_that_let_us_in_are_named_in_one_order() -> None:
    assert judge(plan(), heard(MILVUS, METRICS)).opened == ("9091 of milvus-0", "9530 of gateway-1")


def test_silence_everywhere_says_nothing() -> None:
    assert judge(plan(), {}) == UNSEEN


def test_a_door_that_answers_vouches_for_its_own_pods_other_port_alone() -> None:
    only_milvus = Plan(shut=plan(milvus_listens=False).shut[1:], doors={"gateway-1": DOOR})
    assert judge(only_milvus, heard(DOOR)) == UNSEEN, "Milvus may just not listen yet"
    other = Plan(shut=plan().shut[:1], doors={"gateway-1": DOOR, "gateway-2": ("10.244.0.13", 19530)})
    assert judge(other, heard(("10.244.0.13", 19530))) == UNSEEN, "the other gateway's packets are not this one's"


def test_whoever_knocks_from_a_node_is_let_in_by_kubernetes_itself() -> None:
    assert judge(plan(), heard(DOOR, METRICS, MILVUS, own="10.200.0.1")) == UNSEEN
    assert judge(plan(nodes=()), heard(DOOR, METRICS, own="10.200.0.1")).opened


def test_where_pods_and_nodes_share_their_addresses_ours_counts_as_a_pods() -> None:
    shared = plan(nodes=("10.64.0.0/16",), pods=("10.64.0.0/16",))
    assert judge(shared, heard(DOOR, METRICS, own="10.64.3.4")).opened
    assert judge(shared, heard(DOOR, own="10.64.3.4")).enforced


def test_a_plan_knocks_at_doors_and_at_what_is_shut() -> None:
    assert plan().targets == {DOOR, METRICS, MILVUS}
