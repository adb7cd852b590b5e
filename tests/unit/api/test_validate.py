"""The rules' Python twins agree with the table that the API server is held to as well
(tests/apiserver/test_crds.py)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.api.cases import ALLOW, BAD, GOOD, Case, change
from zilliz_operator.api.cidrs import has_host_bits, is_anywhere, is_cidr, parse_cidr
from zilliz_operator.api.registry import RESOURCES
from zilliz_operator.api.rules import Rule
from zilliz_operator.api.validate import validate, walk

RULES: list[tuple[str, Rule]] = [(kind, rule) for kind, resource in RESOURCES.items() for rule in resource.RULES]


def _rule_id(value: Any) -> str:
    return value if isinstance(value, str) else value.message[:40]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_accepts(case: Case) -> None:
    assert validate(case.manifest, case.before) == ()


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case.kind}-{case.id}")
def test_refuses_and_names_the_field_and_the_remedy(case: Case) -> None:
    found = {finding.path: finding.message for finding in validate(case.manifest, case.before)}
    assert found.keys() == case.refused.keys()
    for path, words in case.refused.items():
        assert words in found[path]


@pytest.mark.parametrize(("kind", "rule"), RULES, ids=_rule_id)
def test_every_rule_is_tried_both_ways(kind: str, rule: Rule) -> None:
    """No rule is left that no case breaks, and none that no good object passes."""
    bad = [case for case in BAD if case.kind == kind and not case.schema]
    assert any(_judged(rule, case) is False for case in bad), "no case breaks it"
    assert any(_judged(rule, case) is True for case in GOOD if case.kind == kind), "no good object meets it"


def _judged(rule: Rule, case: Case) -> bool | None:
    """Whether the case passes the rule; None when the rule has nothing to look at."""
    model = RESOURCES[case.kind]
    resource = model.parse(case.manifest)
    values = dict(walk(resource, rule.path))
    if rule.check is not None:
        return all(rule.check(value) for value in values.values()) if values else None
    assert rule.transition is not None
    if case.before is None:
        return None
    before = dict(walk(model.parse(case.before), rule.path))
    return all(rule.transition(values[path], before[path]) for path in values.keys() & before.keys())


def test_each_rule_has_exactly_one_twin() -> None:
    for _, rule in RULES:
        assert (rule.check is None) != (rule.transition is None), rule.message


def test_unknown_kind_and_unknown_field_are_told() -> None:
    assert "write one of ZillizCluster" in str(*validate({"kind": "Cluster", "spec": {}}))
    (finding,) = validate({"kind": "Allowlist", "spec": change(ALLOW, "entires", [])})
    assert finding.path == "spec.entires"
    assert finding.message == "is not a field of this kind: remove it or correct its spelling"


def test_the_nearest_name_is_told() -> None:
    subjects = [{"kind": "ApiKey", "name": "k", "secretName": "k"}]

    def said(**spec: Any) -> str:
        whole = {"level": "Project", "subjects": subjects, **spec}
        return " ".join(map(str, validate({"kind": "AccessPolicy", "metadata": {"name": "p"}, "spec": whole})))

    assert "did you mean DataViewer?" in said(role="DataViewr")
    for wrong, right in {
        "search": "Search",
        "CollectionReadonly": "CollectionReadOnly",
        "PrivilegeInsert": "Insert",
        "drop_collection": "DropCollection",
    }.items():
        assert f"did you mean {right}?" in said(grants=[{"privileges": [wrong]}])
    assert "did you mean" not in said(role="Xyzzy") + said(grants=[{"privileges": ["Xyzzy"]}])


def test_input_values_never_reach_a_message() -> None:
    """Somebody will paste a password into the wrong field."""
    secret: Any = "hunter2-correct-horse"
    for path in ("version", "tls.duration", "size.cuSize", "storage.volumeSize"):
        for finding in validate({"kind": "ZillizCluster", "metadata": {"name": "a"}, "spec": change({}, path, secret)}):
            assert secret not in str(finding)


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_block_is_either_canonical_or_has_host_bits(address: Any, length: int) -> None:
    text = f"{address}/{length}"
    block = parse_cidr(text)
    assert is_cidr(text) == (block is not None)
    if block is not None:
        assert has_host_bits(text) != (block.network_address == address)
        assert is_anywhere(text) == is_anywhere(str(block))
        assert not has_host_bits(str(block))
