"""Posture: each sentence kept, broken or not yet, never better than what was seen; and the status command beside it."""

import argparse
import json
from typing import Any

import pytest

from zilliz_operator.api.conditions import ConditionType
from zilliz_operator.api.promises import PROMISES, Claim, Promise
from zilliz_operator.cli import main, posture, status

T = ConditionType


def promise(claim: Claim = Claim.KEPT, condition: ConditionType | None = T.STORAGE_SECURED) -> Promise:
    return Promise("at-rest", "Data is encrypted.", "At Rest", claim, condition, ("tests/x.py::y",), "what is missing")


def cluster(name: str = "search", **conditions: str) -> dict[str, Any]:
    told = [{"type": type, "status": s, "message": f"{type} of {name}"} for type, s in conditions.items()]
    return {"metadata": {"name": name, "namespace": "team-a"}, "status": {"conditions": told}}


@pytest.mark.parametrize(
    ("claim", "statuses", "expected"),
    [
        (Claim.KEPT, ["True"], posture.KEPT),
        (Claim.KEPT, ["True", "True"], posture.KEPT),
        (Claim.KEPT, ["True", "False"], posture.BROKEN),
        (Claim.KEPT, ["True", "Unknown"], posture.NOT_YET),
        (Claim.KEPT, ["Unknown", "False"], posture.BROKEN),
        (Claim.KEPT, [], posture.NOT_YET),
        (Claim.PARTLY, ["True"], posture.NOT_YET),
        (Claim.PARTLY, ["False"], posture.BROKEN),
        (Claim.NOT_YET, ["True"], posture.NOT_YET),
        (Claim.NOT_YET, ["False"], posture.NOT_YET),
    ],
)
def test_a_sentence_is_judged_by_all_clusters(claim: Claim, statuses: list[str], expected: str) -> None:
    clusters = [cluster(f"c{n}", StorageSecured=each) for n, each in enumerate(statuses)]
    assert posture.judge(promise(claim), clusters).state == expected


def test_other_conditions_do_not_count() -> None:
    assert posture.judge(promise(), [cluster(NetworkIsolated="True")]).state == posture.NOT_YET
    found = posture.judge(promise(), [cluster(StorageSecured="True", NetworkIsolated="False")])
    assert found.state == posture.KEPT


def test_a_sentence_without_a_condition_is_not_said_to_be_kept() -> None:
    assert posture.judge(promise(condition=None), [cluster(StorageSecured="True")]).state == posture.NOT_YET


def test_one_cluster_that_says_nothing_yet_is_no_proof_for_the_others() -> None:
    found = posture.judge(promise(), [cluster(StorageSecured="True"), {**cluster("new"), "status": {}}])
    assert found.state == posture.NOT_YET


def test_the_evidence_names_cluster_and_words() -> None:
    found = posture.judge(promise(), [cluster(StorageSecured="True")])
    assert found.evidence == ("team-a/search: StorageSecured of search",)
    assert found.tests == ("tests/x.py::y",)


def test_every_sentence_that_promises_something_has_a_row() -> None:
    rows = posture.findings([])
    assert [row.id for row in rows] == [p.id for p in PROMISES if p.claim is not Claim.NONE]
    assert {row.state for row in rows} == {posture.NOT_YET}


def test_the_text_says_what_is_missing_and_counts() -> None:
    rows = [
        posture.judge(promise(c), [cluster(StorageSecured=s)])
        for c, s in ((Claim.KEPT, "True"), (Claim.NOT_YET, "True"))
    ]
    lines = posture.text(rows).splitlines()
    assert lines[0] == "At Rest"
    assert lines[-1] == "1 kept, 0 broken, 1 not yet"
    assert sum("what is missing" in line for line in lines) == 1


@pytest.mark.parametrize(("state", "code"), [("True", 0), ("False", 1), ("Unknown", 0)])
def test_the_exit_code_tells_whether_anything_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, code: int
) -> None:
    every = {str(p.condition): state for p in PROMISES if p.condition}
    monkeypatch.setattr(posture, "with_kube", lambda _options, _work: [cluster(**every)])
    assert posture.command(argparse.Namespace(namespace=None, output="json")) == code
    shown = json.loads(capsys.readouterr().out)
    assert {"id", "section", "sentence", "state", "condition", "evidence", "tests", "note"} == set(shown[0])


def test_status_prints_every_condition_with_its_mark() -> None:
    shown = status.lines(cluster(StorageSecured="True", EndpointVerified="False", AccessApplied="Unknown"))
    assert [line.split()[0] for line in shown[1:]] == ["✓", "✗", "?"]
    assert "not seen by the operator yet" in status.lines({"metadata": {"name": "x", "namespace": "y"}})[0]


@pytest.mark.parametrize(
    ("found", "name", "code"),
    [
        ([cluster(Ready="True")], None, 0),
        ([cluster(Ready="True"), cluster("b", Ready="Unknown")], None, 1),
        ([], None, 0),
        ([], "search", 1),
    ],
)
def test_status_exits_by_readiness(
    monkeypatch: pytest.MonkeyPatch, found: list[dict[str, Any]], name: str | None, code: int
) -> None:
    monkeypatch.setattr(status, "with_kube", lambda _options, _work: found)
    assert status.command(argparse.Namespace(namespace=None, name=name)) == code


def test_an_error_is_a_sentence_and_exit_1(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    missing = tmp_path / "nowhere.yaml"
    assert main.main(["posture", "--kubeconfig", str(missing)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "nowhere.yaml" in said


def test_help_needs_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["--help"])
    assert ended.value.code == 0
    assert "posture" in capsys.readouterr().out
