"""People and service accounts of AccessPolicies: their bindings in Kubernetes come, change and go with the policies."""

from datetime import timedelta
from typing import Any

import pytest

from tests.fake.world import PROJECT, SYSTEM, FakeWorld
from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.exceptions import Rejected
from zilliz_operator.reconcile.ports import Manifest

GROUP = {"kind": "Group", "name": "scientists"}
ANNA = {"kind": "User", "name": "anna@acme.com"}
ROBOT = {"kind": "ServiceAccount", "namespace": "ci", "name": "deployer"}
OTHER = "team-b"


def bound(world: FakeWorld) -> dict[tuple[str, str], list[str]]:
    """(namespace or *, role) → who has it."""
    return {
        (each["metadata"].get("namespace", "*"), each["roleRef"]["name"]): [s["name"] for s in each["subjects"]]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for each in world.kube.find(kind)
    }


async def two_projects(world: FakeWorld) -> None:
    async def begin(new: FakeWorld) -> None:
        new.kube.put({"kind": "Namespace", "metadata": {"name": OTHER}})
        new.data_plane()
        for project in (PROJECT, OTHER):
            new.cluster(project=project)
        await new.settle()

    await world.like("two projects for people", begin)


async def apply(world: FakeWorld, *subjects: Manifest, project: str = PROJECT, **spec: Any) -> None:
    world.access_policy(project=project, subjects=list(subjects), **spec)
    await world.settle()
    assert world.operator.errors == []


@pytest.mark.parametrize("role", ["ProjectAdmin", "DataAdmin", "DataOperator", "DataViewer"])
async def test_level_project_gives_the_role_in_the_project(world: FakeWorld, role: str) -> None:
    await two_projects(world)
    await apply(world, GROUP, ANNA, ROBOT, level="Project", role=role)
    slug = {"ProjectAdmin": "project-admin"}.get(role) or "data-" + role.removeprefix("Data").lower()
    assert bound(world) == {(PROJECT, f"zilliz-{slug}"): ["oidc:scientists", "oidc:anna@acme.com", "deployer"]}
    (made,) = world.kube.find("RoleBinding")
    policy = world.kube.must("AccessPolicy", "app", PROJECT)
    assert made["metadata"]["ownerReferences"][0]["uid"] == policy["metadata"]["uid"]
    assert made["subjects"][2] == {"kind": "ServiceAccount", "namespace": "ci", "name": "deployer"}


async def test_level_cluster_gives_reading_alone(world: FakeWorld) -> None:
    await two_projects(world)
    await apply(world, ROBOT, level="Cluster", role="DataAdmin", clusters={"names": ["search"]})
    assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}


async def test_level_organization_gives_it_in_every_project_and_owners_everywhere(world: FakeWorld) -> None:
    await two_projects(world)
    world.cluster("own", project=SYSTEM)
    await apply(world, GROUP, project=SYSTEM, level="Organization", role="ProjectAdmin")
    admins = {(project, "zilliz-project-admin"): ["oidc:scientists"] for project in (PROJECT, OTHER)}
    assert bound(world) == admins, "and not in the operator's namespace"
    assert not any("ownerReferences" in each["metadata"] for each in world.kube.find("RoleBinding"))
    world.access_policy("owners", SYSTEM, subjects=[ANNA], level="Organization", role="OrganizationOwner")
    await world.settle()
    assert bound(world) == admins | {("*", "zilliz-organization-owner"): ["oidc:anna@acme.com"]}
    (entry,) = world.status("owners", "AccessPolicy", SYSTEM)["subjects"]
    assert (entry["state"], entry["message"]) == (
        "Applied",
        "in Kubernetes oidc:anna@acme.com: zilliz-organization-owner everywhere",
    )


async def test_a_new_project_is_an_organizations_too_and_one_that_ends_is_not(world: FakeWorld) -> None:
    await two_projects(world)
    await apply(world, GROUP, project=SYSTEM, level="Organization", role="DataViewer")
    world.kube.put({"kind": "Namespace", "metadata": {"name": "team-c"}})
    world.cluster(project="team-c", deletionProtection=False)
    await world.settle()
    assert ("team-c", "zilliz-data-viewer") in bound(world)
    world.kube.remove("ZillizCluster", "search", "team-c")
    await world.settle()
    assert ("team-c", "zilliz-data-viewer") not in bound(world)


async def test_custom_grants_are_about_data_and_give_nothing_here(world: FakeWorld) -> None:
    await two_projects(world)
    world._ours("AccessPolicy", "app", PROJECT, {"level": "Project", "subjects": [GROUP], "grants": [
        {"privileges": ["Search"]}]})  # fmt: skip
    await world.settle()
    assert bound(world) == {}


async def test_rest_writes_nothing(world: FakeWorld) -> None:
    await two_projects(world)
    await apply(world, GROUP, ROBOT, level="Project", role="DataAdmin")
    await apply(world, GROUP, project=SYSTEM, level="Organization", role="DataViewer")
    world.writes.clear()
    for kind in ("AccessPolicy", "RoleBinding"):
        for obj in world.kube.find(kind):
            world.operator.saw("MODIFIED", obj)
    await world.pass_time(timedelta(minutes=20))
    assert [write for write in world.writes if "Binding" in write or "AccessPolicy" in write] == []


class TestTakenBack:
    async def test_a_subject_that_goes(self, world: FakeWorld) -> None:
        await two_projects(world)
        await apply(world, GROUP, ROBOT)
        await apply(world, ROBOT)
        assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}

    async def test_another_role_is_another_binding(self, world: FakeWorld) -> None:
        await two_projects(world)
        await apply(world, ROBOT, role="DataAdmin")
        await apply(world, ROBOT, role="DataViewer")
        assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}

    @pytest.mark.parametrize("level", ["Project", "Organization"])
    async def test_with_the_policy(self, world: FakeWorld, level: str) -> None:
        await two_projects(world)
        project = SYSTEM if level == "Organization" else PROJECT
        await apply(world, ROBOT, project=project, level=level, role="DataViewer")
        assert len(bound(world)) == (2 if level == "Organization" else 1)
        world.kube.remove("AccessPolicy", "app", project)
        await world.settle()
        assert bound(world) == {}

    async def test_although_the_operator_was_down_when_the_policy_went(self, world: FakeWorld) -> None:
        await two_projects(world)
        await apply(world, ANNA, project=SYSTEM, level="Organization", role="OrganizationOwner")
        world.kube.on_change = lambda *_: None
        world.kube.remove("AccessPolicy", "app", SYSTEM)
        assert bound(world)
        world.new_operator().start()
        await world.settle()
        assert bound(world) == {}

    async def test_at_its_end_to_the_second(self, world: FakeWorld) -> None:
        await two_projects(world)
        await apply(world, ROBOT, role="DataViewer", expiresAt=utc(world.clock.now() + timedelta(hours=1)))
        assert bound(world)
        await world.pass_time(timedelta(minutes=59))
        assert bound(world)
        await world.pass_time(timedelta(minutes=2))
        assert bound(world) == {}
        found = world.ready("app", "AccessPolicy")
        assert found["reason"] == "PolicyExpired"
        assert "set a later spec.expiresAt" in found["message"]

    async def test_when_the_policy_becomes_invalid(self, world: FakeWorld) -> None:
        """By a rule that is younger than the object: it was valid when it was written."""
        await two_projects(world)
        await apply(world, ROBOT, role="DataViewer")
        policy = world.kube.must("AccessPolicy", "app", PROJECT)
        policy["spec"]["subjects"] = [{"kind": "Group", "name": "system:masters"}]
        world.operator.saw("MODIFIED", policy)
        await world.settle()
        assert bound(world) == {}
        found = world.ready("app", "AccessPolicy")
        assert found["reason"] == "InvalidSpec"
        assert "Kubernetes' own" in found["message"]


class TestRepaired:
    async def test_edited(self, world: FakeWorld) -> None:
        await two_projects(world)
        await apply(world, ROBOT)
        (name,) = (each["metadata"]["name"] for each in world.kube.find("RoleBinding"))
        more = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}
        world.kube.edit("RoleBinding", name, PROJECT, lambda obj: obj["subjects"].append(more))
        await world.settle()
        assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}

    async def test_removed(self, world: FakeWorld) -> None:
        await two_projects(world)
        await apply(world, ROBOT)
        (name,) = (each["metadata"]["name"] for each in world.kube.find("RoleBinding"))
        world.kube.remove("RoleBinding", name, PROJECT)
        await world.settle()
        assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}

    async def test_made_anew_with_another_role(self, world: FakeWorld) -> None:
        """A binding's role cannot be changed, but the binding replaced."""
        await two_projects(world)
        await apply(world, ROBOT)
        (live,) = world.kube.find("RoleBinding")
        world.kube.remove("RoleBinding", live["metadata"]["name"], PROJECT)
        role = {**live["roleRef"], "name": "cluster-admin"}
        world.kube.put({**live, "roleRef": role, "metadata": {**live["metadata"], "uid": "another"}})
        await world.settle()
        assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}


class TestStrangers:
    async def test_a_binding_of_that_name_stays_as_it_is_and_is_named(self, world: FakeWorld) -> None:
        await two_projects(world)
        await apply(world, ROBOT)
        (live,) = world.kube.find("RoleBinding")
        name = live["metadata"]["name"]
        world.kube.remove("RoleBinding", name, PROJECT)
        foreign = {"kind": "RoleBinding", "metadata": {"name": name, "namespace": PROJECT}, "subjects": [],
                   "roleRef": {**live["roleRef"], "name": "view"}}  # fmt: skip
        world.kube.put(foreign)
        await world.settle()
        assert bound(world) == {(PROJECT, "view"): []}
        found = world.ready("app", "AccessPolicy")
        assert found["reason"] == "NameTaken"
        assert f"RoleBinding {PROJECT}/{name}" in found["message"]
        world.kube.remove("RoleBinding", name, PROJECT)
        await world.pass_time(timedelta(minutes=2))
        assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}

    async def test_bindings_of_others_are_never_touched(self, world: FakeWorld) -> None:
        await two_projects(world)
        for name, labels in (("theirs", {}), ("helms", {names.MANAGED_BY: "Helm"})):
            metadata = {"name": name, "namespace": PROJECT, "labels": labels}
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}
            world.kube.put({"kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": []})
        before = {
            each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in world.kube.find("RoleBinding")
        }
        await apply(world, ROBOT)
        world.kube.remove("AccessPolicy", "app", PROJECT)
        await world.settle()
        after = {
            each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in world.kube.find("RoleBinding")
        }
        assert before == after


async def test_accounts_of_the_operators_namespace_get_nothing(world: FakeWorld) -> None:
    """The admission policy refuses them; here is an installation without it."""
    await two_projects(world)
    await apply(world, {**ROBOT, "namespace": SYSTEM}, ROBOT)
    assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}
    found = world.ready("app", "AccessPolicy")
    assert found["reason"] == "SubjectRefused"
    assert "are the operator's" in found["message"]


async def test_without_rights_on_bindings_keys_go_on(world: FakeWorld) -> None:
    await two_projects(world)

    def deny(what: str) -> None:
        if "RoleBinding" in what:
            raise Rejected("Kubernetes API", "list rolebindings: forbidden (403)")

    world.recorder.before = deny
    world.access_policy(subjects=[ROBOT, {"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"}])
    await world.settle()
    assert world.secret("ingest-key", PROJECT)["token"]
    found = world.ready("app", "AccessPolicy")
    assert found["reason"] == "APIRejected"
    assert "list rolebindings" in found["message"]
    world.recorder.before = None
    await world.pass_time(timedelta(minutes=2))
    assert bound(world) == {(PROJECT, "zilliz-data-viewer"): ["deployer"]}
