"""Rotating a key pair: by age, by request, after a loss; never two at once, never a key left over, never one taken that is in use."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zilliz_operator.policy.storekeys import LISTED_AFTER, Cause, Held, Marks, Seen, decide, request_mark

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAYS = timedelta(days=90)
FRESH = Marks(NOW - timedelta(days=1), Cause.FIRST)
OLD = Marks(NOW - DAYS, Cause.FIRST)


def held(current: str | None = "K1", previous: str | None = None, marks: Marks = FRESH) -> Held:
    return Held(current=current, previous=previous, marks=marks)


def seen(*active: str, moved: bool = True, asked: str = "", window_open: bool = True, inactive: str = "") -> Seen:
    listed = dict.fromkeys(active, True) | ({inactive: False} if inactive else {})
    mark = request_mark(asked)
    return Seen(listed=listed, moved=moved, asked=mark, window_open=window_open, now=NOW, rotate_after=DAYS)


def test_at_rest_nothing_is_made_and_nothing_changes() -> None:
    found = decide(held(), seen("K1"))
    assert (found.make, found.keep, found.previous, found.marks, found.wait) == (None, {"K1"}, None, FRESH, None)


def test_a_first_key_answers_a_request_that_was_there_before_it() -> None:
    found = decide(held(None, marks=Marks()), seen(asked="now"))
    assert (found.make, found.keep) == (Cause.FIRST, frozenset())
    assert found.marks == Marks(NOW, Cause.FIRST, request_mark("now"))


def test_keys_that_somebody_minted_go_without_a_rotation() -> None:
    found = decide(held(), seen("K1", "minted", "another"))
    assert (found.make, found.keep) == (None, {"K1"})


def test_age_makes_a_new_one_beside_the_old_in_the_window() -> None:
    found = decide(held(marks=OLD), seen("K1"))
    assert (found.make, found.keep, found.previous) == (Cause.AGE, {"K1"}, "K1")
    assert decide(held(marks=OLD), seen("K1", window_open=False)).make is None
    nearly = replace(OLD, made=NOW - DAYS + timedelta(seconds=1))
    assert decide(held(marks=nearly), seen("K1")).make is None


def test_a_request_is_acted_on_once_and_waits_for_no_window() -> None:
    found = decide(held(), seen("K1", asked="leaked", window_open=False))
    assert (found.make, found.keep, found.previous) == (Cause.ASKED, {"K1"}, "K1")
    done = held("K2", marks=found.marks)
    assert decide(done, seen("K2", asked="leaked")).make is None
    assert decide(done, seen("K2")).make is None
    assert decide(done, seen("K2", asked="again")).make is Cause.ASKED


def test_the_old_key_stays_until_milvus_has_moved() -> None:
    moving = held("K2", "K1")
    assert decide(moving, seen("K1", "K2", moved=False)).keep == {"K1", "K2"}
    assert decide(moving, seen("K1", "K2", moved=False)).previous == "K1"
    after = decide(moving, seen("K1", "K2", moved=True))
    assert (after.keep, after.previous, after.make) == ({"K2"}, None, None)


def test_keys_minted_during_a_move_go_too() -> None:
    assert decide(held("K2", "K1"), seen("K1", "K2", "minted", moved=False)).keep == {"K1", "K2"}


@pytest.mark.parametrize("marks", [OLD, FRESH])
def test_no_second_rotation_begins_during_a_move(marks: Marks) -> None:
    assert decide(held("K2", "K1", marks), seen("K1", "K2", moved=False, asked="again")).make is None


def test_a_request_hurries_a_move_that_waits_for_its_window_and_is_acted_on_after_it() -> None:
    aged = Marks(NOW, Cause.AGE)
    during = decide(held("K2", "K1", aged), seen("K1", "K2", moved=False, asked="leaked"))
    assert (during.make, during.marks) == (None, Marks(NOW, Cause.ASKED))
    after = decide(held("K2", None, during.marks), seen("K2", asked="leaked"))
    assert after.make is Cause.ASKED


def test_a_lost_key_is_replaced_at_once_and_the_one_that_pods_run_with_stays() -> None:
    assert decide(held(), seen(window_open=False)).make is Cause.LOST
    moving = decide(held("K2", "K1"), seen("K1", moved=False))
    assert (moving.make, moving.keep, moving.previous) == (Cause.LOST, {"K1"}, "K1")
    assert decide(held(), seen(inactive="K1")).make is Cause.LOST


def test_a_move_waits_for_no_window_once_the_key_that_pods_run_with_is_gone() -> None:
    aged = Marks(NOW, Cause.AGE)
    found = decide(held("K2", "K1", aged), seen("K2", moved=False, window_open=False))
    assert (found.make, found.keep, found.previous) == (None, {"K2"}, None)
    assert found.marks == Marks(NOW, Cause.LOST)


def test_a_key_just_made_is_not_lost_because_the_store_is_slow_to_list_it() -> None:
    young = Marks(NOW - LISTED_AFTER / 2, Cause.ASKED)
    found = decide(held("K2", "K1", young), seen("K1", moved=False))
    assert (found.make, found.keep, found.previous) == (None, {"K1"}, "K1")
    assert found.wait == pytest.approx(LISTED_AFTER.total_seconds() / 2)
    assert decide(held("K2", "K1", young), seen("K1", inactive="K2")).make is Cause.LOST


@pytest.mark.parametrize("made", [None, NOW + timedelta(days=3)], ids=["unknown", "in the future"])
def test_an_age_that_cannot_be_is_counted_from_now(made: datetime | None) -> None:
    found = decide(held(marks=Marks(made)), seen("K1"))
    assert (found.make, found.marks.made) == (None, NOW)


def test_a_request_may_be_any_text_and_is_not_kept_as_it_was_written() -> None:
    assert request_mark("") == ""
    assert len(request_mark("x" * 100_000)) == 16
    assert "leak" not in request_mark("leak")


def test_no_key_is_shown_when_a_decision_is_printed() -> None:
    situation = held("AKSECRET2", "AKSECRET1"), seen("AKSECRET1", "AKSECRET2", moved=False)
    assert "AKSECRET" not in repr(situation) + repr(decide(*situation))


# ---- whole stories --------------------------------------------------------------------------------------------------------


@dataclass
class Story:
    """A store, a vault, a Secret and a pod; an operator that dies wherever the story says."""

    keys: set[str] = field(default_factory=set)
    vault: Held = field(default_factory=lambda: Held(current=None, previous=None, marks=Marks()))
    secret: str | None = None
    pod: str | None = None
    now: datetime = NOW
    made: int = 0

    def step(self, *, asked: str, window_open: bool, dies_after: int) -> None:
        """One pass. `dies_after` writes the operator is gone."""
        writes = 0
        looked = Seen(
            listed=dict.fromkeys(self.keys, True),
            moved=self.pod in (None, self.vault.current),
            asked=request_mark(asked),
            window_open=window_open,
            now=self.now,
            rotate_after=DAYS,
        )
        found = decide(self.vault, looked)
        current = self.vault.current
        if self.keys - found.keep:
            self.keys &= found.keep
            if (writes := writes + 1) > dies_after:
                return
        if found.make:
            self.made += 1
            current = f"K{self.made}"
            self.keys.add(current)
            assert len(self.keys) <= 2, "AWS gives two at most"
            if (writes := writes + 1) > dies_after:
                return
        after = Held(current=current, previous=found.previous, marks=found.marks)
        if after != self.vault:
            self.vault = after
            if (writes := writes + 1) > dies_after:
                return
        if self.secret != current:
            self.secret = current
            if (writes := writes + 1) > dies_after:
                return
        held_back = not window_open and self.vault.marks.cause is Cause.AGE and self.pod is not None
        if self.pod != self.secret and not held_back:
            self.pod = self.secret


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "a", "b"]),
            st.booleans(),
            st.integers(0, 5),
            st.sampled_from([0, 1, 100]),
            st.booleans(),
        ),
        max_size=25,
    )
)
def test_whatever_happens_the_pod_has_a_key_that_opens_and_in_the_end_there_is_one(
    events: list[tuple[str, bool, int, int, bool]],
) -> None:
    story = Story()
    for asked, window_open, dies_after, days, minted in events:
        story.now += timedelta(days=days, minutes=1)
        if minted and len(story.keys) < 2:
            story.keys.add("minted")
        story.step(asked=asked, window_open=window_open, dies_after=dies_after)
        assert story.pod is None or story.pod in story.keys, "Milvus runs with a key that was taken away"
    for _ in range(6):
        story.now += timedelta(minutes=1)
        story.step(asked="b", window_open=True, dies_after=9)
    assert story.keys == {story.pod} == {story.secret} == {story.vault.current}
    assert story.vault.previous is None
    before = (story.made, story.vault)
    story.step(asked="b", window_open=True, dies_after=9)
    assert (story.made, story.vault) == before
