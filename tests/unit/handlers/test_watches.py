"""Whom an event wakes, and how Kopf is told to watch."""

from typing import Any

import kopf
import pytest

from zilliz_operator.api import names
from zilliz_operator.api.kinds import KINDS
from zilliz_operator.handlers import watches
from zilliz_operator.handlers.settings import Forever, GenerationOnly, operator_settings
from zilliz_operator.reconcile.queue import Key

SEARCH, OTHER = Key("ZillizCluster", "team-a", "search"), Key("ZillizCluster", "team-b", "search")
OFFICE, APP = Key("Allowlist", "team-a", "office"), Key("AccessPolicy", "team-a", "app")
PLANE = Key("DataPlane", "", "default")
NIGHTLY = Key("BackupPolicy", "team-a", "nightly")


@pytest.fixture
def roster() -> watches.Roster:
    made = watches.Roster()
    for number, key in enumerate((SEARCH, OTHER, OFFICE, APP, PLANE, NIGHTLY)):
        made.saw(key, uid=f"uid-{number}", plane="default" if key.kind == "ZillizCluster" else "")
    return made


def obj(namespace: str = "team-a", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "namespace": namespace}, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "given", "woken"),
    [
        ("Allowlist", obj(), {SEARCH}),
        ("Allowlist", obj("team-b"), {OTHER}),
        ("AccessPolicy", obj(level="Project"), {SEARCH}),
        ("AccessPolicy", obj("zilliz-system", level="Organization"), {SEARCH, OTHER}),
        ("DataPlane", {"metadata": {"name": "default"}}, {SEARCH, OTHER, PLANE, NIGHTLY}),
        ("DataPlane", {"metadata": {"name": "eu"}}, {PLANE, NIGHTLY}),
        ("ZillizCluster", obj(), {OFFICE, APP, PLANE, NIGHTLY}),
        ("ZillizCluster", obj(dataPlane="eu"), {OFFICE, APP, NIGHTLY}),
        ("ZillizCluster", obj("team-b"), {PLANE}),
        ("Backup", obj(), set()),
    ],
)
def test_an_event_wakes_whom_it_concerns(
    roster: watches.Roster, kind: str, given: dict[str, Any], woken: set[Key]
) -> None:
    assert set(watches.wakes(kind, given, roster)) == woken


def test_a_child_wakes_its_cluster_by_uid(roster: watches.Roster) -> None:
    labels = names.labels(name="search", project="team-a", uid="uid-0")
    assert watches.child_wakes(labels, roster, namespace="milvus-x") == [SEARCH]


def test_a_policys_secret_wakes_the_policy_and_the_clusters_of_its_project(roster: watches.Roster) -> None:
    woken = watches.child_wakes({names.POLICY_UID_LABEL: "uid-3"}, roster, namespace="team-a")
    assert woken == [APP, SEARCH]


def test_a_child_without_its_mark_wakes_whose_namespace_it_is_in(roster: watches.Roster) -> None:
    space = names.cluster_namespace(names.cluster_id("uid-0"))
    assert watches.child_wakes({}, roster, namespace=space) == [SEARCH]
    assert watches.child_wakes({}, roster, namespace="somewhere") == []


def test_a_binding_wakes_its_policy_and_an_orphan_the_sweep(roster: watches.Roster) -> None:
    assert watches.binding_wakes({names.POLICY_UID_LABEL: "uid-3"}, roster) == APP
    assert watches.binding_wakes({names.POLICY_UID_LABEL: "gone"}, roster) == watches.ORPHANS
    assert watches.binding_wakes({}, roster) == watches.ORPHANS


def test_a_cluster_wakes_the_policies_that_mean_every_project(roster: watches.Roster) -> None:
    owners = Key("AccessPolicy", "zilliz-system", "owners")
    roster.saw(owners, uid="uid-9", everywhere=True)
    assert owners in watches.wakes("ZillizCluster", obj(), roster)
    roster.saw(owners, uid="uid-9")
    assert owners not in watches.wakes("ZillizCluster", obj(), roster), "its level was changed"
    roster.saw(owners, uid="uid-9", everywhere=True)
    roster.lost(uid="uid-9")
    assert owners not in watches.wakes("ZillizCluster", obj(), roster)


def test_one_that_is_gone_is_woken_no_more(roster: watches.Roster) -> None:
    roster.lost(uid="uid-0")
    assert watches.child_wakes({names.CLUSTER_UID_LABEL: "uid-0"}, roster, namespace="milvus-x") == []
    assert watches.wakes("Allowlist", obj(), roster) == []


def test_a_new_object_of_an_old_name_is_another_one(roster: watches.Roster) -> None:
    roster.lost(uid="uid-0")
    roster.saw(SEARCH, uid="uid-9")
    assert watches.child_wakes({names.CLUSTER_UID_LABEL: "uid-0"}, roster, namespace="milvus-x") == []
    assert watches.child_wakes({names.CLUSTER_UID_LABEL: "uid-9"}, roster, namespace="milvus-x") == [SEARCH]


def test_passes_over_one_data_plane_share_a_lane(roster: watches.Roster) -> None:
    abroad = Key("ZillizCluster", "team-a", "abroad")
    roster.saw(abroad, uid="uid-8", plane="eu")
    assert {roster.lane(key) for key in (SEARCH, OTHER, PLANE)} == {"default"}
    assert {roster.lane(key) for key in (abroad, Key("DataPlane", "", "eu"))} == {"eu"}
    assert {roster.lane(key) for key in (OFFICE, APP)} == {""}
    assert list(roster.on_plane("eu")) == [abroad]
    roster.lost(uid="uid-8")
    assert list(roster.on_plane("eu")) == []


class Registered:
    """Handlers as `register` made them, and what they woke."""

    def __init__(self, teardown: Any = None) -> None:
        self.registry, self.settings = kopf.OperatorRegistry(), operator_settings()
        self.roster, self.woken = watches.Roster(), list[Key]()
        watches.register(
            self.registry,
            self.settings,
            roster=self.roster,
            wake=lambda key, after: self.woken.append(key),
            teardown=teardown,
        )

    def handler(self, plural: str, id: str) -> Any:
        handlers = [*self.registry._watching.get_all_handlers(), *self.registry._changing.get_all_handlers()]
        found = [
            h
            for h in handlers
            if h.id == id and h.selector is not None and plural in (h.selector.plural, h.selector.any_name)
        ]
        assert found, f"no handler {id} of {plural}"
        return found[0]


async def test_events_of_our_kinds_wake_the_object_and_its_neighbours() -> None:
    made = Registered()
    made.roster.saw(SEARCH, uid="uid-0")
    seen = made.handler("allowlists", "seen").fn
    await seen(event={"type": "ADDED"}, body=obj(), uid="uid-2", namespace="team-a", name="office")
    assert made.woken == [OFFICE, SEARCH]
    await seen(event={"type": "DELETED"}, body=obj(), uid="uid-2", namespace="team-a", name="office")
    assert list(made.roster.keys("Allowlist")) == []


async def test_children_are_watched_by_label_and_by_events_alone() -> None:
    made = Registered()
    changing = {h.selector.any_name for h in made.registry._changing.get_all_handlers() if h.selector is not None}
    assert changing == {KINDS[kind].plural for kind in watches.OWN_KINDS}
    selected = {*watches.CHILD_KINDS, *watches.BINDING_KINDS} - watches.WATCHED_WHOLE
    assert len(made.settings.watching.label_selectors) == len(selected)
    assert set(made.settings.watching.label_selectors.values()) == {watches.MANAGED_SELECTOR}


async def test_a_blocked_or_failed_teardown_is_tried_again_and_never_given_up() -> None:
    answers: list[Any] = ["clusters still use it", RuntimeError("no answer"), ""]

    async def teardown(_: Key) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    leave = Registered(teardown).handler("dataplanes", "teardown").fn
    for retry in (0, 50):
        with pytest.raises(kopf.TemporaryError) as raised:
            await leave(namespace=None, name="default", retry=retry)
        assert 0 < (raised.value.delay or 0) <= 60
    await leave(namespace=None, name="default", retry=2)


def test_only_clusters_and_data_planes_get_a_finalizer() -> None:
    deleting = [h for h in Registered().registry._changing.get_all_handlers() if h.reason == kopf.Reason.DELETE]
    assert {h.selector.any_name for h in deleting if h.selector} == {"zillizclusters", "dataplanes"}
    assert all(h.retries is None and h.timeout is None for h in deleting)


def test_settings_leave_no_trace_of_kopf_and_never_give_up() -> None:
    settings = operator_settings()
    assert settings.persistence.finalizer == names.FINALIZER
    assert settings.posting.enabled is False
    assert settings.queueing.worker_limit is None
    assert settings.scanning.disabled is True
    delays = iter(settings.networking.error_backoffs)  # type: ignore[arg-type]
    assert max(next(delays) for _ in range(1000)) == 30.0
    assert not hasattr(Forever(), "__len__"), "Kopf gives up at the end of what has an end"


def test_what_kopf_remembers_is_the_generation_alone() -> None:
    store = GenerationOnly()
    raw: Any = {"metadata": {"generation": 7, "labels": {"a": "b"}, "annotations": {}}, "spec": {"secret": "x"}}
    body = kopf.Body(raw)
    essence = store.build(body=body)
    assert essence == {"metadata": {"generation": 7}}
    patch = kopf.Patch()
    store.store(body=body, patch=patch, essence=essence)
    assert dict(patch.metadata.annotations) == {"byoc.zilliz.com/handled-generation": "7"}
    annotated = kopf.Body({"metadata": {"annotations": {"byoc.zilliz.com/handled-generation": "7"}}})
    assert store.fetch(body=annotated) == essence
    assert store.fetch(body=body) is None


async def test_a_policy_that_a_stranger_adds_wakes_the_cluster_of_that_namespace_alone() -> None:
    made = Registered()
    made.roster.saw(SEARCH, uid="uid-0")
    made.roster.saw(APP, uid="uid-3")
    changed = made.handler("networkpolicies", "changed").fn
    space = names.cluster_namespace(names.cluster_id("uid-0"))
    await changed(labels={"app": "theirs"}, namespace=space, name="theirs")
    assert made.woken == [SEARCH]
    await changed(labels={}, namespace="team-a", name="theirs")
    await changed(labels={}, namespace=names.cluster_namespace(names.cluster_id("uid-7")), name="theirs")
    assert made.woken == [SEARCH]
