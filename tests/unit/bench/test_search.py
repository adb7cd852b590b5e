"""The search that is timed is one that Milvus takes, and blocks alternate."""

from __future__ import annotations

import struct

from bench import search
from bench.search import Size


def test_a_request_holds_its_vector_and_asks_for_ten() -> None:
    request = search.search_request([0.5, -1.0])
    group = search.common_pb2.PlaceholderGroup.FromString(request.placeholder_group)
    assert struct.unpack("<2f", group.placeholders[0].values[0]) == (0.5, -1.0)
    assert {p.key: p.value for p in request.search_params}["topk"] == "10"
    assert request.nq == 1


def test_requests_differ() -> None:
    requests = search.search_requests()
    assert len({request.placeholder_group for request in requests}) == search.DISTINCT_REQUESTS


def test_blocks_alternate_and_every_latency_is_kept() -> None:
    order: list[str] = []

    def way(name: str) -> search.Send:
        def send(number: int) -> float:
            order.append(name)
            return float(number)

        return send

    found = search.alternate(
        {"direct": way("direct"), "door": way("door")}, concurrency=1, size=Size(blocks=3, requests={1: 2})
    )
    assert order == [*["direct"] * 2, *["door"] * 4, *["direct"] * 4, *["door"] * 2]
    assert [(s.way, s.concurrency, s.latencies) for s in found] == [
        ("direct", 1, (0.0, 1.0) * 3),
        ("door", 1, (0.0, 1.0) * 3),
    ]


def test_no_pair_of_blocks_begins_after_the_time_and_no_pair_is_left_half() -> None:
    def send(number: int) -> float:
        return float(number)

    size = Size(blocks=8, requests={1: 3}, seconds=-1)
    found = search.alternate({"direct": send, "door": send}, concurrency=1, size=size)
    assert [len(s.latencies) for s in found] == [2 * 3, 2 * 3]
