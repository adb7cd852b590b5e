"""The operator's process ends after any one write of a private door's life: nothing is made twice, nothing is left behind."""

from collections.abc import Callable

from tests.fake.test_private_link import ONE, TWO, linked, private, service
from tests.fake.test_vpc import aws, look_again
from tests.fake.world import PROJECT, FakeWorld
from zilliz_operator.policy import private_link as policy

Act = Callable[[FakeWorld], object]
Sound = Callable[[FakeWorld], None]


async def crashed_everywhere(begin: Callable[[FakeWorld], object], act: Act, sound: Sound, *, at_least: int) -> None:
    """Freeze the world after each write that `act` leads to, and let a new operator go on from every one of them."""
    world = FakeWorld()
    waits = begin(world)
    if hasattr(waits, "__await__"):
        await waits
    frozen: list[tuple[str, bytes]] = []
    world.recorder.after = lambda _, what: frozen.append((what, world.frozen()))
    act(world)
    await world.settle()
    sound(world)
    assert len([what for what, _ in frozen if what.startswith("cloud")]) >= at_least
    for number, (what, state) in enumerate(frozen, start=1):
        world.thaw(state)
        world.operator.start()
        await world.settle()
        try:
            sound(world)
        except (AssertionError, ValueError) as error:
            raise AssertionError(f"after a crash at write {number} ({what}): {error}") from error


async def test_at_birth() -> None:
    def act(world: FakeWorld) -> None:
        world.data_plane(**aws())
        world.cluster(**private(ONE, TWO))
        world.allowlist()

    def sound(world: FakeWorld) -> None:
        assert world.ready()["status"] == "True", world.ready()
        assert set(service(world).principals) == {ONE, TWO}
        assert world.status()["privateLink"]["serviceId"] == service(world).id

    await crashed_everywhere(lambda _: None, act, sound, at_least=2)


async def test_while_principals_change() -> None:
    async def begin(world: FakeWorld) -> None:
        await linked(world)
        world.cloud.connect("vpce-1", account="1" * 12)
        await look_again(world)

    def sound(world: FakeWorld) -> None:
        assert world.ready()["status"] == "True", world.ready()
        assert service(world).principals == (TWO,)
        assert {key for key in service(world).tags if key.startswith(policy.PRINCIPAL_TAG)} == {policy.mark(TWO)}
        assert world.cloud.states() == {"vpce-1": "rejected"}

    await crashed_everywhere(begin, lambda world: world.cluster(**private(TWO)), sound, at_least=5)


async def test_while_it_is_given_up() -> None:
    async def begin(world: FakeWorld) -> None:
        await linked(world)
        world.cloud.connect("vpce-1", account="1" * 12)
        await look_again(world)

    def sound(world: FakeWorld) -> None:
        assert world.ready()["status"] == "True", world.ready()
        assert (world.cloud.services, world.cloud.balancers) == ({}, {})
        assert "privateLink" not in world.status()

    await crashed_everywhere(begin, lambda world: world.cluster(exposure="Internal"), sound, at_least=2)


async def test_while_the_cluster_is_deleted() -> None:
    async def begin(world: FakeWorld) -> None:
        await linked(world)
        world.cloud.connect("vpce-1", account="1" * 12)
        await look_again(world)

    def sound(world: FakeWorld) -> None:
        assert world.kube.peek("ZillizCluster", "search", PROJECT) is None
        assert (world.cloud.services, world.cloud.balancers) == ({}, {})

    await crashed_everywhere(
        begin, lambda world: world.kube.remove("ZillizCluster", "search", PROJECT), sound, at_least=2
    )


async def test_a_mind_changed_while_the_operator_was_away_leaves_nothing_that_nobody_looks_for() -> None:
    """The load balancer is there before the private door is asked for, so the first call to the cloud comes early."""
    world = FakeWorld()
    world.data_plane(**aws())
    world.cluster(exposure="LoadBalancer")
    world.allowlist()
    await world.settle()
    frozen: list[tuple[str, bytes]] = []
    world.recorder.after = lambda _, what: frozen.append((what, world.frozen()))
    world.cluster(**private(ONE))
    await world.settle()
    assert any("CreateService" in what for what, _ in frozen)
    for what, state in frozen:
        world.thaw(state)
        world.cluster(exposure="Internal")
        world.operator.start()
        await world.settle()
        assert (world.cloud.services, world.cloud.balancers) == ({}, {}), what
        assert world.ready()["status"] == "True", what
