"""Every sentence of the security page has a row, and every test that a row names exists."""

import ast
from functools import cache
from pathlib import Path

import pytest

from zilliz_operator.api.promises import PAGE, PROMISES, Claim, Promise, sentences

ROOT = Path(__file__).parents[3]


def test_every_sentence_has_its_row_in_order() -> None:
    assert [(promise.section, promise.sentence) for promise in PROMISES] == list(sentences())


def test_a_new_sentence_would_be_missed() -> None:
    more = PAGE + "\nBackups are tried every week. Nobody sleeps.\n"
    assert list(sentences(more))[len(PROMISES) :] == [
        ("Summary", "Backups are tried every week."),
        ("Summary", "Nobody sleeps."),
    ]


def test_ids_are_unique() -> None:
    assert len({promise.id for promise in PROMISES}) == len(PROMISES)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_a_claim_is_proved(promise: Promise) -> None:
    assert promise.status_note.endswith(".")
    if promise.claim in (Claim.KEPT, Claim.PARTLY):
        assert promise.tests, "kept by nothing"
    if promise.claim is Claim.KEPT:
        assert promise.condition, "no condition says whether it holds now"


@pytest.mark.parametrize("test", sorted({test for promise in PROMISES for test in promise.tests}))
def test_named_test_exists(test: str) -> None:
    path, *names = test.split("::")
    assert names[-1].startswith("test_")
    assert tuple(names) in defined(path)


@cache
def defined(path: str) -> frozenset[tuple[str, ...]]:
    """Every test function of a file, by (class, …, name)."""
    return frozenset(_functions(ast.parse((ROOT / path).read_text()), ()))


def _functions(node: ast.AST, outer: tuple[str, ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append((*outer, child.name))
        elif isinstance(child, ast.ClassDef):
            found += _functions(child, (*outer, child.name))
    return found
