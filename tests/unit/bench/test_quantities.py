"""Requests are counted as the scheduler counts them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.quantities import Requests, cpu_requests, fitting, lowered, memory_bytes, millicpu, of_node, of_pod, of_pods

MIB = 1024 * 1024


def container(cpu: str, memory: str) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}


@pytest.mark.parametrize(("quantity", "expected"), [("250m", 250), ("2", 2000), ("0.5", 500), ("0", 0)])
def test_cpu(quantity: str, expected: int) -> None:
    assert millicpu(quantity) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"), [("512Mi", 512 * MIB), ("24581256Ki", 24581256 * 1024), ("1G", 10**9), ("7", 7)]
)
def test_memory(quantity: str, expected: int) -> None:
    assert memory_bytes(quantity) == expected


@pytest.mark.parametrize("quantity", ["", "5Zi", "1.5Gi"])
def test_a_quantity_that_cannot_be_read_is_named(quantity: str) -> None:
    with pytest.raises(ValueError, match="memory quantity"):
        memory_bytes(quantity)


def test_a_pod_is_its_containers_together() -> None:
    pod = {"spec": {"containers": [container("100m", "10Mi"), container("50m", "5Mi")]}}
    assert of_pod(pod) == Requests(millicpu=150, memory=15 * MIB)


def test_a_larger_init_container_counts_instead() -> None:
    pod = {"spec": {"containers": [container("100m", "64Mi")], "initContainers": [container("300m", "8Mi")]}}
    assert of_pod(pod) == Requests(millicpu=300, memory=64 * MIB)


def test_a_pod_that_has_ended_holds_nothing() -> None:
    running = {"spec": {"containers": [container("100m", "1Mi")]}, "status": {"phase": "Running"}}
    ended = {"spec": {"containers": [container("900m", "1Mi")]}, "status": {"phase": "Succeeded"}}
    assert of_pods([running, ended]) == Requests(millicpu=100, memory=MIB)


def test_a_container_without_requests_counts_nothing() -> None:
    assert of_pod({"spec": {"containers": [{"name": "bare"}]}}) == Requests()


def test_a_node_gives_what_is_allocatable() -> None:
    node = {"status": {"allocatable": {"cpu": "2", "memory": "8Mi"}, "capacity": {"cpu": "4", "memory": "16Mi"}}}
    assert of_node(node) == Requests(millicpu=2000, memory=8 * MIB)


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (Requests(millicpu=1890, memory=100 * MIB), 4),
        (Requests(millicpu=2250, memory=100 * MIB), 5),
        (Requests(millicpu=9000, memory=100 * MIB), 5),
        (Requests(millicpu=9000, memory=25 * MIB), 2),
        (Requests(millicpu=-10, memory=100 * MIB), 0),
    ],
)
def test_how_many_clusters_fit(free: Requests, expected: int) -> None:
    assert fitting(free=free, each=Requests(millicpu=450, memory=10 * MIB), wanted=5) == expected


def test_what_requests_nothing_always_fits() -> None:
    assert fitting(free=Requests(), each=Requests(), wanted=5) == 5


def test_lowered_requests_keep_their_proportions_and_fit() -> None:
    found = lowered({"250m", "100m"}, free=1890, needed=2250)
    assert found == {"100m": "84m", "250m": "210m"}
    assert 5 * (millicpu(found["250m"]) + 2 * millicpu(found["100m"])) <= 1890


def test_a_request_is_never_lowered_to_nothing() -> None:
    assert lowered({"1m"}, free=1, needed=1000) == {"1m": "1m"}


def test_the_different_requests_of_pods() -> None:
    pods = [{"spec": {"containers": [container("100m", "1Mi"), {"name": "bare"}]}}, {"spec": {"containers": []}}]
    assert cpu_requests(pods) == {"100m"}
