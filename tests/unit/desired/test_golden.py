"""Every shipped example of a cluster, and all that becomes of it: a change of any line shows here before it restarts anything."""

from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.desired.samples import EXAMPLE_SETS, EXAMPLES, documents, example, of_kind
from zilliz_operator.desired.cluster import children

GOLDEN = Path(__file__).parent / "golden"


class _Block(yaml.SafeDumper):
    """Multi-line text as blocks, so that a diff of it can be read."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Block.add_representer(str, _text)
_Block.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]


def written(objects: list[dict[str, Any]]) -> str:
    text: str = yaml.dump_all(objects, Dumper=_Block, sort_keys=True, width=120)
    return text


@pytest.mark.parametrize("name", EXAMPLE_SETS)
def test_example_becomes_exactly_what_is_written_down(name: str, update_golden: bool) -> None:
    found = written(children(*example(name)))
    path = GOLDEN / name / "expected.yaml"
    if update_golden:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    diff = list(
        unified_diff(path.read_text().splitlines(), found.splitlines(), "written down", "built now", lineterm="")
    )
    if diff:
        pytest.fail(
            "\n".join([*diff, "", "if this is meant: pytest tests/unit/desired --update-golden"]), pytrace=False
        )


def test_every_example_of_a_cluster_is_covered() -> None:
    covered = {file for files, _ in EXAMPLE_SETS.values() for file in files}
    restored = {"restore-recycled.yaml"}  # a cluster like any other, but for where it starts from
    entries = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix == ".yaml" or path.is_dir())
    with_cluster = {name for name in entries if of_kind(documents(name), "ZillizCluster")}
    assert with_cluster <= covered | restored


def test_building_twice_gives_the_same() -> None:
    ctx, facts = example("quickstart")
    assert children(ctx, facts) == children(ctx, facts)
