"""The page is Markdown that any reader shows, and says what is missing."""

from __future__ import annotations

import pytest

from bench import report
from bench.report import Table

TABLE = Table(
    title="Ready", columns=("clusters", "time"), rows=(("1", "20.0 s"), ("5", "80.0 s")), notes=("All real.",)
)


def test_a_table_with_its_notes() -> None:
    section = report.render([TABLE]).split("## ", 1)[1]
    assert section == ("Ready\n\n| clusters | time |\n| --- | --- |\n| 1 | 20.0 s |\n| 5 | 80.0 s |\n\n- All real.\n")


def test_tables_keep_their_order() -> None:
    page = report.render([TABLE, report.missing("Search", "out of time")])
    assert page.index("## Ready") < page.index("## Search")
    assert "| Search | out of time |" in page


def test_what_is_missing_makes_a_page_incomplete() -> None:
    assert TABLE.complete and not report.missing("Search", "out of time").complete


def test_a_bar_or_a_line_break_in_a_cell_does_not_break_the_table() -> None:
    page = report.render([Table(title="x", columns=("a",), rows=(("p|q\nr",),))])
    assert "| p\\|q r |" in page


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="has not 2 cells"):
        Table(title="x", columns=("a", "b"), rows=(("1",),))


def test_units() -> None:
    assert report.mib(29 * 1024 * 1024) == "29 MiB"
    assert report.seconds(12.345) == "12.3 s"
    assert report.milliseconds(2.714) == "2.71 ms"
    assert report.difference(3.0, 2.25) == "+0.75 ms"
    assert report.difference(2.0, 2.25) == "-0.25 ms"
