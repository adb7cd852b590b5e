"""Liveness: a watch that is not opened anew is seen, whatever else answers."""

from typing import Any

from yarl import URL

from zilliz_operator.handlers import app
from zilliz_operator.handlers.heartbeat import STALE_AFTER, Heartbeat


class Answer:
    def __init__(self, status: int) -> None:
        self.status = status


class Request:
    def __init__(self, url: str) -> None:
        self.url = URL(url)


class Watches:
    """A heartbeat with a clock that a test turns."""

    def __init__(self, *plurals: str) -> None:
        self.now = 1000.0
        self.heartbeat = Heartbeat(plurals, clock=lambda: self.now)

    async def asks(self, url: str, status: int = 200) -> None:
        async def handler(_: Any) -> Any:
            return Answer(status)

        answer = await self.heartbeat(Request("https://k8s.test" + url), handler)  # type: ignore[arg-type]
        assert answer.status == status


CLUSTERS = "/apis/byoc.zilliz.com/v1alpha1/zillizclusters"


async def test_a_watch_that_is_reopened_keeps_it_alive() -> None:
    watches = Watches("zillizclusters", "pods")
    for _ in range(5):
        watches.now += STALE_AFTER - 1
        await watches.asks(f"{CLUSTERS}?watch=true&resourceVersion=7")
        await watches.asks("/api/v1/pods?watch=true")
        assert watches.heartbeat.stale() == {}


async def test_one_dead_watch_among_living_ones_is_named() -> None:
    watches = Watches("zillizclusters", "pods")
    watches.now += STALE_AFTER + 1
    await watches.asks("/api/v1/pods?watch=true")
    assert list(watches.heartbeat.stale()) == ["zillizclusters"]


async def test_lists_and_refusals_are_no_heartbeat() -> None:
    watches = Watches("zillizclusters")
    watches.now += STALE_AFTER + 1
    await watches.asks(CLUSTERS)
    await watches.asks(f"{CLUSTERS}?watch=true", status=403)
    await watches.asks(f"{CLUSTERS}?watch=true", status=503)
    assert "zillizclusters" in watches.heartbeat.stale()
    await watches.asks(f"{CLUSTERS}/?watch=true")
    assert watches.heartbeat.stale() == {}


async def test_all_open_only_once_every_kind_was_seen() -> None:
    watches = Watches("zillizclusters", "pods")
    await watches.asks(f"{CLUSTERS}?watch=true")
    assert not watches.heartbeat.all_open
    await watches.asks("/api/v1/pods?watch=true")
    assert watches.heartbeat.all_open


async def test_the_probe_speaks_for_the_leader_alone() -> None:
    watches = Watches("pods")
    watches.now += STALE_AFTER + 1
    assert app.State(leading=False, heartbeat=watches.heartbeat).alive() == ""
    assert "pods" in app.State(leading=True, heartbeat=watches.heartbeat).alive()
    assert app.State(leading=True).alive() == ""
    assert "CRDs" in app.State().ready()
    assert app.State(discovered=True).ready() == ""


def test_every_kind_that_is_watched_has_a_heartbeat() -> None:
    assert {"zillizclusters", "allowlists", "secrets", "networkpolicies", "certificates"} <= app.WATCHED
