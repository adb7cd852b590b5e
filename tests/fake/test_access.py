"""Keys and users: made once, in force only while a policy wants them, gone from door and server when it does not."""

import hashlib
from datetime import timedelta

import pytest

from tests.fake.apply import copied
from tests.fake.world import NOW, PROJECT, SYSTEM, FakeWorld
from zilliz_operator.api.base import utc
from zilliz_operator.reconcile.ports import Manifest

KEY = {"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"}
USER = {"kind": "ClusterUser", "name": "app", "secretName": "app-user"}


def keys(world: FakeWorld) -> list[str]:
    """Digests that open the door."""
    return [line.split()[0] for line in world.door_file("keys.map")]


def digest(world: FakeWorld, secret: str = "ingest-key") -> str:
    return hashlib.sha256(world.secret(secret, PROJECT)["token"].encode()).hexdigest()


def subject(world: FakeWorld, number: int = 0, policy: str = "app") -> Manifest:
    found: Manifest = world.status(policy, "AccessPolicy")["subjects"][number]
    return found


async def with_policy(world: FakeWorld) -> None:
    async def begin(new: FakeWorld) -> None:
        await new.quickstart()
        new.access_policy(subjects=[KEY, USER])
        await new.settle()
        assert new.ready("app", "AccessPolicy")["status"] == "True"

    await world.like("with policy", begin)


async def test_a_key_opens_the_door_as_the_user_of_its_role(world: FakeWorld) -> None:
    await with_policy(world)
    assert world.door_file("keys.map") == [f"{digest(world)} team-a/app/ingest:zt_viewer:253402300799"]
    assert world.secret("ingest-key", PROJECT)["host"]
    assert subject(world)["state"] == "Applied"
    world.access_policy(subjects=[KEY, USER], role="DataAdmin")
    await world.settle()
    assert ":zt_admin:" in world.door_file("keys.map")[0]
    assert world.server().members["app"] == {"zr_admin"}


async def test_a_user_can_log_in_with_what_its_secret_says(world: FakeWorld) -> None:
    await with_policy(world)
    found = world.secret("app-user", PROJECT)
    assert found["token"] == f"{found['username']}:{found['password']}"
    assert world.lets_in(found["token"])
    assert world.server().members["app"] == {"zr_viewer"}


async def test_applied_is_never_said_before_the_key_is_at_the_door(world: FakeWorld) -> None:
    await world.quickstart()
    too_early: list[str] = []

    def look(_: int, what: str) -> None:
        policy = world.kube.peek("AccessPolicy", "app", PROJECT) or {}
        ready = [c for c in (policy.get("status") or {}).get("conditions", ()) if c["type"] == "Ready"]
        if ready and ready[0]["status"] == "True":
            running = {g.config for g in world.workloads.gateways.values()}
            if digest(world) not in keys(world) or len(running) != 1 or "app" not in world.server().members:
                too_early.append(what)

    world.recorder.after = look
    world.access_policy(subjects=[KEY, USER])
    await world.settle()
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    assert too_early == []


async def test_a_key_ends_at_its_time(world: FakeWorld) -> None:
    await world.quickstart()
    end = NOW + timedelta(hours=1)
    world.access_policy(subjects=[{**KEY, "expiresAt": utc(end)}])
    await world.settle()
    assert world.door_file("keys.map")[0].endswith(f":{int(end.timestamp())}")
    await world.pass_time(timedelta(minutes=61))
    assert world.door_file("keys.map")[0].endswith(":0")  # known still, so that its bearer is told that it ended
    assert subject(world)["state"] == "Expired"
    assert world.ready("app", "AccessPolicy")["reason"] == "KeyExpired"
    assert "expiresAt" in world.ready("app", "AccessPolicy")["message"]
    world.access_policy(subjects=[KEY])
    await world.settle()
    assert keys(world) == [digest(world)]


async def test_a_policy_ends_at_its_time_with_all_its_users(world: FakeWorld) -> None:
    await world.quickstart()
    world.access_policy(subjects=[KEY, USER], expiresAt=utc(NOW + timedelta(hours=1)))
    await world.settle()
    assert "app" in world.server().passwords
    await world.pass_time(timedelta(minutes=61))
    assert world.door_file("keys.map")[0].endswith(":0")  # known still, so that its bearer is told that it ended
    assert "app" not in world.server().passwords
    assert world.ready("app", "AccessPolicy")["reason"] == "PolicyExpired"
    assert "spec.expiresAt" in world.ready("app", "AccessPolicy")["message"]


async def test_a_key_that_ended_before_it_began_makes_no_secret(world: FakeWorld) -> None:
    await world.quickstart()
    world.access_policy(subjects=[{**KEY, "expiresAt": utc(NOW - timedelta(hours=1))}])
    await world.settle()
    assert world.ready("app", "AccessPolicy")["reason"] == "KeyExpired"
    assert world.kube.peek("Secret", "ingest-key", PROJECT) is None
    assert keys(world) == []


async def test_a_deleted_policy_leaves_nothing(world: FakeWorld) -> None:
    await with_policy(world)
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.settle()
    assert keys(world) == []
    assert "app" not in world.server().passwords
    assert world.kube.peek("Secret", "ingest-key", PROJECT) is None
    assert world.kube.peek("Secret", "app-user", PROJECT) is None


async def test_a_removed_subject_leaves_nothing_and_comes_back_as_new(world: FakeWorld) -> None:
    await with_policy(world)
    old = digest(world)
    world.access_policy(subjects=[USER])
    await world.settle()
    assert keys(world) == []
    assert world.kube.peek("Secret", "ingest-key", PROJECT) is None
    assert "app" in world.server().passwords
    world.access_policy(subjects=[USER, KEY])
    await world.settle()
    assert keys(world) == [digest(world)] != [old]


async def test_a_removed_user_is_dropped_from_milvus(world: FakeWorld) -> None:
    await with_policy(world)
    world.access_policy(subjects=[KEY])
    await world.settle()
    assert "app" not in world.server().passwords
    assert world.kube.peek("Secret", "app-user", PROJECT) is None


async def test_a_users_own_users_are_left_alone(world: FakeWorld) -> None:
    await with_policy(world)
    world.server().passwords["by_hand"] = "x"
    world.new_operator().start()
    await world.settle()
    assert "by_hand" in world.server().passwords
    assert "by_hand" in world.conditions()["AccessApplied"]["message"]


async def test_a_deleted_secret_means_a_new_credential(world: FakeWorld) -> None:
    """Deleting the Secret is how a person throws a leaked key away."""
    await with_policy(world)
    old, old_password = digest(world), world.secret("app-user", PROJECT)["password"]
    world.kube.remove("Secret", "ingest-key", PROJECT)
    world.kube.remove("Secret", "app-user", PROJECT)
    await world.settle()
    assert keys(world) == [digest(world)] != [old]
    assert world.secret("app-user", PROJECT)["password"] != old_password
    assert world.lets_in(world.secret("app-user", PROJECT)["token"])
    assert not world.lets_in(f"app:{old_password}"), "there is no grace for what was thrown away"
    assert world.ready("app", "AccessPolicy")["status"] == "True"


@pytest.mark.parametrize("name", ["ingest-key", "app-user"])
async def test_a_strangers_secret_is_untouched_and_opens_nothing(world: FakeWorld, name: str) -> None:
    await world.quickstart()
    data = {"token": "emJrX2d1ZXNzZWQ=", "password": "Z3Vlc3NlZA=="}
    metadata = {"name": name, "namespace": PROJECT, "labels": {"app.kubernetes.io/managed-by": "zilliz-operator"}}
    stranger = copied(world.kube.put({"kind": "Secret", "metadata": metadata, "data": data}))
    world.access_policy(subjects=[KEY, USER])
    await world.settle()
    found = world.ready("app", "AccessPolicy")
    assert found["reason"] == "SubjectSecretTaken"
    assert name in found["message"]
    assert "secretName" in found["message"]
    assert world.kube.must("Secret", name, PROJECT) == stranger
    assert hashlib.sha256(b"zbk_guessed").hexdigest() not in keys(world)
    assert not world.lets_in("app:guessed")
    assert world.status("app", "AccessPolicy")["clusters"][0]["state"] == "Pending"
    world.kube.remove("Secret", name, PROJECT)
    await world.pass_time(timedelta(minutes=1))
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    assert keys(world) == [digest(world)]


async def test_a_token_put_in_by_hand_is_the_key_from_then_on(world: FakeWorld) -> None:
    await with_policy(world)
    world.kube.edit("Secret", "ingest-key", PROJECT, lambda s: s["data"].update({"token": "emJrX21pbmU="}))
    await world.settle()
    assert keys(world) == [hashlib.sha256(b"zbk_mine").hexdigest()]


async def test_an_invalid_policy_grants_nothing_and_says_why(world: FakeWorld) -> None:
    await with_policy(world)
    world.access_policy(subjects=[KEY, {**USER, "name": "root"}])
    await world.settle()
    found = world.ready("app", "AccessPolicy")
    assert found["reason"] == "InvalidSpec"
    assert "spec.subjects[1].name" in found["message"]
    assert world.conditions("app", "AccessPolicy")["Stalled"]["status"] == "True"
    assert keys(world) == []
    assert "app" not in world.server().passwords
    world.access_policy(subjects=[KEY, USER])
    await world.settle()
    assert world.ready("app", "AccessPolicy")["status"] == "True"


async def test_levels(world: FakeWorld) -> None:
    await world.quickstart()
    world.cluster("other")
    world.access_policy("only", level="Cluster", clusters={"names": ["other"]}, subjects=[KEY])
    await world.settle()
    assert keys(world) == []
    assert len(world.door_file("keys.map", "other")) == 1
    world._ours("AccessPolicy", "org", PROJECT, {"level": "Organization", "role": "DataViewer", "subjects": [
        {"kind": "User", "name": "anna"}]})  # fmt: skip
    await world.settle()
    found = world.ready("org", "AccessPolicy")
    assert found["reason"] == "LevelNotAllowed"
    assert SYSTEM in found["message"]


async def test_a_status_over_clusters_and_accounts_of_one_name_can_be_stored(world: FakeWorld) -> None:
    """The API server refuses lists with two items of one key, and then the policy would say nothing at all."""
    world.kube.put({"kind": "Namespace", "metadata": {"name": "team-b"}})
    world.data_plane()
    world.cluster()
    world.cluster(project="team-b")
    accounts = [{"kind": "ServiceAccount", "namespace": ns, "name": "deployer"} for ns in ("ci", "cd")]
    world.access_policy("org", SYSTEM, level="Organization", subjects=accounts)
    await world.settle()
    assert world.operator.errors == []
    status = world.status("org", "AccessPolicy", SYSTEM)
    assert sorted(c["name"] for c in status["clusters"]) == ["team-a/search", "team-b/search"]
    assert [s["name"] for s in status["subjects"]] == ["ci/deployer", "cd/deployer"]


async def test_two_policies_for_one_user_leave_it_to_the_older(world: FakeWorld) -> None:
    await with_policy(world)
    token = world.secret("app-user", PROJECT)["token"]
    world.clock.time += timedelta(minutes=1)
    world.access_policy("another", role="DataAdmin", subjects=[{**USER, "secretName": "another-user"}])
    await world.settle()
    assert world.lets_in(token)
    assert world.server().members["app"] == {"zr_viewer"}
    assert world.ready("another", "AccessPolicy")["reason"] == "SubjectConflict"
    assert "app" in world.ready("another", "AccessPolicy")["message"]
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.pass_time(timedelta(minutes=2))
    assert world.ready("another", "AccessPolicy")["status"] == "True"
    assert world.lets_in(world.secret("another-user", PROJECT)["token"])
    assert not world.lets_in(token)


async def test_what_two_policies_give_one_user_and_one_key_adds_up(world: FakeWorld) -> None:
    await with_policy(world)
    token, password = world.secret("ingest-key", PROJECT)["token"], world.secret("app-user", PROJECT)["password"]
    world.clock.time += timedelta(minutes=1)
    world.access_policy("another", role="DataAdmin", subjects=[KEY, USER])
    await world.settle()
    assert world.ready("another", "AccessPolicy")["status"] == "True"
    assert world.server().members["app"] == {"zr_viewer", "zr_admin"}
    assert world.secret("app-user", PROJECT)["password"] == password
    (line,) = world.door_file("keys.map")
    assert line.split()[0] == digest(world) == hashlib.sha256(token.encode()).hexdigest()
    user = line.split(":")[1]
    users = dict(line.split() for line in world.door_file("users.map"))
    assert user not in ("zt_viewer", "zt_admin")
    assert world.server().members[user] == {"zr_viewer", "zr_admin"}
    assert world.server().accepts(user, users[user])
    world.kube.remove("AccessPolicy", "another", PROJECT)
    await world.settle()
    assert world.server().members["app"] == {"zr_viewer"}
    assert keys(world) == [digest(world)]
    assert user not in world.server().passwords
    served = [line.split()[0] for line in world.door_file("users.map")]
    assert served == ["app", "db_admin", "zt_admin", "zt_operator", "zt_viewer"]


async def test_a_shared_credential_is_made_anew_by_the_next_policy_when_its_maker_goes(world: FakeWorld) -> None:
    await with_policy(world)
    old = digest(world)
    world.clock.time += timedelta(minutes=1)
    world.access_policy("another", role="DataAdmin", subjects=[KEY, USER])
    await world.settle()
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.settle()
    assert world.ready("another", "AccessPolicy")["status"] == "True"
    assert keys(world) == [digest(world)] != [old]
    assert world.server().members["app"] == {"zr_admin"}
    assert world.lets_in(world.secret("app-user", PROJECT)["token"])


async def test_one_user_with_two_ends_keeps_the_older_policys(world: FakeWorld) -> None:
    await with_policy(world)
    world.clock.time += timedelta(minutes=1)
    world.access_policy("another", role="DataAdmin", subjects=[USER], expiresAt=utc(NOW + timedelta(days=1)))
    await world.settle()
    found = world.ready("another", "AccessPolicy")
    assert found["reason"] == "SubjectConflict"
    assert "expiresAt" in found["message"]
    assert subject(world, policy="another")["state"] == "Failed"
    assert world.server().members["app"] == {"zr_viewer"}
    assert world.ready("app", "AccessPolicy")["status"] == "True"


async def test_a_role_that_lost_a_grant_gets_it_back_and_one_too_many_goes(world: FakeWorld) -> None:
    from zilliz_operator.api.outside import Grant

    await with_policy(world)
    before = set(world.server().grants["zr_viewer"])
    world.server().grants["zr_viewer"].pop()
    world.server().grants["zr_viewer"].add(Grant("DropCollection", "Global", "*", "*"))
    world.new_operator().start()
    await world.settle()
    assert world.server().grants["zr_viewer"] == before
    assert world.ready()["status"] == "True"
