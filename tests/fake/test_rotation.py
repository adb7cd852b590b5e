"""The store's key pair is renewed by age and by request. Milvus restarts once for it and never runs with a key that was taken away."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.fake.controllers import encoded
from tests.fake.outside import unavailable
from tests.fake.world import PROJECT, SYSTEM, Crash, FakeWorld
from zilliz_operator.api.outside import Caller
from zilliz_operator.reconcile.vault import ACCESS_KEY_ID, SECRET_ACCESS_KEY

DAYS = 30
STORE: dict[str, Any] = {
    "provider": "S3Compatible",
    "endpoint": "https://s3.store.test:8333",
    "credentialsSecretRef": {"name": "store-admin"},
    "cidrs": ["10.200.0.1/32"],
    "rotateAfterDays": DAYS,
}
AWS: dict[str, Any] = {
    "provider": "AWS",
    "identity": "AccessKeys",
    "oidcProviderArn": "arn:aws:iam::111122223333:oidc-provider/oidc.test/id/1",
    "cidrs": ["10.200.0.1/32"],
}
SUNDAY = {"days": ["Sunday"], "start": "02:00", "hours": 4}
"""The world begins on a Tuesday at noon."""
ROTATING = "Rotating"


async def begin(world: FakeWorld, *, store: dict[str, Any] = STORE, **spec: Any) -> None:
    async def made(new: FakeWorld) -> None:
        if store["provider"] == "AWS":
            new.store.operator = Caller(account="111122223333", arns=("arn:aws:iam::111122223333:role/operator",))
        new.data_plane(objectStorage=store, region="us-west-2")
        new.cluster(**spec)
        new.allowlist()
        await new.settle()
        assert new.ready()["status"] == "True", new.ready()

    await world.like(f"rotation {store} {spec}", made)


def keys(world: FakeWorld) -> dict[str, str]:
    """The keys of Milvus' user on the store."""
    found: dict[str, str] = world.store.identities[f"{world.id_of()}-milvus"]["keys"]
    return found


def milvus(world: FakeWorld) -> list[dict[str, Any]]:
    return world.kube.find("Pod", world.space(), labels={"app.kubernetes.io/component": "milvus"})


def starts(world: FakeWorld) -> int:
    return world.workloads.starts.count(f"{world.space()}/milvus")


def cut_off(world: FakeWorld) -> list[str]:
    """The keys that Milvus runs with and the store does not know any more."""
    running = {
        world.workloads.store_keys[pod["metadata"]["uid"]]
        for pod in milvus(world)
        if pod["metadata"]["uid"] in world.workloads.store_keys
    }
    return sorted(running - set(keys(world)))


def watched(world: FakeWorld, *, then: Callable[[int, str], None] | None = None) -> list[str]:
    """Every write after which Milvus runs with a key that is gone."""
    found: list[str] = []

    def look(number: int, what: str) -> None:
        if cut_off(world):
            found.append(what)
        if then is not None:
            then(number, what)

    world.recorder.after = look
    return found


def one_pair(world: FakeWorld) -> str:
    """That there is exactly one key pair and everybody has it. Returns its id."""
    vault = world.vault()
    pair = {vault[ACCESS_KEY_ID]: vault[SECRET_ACCESS_KEY]}
    assert keys(world) == pair
    assert world.secret("store-credentials", world.space()) == {
        ACCESS_KEY_ID: vault[ACCESS_KEY_ID],
        SECRET_ACCESS_KEY: vault[SECRET_ACCESS_KEY],
    }
    assert "previousAccessKeyId" not in vault
    assert [world.workloads.store_keys[pod["metadata"]["uid"]] for pod in milvus(world)] == list(pair)
    assert world.ready()["status"] == "True", world.ready()
    assert world.conditions()["IdentityScoped"]["reason"] == "Kept"
    return vault[ACCESS_KEY_ID]


async def sweep(world: FakeWorld) -> None:
    """The look at everything that comes every few minutes."""
    world.new_operator().start()
    await world.settle()


async def test_an_old_key_pair_is_renewed_once_without_cutting_milvus_off(world: FakeWorld) -> None:
    await begin(world)
    first, before = one_pair(world), starts(world)
    await world.pass_time(timedelta(days=DAYS, minutes=-10))
    await sweep(world)
    assert one_pair(world) == first
    cut = watched(world)
    await world.pass_time(timedelta(minutes=20))
    await sweep(world)
    assert one_pair(world) != first
    assert (cut, starts(world)) == ([], before + 1)
    writes = list(world.writes)
    await sweep(world)
    assert world.writes == writes


async def test_a_request_renews_it_once_a_value_and_touches_nothing_of_the_users(world: FakeWorld) -> None:
    await begin(world)
    first, before = one_pair(world), starts(world)
    cut = watched(world)
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="2026-11-24")
    await world.settle()
    second = one_pair(world)
    assert second != first
    annotations = world.kube.must("ZillizCluster", "search", PROJECT)["metadata"]["annotations"]
    assert annotations == {"byoc.zilliz.com/rotate-store-keys": "2026-11-24"}
    await sweep(world)
    assert one_pair(world) == second
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys=None)
    await world.settle()
    assert one_pair(world) == second
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="again")
    await world.settle()
    assert one_pair(world) not in (first, second)
    assert (cut, starts(world)) == ([], before + 2)


async def test_a_cluster_that_is_born_with_a_request_is_not_renewed_at_once(world: FakeWorld) -> None:
    world.data_plane(objectStorage=STORE)
    cluster = world.cluster()
    cluster["metadata"]["annotations"] = {"byoc.zilliz.com/rotate-store-keys": "once"}
    world.kube.put(cluster)
    world.allowlist()
    await world.settle()
    assert one_pair(world) == "AKFAKE000001"
    assert starts(world) == 1


async def test_age_waits_for_the_maintenance_window_and_a_person_does_not(world: FakeWorld) -> None:
    await begin(world, maintenanceWindow=SUNDAY)
    first, before = one_pair(world), starts(world)
    await world.pass_time(timedelta(days=DAYS + 1))  # a Friday
    await sweep(world)
    assert (one_pair(world), starts(world)) == (first, before)
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="leaked")
    cut = watched(world)
    await world.settle()
    second = one_pair(world)
    assert (cut, second != first, starts(world)) == ([], True, before + 1)
    await world.pass_time(timedelta(days=DAYS + 1, hours=13, minutes=30))  # a Tuesday
    await sweep(world)
    assert one_pair(world) == second
    await world.pass_time(timedelta(days=5, hours=2))  # Sunday, 03:30
    await sweep(world)
    assert one_pair(world) != second
    assert (cut, starts(world)) == ([], before + 2)


async def missed(world: FakeWorld) -> None:
    """A key grew old and was made anew in the window; the operator died there and came back when it was shut."""
    await begin(world, maintenanceWindow=SUNDAY)
    await world.pass_time(timedelta(days=DAYS + 2, hours=17))  # Sunday, 05:00: open
    at = world.clock.time

    def dies(_: int, what: str) -> None:
        if "Secret/credentials-" in what:
            raise Crash(what)

    world.recorder.after = dies
    world.new_operator().start()
    with pytest.raises(Crash):
        await world.settle()
    world.recorder.after = None
    world.clock.time = at + timedelta(hours=4)  # shut
    await sweep(world)


async def test_a_move_that_misses_its_window_waits_for_the_next_unless_a_person_asks(world: FakeWorld) -> None:
    await missed(world)
    before, cut = starts(world), watched(world)
    found = world.conditions()["IdentityScoped"]
    assert (found["status"], found["reason"]) == ("True", ROTATING)
    assert "in the maintenance window" in found["message"]
    assert world.ready()["status"] == "True"
    both = set(keys(world))
    assert len(both) == 2
    writes = list(world.writes)
    await sweep(world)
    assert world.writes == writes
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="now")
    await world.settle()
    assert one_pair(world) not in both
    assert (cut, starts(world)) == ([], before + 2)


async def test_a_move_that_missed_its_window_happens_in_the_next(world: FakeWorld) -> None:
    await missed(world)
    before, cut = starts(world), watched(world)
    await world.pass_time(timedelta(days=6, hours=18))  # Sunday, 03:00
    await sweep(world)
    one_pair(world)
    assert (cut, starts(world)) == ([], before + 1)


async def test_a_move_waits_for_no_window_once_the_old_key_is_taken_away(world: FakeWorld) -> None:
    await missed(world)
    old = next(iter(set(keys(world)) - {world.vault()[ACCESS_KEY_ID]}))
    del keys(world)[old]
    await sweep(world)
    one_pair(world)


async def test_the_old_key_stays_while_milvus_cannot_start_with_the_new_one(world: FakeWorld) -> None:
    await begin(world)
    first = one_pair(world)
    image = milvus(world)[0]["spec"]["containers"][0]["image"]
    world.workloads.missing_images.add(image)
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="1")
    await world.settle()
    assert world.ready()["reason"] == "ImageMissing"
    assert first in keys(world) and len(keys(world)) == 2
    assert world.conditions()["IdentityScoped"]["reason"] == ROTATING
    world.workloads.missing_images.clear()
    await sweep(world)
    assert one_pair(world) != first


async def test_keys_that_somebody_minted_go_and_milvus_does_not_restart(world: FakeWorld) -> None:
    await begin(world)
    first, before = one_pair(world), starts(world)
    keys(world).update(AKMINTED1="x", AKMINTED2="y")
    await sweep(world)
    assert (one_pair(world), starts(world)) == (first, before)


async def test_a_key_that_was_taken_away_is_replaced_whatever_the_window_says(world: FakeWorld) -> None:
    await begin(world, maintenanceWindow=SUNDAY)
    first = one_pair(world)
    await world.pass_time(timedelta(hours=1))
    keys(world).clear()
    await sweep(world)
    assert one_pair(world) != first


async def test_a_suspended_cluster_gets_its_new_pair_and_wakes_up_with_it(world: FakeWorld) -> None:
    await begin(world)
    first = one_pair(world)
    world.cluster(powerState="Suspended")
    await world.settle()
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="1")
    await world.settle()
    assert milvus(world) == []
    assert list(keys(world)) == [world.vault()[ACCESS_KEY_ID]] != [first]
    cut = watched(world)
    world.cluster()
    await world.settle()
    assert one_pair(world) != first
    assert cut == []


async def test_who_does_not_lead_makes_and_takes_no_key(world: FakeWorld) -> None:
    await begin(world)
    keys(world)["AKMINTED"] = "x"
    before = dict(keys(world))
    world.leading = False
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="1")
    await world.settle()
    assert keys(world) == before
    assert "leadership" in world.conditions()["IdentityScoped"]["message"]
    world.leading = True
    await sweep(world)
    one_pair(world)


async def test_a_crash_after_any_write_of_a_rotation_neither_cuts_milvus_off_nor_leaves_a_key(
    world: FakeWorld,
) -> None:
    await begin(world)
    first = one_pair(world)
    crashed: list[tuple[str, bytes]] = []
    cut = watched(world, then=lambda _, what: crashed.append((what, world.frozen())))
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="1")
    await world.settle()
    assert cut == []
    written = [what for what, _ in crashed]
    assert [what.partition(" in01")[0] for what in written if what.startswith("store")] == [
        "store new key",
        "store remove key",
    ]
    assert len(written) >= 8
    for what, frozen in crashed:
        world.thaw(frozen)
        cut = watched(world)
        world.operator.start()
        await world.settle()
        assert one_pair(world) != first, what
        assert cut == [], what


async def test_a_vault_lost_in_the_middle_of_a_rotation_is_found_again_with_both_keys(world: FakeWorld) -> None:
    await begin(world)
    image = milvus(world)[0]["spec"]["containers"][0]["image"]
    world.workloads.missing_images.add(image)
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="1")
    await world.settle()
    both = dict(keys(world))
    world.kube.remove("Secret", f"credentials-{world.id_of()}", SYSTEM)
    await world.settle()
    assert keys(world) == both
    world.workloads.missing_images.clear()
    await sweep(world)
    one_pair(world)


async def test_a_store_that_is_down_in_the_middle_is_waited_for(world: FakeWorld) -> None:
    await begin(world)
    first, cut = one_pair(world), watched(world)
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="1")

    def falls(what: str) -> None:
        if what == "store make key":
            world.store.trouble = unavailable("the store")

    world.recorder.before = falls
    await world.settle()
    assert world.conditions()["IdentityScoped"]["reason"] == "ObjectStoreUnavailable"
    world.recorder.before, world.store.trouble = None, None
    await world.settle()
    assert one_pair(world) != first
    assert cut == []


async def test_a_secret_spoiled_while_the_store_is_down_restarts_nothing(world: FakeWorld) -> None:
    await begin(world)
    before = starts(world)
    world.store.trouble = unavailable("the store")
    spoiled = encoded({ACCESS_KEY_ID: "AKSOMEBODYS", SECRET_ACCESS_KEY: "x"})
    world.kube.edit("Secret", "store-credentials", world.space(), lambda s: s["data"].update(spoiled))
    await world.settle()
    assert starts(world) == before
    world.store.trouble = None
    await sweep(world)
    one_pair(world)
    assert starts(world) == before


async def test_another_number_of_days_is_in_force_at_once(world: FakeWorld) -> None:
    await begin(world)
    first = one_pair(world)
    await world.pass_time(timedelta(days=3))
    world.data_plane(objectStorage=STORE | {"rotateAfterDays": 2}, region="us-west-2")
    await world.settle()
    assert one_pair(world) != first
    assert "renewed after 2 days" in world.conditions()["IdentityScoped"]["message"]


async def test_a_pair_from_before_ages_were_kept_counts_from_now(world: FakeWorld) -> None:
    await begin(world)
    first = one_pair(world)

    def forget(secret: dict[str, Any]) -> None:
        for key in [key for key in secret["metadata"]["annotations"] if "store-key" in key]:
            del secret["metadata"]["annotations"][key]

    await world.pass_time(timedelta(days=DAYS - 1))
    world.kube.edit("Secret", f"credentials-{world.id_of()}", SYSTEM, forget)
    await sweep(world)
    await world.pass_time(timedelta(days=2))
    await sweep(world)
    assert one_pair(world) == first
    await world.pass_time(timedelta(days=DAYS))
    await sweep(world)
    assert one_pair(world) != first


async def test_no_key_is_shown_to_whoever_may_not_read_secrets(world: FakeWorld) -> None:
    await begin(world)
    world.annotate("ZillizCluster", "search", PROJECT, rotate_store_keys="1")
    shown = []
    world.recorder.after = lambda _, what: shown.append(world.everything_public())
    await world.settle()
    assert not any("AKFAKE" in each or "never-shown" in each for each in shown)


async def test_with_roles_there_is_no_key_and_a_change_to_them_takes_the_last_one_away(world: FakeWorld) -> None:
    await begin(world, store=AWS)
    first, cut = one_pair(world), watched(world)
    world.data_plane(objectStorage=AWS | {"identity": "IRSA"}, region="us-west-2")
    await world.settle()
    assert world.ready()["status"] == "True", world.ready()
    assert keys(world) == {}
    assert cut == []
    assert world.workloads.store_keys.get(milvus(world)[0]["metadata"]["uid"]) is None
    assert not {name for name in world.vault() if "KeyId" in name or "AccessKey" in name}
    assert world.kube.peek("Secret", "store-credentials", world.space()) is None
    assert {name.rpartition("-")[2] for name in world.store.identities} == {"milvus", "gateway", "backup"}
    message = world.conditions()["IdentityScoped"]["message"]
    assert "no long-lived key" in message and first not in message
    writes = list(world.writes)
    await sweep(world)
    assert world.writes == writes


async def test_an_unknown_time_zone_stops_no_access(world: FakeWorld) -> None:
    await begin(world)
    world.cluster(maintenanceWindow=SUNDAY | {"timeZone": "Mars/Base"})
    await sweep(world)
    assert world.conditions()["IdentityScoped"]["status"] == "True"
    assert world.conditions()["WorkloadReady"]["reason"] == "Unsupported"
