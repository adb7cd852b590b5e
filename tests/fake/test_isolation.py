"""Whether the network policies do what they say: asked by our own knock, and spoiled by whoever adds policies beside ours."""

from datetime import timedelta

import pytest

from tests.fake.world import FakeWorld
from zilliz_operator.reconcile.canary import EVERY
from zilliz_operator.reconcile.ports import Manifest

SWEEP = timedelta(seconds=300)
ANYBODY = {"podSelector": {}, "ingress": [{}]}


def isolated(world: FakeWorld) -> Manifest:
    found: Manifest = world.conditions()["NetworkIsolated"]
    return found


def add(world: FakeWorld, name: str = "debug", **spec: object) -> None:
    metadata = {"name": name, "namespace": world.space()}
    world.kube.put({"kind": "NetworkPolicy", "metadata": metadata, "spec": spec or ANYBODY})


async def sweep(world: FakeWorld) -> None:
    """What happens some minutes later: a look at everything."""
    world.clock.time += SWEEP
    world.operator.saw("MODIFIED", world.kube.must("ZillizCluster", "search", "team-a"))
    await world.settle()


# ---- nobody enforces


async def test_enforced_is_said_once_it_was_tried(world: FakeWorld) -> None:
    await world.quickstart()
    assert isolated(world)["status"] == "True"
    assert "enforced: our knock" in isolated(world)["message"]


async def test_a_new_cluster_where_nobody_enforces_is_never_called_ready(world: FakeWorld) -> None:
    world.knocker.enforcing = False
    world.data_plane()
    world.cluster()
    world.allowlist()
    await world.settle()
    found = isolated(world)
    assert (found["status"], found["reason"]) == ("False", "PoliciesNotEnforced")
    assert "9091 of milvus-0" in found["message"] and "9530 of gateway-" in found["message"]
    assert "data plane default" in found["message"]
    assert (world.ready()["status"], world.ready()["reason"]) == ("False", "PoliciesNotEnforced")


async def test_all_else_goes_on_where_nobody_enforces(world: FakeWorld) -> None:
    """A key or an address that is taken away must end at the gateways all the more."""
    await world.quickstart()
    world.knocker.enforcing = False
    await sweep(world)
    assert isolated(world)["reason"] == "PoliciesNotEnforced"
    world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
    await world.settle()
    assert world.allowed() == ["198.51.100.0/24"]
    others = {
        type: c for type, c in world.conditions().items() if type not in ("NetworkIsolated", "Ready", "Reconciling")
    }
    assert {c["status"] for c in others.values()} == {"True"}
    assert world.kube.peek("NetworkPolicy", "default-deny", world.space())


async def test_it_heals_once_somebody_enforces(world: FakeWorld) -> None:
    await world.quickstart()
    world.knocker.enforcing = False
    await sweep(world)
    assert world.ready()["status"] == "False"
    world.knocker.enforcing = True
    await world.settle()
    assert world.ready()["status"] == "True"
    assert "enforced: our knock" in isolated(world)["message"]


async def test_nobody_is_accused_by_one_knock(world: FakeWorld) -> None:
    """A plugin may be a moment late for a policy that was just changed."""
    await world.quickstart()
    world.knocker.enforcing = False
    world.clock.time += SWEEP
    world.operator.saw("MODIFIED", world.kube.must("ZillizCluster", "search", "team-a"))
    await world.settle(short=0)
    assert (isolated(world)["status"], isolated(world)["reason"]) == ("Unknown", "PoliciesNotEnforced")
    world.knocker.enforcing = True
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_what_was_said_is_said_again_by_a_new_process_at_once(world: FakeWorld) -> None:
    await world.quickstart()
    world.knocker.enforcing = False
    await sweep(world)
    before = list(world.writes)
    world.new_operator().start()
    await world.settle(short=0)
    assert world.writes == before
    assert isolated(world)["status"] == "False"


async def test_silence_accuses_nobody(world: FakeWorld) -> None:
    await world.quickstart()
    world.knocker.reachable = False
    await sweep(world)
    assert isolated(world)["status"] == "True"
    assert "not seen yet whether they are enforced" in isolated(world)["message"]


async def test_whoever_knocks_from_a_node_learns_nothing(world: FakeWorld) -> None:
    network = {"podCIDRs": ["10.244.0.0/16"], "nodeCIDRs": ["10.200.0.0/24"], "monitoringNamespace": "monitoring"}
    world.knocker.own, world.knocker.enforcing = "10.200.0.1", False
    await world.quickstart(network=network)
    world.knocker.own, world.knocker.enforcing = "10.200.0.1", False
    await sweep(world)
    assert isolated(world)["status"] == "True"


async def test_from_another_kubernetes_the_knock_is_told_and_no_more_is_claimed(world: FakeWorld) -> None:
    world.spoke("remote")
    world.cluster(dataPlane="remote")
    world.allowlist()
    await world.settle()
    assert "our knock at ports that they keep shut was not let in" in isolated(world)["message"]
    assert "enforced" not in isolated(world)["message"]
    world.knocker.enforcing = False
    await sweep(world)
    assert isolated(world)["reason"] == "PoliciesNotEnforced"


async def test_passes_do_not_knock_each_time(world: FakeWorld) -> None:
    await world.quickstart()
    world.clock.time += EVERY
    world.operator.saw("MODIFIED", world.kube.must("ZillizCluster", "search", "team-a"))
    await world.settle()
    knocks, passes = world.knocker.knocks, world.operator.passes
    for number in range(5):
        world.allowlist(entries=[{"cidr": f"198.51.{number}.0/24"}])
        await world.settle()
    assert world.operator.passes > passes + 5
    assert world.knocker.knocks == knocks
    await sweep(world)
    assert world.knocker.knocks == knocks + 1


async def test_while_suspended_nothing_is_asked_and_nothing_changes(world: FakeWorld) -> None:
    await world.quickstart()
    world.cluster(powerState="Suspended")
    await world.settle()
    knocks, before = world.knocker.knocks, list(world.writes)
    await sweep(world)
    assert world.knocker.knocks == knocks
    assert world.writes == before
    assert isolated(world)["status"] == "True"


# ---- others add to ours


async def test_a_policy_that_somebody_adds_is_named_at_once_and_left_alone(world: FakeWorld) -> None:
    await world.quickstart()
    add(world)
    await world.settle()
    found = isolated(world)
    assert (found["status"], found["reason"]) == ("False", "WidenedByOthers")
    assert "debug (lets in)" in found["message"] and world.space() in found["message"]
    assert (world.ready()["status"], world.ready()["reason"]) == ("False", "WidenedByOthers")
    assert world.kube.peek("NetworkPolicy", "debug", world.space())


async def test_a_policy_that_lets_our_knock_in_is_named_and_the_plugin_not_accused(world: FakeWorld) -> None:
    await world.quickstart()
    add(world)
    world.knocker.enforcing = False  # as far as our knock can tell
    await sweep(world)
    assert isolated(world)["reason"] == "WidenedByOthers"


async def test_it_heals_at_once_when_it_is_removed(world: FakeWorld) -> None:
    await world.quickstart()
    add(world)
    await world.settle()
    world.kube.remove("NetworkPolicy", "debug", world.space())
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_revoking_goes_on_while_it_is_there(world: FakeWorld) -> None:
    await world.quickstart()
    add(world)
    world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
    await world.settle()
    assert world.allowed() == ["198.51.100.0/24"]


async def test_what_opens_nothing_of_ours_is_no_matter(world: FakeWorld) -> None:
    await world.quickstart()
    add(world, "deny", podSelector={}, policyTypes=["Ingress", "Egress"])
    add(world, "theirs", podSelector={"matchLabels": {"app": "debug"}}, ingress=[{}])
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_a_policy_elsewhere_wakes_nobody(world: FakeWorld) -> None:
    await world.quickstart()
    passes = world.operator.passes
    world.kube.put({"kind": "NetworkPolicy", "metadata": {"name": "x", "namespace": "team-a"}, "spec": dict(ANYBODY)})
    await world.settle()
    assert world.operator.passes == passes


@pytest.mark.parametrize("controlled", [False, True])
async def test_our_marks_on_it_do_not_hide_it(world: FakeWorld, controlled: bool) -> None:
    """With our marks it goes, as anything of ours that nobody wants; with another's reference as its owner it is named."""
    await world.quickstart()
    labels = world.kube.must("NetworkPolicy", "default-deny", world.space())["metadata"]["labels"]
    owner = world.kube.must("StatefulSet", "milvus", world.space())["metadata"]
    reference = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": "milvus",
        "uid": owner["uid"],
        "controller": True,
    }
    metadata = {"name": "forged", "namespace": world.space(), "labels": labels}
    metadata |= {"ownerReferences": [reference]} if controlled else {}
    world.kube.put({"kind": "NetworkPolicy", "metadata": metadata, "spec": dict(ANYBODY)})
    await world.settle()
    if controlled:
        assert isolated(world)["reason"] == "WidenedByOthers"
        assert "forged (lets in)" in isolated(world)["message"]
    else:
        assert world.kube.peek("NetworkPolicy", "forged", world.space()) is None
        assert world.ready()["status"] == "True"


async def test_the_status_is_written_once(world: FakeWorld) -> None:
    await world.quickstart()
    add(world, "b")
    add(world, "a")
    await world.settle()
    before = list(world.writes)
    await sweep(world)
    world.new_operator().start()
    await world.settle()
    assert world.writes == before


# ---- whose word about a client counts


async def test_only_where_a_load_balancer_is_its_word_counts(world: FakeWorld) -> None:
    network = {"podCIDRs": ["10.244.0.0/16"], "loadBalancerCIDRs": ["192.0.2.0/28"]}
    world.data_plane(network=network)
    world.cluster()
    world.cluster("outside", exposure="LoadBalancer")
    world.allowlist()
    await world.settle()
    assert world.door_file("lbs.acl") == []
    assert world.door_file("lbs.acl", "outside") == ["192.0.2.0/28"]
