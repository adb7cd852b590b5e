"""What every page of evidence has in common: a fresh node, two clusters in two projects, tables, and the count of differences."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from tests.node.conftest import QUICKSTART
from tests.node.harness import ROOT, Cluster, Product
from zilliz_operator.api.conditions import ConditionType

BEGAN = time.monotonic()


class Counted(Protocol):
    @property
    def differences(self) -> int: ...


F = TypeVar("F", bound=Counted)


def publish(name: str, path: Path, *, probe: Callable[[Product], F], page: Callable[[F], str]) -> int:
    """Try everything on a cluster of its own, `name`, and write the page; 1 when anything was seen that the tables do not say."""
    product = Product(name)
    say("a fresh local cluster, with the operator from its chart")
    product.down()
    try:
        product.up()
        product.install()
        product.wait_condition("DataPlane", "default")
        found = probe(product)
    finally:
        product.down()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(found))
    say(f"{path.relative_to(ROOT)}: differences: {found.differences}")
    return 1 if found.differences else 0


def neighbours(product: Product) -> tuple[Cluster, Cluster]:
    """Two clusters in two projects."""
    say("two clusters in two projects")
    product.kubectl("apply", "--server-side", "-f", str(QUICKSTART))
    first = Cluster(product, "quickstart", "quickstart").wait_ready()
    return first, product.make_cluster("neighbours", "other")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; an empty cell shows as a dash."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', '/') or '–' for cell in cells)} |"

    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, rows)])


def conditions(clusters: Sequence[Cluster], types: Sequence[ConditionType]) -> list[tuple[str, str, str]]:
    """What the clusters themselves say: name, condition with its state, message."""
    found = []
    for cluster in clusters:
        for type in types:
            condition = cluster.condition(type) or {"status": "absent", "message": ""}
            found.append((cluster.name, f"{type}={condition['status']}", str(condition["message"])))
    return found


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)
