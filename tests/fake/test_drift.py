"""Whatever somebody edits or deletes among a cluster's children is put right; what is not ours is never touched."""

import pytest

from tests.fake.apply import copied
from tests.fake.world import PROJECT, SYSTEM, FakeWorld
from zilliz_operator.api import names
from zilliz_operator.reconcile.children import APPLIED_KINDS
from zilliz_operator.reconcile.ports import Manifest

UNPROMISED = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp")


def ours(world: FakeWorld) -> dict[tuple[str, str], Manifest]:
    """Every child in the cluster namespace that we apply."""
    mark = {names.CLUSTER_UID_LABEL: world.kube.must("ZillizCluster", "search", PROJECT)["metadata"]["uid"]}
    return {
        (obj["kind"], obj["metadata"]["name"]): obj
        for kind in APPLIED_KINDS
        for obj in world.kube.find(kind, world.space(), labels=mark)
    }


def wanted(obj: Manifest) -> Manifest:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in UNPROMISED}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}


async def test_every_child_comes_back_when_it_is_deleted(world: FakeWorld) -> None:
    await world.quickstart()
    before = copied(ours(world))
    assert len(before) > 30
    for kind, name in before:
        world.kube.remove(kind, name, world.space())
        await world.settle()
        after = ours(world)
        assert (kind, name) in after, f"{kind} {name} did not come back"
        assert wanted(after[kind, name]) == wanted(before[kind, name]), f"{kind} {name}"
        assert world.ready()["status"] == "True", f"{kind} {name}: {world.ready()}"
    assert {key: wanted(obj) for key, obj in ours(world).items()} == {key: wanted(obj) for key, obj in before.items()}


SPOILED: dict[str, dict[str, object]] = {
    "StatefulSet": {"replicas": 0},
    "Deployment": {"replicas": 1},
    "Service": {"selector": {"app": "mine"}},
    "PodDisruptionBudget": {"maxUnavailable": 0},
    "NetworkPolicy": {"policyTypes": []},
    "ResourceQuota": {"hard": {"pods": "1000"}},
    "LimitRange": {"limits": []},
    "Certificate": {"renewBefore": "1h"},
    "Issuer": {"ca": {"secretName": "mine"}},
}


def spoiled(obj: Manifest) -> None:
    """Change something that we set, whatever kind it is, and take our mark away."""
    obj["metadata"]["labels"] = {"app": "mine"}
    match obj["kind"]:
        case "Secret" | "ConfigMap":
            obj["data"][min(obj["data"])] = "c3BvaWxlZA=="
        case "ServiceAccount":
            obj["automountServiceAccountToken"] = True
        case kind if obj["metadata"]["name"] != "selfsigned":
            obj["spec"] |= SPOILED[kind]


async def test_every_child_is_put_right_when_it_is_edited(world: FakeWorld) -> None:
    await world.quickstart()
    before = copied(ours(world))
    for kind, name in before:
        world.kube.edit(kind, name, world.space(), spoiled)
        # The mark is gone, so no watch of ours reports it: the next look at the cluster must find it all the same.
        world.new_operator().start()
        await world.settle()
        live = world.kube.must(kind, name, world.space())
        assert wanted(live)["metadata"]["labels"].items() >= wanted(before[kind, name])["metadata"]["labels"].items()
        for part in ("data", "spec", "automountServiceAccountToken"):
            assert live.get(part) == before[kind, name].get(part), f"{kind} {name} {part}"
        assert world.ready()["status"] == "True", f"{kind} {name}: {world.ready()}"


async def test_taking_only_the_mark_of_the_cluster_away_is_noticed_at_once(world: FakeWorld) -> None:
    """It names the cluster to wake; the namespace names it as well."""
    await world.quickstart()
    before = copied(world.kube.must("ConfigMap", "gateway-config", world.space())["metadata"]["labels"])
    world.kube.edit(
        "ConfigMap", "gateway-config", world.space(), lambda o: o["metadata"]["labels"].pop(names.CLUSTER_UID_LABEL)
    )
    await world.settle()
    assert world.kube.must("ConfigMap", "gateway-config", world.space())["metadata"]["labels"] == before


@pytest.mark.parametrize("value", ["privileged", None])
@pytest.mark.parametrize("mode", ["enforce", "audit", "warn", "enforce-version", "audit-version", "warn-version"])
async def test_the_namespaces_pod_security_comes_back(world: FakeWorld, mode: str, value: str | None) -> None:
    """An old version of a level lets through what the level of today refuses."""
    await world.quickstart()
    before = copied(world.kube.must("Namespace", world.space())["metadata"]["labels"])
    key = f"pod-security.kubernetes.io/{mode}"
    value = "v1.22" if value and mode.endswith("-version") else value

    def spoil(namespace: Manifest) -> None:
        labels = namespace["metadata"]["labels"]
        labels.pop(key) if value is None else labels.update({key: value})

    world.kube.edit("Namespace", world.space(), None, spoil)
    await world.settle()
    assert world.kube.must("Namespace", world.space())["metadata"]["labels"] == before


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("ResourceQuota", {"hard": {"pods": "1000"}}),
        ("ResourceQuota", {"hard": {"services.loadbalancers": "5"}}),
        ("ResourceQuota", {"hard": {"count/secrets": "0"}}),
        ("LimitRange", {"limits": []}),
        ("LimitRange", {"limits": [{"type": "Container", "max": {"memory": "1Ti"}}]}),
        ("LimitRange", {"limits": [{"type": "Pod", "min": {"cpu": "64"}}]}),
    ],
)
async def test_quota_and_limits_come_back(world: FakeWorld, kind: str, change: dict[str, object]) -> None:
    await world.quickstart()
    before = copied(world.kube.must(kind, "cluster", world.space())["spec"])
    world.kube.edit(kind, "cluster", world.space(), lambda o: o["spec"].update(change))
    await world.settle()
    assert world.kube.must(kind, "cluster", world.space())["spec"] == before
    count = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert len(world.writes) == count


async def test_a_bound_added_to_a_limit_goes(world: FakeWorld) -> None:
    """It would keep every pod of the cluster from starting."""
    await world.quickstart()
    before = copied(world.kube.must("LimitRange", "cluster", world.space())["spec"])
    world.kube.edit("LimitRange", "cluster", world.space(), lambda o: o["spec"]["limits"][0].update(min={"cpu": "64"}))
    await world.settle()
    assert world.kube.must("LimitRange", "cluster", world.space())["spec"] == before


@pytest.mark.parametrize(
    ("name", "addition"),
    [
        ("default-deny", {"egress": [{}]}),
        ("default-deny", {"ingress": [{}]}),
        ("default-deny", {"podSelector": {"matchLabels": {"nobody": "has-this"}}}),
        ("milvus-ingress", {"egress": [{}]}),
        ("gateway-clients", {"podSelector": {"matchLabels": {}}}),
    ],
)
async def test_what_is_added_to_a_network_policy_goes(world: FakeWorld, name: str, addition: dict[str, object]) -> None:
    await world.quickstart()
    before = copied(world.kube.must("NetworkPolicy", name, world.space())["spec"])
    world.kube.edit("NetworkPolicy", name, world.space(), lambda policy: policy["spec"].update(addition))
    await world.settle()
    assert world.kube.must("NetworkPolicy", name, world.space())["spec"] == before


async def test_a_port_range_added_to_a_network_policy_goes(world: FakeWorld) -> None:
    await world.quickstart()

    def widen(policy: Manifest) -> None:
        policy["spec"]["ingress"][0]["ports"][0]["endPort"] = 65535

    world.kube.edit("NetworkPolicy", "gateway-clients", world.space(), widen)
    await world.settle()
    ports = world.kube.must("NetworkPolicy", "gateway-clients", world.space())["spec"]["ingress"][0]["ports"]
    assert ports == [{"port": 19530, "protocol": "TCP"}]


async def test_a_policy_of_somebody_else_stays_and_costs_nothing(world: FakeWorld) -> None:
    """Network policies add up. A stranger's is not ours to remove; that it is there must not make us write for ever."""
    await world.quickstart()
    stranger = {"kind": "NetworkPolicy", "metadata": {"name": "theirs", "namespace": world.space()}, "spec": {}}
    world.kube.put(stranger)
    before = list(world.writes)
    world.new_operator().start()
    await world.settle()
    assert world.writes == before
    assert world.kube.peek("NetworkPolicy", "theirs", world.space())


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
async def test_a_file_added_to_the_gateways_configuration_goes(world: FakeWorld, kind: str) -> None:
    await world.quickstart()
    name = {"ConfigMap": "gateway-config", "Secret": "gateway-maps"}[kind]
    world.kube.edit(kind, name, world.space(), lambda o: o["data"].update({"extra.acl": "MC4wLjAuMC8w"}))
    await world.settle()
    assert "extra.acl" not in world.kube.must(kind, name, world.space())["data"]
    assert world.ready()["status"] == "True"


async def test_a_container_added_to_milvus_goes(world: FakeWorld) -> None:
    await world.quickstart()
    before = copied(world.kube.must("StatefulSet", "milvus", world.space())["spec"])

    def add(obj: Manifest) -> None:
        obj["spec"]["template"]["spec"]["containers"].append({"name": "spy", "image": "spy:1"})
        obj["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "EXTRA", "value": "1"})

    world.kube.edit("StatefulSet", "milvus", world.space(), add)
    await world.settle()
    after = world.kube.must("StatefulSet", "milvus", world.space())["spec"]["template"]["spec"]
    assert [c["name"] for c in after["containers"]] == ["milvus"]
    assert after["containers"][0]["env"] == before["template"]["spec"]["containers"][0]["env"]
    count = len(world.writes)
    world.new_operator().start()
    await world.settle()
    assert len(world.writes) == count


async def test_a_foreign_finalizer_is_said_left_alone_and_heals(world: FakeWorld) -> None:
    await world.quickstart()
    held = {"finalizers": ["example.com/hold"]}
    world.kube.edit("NetworkPolicy", "milvus-egress", world.space(), lambda o: o["metadata"].update(held))
    world.kube.remove("NetworkPolicy", "milvus-egress", world.space())
    await world.settle()
    found = world.conditions()["NetworkIsolated"]
    assert found["reason"] == "ForeignFinalizer"
    assert "milvus-egress" in found["message"]
    assert "example.com/hold" in found["message"]
    assert world.conditions()["Stalled"]["status"] == "True"
    assert (
        world.kube.must("NetworkPolicy", "milvus-egress", world.space())["metadata"]["finalizers"] == held["finalizers"]
    )
    world.kube.edit("NetworkPolicy", "milvus-egress", world.space(), lambda o: o["metadata"].pop("finalizers"))
    await world.settle()
    assert world.ready()["status"] == "True"
    assert "Stalled" not in world.conditions()
    assert world.kube.peek("NetworkPolicy", "milvus-egress", world.space())


async def test_a_foreign_namespace_of_our_name_is_not_touched(world: FakeWorld) -> None:
    world.data_plane()
    raw = world.cluster()
    space = names.cluster_namespace(names.cluster_id(raw["metadata"]["uid"]))
    stranger = copied(world.kube.put({"kind": "Namespace", "metadata": {"name": space, "labels": {"team": "x"}}}))
    await world.settle()
    assert world.ready()["reason"] == "NameTaken"
    assert space in world.ready()["message"]
    assert world.conditions()["Stalled"]["status"] == "True"
    assert world.kube.must("Namespace", space) == stranger
    assert [obj for (_, ns, _), obj in world.kube.objects.items() if ns == space] == []
    assert world.store.buckets == {}
    world.kube.remove("Namespace", space)
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_a_foreign_child_of_our_name_is_not_touched(world: FakeWorld) -> None:
    await world.quickstart()
    space = world.space()
    world.kube.remove("ConfigMap", "milvus-config", space)
    theirs = {"kind": "ConfigMap", "metadata": {"name": "milvus-config", "namespace": space}, "data": {"a": "b"}}
    stranger = copied(world.kube.put(theirs))
    await world.settle()
    assert world.ready()["reason"] == "NameTaken"
    assert world.kube.must("ConfigMap", "milvus-config", space) == stranger
    world.kube.remove("ConfigMap", "milvus-config", space)
    await world.settle()
    assert world.ready()["status"] == "True"


@pytest.mark.parametrize(
    "labels", [{}, {"app.kubernetes.io/name": "milvus", "app.kubernetes.io/part-of": "zilliz-byoc"}]
)
async def test_a_foreign_secret_of_the_connections_name_is_not_touched(
    world: FakeWorld, labels: dict[str, str]
) -> None:
    theirs = {
        "kind": "Secret",
        "metadata": {"name": "search-connection", "namespace": PROJECT, "labels": labels},
        "data": {"password": "dGhlaXJz"},
    }
    stranger = copied(world.kube.put(theirs))
    world.data_plane()
    world.cluster()
    await world.settle()
    assert world.kube.must("Secret", "search-connection", PROJECT) == stranger
    assert world.ready()["reason"] == "NameTaken"
    assert "search-connection" in world.ready()["message"]
    world.kube.remove("Secret", "search-connection", PROJECT)
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.secret("search-connection", PROJECT)["username"] == "db_admin"


async def test_a_bucket_of_somebody_else_is_not_touched(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster()
    bucket = f"{world.id_of()}-data"
    world.store.buckets[bucket] = {"tags": {"owner": "else"}, "aspects": None}
    await world.settle()
    assert world.ready()["reason"] == "NameTaken"
    assert bucket in world.ready()["message"]
    assert world.store.buckets[bucket] == {"tags": {"owner": "else"}, "aspects": None}
    assert world.conditions()["CertificateValid"]["status"] == "True"
    del world.store.buckets[bucket]
    await world.settle()
    assert world.ready()["status"] == "True"


async def test_the_connection_secret_and_the_vault_come_back(world: FakeWorld) -> None:
    await world.quickstart()
    before = world.secret("search-connection", PROJECT)
    world.kube.remove("Secret", "search-connection", PROJECT)
    await world.settle()
    assert world.secret("search-connection", PROJECT) == before
    world.kube.edit("Secret", "search-connection", PROJECT, lambda s: s["data"].update({"host": "eA=="}))
    await world.settle()
    assert world.secret("search-connection", PROJECT) == before
    assert world.kube.peek("Secret", f"credentials-{world.id_of()}", SYSTEM)


async def test_the_gateways_leave_when_they_are_scaled_by_hand(world: FakeWorld) -> None:
    await world.quickstart()
    world.kube.edit("Deployment", "gateway", world.space(), lambda o: o["spec"].update({"replicas": 0}))
    await world.settle()
    assert world.kube.must("Deployment", "gateway", world.space())["spec"]["replicas"] == 2
    assert world.ready()["status"] == "True"


async def test_a_certificate_secret_that_cannot_be_read_is_said_and_heals(world: FakeWorld) -> None:
    await world.quickstart()
    world.kube.edit("Secret", "gateway-tls", world.space(), lambda s: s["data"].update({"tls.crt": "bm90IGEgcGVt"}))
    world.new_operator().start()
    await world.settle()
    assert world.operator.errors == []
    assert world.ready()["status"] == "False"
    assert "gateway-tls" in world.ready()["message"]
    world.cert_manager.renew("gateway-tls", world.space())
    world.new_operator().start()
    await world.settle()
    assert world.ready()["status"] == "True"
