"""Kubernetes quantities and how many clusters' requests fit a node. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_BYTES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_MEMORY = re.compile(r"^(\d+)([A-Za-z]*)$")


def millicpu(quantity: str) -> int:
    """`250m` or `2` in thousandths of a CPU."""
    return int(quantity[:-1]) if quantity.endswith("m") else round(float(quantity) * 1000)


def memory_bytes(quantity: str) -> int:
    """`512Mi` in bytes."""
    found = _MEMORY.match(quantity)
    if not found or found[2] not in _BYTES:
        raise ValueError(f"memory quantity {quantity!r}: expected digits and one of {', '.join(filter(None, _BYTES))}")
    return int(found[1]) * _BYTES[found[2]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """What the scheduler sets aside."""

    millicpu: int = 0
    memory: int = 0

    def __add__(self, other: Requests) -> Requests:
        return Requests(millicpu=self.millicpu + other.millicpu, memory=self.memory + other.memory)

    def __sub__(self, other: Requests) -> Requests:
        return Requests(millicpu=self.millicpu - other.millicpu, memory=self.memory - other.memory)


def of_pod(pod: Mapping[str, Any]) -> Requests:
    """A pod's requests as the scheduler counts them: its containers together, or its largest init container."""
    spec = pod["spec"]
    together = [_of_container(container) for container in spec.get("containers", ())]
    first = [_of_container(container) for container in spec.get("initContainers", ())]
    return Requests(
        millicpu=max([sum(r.millicpu for r in together), *(r.millicpu for r in first)]),
        memory=max([sum(r.memory for r in together), *(r.memory for r in first)]),
    )


def of_pods(pods: Iterable[Mapping[str, Any]]) -> Requests:
    """All pods that still hold their place on the node."""
    held = (pod for pod in pods if pod.get("status", {}).get("phase") not in {"Succeeded", "Failed"})
    return sum((of_pod(pod) for pod in held), Requests())


def of_node(node: Mapping[str, Any]) -> Requests:
    """What a node has to give."""
    allocatable = node["status"]["allocatable"]
    return Requests(millicpu=millicpu(allocatable["cpu"]), memory=memory_bytes(allocatable["memory"]))


def fitting(*, free: Requests, each: Requests, wanted: int) -> int:
    """How many of `wanted` find a place."""
    by_cpu = free.millicpu // each.millicpu if each.millicpu else wanted
    by_memory = free.memory // each.memory if each.memory else wanted
    return max(0, min(wanted, by_cpu, by_memory))


def cpu_requests(pods: Iterable[Mapping[str, Any]]) -> set[str]:
    """The different CPU requests of containers, as they are written."""
    found = (c.get("resources", {}).get("requests", {}).get("cpu") for pod in pods for c in pod["spec"]["containers"])
    return {quantity for quantity in found if quantity}


def lowered(requests: Iterable[str], *, free: int, needed: int) -> dict[str, str]:
    """Each CPU request cut by the same share, so that what needs `needed` thousandths of a CPU takes at most `free`."""
    return {quantity: f"{max(1, millicpu(quantity) * free // needed)}m" for quantity in sorted(requests)}


def _of_container(container: Mapping[str, Any]) -> Requests:
    requests = container.get("resources", {}).get("requests", {})
    return Requests(millicpu=millicpu(requests.get("cpu", "0")), memory=memory_bytes(requests.get("memory", "0")))
