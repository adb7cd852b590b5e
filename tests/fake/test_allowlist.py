"""Who may knock: the union of all lists, at both gates, until its time is over; and each list says where it is in force."""

from datetime import timedelta

import pytest

from tests.fake.world import NOW, PROJECT, FakeWorld
from zilliz_operator.api.base import utc


def peers(world: FakeWorld) -> list[str]:
    policy = world.kube.peek("NetworkPolicy", "gateway-clients", world.space())
    found = policy["spec"]["ingress"][0]["from"] if policy else []
    return [peer["ipBlock"]["cidr"] if "ipBlock" in peer else "pods" for peer in found]


async def test_both_gates_hold_the_union(world: FakeWorld) -> None:
    await world.quickstart()
    world.allowlist("vpn", entries=[{"cidr": "198.51.100.0/24"}, {"cidr": "2001:db8::/48"}])
    world.allowlist("apps", workloads=[{"namespace": "apps", "podLabels": {"app": "api"}}])
    await world.settle()
    blocks = ["198.51.100.0/24", "203.0.113.0/24", "2001:db8::/48"]
    assert sorted(world.allowed()) == sorted([*blocks, "10.244.0.0/16"])
    assert sorted(peers(world)) == sorted([*blocks, "pods"])
    assert world.status()["allowlist"] == {"cidrs": 3, "workloads": 1, "allowlists": 3, "anywhere": False}
    assert world.ready()["status"] == "True"
    world.kube.remove("Allowlist", "vpn", PROJECT)
    world.kube.remove("Allowlist", "apps", PROJECT)
    await world.settle()
    assert world.allowed() == peers(world) == ["203.0.113.0/24"]


async def test_no_list_means_nobody_and_that_is_said(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster()
    await world.settle()
    assert not world.admitted()
    assert world.conditions()["AllowlistInForce"]["reason"] == "DoorClosed"
    assert world.ready()["status"] == "True"


async def test_entries_end_by_themselves(world: FakeWorld) -> None:
    await world.quickstart()
    soon, later = utc(NOW + timedelta(hours=1)), utc(NOW + timedelta(hours=2))
    world.allowlist(
        entries=[{"cidr": "198.51.100.0/24", "expiresAt": soon}, {"cidr": "192.0.2.0/24", "expiresAt": later}]
    )
    await world.settle()
    first, second = (int((NOW + timedelta(hours=n)).timestamp()) for n in (1, 2))
    assert world.door_file("allow.map") == [f"192.0.2.0/24 {second}", f"198.51.100.0/24 {first}"]
    assert sorted(peers(world)) == ["192.0.2.0/24", "198.51.100.0/24"]
    said = world.conditions()["AllowlistInForce"]["message"]
    assert said.startswith(f"2 address blocks of 2 entries and 0 workloads may knock, the first entry ends {soon}; ")
    assert f"configuration {world.status()['gateway']['config']} in force on 2/2 gateways" in said
    assert world.status("office", "Allowlist")["activeEntries"] == 2
    assert world.status("office", "Allowlist")["entries"] == [
        {"cidr": "198.51.100.0/24", "state": "Active", "expiresAt": soon},
        {"cidr": "192.0.2.0/24", "state": "Active", "expiresAt": later},
    ]
    await world.pass_time(timedelta(minutes=61))
    assert world.door_file("allow.map") == [f"192.0.2.0/24 {second}"]
    assert peers(world) == ["192.0.2.0/24"]
    assert world.status("office", "Allowlist")["expiredEntries"] == 1
    assert [each["state"] for each in world.status("office", "Allowlist")["entries"]] == ["Expired", "Active"]
    await world.pass_time(timedelta(minutes=61))
    assert not world.admitted()
    assert world.ready("office", "Allowlist")["reason"] == "EntriesExpired"
    assert "expiresAt" in world.ready("office", "Allowlist")["message"]
    assert world.conditions()["AllowlistInForce"]["reason"] == "DoorClosed"
    assert "no entry of its Allowlists admits now" in world.conditions()["AllowlistInForce"]["message"]
    assert world.ready()["status"] == "True", "a closed door is no fault"


async def test_the_first_entry_opens_and_the_last_one_closes(world: FakeWorld) -> None:
    """There is no other default than to deny."""
    world.data_plane()
    world.cluster()
    await world.settle()
    assert not world.admitted()
    world.allowlist(entries=[{"cidr": "192.0.2.0/24"}, {"cidr": "198.51.100.0/24"}])
    await world.settle()
    assert world.allowed() == ["192.0.2.0/24", "198.51.100.0/24"]
    world.allowlist(entries=[{"cidr": "192.0.2.0/24"}])
    await world.settle()
    assert world.allowed() == peers(world) == ["192.0.2.0/24"]
    world.allowlist(entries=[])
    await world.settle()
    assert not world.admitted()
    world.allowlist(entries=[{"cidr": "192.0.2.0/24"}])
    await world.settle()
    assert world.admitted()
    world.kube.remove("Allowlist", "office", PROJECT)
    await world.settle()
    assert not world.admitted()
    assert world.conditions()["AllowlistInForce"]["reason"] == "DoorClosed"


async def test_an_entry_that_ended_before_it_was_written_admits_nobody_and_says_so(world: FakeWorld) -> None:
    await world.quickstart()
    past = utc(NOW - timedelta(days=1))
    world.allowlist("late", entries=[{"cidr": "192.0.2.0/24", "expiresAt": past}, {"cidr": "198.51.100.0/24"}])
    await world.settle()
    assert sorted(world.allowed()) == ["198.51.100.0/24", "203.0.113.0/24"]
    ended = world.status("late", "Allowlist")["entries"][0]
    assert (ended["state"], ended["expiresAt"]) == ("Expired", past)
    assert ended["message"] == f"ended on {past}: set a later expiresAt, or remove the entry"
    assert world.ready("late", "Allowlist")["status"] == "True", "the other entry is in force"


async def test_a_full_list_is_said_entry_by_entry_and_then_left_alone(world: FakeWorld) -> None:
    await world.quickstart()
    ends = utc(NOW + timedelta(days=30))
    entries = [{"cidr": f"10.{n // 250}.{n % 250}.0/25", "comment": f"team {n}", "expiresAt": ends} for n in range(500)]
    world.allowlist(entries=entries)
    await world.settle()
    assert len(world.door_file("allow.map")) == len(peers(world)) == 500
    assert {each["state"] for each in world.status("office", "Allowlist")["entries"]} == {"Active"}
    before = len(world.writes)
    await world.pass_time(timedelta(days=1))
    assert world.writes[before:] == []


async def test_lists_without_room_are_named_and_edits_of_the_others_are_followed(
    world: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zilliz_operator.policy.allowlist.MOST_BLOCKS", 3)
    await world.quickstart()
    world.allowlist("old", entries=[{"cidr": "192.0.2.0/24"}])
    world.clock.time += timedelta(seconds=5)
    world.allowlist("young", entries=[{"cidr": "198.51.100.0/24"}, {"cidr": "198.18.0.0/24"}])
    await world.settle()
    assert world.allowed() == ["192.0.2.0/24", "203.0.113.0/24"]
    told = world.conditions()["AllowlistInForce"]
    assert (told["status"], told["reason"]) == ("False", "AllowlistsTooLong")
    assert "no room for Allowlist young" in told["message"]
    assert "no room for Allowlist young" in world.status("young", "Allowlist")["clusters"][0]["message"]
    world.allowlist("old", entries=[])
    await world.settle()
    assert "192.0.2.0/24" not in world.allowed()
    assert world.conditions()["AllowlistInForce"]["status"] == "True"
    assert world.ready("young", "Allowlist")["status"] == "True"


async def test_an_end_that_passes_while_no_operator_runs_counts_at_its_next_start(world: FakeWorld) -> None:
    await world.quickstart()
    world.allowlist(entries=[{"cidr": "198.51.100.0/24", "expiresAt": utc(NOW + timedelta(hours=1))}])
    await world.settle()
    world.clock.time += timedelta(hours=2)
    world.new_operator().start()
    await world.settle()
    assert not world.admitted()


async def test_selection_by_name_and_by_label(world: FakeWorld) -> None:
    world.data_plane()
    for name in ("first", "second"):
        world.cluster(name)
    world.kube.edit("ZillizCluster", "second", PROJECT, lambda c: c["metadata"].update({"labels": {"tier": "gold"}}))
    world.allowlist("named", clusters={"names": ["first"]}, entries=[{"cidr": "192.0.2.0/24"}])
    labels = {"selector": {"matchLabels": {"tier": "gold"}}}
    world.allowlist("labelled", clusters=labels, entries=[{"cidr": "198.51.100.0/24"}])
    await world.settle()
    assert world.allowed("first") == ["192.0.2.0/24"]
    assert world.allowed("second") == ["198.51.100.0/24"]
    assert [c["name"] for c in world.status("named", "Allowlist")["clusters"]] == ["first"]
    world.kube.edit("ZillizCluster", "second", PROJECT, lambda c: c["metadata"].pop("labels"))
    await world.settle()
    assert not world.admitted("second")


async def test_a_list_for_nobody_names_the_missing_clusters_and_heals(world: FakeWorld) -> None:
    await world.quickstart()
    world.allowlist("typo", clusters={"names": ["serach", "search"]}, entries=[{"cidr": "192.0.2.0/24"}])
    await world.settle()
    assert world.ready("typo", "Allowlist")["reason"] == "ClustersNotFound"
    assert "serach" in world.ready("typo", "Allowlist")["message"]
    assert world.status("typo", "Allowlist")["clusters"] == [{"name": "search", "state": "Applied"}]
    world.cluster("serach")
    await world.settle()
    assert world.ready("typo", "Allowlist")["status"] == "True"


async def test_applied_is_said_only_when_every_gateway_runs_it(world: FakeWorld) -> None:
    await world.quickstart()
    world.workloads.kubelet = False
    world.allowlist(entries=[{"cidr": "198.51.100.0/24"}])
    await world.settle()
    assert world.ready("office", "Allowlist")["status"] == "False"
    assert world.status("office", "Allowlist")["clusters"][0]["state"] == "Pending"
    world.workloads.kubelet = True
    await world.settle()
    assert world.status("office", "Allowlist")["clusters"] == [{"name": "search", "state": "Applied"}]


async def test_what_is_older_than_a_rule_admits_nobody_and_says_why(world: FakeWorld) -> None:
    await world.quickstart()
    world.allowlist("wide", entries=[{"cidr": "0.0.0.0/0"}])
    world.allowlist("bits", entries=[{"cidr": "192.0.2.1/24"}])
    await world.settle()
    assert world.allowed() == ["203.0.113.0/24"]
    for name, word in (("wide", "allowAnywhere"), ("bits", "spec.entries[0].cidr")):
        found = world.ready(name, "Allowlist")
        assert [each["state"] for each in world.status(name, "Allowlist")["entries"]] == ["Refused"]
        assert world.status(name, "Allowlist")["refusedEntries"] == 1
        assert found["reason"] == "InvalidSpec"
        assert word in found["message"]
        assert world.conditions(name, "Allowlist")["Stalled"]["status"] == "True"
    world.allowlist("wide", entries=[{"cidr": "0.0.0.0/0"}], allowAnywhere=True)
    await world.settle()
    assert world.status()["allowlist"]["anywhere"] is True


async def test_lists_of_other_projects_do_not_count(world: FakeWorld) -> None:
    await world.quickstart()
    world.kube.put({"kind": "Namespace", "metadata": {"name": "team-b"}})
    world.allowlist("theirs", project="team-b", entries=[{"cidr": "192.0.2.0/24"}])
    await world.settle()
    assert world.allowed() == ["203.0.113.0/24"]


async def test_an_expired_list_does_not_hide_an_invalid_cluster(world: FakeWorld) -> None:
    """A list that selects a cluster which is in trouble says for whom it waits."""
    world.data_plane()
    world.allowlist()
    world.store.trouble = RuntimeError("unforeseen")
    world.cluster()
    await world.settle()
    entry = world.status("office", "Allowlist")["clusters"][0]
    assert (entry["name"], entry["state"]) == ("search", "Pending")
    assert entry["message"]
