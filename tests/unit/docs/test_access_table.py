"""The tables that `make access-report` compares reality with: they say what the pages say, and a difference would be seen."""

import datetime as dt
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.node import access_kubernetes, access_report, may, may_kubernetes, may_tokens
from tests.node.access_door import Row, Subject
from tests.node.may import Attempt

DOCS = Path(__file__).resolve().parents[3] / "docs"
ROLES = DOCS / "reference" / "roles.md"


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def allowed(rights: Iterable[may.Right]) -> set[Attempt]:
    return {attempt for attempt in may.ATTEMPTS if may.expected(rights, attempt) == may.DONE}


def test_roles_are_those_of_the_page_and_each_holds_what_the_one_before_holds() -> None:
    page = (DOCS / "kinds" / "accesspolicy.md").read_text()
    for role in may.ROLES:
        assert f"`{role}`" in page
    viewer, operator, admin = (allowed(may.ROLES[role]) for role in ("DataViewer", "DataOperator", "DataAdmin"))
    assert viewer < operator < admin
    assert allowed(may.ROLES["ProjectAdmin"]) == admin
    assert {attempt.action for attempt in viewer} == may.READ | may.DESCRIBE | may.LIST | may.SEE


def test_users_and_roles_of_milvus_are_given_to_nobody_who_is_not_given_them_by_name() -> None:
    for role, rights in may.ROLES.items():
        assert not {attempt.action for attempt in allowed(rights)} & may.PEOPLE, role
    given = {name for name, custom in may.GRANTS.items() if {a.action for a in allowed(custom.rights)} & may.PEOPLE}
    assert given == {"onlooker"}


def test_a_grant_on_a_collection_gives_nothing_on_another() -> None:
    for name in ("reader-of-docs", "writer-of-docs"):
        touched = {
            a.place for a in allowed(may.GRANTS[name].rights) if a.action not in may.DESCRIBE and a.way == may.GRPC
        }
        assert touched == {"default.docs"}


def test_every_attempt_can_be_tried() -> None:
    script = (DOCS.parent / "tests" / "node" / "attempts.py").read_text()
    for attempt in {*may.ATTEMPTS, *may.KNOCKS}:
        assert f"def _{attempt.way}_{attempt.action.replace(' ', '_')}(" in script, attempt
    assert len(set(may.ATTEMPTS)) == len(may.ATTEMPTS)


def test_every_token_is_either_let_in_or_refused_for_a_reason() -> None:
    assert len({token.said for token in may_tokens.TOKENS}) == len(may_tokens.TOKENS)
    for token in may_tokens.TOKENS:
        assert bool(token.rights) != bool(token.refused), token.said
        assert set(token.claims.get("groups", ())) <= {*may_tokens.PEOPLE, "x", "accounting"}


def test_rights_at_the_kubernetes_api_are_those_of_the_page() -> None:
    page = ROLES.read_text()
    what = cells(page.partition("## What")[2].partition("##")[0])
    header, rows = what[0], what[2:]
    assert [row[0] for row in rows] == list(may_kubernetes.OURS)
    for column, role in enumerate(header[1:], start=1):
        rights = may_kubernetes.rights(role, may_kubernetes.OTHER)
        said = {
            (may_kubernetes.OTHER, row[0]): row[column] for row in rows if row[column] != "-" and row[0] != "DataPlane"
        }
        assert {key: each for key, each in rights.items() if key[0] == may_kubernetes.OTHER} == said, role


def test_who_hands_out_what_is_as_the_page_says() -> None:
    lines = dict(cells(ROLES.read_text().partition("## Who may hand out what")[2])[2:])
    for person in may_kubernetes.PEOPLE:
        if person.level in ("Project", "Organization") and person.role:
            said = set(re.findall(r"\w+", lines[person.role])) - {"nothing", "OrganizationOwner"}
            if (person.level, person.role) != ("Organization", "DataViewer"):
                assert person.hands_out == said, person.said


@pytest.fixture
def found() -> access_report.Found:
    subject = Subject(kind="API key", name="DataViewer", token="t", rights=may.VIEWER)
    rows = [
        Row(
            kind=subject.kind,
            subject=subject.name,
            attempt=each,
            expected=subject.expects(each),
            seen=subject.expects(each),
        )
        for each in may.ATTEMPTS
    ]
    asked = access_kubernetes.Row(
        person="DataViewer of the project",
        place="own project",
        kind="Pod",
        action="list",
        expected="refused",
        seen="refused",
    )
    return access_report.Found(
        date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        machine="a machine",
        revision="abc",
        clusters=["a/b"],
        evidence=(),
        door=rows,
        kubernetes=[asked],
    )


def test_a_page_without_differences_ends_with_none(found: access_report.Found) -> None:
    assert access_report.page(found).endswith("\ndifferences: 0\n")


def test_a_difference_is_counted_and_told(found: access_report.Found) -> None:
    door = [
        Row(kind=r.kind, subject=r.subject, attempt=r.attempt, expected=r.expected, seen="done") for r in found.door
    ]
    wrong = [row for row in door if row.differs]
    assert len(wrong) > 10
    (asked,) = found.kubernetes
    other = access_kubernetes.Row(
        person=asked.person, place=asked.place, kind=asked.kind, action=asked.action, expected="refused", seen="done"
    )
    page = access_report.page(
        access_report.Found(
            date=found.date, machine="", revision="", clusters=[], evidence=(), door=door, kubernetes=[other]
        )
    )
    assert page.endswith(f"\ndifferences: {len(wrong) + 1}\n")
    assert str(wrong[0]) in page
    assert str(other) in page
