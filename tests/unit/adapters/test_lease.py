"""Leader election under the faults that break naive ones: never two leaders, and a dead one is noticed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.unit.adapters.apistub import ApiStub, Fault, always, hang
from zilliz_operator.adapters.kube import KubeClient
from zilliz_operator.adapters.lease import LeaseElection, LeaseTimes

PATH = "/apis/coordination.k8s.io/v1/namespaces/n/leases/l"
TIMES = LeaseTimes(lease=2.0, deadline=1.2, renew=0.4, request=0.3)

MakeElection = Callable[[str], Awaitable["Replica"]]


class Replica:
    def __init__(self, kube: KubeClient, identity: str) -> None:
        self.lost = asyncio.Event()
        self.election = LeaseElection(
            kube, name="l", namespace="n", identity=identity, on_lost=self.lost.set, times=TIMES
        )


@pytest.fixture
async def replica(stub: ApiStub) -> AsyncIterator[MakeElection]:
    made: list[Replica] = []
    clients: list[KubeClient] = []

    async def make(identity: str) -> Replica:
        kube = KubeClient(stub.access())
        clients.append(kube)
        made.append(Replica(kube, identity))
        return made[-1]

    yield make
    for one in made:
        await asyncio.wait_for(one.election.release(), 3)
    for kube in clients:
        await kube.close()
        await kube.access.close()


async def test_an_absent_lease_is_created_and_kept(stub: ApiStub, replica: MakeElection) -> None:
    a = await replica("a")
    await asyncio.wait_for(a.election.acquire(), 2)
    spec = stub.objects[PATH]["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 2, 0)
    assert spec["renewTime"].endswith("Z")
    await asyncio.sleep(TIMES.lease * 1.5)
    assert a.election.is_held()
    assert not a.lost.is_set()
    assert stub.objects[PATH]["spec"]["acquireTime"] == spec["acquireTime"]


async def test_a_renewal_is_one_request(stub: ApiStub, replica: MakeElection) -> None:
    a = await replica("a")
    await a.election.acquire()
    stub.seen.clear()
    await asyncio.sleep(TIMES.renew * 1.5)
    assert [seen.method for seen in stub.seen] == ["PUT"]


async def test_the_second_replica_waits_and_takes_over_on_release(stub: ApiStub, replica: MakeElection) -> None:
    a, b = await replica("a"), await replica("b")
    await a.election.acquire()
    waiting = asyncio.create_task(b.election.acquire())
    await asyncio.sleep(TIMES.lease * 1.5)
    assert not waiting.done()
    assert not b.election.is_held()
    await a.election.release()
    assert not a.election.is_held()
    released = time.monotonic()
    await asyncio.wait_for(waiting, 3)
    assert time.monotonic() - released < TIMES.renew * 2
    assert stub.objects[PATH]["spec"]["leaseTransitions"] == 1
    assert not a.lost.is_set()


@pytest.mark.parametrize("fault", [always(503), always(403, "Forbidden"), hang], ids=["503", "403", "hang"])
async def test_an_outage_ends_leadership_before_the_lease_does(
    stub: ApiStub, replica: MakeElection, fault: Fault
) -> None:
    a = await replica("a")
    await a.election.acquire()
    stub.fault = fault
    began = time.monotonic()
    await asyncio.wait_for(a.lost.wait(), TIMES.lease)
    assert time.monotonic() - began <= TIMES.deadline + 0.3
    assert not a.election.is_held()
    stub.fault = None


async def test_an_unreachable_server_ends_leadership(stub: ApiStub, replica: MakeElection) -> None:
    a = await replica("a")
    await a.election.acquire()
    await stub.stop()
    await asyncio.wait_for(a.lost.wait(), TIMES.lease)


async def test_a_short_outage_is_survived(stub: ApiStub, replica: MakeElection) -> None:
    a = await replica("a")
    await a.election.acquire()
    stub.fault = always(503)
    await asyncio.sleep(TIMES.renew * 1.5)
    stub.fault = None
    await asyncio.sleep(TIMES.lease)
    assert a.election.is_held()
    assert not a.lost.is_set()


async def test_a_crashed_leader_is_replaced_after_the_lease_and_no_sooner(stub: ApiStub, replica: MakeElection) -> None:
    stub.objects[PATH] = {
        "metadata": {"name": "l", "namespace": "n", "resourceVersion": "1"},
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": "2000-01-01T00:00:00.000000Z"},
    }
    b = await replica("b")
    began = time.monotonic()
    await asyncio.wait_for(b.election.acquire(), 4)
    # The record looks decades old, but a foreign clock proves nothing: b watched it stand still for its duration.
    assert time.monotonic() - began >= 1.0


async def test_a_living_leader_with_a_slow_clock_is_respected(stub: ApiStub, replica: MakeElection) -> None:
    stub.objects[PATH] = {
        "metadata": {"name": "l", "namespace": "n", "resourceVersion": "1"},
        "spec": {"holderIdentity": "alive", "leaseDurationSeconds": 1, "renewTime": "2000-01-01T00:00:00.000000Z"},
    }
    b = await replica("b")
    waiting = asyncio.create_task(b.election.acquire())
    for second in range(10):
        await asyncio.sleep(0.3)
        stub.objects[PATH]["spec"]["renewTime"] = f"2000-01-01T00:00:{second:02}.000000Z"
    assert not waiting.done()
    waiting.cancel()


async def test_a_usurper_ends_leadership_at_the_next_renewal(stub: ApiStub, replica: MakeElection) -> None:
    a = await replica("a")
    await a.election.acquire()
    live = stub.objects[PATH]
    stub.objects[PATH] = {
        "metadata": {**live["metadata"], "resourceVersion": "999"},
        "spec": {**live["spec"], "holderIdentity": "usurper"},
    }
    await asyncio.wait_for(a.lost.wait(), TIMES.renew * 2)
    assert stub.objects[PATH]["spec"]["holderIdentity"] == "usurper"


async def test_of_two_that_saw_the_same_record_one_wins(stub: ApiStub, replica: MakeElection) -> None:
    a, b = await replica("a"), await replica("b")
    tasks = [asyncio.create_task(one.election.acquire()) for one in (a, b)]
    await asyncio.wait(tasks, timeout=TIMES.lease, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(TIMES.renew * 2)
    assert [a.election.is_held(), b.election.is_held()].count(True) == 1
    for task in tasks:
        task.cancel()


async def test_missing_rights_are_waited_out(stub: ApiStub, replica: MakeElection) -> None:
    stub.fault = always(403, "Forbidden")
    a = await replica("a")
    waiting = asyncio.create_task(a.election.acquire())
    await asyncio.sleep(TIMES.renew)
    assert not waiting.done()
    stub.fault = None
    await asyncio.wait_for(waiting, 2)


def test_times_must_leave_room() -> None:
    with pytest.raises(ValueError, match="request < renew < deadline < lease"):
        LeaseTimes(lease=10, deadline=10, renew=5, request=4)
