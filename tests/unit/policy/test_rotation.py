"""When a credential is made anew: once a request, once an age, never for any other reason; and what stays valid how long."""

import itertools
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.policy import rotation
from zilliz_operator.policy.rotation import Decision, Marks, Previous, Wish, decide, names_nobody, read, request_mark

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
TOKEN = "app:" + "x" * 24
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def stored(decision: Decision, *, born: datetime | None = None) -> Marks:
    """What the next pass reads."""
    return read(rotation.annotations(decision.marks), born=born)


def test_a_new_credential_is_made_once_and_answers_what_was_asked_before_it() -> None:
    wish = Wish(asked="r1", rotate_after=90 * DAY)
    first = decide(Marks(), wish, token=None, now=NOW)
    assert first.make and first.marks == Marks(made=NOW, answered="r1")
    again = decide(stored(first), wish, token=TOKEN, now=NOW + MINUTE)
    assert not again.make and again.rotates_at == again.look_at == NOW + 90 * DAY


def test_a_request_rotates_exactly_once() -> None:
    marks = Marks(made=NOW - DAY)
    asked = decide(marks, Wish(asked="r1"), token=TOKEN, now=NOW)
    assert asked.make and asked.look_at == NOW + rotation.GRACE
    assert asked.marks.previous == Previous(sha256(TOKEN.encode()).hexdigest(), NOW + rotation.GRACE)
    new = "app:" + "y" * 24
    for later, value in ((MINUTE, "r1"), (2 * MINUTE, ""), (3 * MINUTE, "r1")):
        found = decide(stored(asked), Wish(asked=value), token=new, now=NOW + later)
        assert not found.make and found.marks == asked.marks
    assert decide(stored(asked), Wish(asked="r2"), token=new, now=NOW + MINUTE).make


def test_age_counts_from_the_last_rotation_and_from_birth_where_nothing_is_known() -> None:
    wish = Wish(rotate_after=30 * DAY)
    assert not decide(Marks(made=NOW - 30 * DAY + MINUTE), wish, token=TOKEN, now=NOW).make
    assert decide(Marks(made=NOW - 30 * DAY), wish, token=TOKEN, now=NOW).make
    assert decide(read({}, born=NOW - 31 * DAY), wish, token=TOKEN, now=NOW).make
    unknown = decide(read({}), wish, token=TOKEN, now=NOW)
    assert not unknown.make and unknown.marks.made == NOW
    assert decide(Marks(made=NOW + DAY), wish, token=TOKEN, now=NOW).rotates_at == NOW + 30 * DAY


def test_the_one_before_is_forgotten_at_its_end_and_a_second_rotation_ends_it_early() -> None:
    asked = decide(Marks(made=NOW - DAY), Wish(asked="r1"), token=TOKEN, now=NOW)
    new = "app:" + "y" * 24
    end = NOW + rotation.GRACE
    assert decide(stored(asked), Wish(asked="r1"), token=new, now=end - MINUTE).marks.previous is not None
    assert decide(stored(asked), Wish(asked="r1"), token=new, now=end).marks.previous is None
    second = decide(stored(asked), Wish(asked="r2"), token=new, now=NOW + MINUTE)
    assert second.marks.previous and second.marks.previous.digest == rotation.digest_of(new)


def test_no_grace_is_given_where_none_is_wanted_or_the_credential_could_be_guessed() -> None:
    marks = Marks(made=NOW - DAY)
    assert decide(marks, Wish(asked="r", grace=timedelta(0)), token=TOKEN, now=NOW).marks.previous is None
    assert decide(marks, Wish(asked="r"), token="app:secret", now=NOW).marks.previous is None


def test_what_is_current_is_not_ended_as_the_one_before() -> None:
    """Somebody put the old one back into the Secret."""
    marks = Marks(made=NOW, previous=Previous(rotation.digest_of(TOKEN), NOW + MINUTE))
    assert decide(marks, Wish(), token=TOKEN, now=NOW).marks.previous is None


@pytest.mark.parametrize(
    "change",
    [
        {"byoc.zilliz.com/" + rotation.PREVIOUS: "x" * 64},
        {"byoc.zilliz.com/" + rotation.PREVIOUS_UNTIL: "soon"},
        {"byoc.zilliz.com/" + rotation.PREVIOUS_UNTIL: "2026-11-26T13:00:00"},
        {"byoc.zilliz.com/" + rotation.PREVIOUS_UNTIL: "2099-01-01T00:00:00Z"},
        {"byoc.zilliz.com/" + rotation.PREVIOUS_UNTIL: "2026-11-25T00:00:00Z"},
        {"byoc.zilliz.com/" + rotation.MADE: "x"},
    ],
)
def test_marks_that_we_never_wrote_open_nothing(change: dict[str, str]) -> None:
    good = rotation.annotations(Marks(made=NOW, previous=Previous("ab" * 32, NOW + MINUTE)))
    assert read(good).previous is not None
    assert read(good | change).previous is None


VALUES = {
    "2026-11-26": (True, True),
    "2026/11/26 leak": (True, True),
    "ClusterUser/app 1": (True, False),
    "ApiKey/app": (False, True),
    "ApiKey/ap 1": (False, False),
    "": (False, False),
    "   ": (False, False),
}


@pytest.mark.parametrize(("value", "meant"), VALUES.items())
def test_whom_a_request_means(value: str, meant: tuple[bool, bool]) -> None:
    subjects = {("ClusterUser", "app"), ("ApiKey", "app")}
    assert (
        tuple(bool(request_mark(value, kind=kind, name=name)) for kind, name in sorted(subjects, reverse=True)) == meant
    )
    assert names_nobody(value, subjects) == ("ApiKey/ap" if value.startswith("ApiKey/ap ") else "")


moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(tzinfo=UTC, microsecond=0))


@given(made=moments, until=st.integers(0, 10080), asked=st.sampled_from(["", "r1"]))
def test_marks_survive_being_written_down(made: datetime, until: int, asked: str) -> None:
    marks = Marks(made=made, answered=asked, previous=Previous("ab" * 32, made + until * MINUTE))
    assert read(rotation.annotations(marks)) == marks


@given(steps=st.lists(st.tuples(st.integers(1, 3000), st.sampled_from(["", "r1", "r2"])), min_size=1, max_size=12))
def test_a_second_look_never_rotates_again(steps: list[tuple[int, str]]) -> None:
    now, token, marks, numbers = NOW, TOKEN, Marks(), itertools.count()
    for minutes, asked in steps:
        now += minutes * MINUTE
        wish = Wish(asked=asked, rotate_after=DAY)
        found = decide(marks, wish, token=token, now=now)
        if found.make:
            token = f"app:{next(numbers):024d}"
        marks = stored(found)
        again = decide(marks, wish, token=token, now=now)
        assert not again.make and again.marks == marks
        assert marks.previous is None or now < marks.previous.until <= now + rotation.GRACE
