"""The operator's process ends after any one write: the next one finishes the work, and nothing is there twice."""

from collections import Counter
from collections.abc import Callable

from tests.fake.world import PROJECT, Crash, FakeWorld
from zilliz_operator.reconcile.vault import ACCESS_KEY_ID, SECRET_ACCESS_KEY

SUBJECTS = [
    {"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"},
    {"kind": "ClusterUser", "name": "app", "secretName": "app-user"},
]


def everything(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster()
    world.allowlist()
    world.access_policy(subjects=SUBJECTS)


def sound(world: FakeWorld, *, keys: int = 1) -> None:
    """What must hold of a converged world, however it came about."""
    assert world.ready()["status"] == "True", world.ready()
    assert world.ready("app", "AccessPolicy")["status"] == "True", world.ready("app", "AccessPolicy")
    identity, vault = world.id_of(), world.vault()
    assert sorted(world.store.buckets) == [f"{identity}-{purpose}" for purpose in ("audit", "backup", "data")]
    for name, found in world.store.buckets.items():
        assert found["aspects"] is not None, f"{name} is half made"
    assert list(world.store.identities) == [f"{identity}-milvus"]
    assert world.store.identities[f"{identity}-milvus"]["keys"] == {vault[ACCESS_KEY_ID]: vault[SECRET_ACCESS_KEY]}
    assert world.secret("store-credentials", world.space()) == {
        ACCESS_KEY_ID: vault[ACCESS_KEY_ID],
        SECRET_ACCESS_KEY: vault[SECRET_ACCESS_KEY],
    }
    server = world.server()
    assert server.passwords == {
        "root": vault["root"],
        **dict(line.split() for line in world.door_file("users.map")),
    }
    for secret in ("app-user", "ingest-key"):
        assert world.lets_in(world.secret(secret, PROJECT)["token"]), secret
    assert not {"root-next", "technical-seed-before"} & set(vault)
    assert server.grants["public"] == set()
    assert world.secret("milvus-root", world.space()) == {"password": vault["root"], "db_admin": vault["db_admin"]}
    assert world.secret("search-connection", PROJECT)["password"] == vault["db_admin"]
    assert len(world.door_file("keys.map")) == keys
    assert len(world.kube.find("Pod", world.space())) == 3


def crash_after(number: int) -> Callable[[int, str], None]:
    def after(count: int, what: str) -> None:
        if count == number:
            raise Crash(what)

    return after


async def test_a_crash_after_any_write_of_a_birth_leaves_nothing_half_done(world: FakeWorld) -> None:
    crashed: list[tuple[str, bytes]] = []
    world.recorder.after = lambda _, what: crashed.append((what, world.frozen()))
    everything(world)
    await world.settle()
    assert len(crashed) > 60
    for number, (what, frozen) in enumerate(crashed, start=1):
        world.thaw(frozen)
        world.operator.start()
        await world.settle()
        try:
            sound(world)
        except AssertionError as error:
            raise AssertionError(f"after a crash at write {number} ({what}): {error}") from error


async def test_a_crash_after_every_write_still_gets_there(world: FakeWorld) -> None:
    everything(world)

    seen: Counter[str] = Counter()

    def after(_: int, what: str) -> None:
        seen[what] += 1
        # A store tells a new key once. Whoever dies each time it does so never learns one.
        if " key " not in what or seen[what] < 3:
            raise Crash(what)

    world.recorder.after = after
    crashes = 0
    while True:
        try:
            await world.settle()
        except Crash:
            crashes += 1
            assert crashes < 400, world.writes[-20:]
            world.new_operator().start()
            continue
        break
    sound(world)
    assert crashes > 60


async def test_a_crash_after_any_write_of_a_key_rotation_leaves_one_pair() -> None:
    async def rotated(number: int | None) -> FakeWorld:
        each = FakeWorld()
        await each.quickstart()
        each.store.identities[f"{each.id_of()}-milvus"]["keys"].clear()
        begun = len(each.writes)
        if number is not None:
            each.recorder.after = crash_after(begun + number)
        each.new_operator().start()
        try:
            await each.settle()
        except Crash:
            each.new_operator().start()
            await each.settle()
        each.writes[:] = each.writes[begun:]
        return each

    count = len((await rotated(None)).writes)
    assert count >= 4
    for number in range(1, count + 1):
        each = await rotated(number)
        assert each.ready()["status"] == "True"
        vault, keys = each.vault(), each.store.identities[f"{each.id_of()}-milvus"]["keys"]
        assert keys == {vault[ACCESS_KEY_ID]: vault[SECRET_ACCESS_KEY]}


ASKED = {"root": "rotate-root", "db_admin": "rotate-db-admin", "technical-seed": "rotate-technical-users"}


async def test_a_crash_after_any_write_of_a_renewal_locks_nobody_out_and_renews_once() -> None:
    """Subjects' credentials, root's, db_admin's and the technical users' passwords, all asked for at once."""

    def opens(world: FakeWorld) -> list[str]:
        tokens = [world.secret(secret, PROJECT)["token"] for secret in ("app-user", "ingest-key")]
        return [*tokens, f"db_admin:{world.secret('search-connection', PROJECT)['password']}"]

    async def renewed(number: int | None) -> FakeWorld:
        world = FakeWorld()
        await world.like("everything for crashes", _everything_settled)
        old, values, made = opens(world), world.vault(), len(world.secrets.made)
        begun = len(world.writes)
        if number is not None:
            world.recorder.after = crash_after(begun + number)
        _ask(world, "AccessPolicy", "app", "rotate")
        for name in ASKED.values():
            _ask(world, "ZillizCluster", "search", name)
        try:
            await world.settle()
        except Crash:
            world.recorder.after = None
            world.new_operator().start()
            await world.settle()
        world.writes[:] = world.writes[begun:]
        sound(world, keys=2)
        for token in (*old, *opens(world)):
            assert world.lets_in(token), token
        assert not set(old) & set(opens(world))
        for name in ASKED:
            assert world.vault()[name] != values[name], name
        assert len(world.secrets.made) - made == 5, "each exactly once"
        return world

    count = len((await renewed(None)).writes)
    assert count > 15
    for number in range(1, count + 1):
        try:
            await renewed(number)
        except AssertionError as error:
            raise AssertionError(f"after a crash at write {number}: {error}") from error


async def _everything_settled(world: FakeWorld) -> None:
    everything(world)
    await world.settle()


def _ask(world: FakeWorld, kind: str, name: str, what: str) -> None:
    notes = {f"byoc.zilliz.com/{what}": "a leak"}
    world.kube.edit(kind, name, PROJECT, lambda o: o["metadata"].setdefault("annotations", {}).update(notes))


async def test_a_crash_after_any_write_of_a_deletion_ends_in_the_recycle_bin() -> None:
    async def deleted(number: int | None) -> tuple[FakeWorld, int]:
        world = FakeWorld()
        await world.quickstart()
        space = world.space()
        begun = len(world.writes)
        if number is not None:
            world.recorder.after = crash_after(begun + number)
        world.kube.remove("ZillizCluster", "search", PROJECT)
        try:
            await world.settle()
        except Crash:
            world.new_operator().start()
            await world.settle()
        assert world.kube.peek("ZillizCluster", "search", PROJECT) is None
        assert world.kube.find("Pod", space) == []
        assert len(world.kube.find("RecycledCluster")) == 1
        assert len(world.store.buckets) == 3
        return world, len(world.writes) - begun

    _, count = await deleted(None)
    assert count > 15
    for number in range(1, count + 1):
        await deleted(number)


async def test_a_restart_of_milvus_in_the_middle_of_its_setup(world: FakeWorld) -> None:
    """Milvus is killed right after root's password was changed, after each role, after each user."""
    restarts = 0

    def after(_: int, what: str) -> None:
        nonlocal restarts
        if what.startswith("milvus") and restarts < 25:
            restarts += 1
            world.workloads.restart(world.kube.must("Pod", "milvus-0", world.space()))

    everything(world)
    world.recorder.after = after
    await world.settle()
    assert restarts == 25
    sound(world)
