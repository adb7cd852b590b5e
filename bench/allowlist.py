"""What a long allowlist costs: one gateway with one entry and one key, and one with 500 entries and 100 keys, asked in turn.

Real HAProxy under our agent. The request is one that the door answers itself (a key that has ended), after it judged address and
key: nothing of Milvus is in the numbers, so that a difference cannot hide in them. `python -m bench.allowlist` measures it alone.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from bench.report import Table, difference, milliseconds
from bench.search import CONCURRENCIES, Send, Series, Size, alternate
from bench.stats import summary
from tests.gateway.pki import Pki
from zilliz_operator.desired.door import DoorKey

# by name, for the reason that bench.search gives
fakemilvus: Any = importlib.import_module("tests.gateway.fakemilvus")
rig: Any = importlib.import_module("tests.gateway.rig")

ENTRIES, POLICIES = 500, 100
SHORT, LONG = "1 entry, 1 policy", f"{ENTRIES} entries, {POLICIES} policies"
FULL = Size(blocks=10, requests={1: 300, 8: 600})
ENDED = "UNAUTHENTICATED: gateway: expired_key"


def entries(number: int, *, now: int) -> tuple[tuple[str, int], ...]:
    """Blocks of both families, no two of which merge, each with an end of its own; the last one holds this machine."""
    ends = (now + 86_400 + n for n in range(number))
    v4 = [f"10.{n}.0.0/24" for n in range(number // 2)]
    v6 = [f"2001:db8:{n:x}::/64" for n in range(number - len(v4) - 1)]
    return tuple(zip([*v4, *v6, "127.0.0.0/24"], ends, strict=True))


def keys(number: int) -> tuple[DoorKey, ...]:
    """As many policies with a key each, the ended one among them."""
    others = (DoorKey(digest=rig.digest(f"zbk_{n}"), key_id=f"team/{n}", user="zt_viewer") for n in range(number - 1))
    return (DoorKey(digest=rig.digest(rig.EXPIRED_KEY), key_id="team/old", user="zt_viewer", expires=1), *others)


def measure(*, size: Size = FULL) -> list[Series]:
    """The series of both gateways at every concurrency."""
    now = int(time.time())
    found: list[Series] = []
    with ExitStack() as stack:
        pki = Pki()
        milvus = fakemilvus.FakeMilvus(users=rig.PASSWORDS).start(pair=pki.milvus, client_ca=pki.internal.pem)
        stack.callback(milvus.stop)
        ways: dict[str, Send] = {}
        for way, number, policies in ((SHORT, 1, 1), (LONG, ENTRIES, POLICIES)):
            more = {"allow": (), "allow_until": entries(number, now=now), "keys": keys(policies)}
            limits = replace(rig.GENEROUS, connections_per_address=4000)
            ways[way] = stack.enter_context(_asked(rig.Gateway(pki, milvus, limits=limits, **more)))
        for send in ways.values():
            for number in range(100):
                send(number)  # warm
        for concurrency in CONCURRENCIES:
            found += alternate(ways, concurrency=concurrency, size=size)
    return found


@contextmanager
def _asked(gateway: Any) -> Iterator[Send]:
    try:
        with gateway.start().channel() as channel:

            def send(number: int) -> float:
                del number
                began = time.perf_counter()
                said = rig.ask(channel, rig.basic(rig.EXPIRED_KEY))
                took = (time.perf_counter() - began) * 1000
                if not said.startswith(ENDED):
                    raise AssertionError(f"the door said {said}")
                return took

            yield send
    finally:
        gateway.stop()


def table(series: Sequence[Series]) -> Table:
    rows = []
    for concurrency in CONCURRENCIES:
        by_way = {s.way: s for s in series if s.concurrency == concurrency}
        short, long = (summary(by_way[way].latencies) for way in (SHORT, LONG))
        for way, s in ((SHORT, short), (LONG, long)):
            times = tuple(map(milliseconds, (s.p50, s.p95, s.p99)))
            rows.append((str(concurrency), way, *times, str(s.count)))
        extra = tuple(difference(getattr(long, p), getattr(short, p)) for p in ("p50", "p95", "p99"))
        rows.append((str(concurrency), "**the long list's share**", *extra, ""))
    return Table(
        title="A long allowlist at the door",
        columns=("at once", "the gateway has", "p50", "p95", "p99", "requests"),
        rows=tuple(rows),
        notes=(
            "Two gateways on this machine, asked in alternating blocks over one gRPC channel each. The door answers by itself "
            "(a key that has ended), after it judged address and key. Every entry has an end of its own, which HAProxy compares with "
            "its clock at each request; the policies are API keys.",
        ),
    )


if __name__ == "__main__":
    from bench.report import render

    print(render([table(measure())]))
