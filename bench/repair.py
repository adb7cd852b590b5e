"""How long a deleted child of a cluster stays away, and a loosened label of its namespace stays loose."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.errors import BenchError
from bench.objects import GROUP
from bench.world import NAMESPACES, World

POD_SECURITY = "pod-security.kubernetes.io/enforce"
CONFIRM = f"{GROUP}/confirm"
GIVE_UP_SECONDS = 20.0
SETTLE = (0.5, 1.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """What is deleted."""

    kind: str
    collection: str  # path below the namespace's own, with {namespace}
    name: str


CHILDREN = (
    Child(
        kind="NetworkPolicy",
        collection="/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
        name="default-deny",
    ),
    Child(kind="ResourceQuota", collection="/api/v1/namespaces/{namespace}/resourcequotas", name="cluster"),
    Child(kind="ConfigMap", collection="/api/v1/namespaces/{namespace}/configmaps", name="gateway-config"),
)


def measure(
    world: World, namespace: str, *, tries: int, seconds: float, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Kind → seconds to repair, kinds in turn; stops early when `seconds` are over."""
    took: dict[str, list[float]] = {child.kind: [] for child in CHILDREN}
    deadline = time.monotonic() + seconds
    rng = random.Random(11)
    for number in range(tries):
        for child in CHILDREN:
            took[child.kind].append(_once(world, child.collection.format(namespace=namespace), child.name))
            # not in step with the operator's own rhythm, or one phase of it would be all that is seen
            time.sleep(rng.uniform(*SETTLE))
        if time.monotonic() > deadline or world.budget.left < 0:
            break
        if (number + 1) % 10 == 0:
            say(f"repairs: {number + 1} of {tries} tries of each kind")
    return took


def measure_label(world: World, namespace: str, *, tries: int) -> list[float]:
    """Seconds until Pod Security of the namespace is as it was. An admission policy guards it: the confirmation comes first."""
    path = f"{NAMESPACES}/{namespace}"
    took: list[float] = []
    rng = random.Random(12)
    world.kube.merge(path, {"metadata": {"annotations": {CONFIRM: namespace}}})
    try:
        for _ in range(tries):
            if world.budget.left < 0:
                break
            took.append(_loosened(world, path, namespace))
            time.sleep(rng.uniform(*SETTLE))
    finally:
        world.kube.merge(path, {"metadata": {"annotations": {CONFIRM: None}}})
    return took


def _loosened(world: World, path: str, namespace: str) -> float:
    """Loosen the label, and watch until it is tight again."""
    wanted = world.kube.request("GET", path)["metadata"]["labels"][POD_SECURITY]
    began = time.monotonic()
    loose = world.kube.merge(path, {"metadata": {"labels": {POD_SECURITY: "privileged"}}})
    version = loose["metadata"]["resourceVersion"]
    for event in world.kube.watch(NAMESPACES, resource_version=version, seconds=int(GIVE_UP_SECONDS)):
        metadata = event["object"]["metadata"]
        if metadata["name"] == namespace and metadata["labels"].get(POD_SECURITY) == wanted:
            return time.monotonic() - began
    raise BenchError(f"{POD_SECURITY} of {namespace} was not {wanted} again within {GIVE_UP_SECONDS:.0f} s")


def _once(world: World, collection: str, name: str) -> float:
    """Delete, and watch for its successor."""
    version = world.kube.request("GET", collection)["metadata"]["resourceVersion"]
    began = time.monotonic()
    world.kube.delete(f"{collection}/{name}")
    for event in world.kube.watch(collection, resource_version=version, seconds=int(GIVE_UP_SECONDS)):
        if event["type"] == "ADDED" and event["object"]["metadata"]["name"] == name:
            return time.monotonic() - began
    raise BenchError(f"{collection}/{name} was deleted and not made again within {GIVE_UP_SECONDS:.0f} s")
