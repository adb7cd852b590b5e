"""What a tenant writes in its own project reaches its own clusters and nothing else, whatever it names there.

The second project here is honest until a test makes it name the first one's things. At the end nothing of the first has changed.
"""

import pytest

from tests.fake.apply import copied
from tests.fake.world import PROJECT, SYSTEM, FakeWorld
from zilliz_operator.reconcile.ports import Manifest

THIEF = "team-b"
KEY = {"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"}


async def neighbours(world: FakeWorld) -> None:
    """Two projects with a cluster of one name each, and a credential in each."""

    async def begin(new: FakeWorld) -> None:
        new.kube.put({"kind": "Namespace", "metadata": {"name": THIEF}})
        new.data_plane()
        for project in (PROJECT, THIEF):
            new.cluster(project=project)
            new.allowlist(project=project, entries=[{"cidr": f"198.51.100.{len(project)}/32"}])
        new.access_policy(subjects=[KEY])
        await new.settle()
        assert new.ready()["status"] == new.ready("search", project=THIEF)["status"] == "True"

    await world.like("neighbours", begin)


def belongings(world: FakeWorld) -> dict[tuple[str, str, str], Manifest]:
    """Everything of the first project, of its cluster, and of the operator's namespace but the second cluster's vault."""
    vault = f"credentials-{world.id_of(project=THIEF)}"
    found = {key: obj for key, obj in world.kube.objects.items() if key[1] in (PROJECT, SYSTEM, world.space())}
    found[("Namespace", "", world.space())] = world.kube.must("Namespace", world.space())
    return copied({key: obj for key, obj in found.items() if key[2] != vault})


def stolen(world: FakeWorld) -> set[str]:
    """Secret values of the first project that are to be read anywhere in the second's reach."""
    reach = (THIEF, world.space(project=THIEF))
    shown = repr(
        [
            world.secret(s["metadata"]["name"], s["metadata"]["namespace"])
            for ns in reach
            for s in world.kube.find("Secret", ns)
        ]
    )
    shown += repr([obj for (kind, ns, _), obj in world.kube.objects.items() if ns in reach and kind != "Secret"])
    theirs = {*world.vault().values(), world.secret("ingest-key", PROJECT)["token"]}
    return {value for value in theirs if value and value in shown}


async def unharmed(world: FakeWorld, before: dict[tuple[str, str, str], Manifest]) -> None:
    await world.settle()
    assert belongings(world) == before
    assert stolen(world) == set()
    assert world.ready()["status"] == "True"


async def test_two_clusters_of_one_name_share_nothing(world: FakeWorld) -> None:
    await neighbours(world)
    mine, theirs = world.status(project=THIEF), world.status()
    for field in ("clusterId", "namespace", "bucket", "endpoint"):
        assert mine[field] != theirs[field]
    assert stolen(world) == set()


@pytest.mark.parametrize("selection", [None, {"names": ["search"]}, {"selector": {"matchLabels": {"tier": "gold"}}}])
async def test_an_allowlist_means_clusters_of_its_own_project(world: FakeWorld, selection: object) -> None:
    await neighbours(world)
    before, doors = belongings(world), world.allowed()
    world.allowlist(
        "mine", project=THIEF, entries=[{"cidr": "192.0.2.66/32"}], **({"clusters": selection} if selection else {})
    )
    await unharmed(world, before)
    assert world.allowed() == doors


async def test_a_cluster_that_only_a_neighbour_has_is_not_found(world: FakeWorld) -> None:
    await neighbours(world)
    world.cluster("payments")
    await world.settle()
    before = belongings(world)
    world.allowlist("mine", project=THIEF, entries=[{"cidr": "192.0.2.66/32"}], clusters={"names": ["payments"]})
    world.access_policy("mine", project=THIEF, level="Cluster", clusters={"names": ["payments"]}, subjects=[KEY])
    await unharmed(world, before)
    for kind in ("Allowlist", "AccessPolicy"):
        found = world.ready("mine", kind, THIEF)
        assert (found["status"], found["reason"]) == ("False", "ClustersNotFound")
        assert "payments" in found["message"]


@pytest.mark.parametrize("where", [SYSTEM, PROJECT, "the other cluster", "kube-system"])
async def test_workloads_of_others_are_let_in_at_ones_own_door_and_nothing_is_opened_there(
    world: FakeWorld, where: str
) -> None:
    """Both ends have a say: naming somebody's pods opens one's own gateway to them, not them to anybody."""
    await neighbours(world)
    before = belongings(world)
    named = world.space() if where == "the other cluster" else where
    world.allowlist("mine", project=THIEF, workloads=[{"namespace": named, "podLabels": {"app": "x"}}])
    await unharmed(world, before)
    policies = [p for p in world.kube.find("NetworkPolicy") if named in repr(p["spec"])]
    opened = {p["metadata"]["name"] for p in policies if p["metadata"]["namespace"] == world.space(project=THIEF)}
    assert "gateway-clients" in opened
    elsewhere = {p["metadata"]["namespace"] for p in policies} - {world.space(project=THIEF)}
    assert elsewhere <= {world.space()}, "only what was there before names it"


async def test_a_secret_that_only_a_neighbour_has_is_missing(world: FakeWorld) -> None:
    """Names of Secrets are names in one's own project."""
    await neighbours(world)
    authority = {"ca.crt": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"}
    world.kube.put({"kind": "Secret", "metadata": {"name": "clients", "namespace": PROJECT}, "data": authority})
    before = belongings(world)
    world.cluster(project=THIEF, tls={"clientAuth": "Required", "clientCASecretRef": {"name": "clients"}})
    await unharmed(world, before)
    message = world.ready("search", project=THIEF)["message"]
    assert f"Secret {THIEF}/clients has no key ca.crt" in message


async def test_a_key_of_ones_own_opens_ones_own_door_alone(world: FakeWorld) -> None:
    """Even by the neighbour's names for policy, subject and Secret."""
    await neighbours(world)
    before, maps = belongings(world), world.door_file("keys.map")
    world.access_policy(project=THIEF, subjects=[KEY])
    await unharmed(world, before)
    assert world.door_file("keys.map") == maps
    own = world.kube.must("Secret", "gateway-maps", world.space(project=THIEF))
    assert own["data"]["keys.map"]
    assert world.secret("ingest-key", THIEF) != world.secret("ingest-key", PROJECT)


async def test_a_policy_for_every_project_counts_only_from_the_operators_namespace(world: FakeWorld) -> None:
    """Where the admission policy is switched off, the reconciler refuses it just the same."""
    await neighbours(world)
    before, maps = belongings(world), world.door_file("keys.map")
    everybody = {
        "level": "Organization",
        "role": "DataViewer",
        "subjects": [{"kind": "User", "name": "thief@acme.com"}],
    }
    world._ours("AccessPolicy", "everywhere", THIEF, everybody)
    await unharmed(world, before)
    assert world.door_file("keys.map") == maps
    assert world.ready("everywhere", "AccessPolicy", THIEF)["reason"] == "LevelNotAllowed"


async def test_an_object_with_a_neighbours_marks_is_no_child_of_its_cluster(world: FakeWorld) -> None:
    """Where the admission policy is switched off: children are looked for in the cluster's namespace only."""
    await neighbours(world)
    before = belongings(world)
    marks = copied(world.kube.must("NetworkPolicy", "default-deny", world.space())["metadata"]["labels"])
    forged = [
        {"kind": "NetworkPolicy", "metadata": {"name": "default-deny", "namespace": THIEF, "labels": marks}, "spec": {"podSelector": {}}},
        {"kind": "Secret", "metadata": {"name": "gateway-maps", "namespace": THIEF, "labels": marks}, "data": {"keys.map": "eA=="}},
    ]  # fmt: skip
    planted = [copied(world.kube.put(each)) for each in forged]
    await unharmed(world, before)
    for each in planted:
        metadata = each["metadata"]
        assert world.kube.must(each["kind"], metadata["name"], THIEF) == each, "nor is it touched"


async def test_no_certificate_for_a_neighbours_door(world: FakeWorld) -> None:
    """Its gateways could pass for the neighbour's. What runs goes on by the spec that was accepted."""
    await neighbours(world)
    before = belongings(world)
    space = world.space(project=THIEF)
    issued = copied(world.kube.must("Certificate", "gateway-tls", space)["spec"])
    for name in (world.status()["endpoint"].partition(":")[0], f"{world.id_of()}.byoc.test", "kubernetes.default.svc"):
        world.cluster(project=THIEF, tls={"dnsNames": ["search.team-b.example", name]})
        await unharmed(world, before)
        assert world.kube.must("Certificate", "gateway-tls", space)["spec"] == issued
        found = world.ready("search", project=THIEF)
        assert (found["status"], found["reason"]) == ("False", "InvalidSpec")
        assert f"spec.tls.dnsNames[1]: {name} " in found["message"]
    world.allowlist(project=THIEF, entries=[{"cidr": "192.0.2.7/32"}])
    await world.settle()
    assert world.kube.must("ConfigMap", "gateway-config", space)["data"]["allow.map"].split()[:1] == ["192.0.2.7/32"]
    world.cluster(project=THIEF, tls={"dnsNames": ["search.team-b.example"]})
    await world.settle()
    assert world.ready("search", project=THIEF)["status"] == "True"
    assert "search.team-b.example" in world.kube.must("Certificate", "gateway-tls", space)["spec"]["dnsNames"]
