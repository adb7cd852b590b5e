"""Credentials made anew: once a request, once an age, old and new valid side by side, and the old one not a second longer."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.fake.world import NOW, PROJECT, SYSTEM, FakeWorld
from zilliz_operator.api.base import utc
from zilliz_operator.reconcile.ports import Manifest

KEY = {"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"}
USER = {"kind": "ClusterUser", "name": "app", "secretName": "app-user"}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def token(world: FakeWorld, secret: str) -> str:
    return world.secret(secret, PROJECT)["token"]


def tokens(world: FakeWorld) -> dict[str, str]:
    return {"ingest-key": token(world, "ingest-key"), "app-user": token(world, "app-user")}


def status_of(world: FakeWorld, kind: str, policy: str = "app") -> Manifest:
    (found,) = [each for each in world.status(policy, "AccessPolicy")["subjects"] if each["kind"] == kind]
    return dict(found)


def ask(world: FakeWorld, value: str, *, name: str = "rotate", kind: str = "AccessPolicy", of: str = "app") -> None:
    world.kube.edit(
        kind,
        of,
        PROJECT,
        lambda o: o["metadata"].setdefault("annotations", {}).update({f"byoc.zilliz.com/{name}": value}),
    )


async def until(world: FakeWorld, moment: datetime) -> None:
    await world.pass_time(moment - world.clock.now())


async def with_policy(world: FakeWorld, **subject: Any) -> None:
    async def begin(new: FakeWorld) -> None:
        await new.quickstart()
        new.access_policy(subjects=[{**KEY, **subject}, {**USER, **subject}])
        await new.settle()
        assert new.ready("app", "AccessPolicy")["status"] == "True"

    if subject:  # not at rest: a rotation to come is waited for
        await begin(world)
    else:
        await world.like("rotation policy", begin)


async def test_a_request_makes_both_anew_once_and_the_old_ones_end_after_the_grace(world: FakeWorld) -> None:
    await with_policy(world)
    old = tokens(world)
    world.clock.time += HOUR
    asked_at = world.clock.now()
    ask(world, "2026-11-24 a laptop was lost")
    await world.settle()
    new = tokens(world)
    assert not set(old.values()) & set(new.values())
    for each in (*old.values(), *new.values()):
        assert world.lets_in(each)
    for kind in ("ApiKey", "ClusterUser"):
        found = status_of(world, kind)
        assert (found["rotatedAt"], found["previousUntil"]) == (utc(asked_at), utc(asked_at + HOUR))
        assert "rotatesAt" not in found
    await until(world, asked_at + HOUR - timedelta(minutes=2))
    assert tokens(world) == new and all(world.lets_in(each) for each in old.values())
    await until(world, asked_at + HOUR + timedelta(seconds=1))
    assert tokens(world) == new and all(world.lets_in(each) for each in new.values())
    assert not any(world.lets_in(each) for each in old.values())
    assert len(world.door_file("keys.map")) == 1 and "previousUntil" not in status_of(world, "ApiKey")
    assert world.ready("app", "AccessPolicy")["status"] == "True"


async def test_the_grace_ends_while_the_operator_is_down(world: FakeWorld) -> None:
    await with_policy(world)
    old, asked_at = tokens(world), world.clock.now()
    ask(world, "1")
    await world.settle()
    world.clock.time = asked_at + HOUR - timedelta(seconds=1)
    assert all(world.lets_in(each) for each in old.values())
    world.clock.time = asked_at + HOUR
    assert not any(world.lets_in(each) for each in old.values())


async def test_a_request_is_answered_once_whoever_restarts(world: FakeWorld) -> None:
    await with_policy(world)
    ask(world, "1")
    await world.settle()
    new, writes = tokens(world), len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert tokens(world) == new
    assert world.writes[writes:] == []
    ask(world, "2")
    await world.settle()
    assert not set(new.values()) & set(tokens(world).values())


async def test_a_request_can_mean_one_subject(world: FakeWorld) -> None:
    await with_policy(world)
    old = tokens(world)
    ask(world, "ClusterUser/app 1")
    await world.settle()
    assert token(world, "ingest-key") == old["ingest-key"] and token(world, "app-user") != old["app-user"]
    before = tokens(world)
    ask(world, "ClusterUser/ap 2")
    await world.settle()
    assert tokens(world) == before
    found = world.ready("app", "AccessPolicy")
    assert found["status"] == "True" and "ClusterUser/ap, which is no subject" in found["message"]


async def test_both_are_made_anew_by_age(world: FakeWorld) -> None:
    await with_policy(world, rotateAfterDays=30, graceMinutes=1440)
    old = tokens(world)
    found = status_of(world, "ApiKey")
    due = datetime.fromisoformat(found["rotatedAt"]) + 30 * DAY
    assert found["rotatesAt"] == utc(due)
    await until(world, due - timedelta(minutes=2))
    assert tokens(world) == old
    await until(world, due + timedelta(minutes=1))
    new = tokens(world)
    assert not set(old.values()) & set(new.values())
    assert all(world.lets_in(each) for each in (*old.values(), *new.values()))
    await world.pass_time(DAY)
    assert tokens(world) == new and not any(world.lets_in(each) for each in old.values())
    await world.pass_time(29 * DAY)
    assert not set(new.values()) & set(tokens(world).values())


async def test_no_grace_ends_the_old_ones_at_once(world: FakeWorld) -> None:
    await with_policy(world, graceMinutes=0)
    old = tokens(world)
    ask(world, "1")
    await world.settle()
    assert all(world.lets_in(each) for each in tokens(world).values())
    assert not any(world.lets_in(each) for each in old.values())


async def test_a_deleted_secret_gives_no_grace_even_after_a_rotation(world: FakeWorld) -> None:
    await with_policy(world)
    first = tokens(world)
    ask(world, "1")
    await world.settle()
    second = tokens(world)
    for name in second:
        world.kube.remove("Secret", name, PROJECT)
    await world.settle()
    assert not any(world.lets_in(each) for each in (*first.values(), *second.values()))
    assert all(world.lets_in(each) for each in tokens(world).values())


async def test_while_the_secret_is_gone_nobody_is_let_in_and_milvus_never_knew_the_password(world: FakeWorld) -> None:
    await with_policy(world)
    user = token(world, "app-user")
    world.leading = False  # whoever lost the lead makes nothing
    world.kube.remove("Secret", "app-user", PROJECT)
    await world.settle()
    assert world.kube.peek("Secret", "app-user", PROJECT) is None
    assert not world.lets_in(user)
    assert not world.server().accepts(*user.split(":"))


async def test_a_rotation_never_outlives_the_key_itself(world: FakeWorld) -> None:
    await with_policy(world)
    old = token(world, "ingest-key")
    world.access_policy(subjects=[{**KEY, "expiresAt": utc(NOW + HOUR / 2)}, USER])
    ask(world, "1")
    await world.settle()
    assert world.lets_in(old)
    world.clock.time = NOW + HOUR / 2
    assert not world.lets_in(old) and not world.lets_in(token(world, "ingest-key"))


async def test_the_end_of_a_policy_holds_for_users_by_the_doors_own_clock(world: FakeWorld) -> None:
    await world.quickstart()
    world.access_policy(subjects=[USER], expiresAt=utc(NOW + HOUR))
    await world.settle()
    user = token(world, "app-user")
    assert world.lets_in(user)
    world.clock.time = NOW + HOUR
    assert not world.lets_in(user)


async def test_what_a_stranger_writes_beside_a_credential_gives_no_second_one(world: FakeWorld) -> None:
    import hashlib

    await with_policy(world)
    forged = "zbk_" + "f" * 43
    marks = {
        "byoc.zilliz.com/previous-digest": hashlib.sha256(forged.encode()).hexdigest(),
        "byoc.zilliz.com/previous-until": "2099-01-01T00:00:00Z",
    }
    world.kube.edit("Secret", "ingest-key", PROJECT, lambda s: s["metadata"]["annotations"].update(marks))
    await world.settle()
    assert not world.lets_in(forged)


# ---- the organization's limit


async def test_over_the_limit_the_newest_are_refused_and_the_older_go_on(world: FakeWorld) -> None:
    await with_policy(world)
    first = token(world, "ingest-key")
    world.key_limit = 2
    world.new_operator()
    world.clock.time += timedelta(minutes=1)
    world.kube.put({"kind": "Namespace", "metadata": {"name": "team-b"}})
    world.access_policy("more", "team-b", subjects=[{**KEY, "name": f"k{n}", "secretName": f"k{n}"} for n in range(3)])
    await world.settle()
    found = world.ready("more", "AccessPolicy", "team-b")
    assert found["reason"] == "KeyLimitReached" and "2 API keys" in found["message"]
    states = [each["state"] for each in world.status("more", "AccessPolicy", "team-b")["subjects"]]
    assert states == ["Applied", "Failed", "Failed"]
    assert world.lets_in(first) and world.ready("app", "AccessPolicy")["status"] == "True"
    ask(world, "1")
    await world.settle()
    assert token(world, "ingest-key") != first, "a rotation is no new key"
    world.kube.remove("AccessPolicy", "app", PROJECT)
    await world.pass_time(timedelta(minutes=2))
    states = [each["state"] for each in world.status("more", "AccessPolicy", "team-b")["subjects"]]
    assert states == ["Applied", "Applied", "Failed"]


# ---- the last use


async def test_the_last_use_is_told_by_the_hour_and_costs_nothing_more(world: FakeWorld) -> None:
    await with_policy(world)
    assert "lastUsedAt" not in status_of(world, "ApiKey")
    used = NOW + HOUR + timedelta(minutes=23)
    world.clock.time = used + timedelta(minutes=1)
    world.probe.used = {"api_key:team-a/app/ingest": used, "password:team-a/app/app": used - HOUR}
    await looked(world)
    assert status_of(world, "ApiKey")["lastUsedAt"] == utc(NOW + HOUR)
    assert status_of(world, "ClusterUser")["lastUsedAt"] == utc(NOW)
    writes = len(world.writes)
    world.probe.used = {"api_key:team-a/app/ingest": used + timedelta(minutes=30)}
    world.clock.time += timedelta(minutes=30)
    await looked(world)
    assert world.writes[writes:] == [], "the same hour"
    world.probe.used = {}
    world.new_operator().start()  # everything that was told is forgotten, by the gateways too
    await world.settle()
    assert status_of(world, "ApiKey")["lastUsedAt"] == utc(NOW + HOUR)


async def looked(world: FakeWorld) -> None:
    """A sweep over the cluster, and one over the policy."""
    from zilliz_operator.reconcile.queue import Key

    for key in (Key("ZillizCluster", PROJECT, "search"), Key("AccessPolicy", PROJECT, "app")):
        world.operator.dirty[key] = None
        await world.settle()


async def test_a_gateway_with_a_wrong_clock_is_not_believed(world: FakeWorld) -> None:
    await with_policy(world)
    world.probe.used = {"api_key:team-a/app/ingest": NOW + 30 * DAY}
    await looked(world)
    assert "lastUsedAt" not in status_of(world, "ApiKey")


# ---- the cluster's own


@pytest.mark.parametrize("how", ["asked", "old"])
async def test_root_is_made_anew(world: FakeWorld, how: str) -> None:
    await world.quickstart()
    old = world.vault()["root"]
    if how == "asked":
        ask(world, "1", name="rotate-root", kind="ZillizCluster", of="search")
    else:
        world.clock.time += 90 * DAY
        world.new_operator().start()
    await world.settle()
    new = world.vault()["root"]
    assert new != old and "root-next" not in world.vault()
    assert world.server().passwords["root"] == new
    assert world.secret("milvus-root", world.space()) == {"password": new, "db_admin": world.vault()["db_admin"]}
    assert world.conditions()["AccessApplied"]["status"] == "True"
    writes = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert world.vault()["root"] == new and world.writes[writes:] == []


async def test_root_is_not_changed_before_both_copies_of_the_new_one_are_kept(world: FakeWorld) -> None:
    await world.quickstart()
    early: list[str] = []

    def look(_: int, what: str) -> None:
        root = world.server().passwords["root"]
        copies = [world.vault(), world.secret("milvus-root", world.space())]
        if not all(root in copy.values() for copy in copies):
            early.append(what)

    world.recorder.after = look
    ask(world, "1", name="rotate-root", kind="ZillizCluster", of="search")
    await world.settle()
    assert world.ready()["status"] == "True"
    assert early == []


async def test_the_operators_copy_lost_in_the_middle_of_roots_change_is_no_loss(world: FakeWorld) -> None:
    from tests.fake.world import Crash

    await world.quickstart()

    def crash(_: int, what: str) -> None:
        if what == "milvus password root":
            raise Crash(what)

    world.recorder.after = crash
    ask(world, "1", name="rotate-root", kind="ZillizCluster", of="search")
    with pytest.raises(Crash):
        await world.settle()
    world.recorder.after = None
    world.kube.remove("Secret", f"credentials-{world.id_of()}", SYSTEM)
    world.new_operator().start()
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.server().passwords["root"] == world.vault()["root"]


async def test_db_admin_is_made_anew_with_a_grace(world: FakeWorld) -> None:
    await world.quickstart()
    old = f"db_admin:{world.secret('search-connection', PROJECT)['password']}"
    ask(world, "1", name="rotate-db-admin", kind="ZillizCluster", of="search")
    await world.settle()
    new = f"db_admin:{world.secret('search-connection', PROJECT)['password']}"
    assert old != new and world.lets_in(old) and world.lets_in(new)
    world.clock.time += HOUR
    assert not world.lets_in(old) and world.lets_in(new)
    world.new_operator().start()
    await world.settle()
    assert len(world.door_file("passwords.map")) == 1
    assert f"db_admin:{world.secret('search-connection', PROJECT)['password']}" == new


async def test_the_technical_users_are_made_anew_and_nobody_is_blamed(world: FakeWorld) -> None:
    await with_policy(world)
    seed, inner = world.vault()["technical-seed"], dict(world.server().passwords)
    ask(world, "1", name="rotate-technical-users", kind="ZillizCluster", of="search")
    await world.settle()
    assert world.vault()["technical-seed"] != seed and "technical-seed-before" not in world.vault()
    now = world.server().passwords
    assert {user for user in now if now[user] == inner[user]} == {"root"}
    assert all(world.lets_in(each) for each in tokens(world).values())
    assert not [event for event in world.kube.events if event["reason"] == "PasswordReset"]
    assert world.ready()["status"] == "True"


async def test_a_users_password_changed_behind_our_back_is_set_right_and_told(world: FakeWorld) -> None:
    await with_policy(world)
    world.server().passwords["app"] = "stolen-by-somebody"
    assert not world.lets_in("app:stolen-by-somebody"), "the door judges it, not Milvus"
    world.new_operator().start()
    await world.settle()
    assert world.lets_in(token(world, "app-user"))
    (told,) = [event for event in world.kube.events if event["reason"] == "PasswordReset"]
    assert (told["about"], told["type"]) == ("search", "Warning")
    assert "app" in told["message"] and "stolen" not in told["message"]
