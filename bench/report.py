"""RESULTS.md: a few tables, each with what a reader must know to believe it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One subject: rows of text under columns, and notes on how they were measured."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    complete: bool = True

    def __post_init__(self) -> None:
        crooked = [row for row in self.rows if len(row) != len(self.columns)]
        if crooked:
            raise ValueError(f"table {self.title!r}: row {crooked[0]} has not {len(self.columns)} cells")


def mib(size: int) -> str:
    return f"{size / MIB:.0f} MiB"


def seconds(value: float) -> str:
    return f"{value:.1f} s"


def milliseconds(value: float) -> str:
    return f"{value:.2f} ms"


def difference(value: float, base: float) -> str:
    """How far a time is from the one it is compared with."""
    return f"{value - base:+.2f} ms"


def missing(title: str, why: str) -> Table:
    """In the place of a table that could not be made."""
    return Table(title=title, columns=("not measured", "why"), rows=((title, why),), complete=False)


def render(tables: Sequence[Table]) -> str:
    """The whole page."""
    head = (
        "# What it costs\n\nWritten by `make bench`; no number here is a promise or a test. "
        "Everything is real: API server, kubelet, pods, Milvus, HAProxy, object store, network policies."
    )
    return "\n\n".join([head, *map(_section, tables)]) + "\n"


def _section(table: Table) -> str:
    lines = [f"## {table.title}", "", _row(table.columns), _row(["---"] * len(table.columns))]
    lines += [_row(row) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
