"""No generated value is anywhere but in the Secrets that are made for it."""

import base64
import logging
from datetime import timedelta
from functools import partial

import pytest

from tests.fake.outside import unavailable
from tests.fake.world import PROJECT, SYSTEM, FakeWorld
from zilliz_operator.reconcile.ports import Manifest


def forms(value: str) -> list[str]:
    """A value as it could be written: plain, as base64, and each line of a key."""
    long_lines = [line for line in value.splitlines() if len(line) > 40]
    return [*(long_lines if "\n" in value else [value]), base64.b64encode(value.encode()).decode()]


async def live_through_everything(world: FakeWorld) -> None:
    world.data_plane()
    world.cluster()
    world.allowlist()
    world.access_policy(
        subjects=[
            {"kind": "ApiKey", "name": "ingest", "secretName": "ingest-key"},
            {"kind": "ClusterUser", "name": "app", "secretName": "app-user"},
        ]
    )
    await world.settle()
    world.store.trouble = unavailable("store")
    world.new_operator().start()
    await world.settle()
    world.store.trouble = None
    world.server().passwords["root"] = "somebody-else"
    world.new_operator().start()
    await world.settle()
    world.server().passwords["root"] = world.vault()["root"]
    world.recorder.before = _bug
    world.new_operator().start()
    await world.settle()
    world.recorder.before = None
    await world.pass_time(timedelta(minutes=5))
    world.server().passwords["app"] = "somebody-else"
    requests = {"ZillizCluster/search": ("root", "db-admin", "technical-users"), "AccessPolicy/app": ("",)}
    for of, what in requests.items():
        kind, _, name = of.partition("/")
        notes = {f"byoc.zilliz.com/rotate-{each}".rstrip("-"): "a leak" for each in what}
        world.kube.edit(kind, name, PROJECT, partial(_noted, notes))
    await world.settle()
    assert world.ready()["status"] == "True"
    assert world.status("app", "AccessPolicy")["subjects"][0]["previousUntil"]


def _noted(notes: dict[str, str], obj: Manifest) -> None:
    obj["metadata"].setdefault("annotations", {}).update(notes)


def _bug(what: str) -> None:
    if what == "milvus login":
        raise RuntimeError("something that nobody foresaw")


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


async def test_no_secret_leaves_the_secrets(world: FakeWorld, everything_logged: pytest.LogCaptureFixture) -> None:
    await live_through_everything(world)
    public = world.everything_public()
    logged = everything_logged.text + repr([vars(record) for record in everything_logged.records])
    values = world.secret_values()
    assert len(values) > 8
    for value in values:
        for form in forms(value):
            assert form not in public
            assert form not in logged
    assert everything_logged.records, "a search of nothing finds nothing"


async def test_each_secret_is_where_it_is_needed_and_nowhere_else(world: FakeWorld) -> None:
    await live_through_everything(world)
    inner = dict(line.split() for line in world.door_file("users.map"))
    space, vault = world.space(), f"credentials-{world.id_of()}"
    allowed = {
        world.vault()["root"]: {(SYSTEM, vault), (space, "milvus-root")},
        world.vault()["db_admin"]: {(SYSTEM, vault), (space, "milvus-root"), (PROJECT, "search-connection")},
        world.vault()["technical-seed"]: {(SYSTEM, vault), (space, "technical-users")},
        **{inner[user]: {(space, "gateway-maps")} for user in ("zt_viewer", "app", "db_admin")},
        world.vault()["secretAccessKey"]: {(SYSTEM, vault), (space, "store-credentials")},
        world.secret("ingest-key", PROJECT)["token"]: {(PROJECT, "ingest-key")},
        world.secret("app-user", PROJECT)["password"]: {(PROJECT, "app-user")},
    }
    made_anew = set(world.secrets.made) - allowed.keys()
    assert len(made_anew) >= 5, "each has been made anew once"
    for value, places in {**allowed, **{key: set() for key in made_anew}}.items():
        found = {
            (s["metadata"]["namespace"], s["metadata"]["name"])
            for s in world.kube.find("Secret")
            if any(value in each for each in world.secret(s["metadata"]["name"], s["metadata"]["namespace"]).values())
        }
        assert found == places


async def test_nothing_that_holds_a_secret_shows_it_when_it_is_printed(world: FakeWorld) -> None:
    from zilliz_operator.reconcile import vault

    await world.quickstart()
    stored = world.kube.must("Secret", f"credentials-{world.id_of()}", SYSTEM)
    filled = vault.fill(stored, fallbacks={}, marks={}, randomness=world.secrets)
    shown = repr(filled) + repr(filled.key_pair()) + repr(filled.held())
    assert not [value for value in world.vault().values() if value in shown and not value.startswith("AK")]
