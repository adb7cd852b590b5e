"""The live view of a cluster's conditions while a person waits."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

MARKS = {"True": "[green]✓[/]", "False": "[red]✗[/]"}
Conditions = list[dict[str, Any]]


def table(name: str, conditions: Conditions, *, seconds: float) -> Table:
    """A row a condition, with its evidence."""
    shown = Table(title=f"{name} after {seconds:.0f} s", title_justify="left", box=None, pad_edge=False)
    for column in ("", "CONDITION", "REASON", "EVIDENCE"):
        shown.add_column(column, overflow="fold")
    for condition in conditions:
        mark = MARKS.get(condition["status"], "[yellow]?[/]")
        shown.add_row(mark, condition["type"], condition["reason"], escape(condition.get("message", "")[:160]))
    return shown


def wait_until_ready(name: str, *, read: Callable[[], Conditions], deadline: float, console: Console) -> Conditions:
    """Show the conditions until Ready is True; raises TimeoutError with what is missing after `deadline` seconds.

    On a terminal the table stays in place; elsewhere a line is printed for every change.
    """
    began = time.monotonic()
    said: dict[str, str] = {}
    with Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else _Quiet() as view:
        while True:
            conditions = read()
            seconds = time.monotonic() - began
            if isinstance(view, Live):
                view.update(table(name, conditions, seconds=seconds))
            else:
                _say_changes(conditions, said, seconds, console)
            if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                return conditions
            if seconds > deadline:
                wanted = "; ".join(f"{c['type']}: {c.get('message', '')}" for c in conditions if c["status"] != "True")
                raise TimeoutError(f"{name} is not Ready after {seconds:.0f} s: {wanted or 'no condition at all'}")
            time.sleep(0.5)


class _Quiet:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _say_changes(conditions: Conditions, said: dict[str, str], seconds: float, console: Console) -> None:
    for condition in conditions:
        state = f"{condition['status']} {condition['reason']}"
        if said.get(condition["type"]) != state:
            said[condition["type"]] = state
            message = condition.get("message", "")[:160]
            console.print(
                f"[{seconds:5.1f} s] {condition['type']}: {state}: {message}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
