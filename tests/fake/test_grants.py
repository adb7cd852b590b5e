"""Roles of a policy's own grants, and whose a user or role is: what we made goes with its policy, what others made stays."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tests.fake.outside import unavailable
from tests.fake.world import NOW, PROJECT, Crash, FakeWorld
from zilliz_operator.api.base import utc
from zilliz_operator.api.outside import Grant

ROOT = Path(__file__).resolve().parents[2]
KEY = {"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"}
USER = {"kind": "ClusterUser", "name": "app", "secretName": "app-user"}
SEARCH = [{"collection": "docs", "privileges": ["Search"]}]
QUERY = [{"collection": "docs", "privileges": ["Query"]}]
GRANTS = {
    "Search": Grant("Search", "Collection", "docs", "default"),
    "Query": Grant("Query", "Collection", "docs", "default"),
}


def custom(world: FakeWorld) -> dict[str, set[Grant]]:
    found = {role: grants for role, grants in world.server().grants.items() if role.startswith("zg_")}
    return {role: {each for each in grants if each.object_name != role} for role, grants in found.items()}


def rights(world: FakeWorld, user: str) -> set[str]:
    """What a user may do, by the roles of policies' own grants."""
    server = world.server()
    roles = server.members.get(user, ())
    return {each.privilege for role in roles for each in server.grants.get(role, ()) if each.object_name != role}


async def begin(world: FakeWorld, **spec: object) -> None:
    await world.quickstart()
    world.access_policy(**({"subjects": [KEY, USER], "grants": SEARCH} | spec))
    await world.settle()


async def test_grants_of_ones_own_are_in_force_for_keys_and_users(world: FakeWorld) -> None:
    await begin(world)
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    ((role, grants),) = custom(world).items()
    assert grants == {GRANTS["Search"]}
    assert world.server().members["app"] == {role}
    (line,) = world.door_file("keys.map")
    assert world.server().members[line.split(":")[1]] == {role}


async def test_other_grants_never_leave_a_moment_without_any_or_with_both_kinds_of_call_on_a_role(
    world: FakeWorld,
) -> None:
    await begin(world)
    (old,) = custom(world)
    calls: list[str] = []

    def look(_: int, what: str) -> None:
        calls.append(what)
        assert rights(world, "app") >= {"Search"} or rights(world, "app") >= {"Query"}

    world.recorder.after = look
    world.access_policy(subjects=[KEY, USER], grants=QUERY)
    await world.settle()
    world.recorder.after = None
    ((new, grants),) = custom(world).items()
    assert grants == {GRANTS["Query"]} and new != old
    assert world.server().members["app"] == {new}
    assert f"milvus revoke {new}" not in calls and f"milvus grant {old}" not in calls
    assert world.ready("app", "AccessPolicy")["status"] == "True"


async def test_a_deleted_policy_leaves_no_role_no_user_and_no_key(world: FakeWorld) -> None:
    await begin(world)
    technical = world.door_file("keys.map")[0].split(":")[1]
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.settle()
    assert custom(world) == {}
    assert not {"app", technical} & world.server().passwords.keys()
    assert world.door_file("keys.map") == world.door_file("user-ends.map") == []
    assert world.ready()["status"] == "True"


async def test_a_predefined_role_and_grants_add_up(world: FakeWorld) -> None:
    await begin(world)
    world.clock.time += timedelta(minutes=1)
    world.access_policy("more", subjects=[KEY, USER])
    await world.settle()
    (role,) = custom(world)
    assert world.server().members["app"] == {role, "zr_viewer"}
    assert world.ready("more", "AccessPolicy")["status"] == "True"


async def test_at_rest_nothing_is_written(world: FakeWorld) -> None:
    await begin(world)
    world.recorder.writes.clear()
    world.new_operator().start()
    await world.settle()
    assert world.recorder.writes == []


async def test_what_a_version_cannot_express_is_said_and_nothing_of_it_is_granted(world: FakeWorld) -> None:
    await begin(world)
    world.clock.time += timedelta(minutes=1)
    more = {"kind": "ClusterUser", "name": "etl", "secretName": "etl-user"}
    wish = [{"collection": "docs", "privileges": ["Insert"]}, {"privileges": ["DescribeDatabase"]}]
    world.access_policy("wide", subjects=[more, USER], grants=wish)
    await world.settle()
    found = world.ready("wide", "AccessPolicy")
    assert (found["status"], found["reason"]) == ("False", "PrivilegeNotSupported")
    for word in ("search", "spec.grants[1].privileges", "2.3.5", "DescribeDatabase"):
        assert word in found["message"]
    assert world.status("wide", "AccessPolicy")["clusters"][0]["state"] == "Failed"
    assert "etl" not in world.server().passwords
    assert rights(world, "app") == {"Search"}
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    world.access_policy("wide", subjects=[more, USER], grants=wish[:1])
    await world.settle()
    assert world.ready("wide", "AccessPolicy")["status"] == "True"
    assert rights(world, "etl") == {"Insert"}
    assert rights(world, "app") == {"Insert", "Search"}


async def test_where_a_version_gives_less_or_more_than_asked_is_said(world: FakeWorld) -> None:
    grants = [{"collection": "docs", "privileges": ["CollectionReadOnly"]}, {"privileges": ["DatabaseReadWrite"]}]
    await begin(world, grants=grants)
    ready = world.ready("app", "AccessPolicy")
    assert ready["status"] == "True"
    assert "has no DescribeDatabase, AlterDatabase: left out of DatabaseReadWrite" in ready["message"]
    assert "DescribeCollection, ListAliases for a whole database: so for all of default" in ready["message"]


async def test_the_example_is_in_force(world: FakeWorld) -> None:
    (example,) = yaml.safe_load_all((ROOT / "manifests/examples/access-grants.yaml").read_text())
    await world.quickstart()
    world.access_policy(example["metadata"]["name"], example["metadata"]["namespace"], **example["spec"])
    await world.settle()
    found = world.ready("search-api", "AccessPolicy")
    assert found["status"] == "True", found
    subjects = world.status("search-api", "AccessPolicy")["subjects"]
    (role,) = custom(world)
    assert [(each["state"], each["roles"]) for each in subjects] == [("Applied", [role])] * 2
    assert subjects[0]["expiresAt"] == "2027-11-30T00:00:00Z"
    assert rights(world, "search_api") > {"Search", "Insert", "ListDatabases"}


async def test_grants_that_become_inexpressible_are_taken_away(world: FakeWorld) -> None:
    await begin(world)
    world.access_policy(subjects=[KEY, USER], grants=[*SEARCH, {"privileges": ["DescribeDatabase"]}])
    await world.settle()
    assert world.ready("app", "AccessPolicy")["reason"] == "PrivilegeNotSupported"
    assert custom(world) == {} and world.door_file("keys.map") == []


async def test_what_others_made_is_told_and_left_alone(world: FakeWorld) -> None:
    await begin(world)
    server = world.server()
    server.passwords |= {"by_hand": "x", "reader": "y"}
    server.members |= {"by_hand": {"analyst", "admin"}, "reader": {"zr_viewer"}}
    server.grants["analyst"] = {GRANTS["Search"]}
    world.new_operator().start()
    await world.settle()
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.settle()
    assert server.passwords.keys() >= {"by_hand", "reader"}
    assert (server.members["by_hand"], server.members["reader"]) == ({"analyst", "admin"}, {"zr_viewer"})
    assert server.grants["analyst"] == {GRANTS["Search"]}
    assert world.status()["foreign"] == [
        {"kind": "User", "name": "by_hand", "roles": ["admin", "analyst"]},
        {"kind": "User", "name": "reader", "roles": ["zr_viewer"]},
        {"kind": "Role", "name": "analyst"},
    ]
    assert "user by_hand, user reader, role analyst" in world.conditions()["AccessApplied"]["message"]
    assert world.ready()["status"] == "True"


async def test_what_others_gave_a_user_of_ours_is_taken_back(world: FakeWorld) -> None:
    await begin(world)
    (role,) = custom(world)
    world.server().members["app"] |= {"admin"}
    world.server().grants[role].add(Grant("Insert", "Collection", "docs", "default"))
    world.new_operator().start()
    await world.settle()
    assert world.server().members["app"] == {role}
    assert custom(world)[role] == {GRANTS["Search"]}


async def test_nothing_is_said_to_be_in_force_before_the_server_treats_the_user_so(world: FakeWorld) -> None:
    """Its caches learn of memberships late, or not at all until the order is given again."""
    await begin(world)
    (role,) = custom(world)
    world.server().late["app"] = set()
    world.access_policy("more", subjects=[USER], role="DataOperator")
    orders: list[str] = []

    def look(_: int, what: str) -> None:
        orders.append(what)
        if what.startswith("milvus app gets") and orders.count(what) == 2:
            world.server().late["app"].add(what.split()[-1])
        ready = (world.kube.peek("AccessPolicy", "more", PROJECT) or {}).get("status", {}).get("conditions", ())
        if any(each["type"] == "Ready" and each["status"] == "True" for each in ready):
            assert world.server().late["app"] == {role, "zr_operator"}

    world.recorder.after = look
    await world.settle()
    assert world.ready("more", "AccessPolicy")["status"] == "True"
    assert world.server().late["app"] == {role, "zr_operator"}


async def test_a_role_taken_from_a_user_is_taken_again_until_the_server_acts_so(world: FakeWorld) -> None:
    await begin(world)
    world.access_policy("more", subjects=[USER], role="DataOperator")
    await world.settle()
    server = world.server()
    (role,) = custom(world)
    server.late["app"] = {role, "zr_operator"}
    orders: list[str] = []

    def look(_: int, what: str) -> None:
        orders.append(what)
        if orders.count("milvus app loses zr_operator") == 2:
            server.late.pop("app", None)

    world.recorder.after = look
    world.kube.remove("AccessPolicy", "more", PROJECT)
    await world.settle()
    assert orders.count("milvus app loses zr_operator") == 2
    assert world.ready()["status"] == "True"


async def test_a_name_that_somebody_elses_user_has_is_refused_until_that_is_gone(world: FakeWorld) -> None:
    await world.quickstart()
    server = world.server()
    server.passwords["app"], server.members["app"] = "theirs", {"admin"}
    world.access_policy(subjects=[KEY, USER])
    await world.settle()
    found = world.ready("app", "AccessPolicy")
    assert found["reason"] == "SubjectConflict"
    assert "app" in found["message"] and "drop" in found["message"]
    assert (server.passwords["app"], server.members["app"]) == ("theirs", {"admin"})
    assert world.door_file("user-ends.map") == []
    assert world.lets_in("app:theirs"), "its password is for Milvus to judge"
    assert len(world.door_file("keys.map")) == 1, "the policy's other subject is not disturbed"
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.settle()
    assert server.passwords["app"] == "theirs"
    world.access_policy(subjects=[KEY, USER])
    await world.settle()
    del server.passwords["app"], server.members["app"]
    world.new_operator().start()
    await world.settle()
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    assert world.lets_in(world.secret("app-user", PROJECT)["token"])


async def test_a_user_is_known_as_ours_by_its_password_when_the_memory_is_lost(world: FakeWorld) -> None:
    await begin(world)
    name = f"credentials-{world.id_of()}"
    world.kube.edit("Secret", name, "zilliz-system", lambda s: s["metadata"].update({"annotations": {}}))
    world.new_operator().start()
    await world.settle()
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.settle()
    assert "app" not in world.server().passwords


@pytest.mark.parametrize("last", ["milvus create user app", "apply Secret/credentials", "milvus drop user app"])
async def test_a_crash_leaves_no_user_behind(world: FakeWorld, last: str) -> None:
    """Also one that has no role yet, and whose policy is gone when the operator is back."""
    await world.quickstart()

    def crash(_: int, what: str) -> None:
        if what.startswith(last):
            raise Crash(what)

    world.recorder.after = crash
    world.access_policy(subjects=[USER])
    if last.startswith("milvus drop"):
        await world.settle()
        world.kube.remove("AccessPolicy", "app", PROJECT)
    with pytest.raises(Crash):
        await world.settle()
    world.recorder.after = None
    if world.kube.peek("AccessPolicy", "app", PROJECT):
        world.kube.remove("AccessPolicy", "app", PROJECT)
    world.new_operator().start()
    await world.settle()
    assert "app" not in world.server().passwords
    assert world.door_file("user-ends.map") == []
    assert world.status().get("foreign", []) == []


async def test_a_user_is_refused_at_the_door_before_milvus_hears_of_it(world: FakeWorld) -> None:
    await begin(world)
    server, behind = world.server(), world.milvus._behind

    def down(_: object) -> None:
        raise unavailable("Milvus")

    world.milvus._behind = down  # type: ignore[assignment]
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.settle()
    assert world.door_file("user-ends.map") == ["app 0"]
    assert world.door_file("keys.map") == []
    assert "app" in server.passwords
    world.milvus._behind = behind
    await world.pass_time(timedelta(minutes=1))
    assert "app" not in server.passwords
    assert world.door_file("user-ends.map") == []


async def test_the_door_knows_a_users_end_in_advance(world: FakeWorld) -> None:
    end = NOW + timedelta(hours=1)
    await begin(world, expiresAt=utc(end))
    assert world.door_file("user-ends.map") == [f"app {int(end.timestamp())}"]
    await world.pass_time(timedelta(minutes=61))
    assert "app" not in world.server().passwords
    assert world.door_file("user-ends.map") == []
