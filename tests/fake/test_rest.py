"""From nothing to Ready, and then not one write more: by another pass, another process, another look at everything."""

from datetime import timedelta

from tests.fake.world import PROJECT, FakeWorld

SUBJECTS = [
    {"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"},
    {"kind": "ClusterUser", "name": "app", "secretName": "app-user"},
]


async def everything(world: FakeWorld) -> None:
    async def begin(new: FakeWorld) -> None:
        new.data_plane()
        new.cluster()
        new.allowlist()
        new.access_policy(subjects=SUBJECTS)
        await new.settle()

    await world.like("everything", begin)


async def test_converges_to_ready_from_nothing(world: FakeWorld) -> None:
    await everything(world)
    assert world.ready()["reason"] == "Ready"
    assert {c["status"] for t, c in world.conditions().items() if t != "Ready"} == {"True"}
    assert "Reconciling" not in world.conditions()
    assert world.ready("office", "Allowlist")["status"] == "True"
    assert world.ready("app", "AccessPolicy")["status"] == "True"
    assert world.ready("default", "DataPlane", None)["status"] == "True"


async def test_nothing_fails_on_the_way(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster()
    world.allowlist()
    world.access_policy(subjects=SUBJECTS)
    await world.settle()
    assert world.operator.errors == []
    assert world.ready()["status"] == "True"


async def test_at_rest_nothing_is_written(world: FakeWorld) -> None:
    await everything(world)
    before = list(world.writes)
    for kind, name in (("ZillizCluster", "search"), ("Allowlist", "office"), ("AccessPolicy", "app")):
        world.operator.saw("MODIFIED", world.kube.must(kind, name, PROJECT))
    await world.settle()
    assert world.writes == before


async def test_a_new_process_writes_nothing(world: FakeWorld) -> None:
    await everything(world)
    before, events = list(world.writes), list(world.kube.events)
    world.new_operator().start()
    await world.settle()
    assert world.operator.passes >= 4
    assert world.writes == before
    assert world.kube.events == events


async def test_time_alone_changes_nothing(world: FakeWorld) -> None:
    await everything(world)
    before = list(world.writes)
    for _ in range(5):
        await world.pass_time(timedelta(hours=6))
        world.new_operator().start()
        await world.settle()
    assert world.writes == before


async def test_it_sleeps_when_it_is_done(world: FakeWorld) -> None:
    await everything(world)
    assert world.operator.next_due() is None


async def test_the_connection_secret_opens_the_cluster(world: FakeWorld) -> None:
    await everything(world)
    found = world.secret("search-connection", PROJECT)
    assert found["host"] == f"gateway.{world.space()}.svc.cluster.local"
    assert found["uri"] == f"https://{found['host']}:19530"
    assert world.lets_in(f"{found['username']}:{found['password']}")
    assert found["ca.crt"] == world.secret("gateway-tls", world.space())["ca.crt"]


async def test_clusters_of_one_name_in_two_projects_share_nothing(world: FakeWorld) -> None:
    world.kube.put({"kind": "Namespace", "metadata": {"name": "team-b"}})
    world.data_plane()
    world.cluster()
    world.cluster(project="team-b")
    world.allowlist()
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.ready(project="team-b")["status"] == "True"
    assert world.space() != world.space(project="team-b")
    assert len(world.store.buckets) == 6
    assert world.kube.peek("NetworkPolicy", "gateway-clients", world.space(project="team-b")) is None
    assert (
        world.secret("search-connection", PROJECT)["password"]
        != world.secret("search-connection", "team-b")["password"]
    )


async def test_one_cluster_in_trouble_does_not_hold_up_another(world: FakeWorld) -> None:
    store = {**world.data_plane()["spec"]["objectStorage"], "bucketPrefix": "broken-"}
    world.data_plane("broken", objectStorage=store, versions=[{"version": "2.3.5", "image": "docker.io/not/there:1"}])
    world.workloads.missing_images.add("docker.io/not/there:1")
    world.cluster("first", dataPlane="broken")
    world.cluster("second")
    await world.settle()
    assert world.ready("first")["reason"] == "ImageMissing"
    assert world.ready("second")["status"] == "True"
