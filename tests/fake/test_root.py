"""The default password and `public`: nobody is let in before the first is refused, nothing is left to the second."""

from tests.fake.world import SYSTEM, FakeWorld


def watch_the_door(world: FakeWorld) -> list[str]:
    """Note every write after which somebody could reach a Milvus that takes its default password."""
    open_too_early: list[str] = []

    def look(_: int, what: str) -> None:
        for namespace, server in world.workloads.servers.items():
            config = world.kube.peek("ConfigMap", "gateway-config", namespace) or {"data": {"allow.map": ""}}
            policy = world.kube.peek("NetworkPolicy", "gateway-clients", namespace)
            if server.accepts("root", "Milvus") and (policy or config["data"]["allow.map"]):
                open_too_early.append(what)

    world.recorder.after = look
    return open_too_early


async def test_the_door_is_closed_until_the_default_password_is_refused(world: FakeWorld) -> None:
    early = watch_the_door(world)
    world.data_plane()
    world.cluster()
    world.allowlist(
        entries=[{"cidr": "203.0.113.0/24"}], workloads=[{"namespace": "apps", "podLabels": {"app": "api"}}]
    )
    await world.settle()
    assert world.ready()["status"] == "True"
    assert not world.server().accepts("root", "Milvus")
    assert world.admitted()
    assert early == []


async def test_a_default_password_that_stays_accepted_keeps_the_door_closed(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster()
    world.allowlist()
    world.recorder.before = lambda what: _stubborn(world, what)
    await world.settle()
    assert world.ready()["status"] == "False"
    assert not world.admitted()
    world.recorder.before = None
    world.server().stubborn_default = False
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.admitted()


def _stubborn(world: FakeWorld, what: str) -> None:
    if what == "milvus change password":
        for server in world.workloads.servers.values():
            server.stubborn_default = True


async def test_public_is_stripped_after_every_start(world: FakeWorld) -> None:
    await world.quickstart()
    assert world.server().grants["public"] == set()
    world.workloads.restart(world.kube.must("Pod", "milvus-0", world.space()))
    assert world.server().grants["public"]
    await world.settle()
    assert world.server().grants["public"] == set()
    assert world.ready()["status"] == "True"


async def test_the_root_secret_comes_back_with_the_same_password(world: FakeWorld) -> None:
    await world.quickstart()
    password = world.secret("milvus-root", world.space())["password"]
    world.kube.remove("Secret", "milvus-root", world.space())
    await world.settle()
    assert world.secret("milvus-root", world.space())["password"] == password
    assert world.server().passwords["root"] == password


async def test_the_operators_copy_comes_back_from_the_cluster_namespace(world: FakeWorld) -> None:
    await world.quickstart()
    before = world.vault()
    world.kube.remove("Secret", f"credentials-{world.id_of()}", SYSTEM)
    await world.settle()
    assert world.vault() == before
    assert world.ready()["status"] == "True"
    assert world.server().passwords["root"] == before["root"]
    assert len(world.store.identities[f"{world.id_of()}-milvus"]["keys"]) == 1


async def test_both_copies_lost_is_said_and_healed_by_a_person(world: FakeWorld) -> None:
    await world.quickstart()
    known = world.vault()
    world.kube.remove("Secret", f"credentials-{world.id_of()}", SYSTEM)
    world.kube.remove("Secret", "milvus-root", world.space())
    world.kube.remove("Secret", "technical-users", world.space())
    await world.settle()
    found = world.conditions()["AccessApplied"]
    assert found["reason"] == "RootPasswordUnknown"
    name = f"credentials-{world.id_of()}"
    assert name in found["message"]
    assert SYSTEM in found["message"]
    assert world.server().passwords["root"] == known["root"]

    from tests.fake.world import encoded

    world.kube.edit("Secret", name, SYSTEM, lambda s: s["data"].update(encoded({"root": known["root"]})))
    await world.settle()
    assert world.ready()["status"] == "True"
    technical = dict(line.split() for line in world.door_file("users.map"))
    assert technical.keys() == {"db_admin", "zt_admin", "zt_operator", "zt_viewer"}
    for user, password in {**technical, "root": known["root"]}.items():
        assert world.server().accepts(user, password), user


async def test_a_password_changed_behind_our_back_is_set_right(world: FakeWorld) -> None:
    await world.quickstart()
    world.server().passwords["db_admin"] = "stolen"
    world.server().members["zt_viewer"].add("zr_admin")
    world.server().grants["zr_viewer"].pop()
    world.new_operator().start()
    await world.settle()
    assert world.lets_in(f"db_admin:{world.vault()['db_admin']}")
    assert not world.server().accepts("db_admin", "stolen")
    (told,) = [event for event in world.kube.events if event["reason"] == "PasswordReset"]
    assert told["type"] == "Warning" and "db_admin" in told["message"] and "stolen" not in told["message"]
    assert world.server().members["zt_viewer"] == {"zr_viewer"}
    assert world.ready()["status"] == "True"
