"""The live view: what a person sees while waiting, and what is said when the wait is over."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rich.console import Console

from tools.demo.live import Conditions, table, wait_until_ready


def condition(type: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": type, "status": status, "reason": reason, "message": message}


READY = condition("Ready", "True", "Ready", "9 promises kept")
WAITING = [
    condition("CertificateValid", "False", "WaitingForCertificate", "certificate gateway-tls is not issued yet"),
    condition("WorkloadReady", "Unknown", "NotChecked", "waits for CertificateValid"),
    condition("Ready", "False", "WaitingForCertificate", "CertificateValid: not issued yet"),
]


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def one_after_another(*states: Conditions) -> Callable[[], Conditions]:
    following: Iterator[Conditions] = iter(states)
    return lambda: next(following)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.demo.live.time.sleep", lambda _: None)


def test_the_table_has_a_row_a_condition_with_its_mark_and_evidence() -> None:
    shown = console()
    shown.print(table("quickstart/quickstart", [*WAITING[:2], READY], seconds=12.4))
    text = said(shown)
    assert "quickstart/quickstart after 12 s" in text
    rows = {line.split()[1]: line for line in text.splitlines()[2:] if line.strip()}
    assert rows["CertificateValid"].startswith("✗")
    assert rows["WorkloadReady"].startswith("?")
    assert rows["Ready"].startswith("✓")
    assert "certificate gateway-tls is not issued yet" in rows["CertificateValid"]
    assert "NotChecked" in rows["WorkloadReady"]


def test_evidence_is_never_read_as_markup() -> None:
    shown = console()
    shown.print(table("a/b", [condition("Ready", "False", "APIRejected", "spec.entries[/0] and [bold]x")], seconds=1))
    assert "spec.entries[/0] and [bold]x" in said(shown)


def test_it_returns_the_conditions_once_ready() -> None:
    shown = console()
    found = wait_until_ready("a/b", read=one_after_another([], WAITING, [READY]), deadline=60, console=shown)
    assert found == [READY]


def test_elsewhere_than_on_a_terminal_a_line_is_printed_for_every_change_and_only_then() -> None:
    shown = console()
    read = one_after_another(WAITING, WAITING, WAITING, [READY])
    wait_until_ready("a/b", read=read, deadline=60, console=shown)
    lines = said(shown).splitlines()
    assert len(lines) == len(WAITING) + 1
    assert lines[0].endswith("CertificateValid: False WaitingForCertificate: certificate gateway-tls is not issued yet")
    assert lines[-1].endswith("Ready: True Ready: 9 promises kept")


def test_on_a_terminal_the_view_stays_in_place_and_is_gone_at_the_end() -> None:
    shown = console(terminal=True)
    wait_until_ready("a/b", read=one_after_another(WAITING, [READY]), deadline=60, console=shown)
    assert "s] CertificateValid" not in said(shown)


def test_a_timeout_names_what_is_missing_and_why() -> None:
    with pytest.raises(TimeoutError) as raised:
        wait_until_ready(
            "a/b", read=lambda: [*WAITING, condition("Kept", "True", "Kept", "fine")], deadline=-1, console=console()
        )
    message = str(raised.value)
    assert message.startswith("a/b is not Ready after 0 s: ")
    assert "CertificateValid: certificate gateway-tls is not issued yet" in message
    assert "WorkloadReady: waits for CertificateValid" in message
    assert "fine" not in message


def test_a_timeout_without_any_condition_says_so() -> None:
    with pytest.raises(TimeoutError, match=r"a/b is not Ready after 0 s: no condition at all"):
        wait_until_ready("a/b", read=list, deadline=-1, console=console())
