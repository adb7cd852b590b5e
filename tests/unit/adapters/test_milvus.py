"""What the Milvus adapter decides without a server: distance between opposite calls, one writer a cluster, names
of errors."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from pymilvus.exceptions import MilvusException

from zilliz_operator.adapters import milvus
from zilliz_operator.adapters.milvus import PymilvusAdmin, knows_privilege_groups
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.exceptions import Conflict, InvalidSpec, NotReady, Rejected, Unavailable
from zilliz_operator.api.outside import DoorAddress, Grant

DOOR = DoorAddress("10.0.0.1", 19530, "in01-a.test", "ca", "cert", "key")
QUIET = 0.3
SEARCH = [Grant("Search", "Collection", "docs")]


class Recorded:
    """Stands in for the one call into the library."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []

    def __call__(self, door: DoorAddress, user: str, password: str, work: Any, timeout: float) -> None:
        began = time.monotonic()
        time.sleep(0.05)
        self.spans.append((began, time.monotonic()))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    recorded = Recorded()
    monkeypatch.setattr(milvus, "_call", recorded)
    return recorded


@pytest.fixture
def admin() -> Iterator[PymilvusAdmin]:
    threads = Threads(8)
    yield PymilvusAdmin(threads, quiet=QUIET)
    threads.close()


async def test_opposite_calls_about_one_role_keep_their_distance(admin: PymilvusAdmin, calls: Recorded) -> None:
    await admin.revoke(DOOR, password="p", role="r", grants=SEARCH)
    await admin.grant(DOOR, password="p", role="r", grants=SEARCH)
    await admin.remove_role(DOOR, password="p", user="u", role="r")
    gaps = [after[0] - before[1] for before, after in itertools.pairwise(calls.spans)]
    assert min(gaps) >= QUIET


async def test_calls_of_one_direction_or_about_another_role_do_not_wait(admin: PymilvusAdmin, calls: Recorded) -> None:
    await admin.grant(DOOR, password="p", role="r", grants=SEARCH)
    await admin.grant(DOOR, password="p", role="r", grants=SEARCH)
    await admin.revoke(DOOR, password="p", role="other", grants=SEARCH)
    assert calls.spans[-1][1] - calls.spans[0][0] < QUIET + 0.2


async def test_one_cluster_is_asked_serially_whichever_gateway_is_used(admin: PymilvusAdmin, calls: Recorded) -> None:
    doors = (DOOR, replace(DOOR, host="10.0.0.2"))
    await asyncio.gather(*(admin.users(door, password="p") for door in doors * 2))
    ordered = sorted(calls.spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(ordered))


async def test_clusters_do_not_wait_for_each_other(admin: PymilvusAdmin, calls: Recorded) -> None:
    doors = [replace(DOOR, server_name=f"in01-{name}.test") for name in "abcd"]
    await asyncio.gather(*(admin.users(door, password="p") for door in doors))
    assert max(began for began, _ in calls.spans) < min(ended for _, ended in calls.spans)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("v2.3.5-lite", False),
        ("2.4.17", False),
        ("v2.4.18", True),
        ("2.5.0", True),
        ("v2.6.22", True),
        ("3.0", True),
        ("unknown", False),
    ],
)
def test_privilege_groups_by_version(version: str, expected: bool) -> None:
    assert knows_privilege_groups(version) is expected


def test_a_group_reads_back_as_it_was_granted() -> None:
    found = {"privilege": "CollectionReadOnly", "object_type": "Global", "object_name": "docs", "db_name": "d"}
    assert milvus._grant(found) == Grant("CollectionReadOnly", "", "docs", "d")
    found = {"privilege": "Search", "object_type": "Collection", "object_name": "docs", "db_name": ""}
    assert milvus._grant(found) == Grant("Search", "Collection", "docs", "default")


class RpcError(grpc.RpcError):  # type: ignore[misc]
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


def hidden(cause: Exception) -> Exception:
    """As pymilvus does: its own code 2 over the true cause."""
    error = MilvusException(code=2, message="Fail connecting to server on 10.0.0.1:19530")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (hidden(RpcError(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")), Rejected),
        (RpcError(grpc.StatusCode.UNAUTHENTICATED, "gateway: unknown_key"), Rejected),
        (RpcError(grpc.StatusCode.PERMISSION_DENIED, "gateway: ip_not_allowed"), Rejected),
        (RpcError(grpc.StatusCode.UNAVAILABLE, "no healthy upstream"), Unavailable),
        (RpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, "gateway: throttled"), Unavailable),
        (RpcError(grpc.StatusCode.DEADLINE_EXCEEDED, ""), Unavailable),
        (hidden(ConnectionError("refused")), Unavailable),
        (ValueError("something of grpc's own"), Unavailable),
        (MilvusException(code=101, message="collection not loaded"), NotReady),
        (MilvusException(code=65535, message="empty grpc client: failed to connect 10.244.0.20:53100"), NotReady),
        (MilvusException(code=65535, message="user zt_viewer already exists"), Conflict),
        (MilvusException(code=65535, message="the number of roles has reached the limit"), Rejected),
    ],
)
def test_errors_say_what_has_to_happen_next(error: Exception, expected: type[Exception]) -> None:
    assert isinstance(milvus._translated(error, "Milvus at x", "root"), expected)


async def test_an_ipv6_pod_is_refused_with_the_reason() -> None:
    threads = Threads(1)
    with pytest.raises(InvalidSpec, match="IPv6"):
        await PymilvusAdmin(threads).users(replace(DOOR, host="fd00::1"), password="p")
    threads.close()
