"""Each entry of a list is told how it stands, and what helps; and that moves only when one ends."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.policy.entries import State, entries_found

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def told(*entries: tuple[str, int | None], refused: bool = False, **spec: Any) -> list[tuple[str, str]]:
    """State and message of each; entries are blocks with their ends in seconds from now."""
    asked = [
        {"cidr": cidr, **({} if end is None else {"expiresAt": (NOW + timedelta(seconds=end)).isoformat()})}
        for cidr, end in entries
    ]
    allowlist = Allowlist.model_validate({"spec": {"entries": asked, **spec}})
    found = entries_found(allowlist, now=NOW, refused=refused)
    assert [each.cidr for each in found] == [cidr for cidr, _ in entries]
    return [(str(each.state), each.message) for each in found]


def test_one_that_admits_has_nothing_to_say() -> None:
    assert told(("203.0.113.0/24", None), ("2001:db8::/48", 5)) == [("Active", "")] * 2


@pytest.mark.parametrize("end", [0, -1, -10_000_000])
def test_an_end_in_the_past_is_said_with_its_remedy(end: int) -> None:
    ((state, message),) = told(("203.0.113.0/24", end))
    assert state == "Expired"
    assert message.startswith("ended on 2026-") and message.endswith("set a later expiresAt, or remove the entry")


def test_one_that_has_ended_and_is_still_admitted_by_another_is_told_by_which() -> None:
    found = told(("203.0.113.7/32", -5), ("203.0.113.0/24", None), ("203.0.0.0/16", -5))
    assert found[0][0] == "Expired" and "but 203.0.113.0/24 of this list still admits it" in found[0][1]
    assert found[2][0] == "Expired" and "remove the entry" in found[2][1]


def test_one_whose_removal_changes_nothing_is_told_so() -> None:
    found = told(
        ("203.0.113.7/32", 5),
        ("203.0.113.0/24", 5),
        ("203.0.113.8/32", 6),
        ("2001:db8::/64", None),
        ("2001:db8::/32", None),
    )
    assert found[0] == ("Active", "inside 203.0.113.0/24 of this list, which admits it at least as long")
    assert found[1] == found[2] == ("Active", "")
    assert found[3][1].startswith("inside 2001:db8::/32")


@pytest.mark.parametrize(
    ("cidr", "words"),
    [
        ("office", "is not a CIDR block"),
        ("::ffff:203.0.113.0/120", "is not a CIDR block"),
        ("203.0.113.7/24", "host bits"),
        ("0.0.0.0/0", "allowAnywhere"),
    ],
)
def test_a_refused_one_is_told_why(cidr: str, words: str) -> None:
    ((state, message),) = told((cidr, None))
    assert state == "Refused"
    assert words in message


def test_in_a_refused_list_no_entry_is_called_active() -> None:
    found = told(("203.0.113.7/24", None), ("198.51.100.0/24", None), ("192.0.2.0/24", -1), refused=True)
    assert [state for state, _ in found] == ["Refused", "Refused", "Expired"]
    assert "host bits" in found[0][1] and "see Ready" in found[1][1]


def test_it_moves_only_when_an_entry_ends() -> None:
    entries = [{"cidr": f"203.0.{n}.0/24", "expiresAt": (NOW + timedelta(hours=n)).isoformat()} for n in range(1, 4)]
    allowlist = Allowlist.model_validate({"spec": {"entries": entries}})
    seen = [entries_found(allowlist, now=NOW + timedelta(minutes=m)) for m in range(0, 240, 10)]
    changes = sum(one != two for one, two in itertools.pairwise(seen))
    assert changes == 3
    assert [each.state for each in seen[0]] == [State.ACTIVE] * 3 and [e.state for e in seen[-1]] == [State.EXPIRED] * 3
