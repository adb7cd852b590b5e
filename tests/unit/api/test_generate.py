"""What is derived from the API: fresh, deterministic, structural, and examples that every rule lets pass."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from zilliz_operator.api.crd import crds
from zilliz_operator.api.generate import main, outputs, stale, write
from zilliz_operator.api.names import API_VERSION
from zilliz_operator.api.registry import RESOURCES
from zilliz_operator.api.validate import validate

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "manifests" / "examples").rglob("*.yaml"))
LIGHT = ("names", "confighash", "exceptions", "kinds", "conditions", "promises", "outside")


def test_committed_files_are_fresh() -> None:
    assert stale() == []


def test_check_tells_and_write_cures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write(tmp_path) == list(outputs(tmp_path))
    assert write(tmp_path) == []
    (tmp_path / "crds" / "old.yaml").write_text("")
    page = tmp_path / "docs" / "security.md"
    page.write_text(page.read_text().replace("Kept.", "Kept!", 1))
    assert [each.splitlines()[0] for each in stale(tmp_path)] == [
        "--- docs/security.md",
        "crds/old.yaml: no source writes it any more",
    ]
    assert write(tmp_path) == ["docs/security.md", "crds/old.yaml"]
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_output_does_not_depend_on_the_run() -> None:
    """Hash seeds differ from process to process."""
    code = (
        "import hashlib; from zilliz_operator.api.generate import outputs; "
        "print(hashlib.sha256(repr(outputs()).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": str(ROOT / "operator"), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_stay_light(module: str) -> None:
    """The agent imports them in every gateway pod."""
    code = f"import zilliz_operator.api.{module}, sys; print('pydantic' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "False"


def nodes(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below, by path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


ALL_NODES = [
    (f"{definition['spec']['names']['kind']}.{path}", path, node)
    for definition in crds()
    for path, node in nodes(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "")
]


def test_schema_defaults_are_scalars_directly_under_spec() -> None:
    found = [(path, node["default"]) for _, path, node in ALL_NODES if "default" in node]
    assert ("spec.deletionProtection", True) in found
    for path, default in found:
        assert path.startswith("spec.")
        assert path.count(".") == 1
        assert isinstance(default, bool | int | str)


def test_every_field_is_described_and_bounded() -> None:
    for name, path, node in ALL_NODES:
        if path in ("", "apiVersion", "kind", "metadata"):
            continue
        assert "type" in node, name
        if not path.endswith("[]"):
            assert node.get("description", "").endswith((".", ">.", ")")), f"{name}: {node.get('description')}"
        if path.startswith("spec") and node["type"] == "string":
            assert {"maxLength", "enum", "format"} & node.keys(), f"{name} has no upper bound: rules cannot be priced"
        if path.startswith("spec") and node["type"] == "array":
            assert "maxItems" in node, name


def test_the_charts_copy_is_kept_at_uninstallation() -> None:
    text = outputs()["charts/zilliz-operator/templates/crds.yaml"]
    body = text.replace("{{- if .Values.crds.enabled }}\n", "").replace("{{- end }}\n", "")
    assert body != text
    copies = list(yaml.safe_load_all(body))
    for copy, definition in zip(copies, crds(), strict=True):
        assert copy["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert copy == definition


def documents() -> Iterator[Any]:
    for path in EXAMPLES:
        for number, obj in enumerate(yaml.safe_load_all(path.read_text())):
            yield pytest.param(obj, id=f"{path.relative_to(ROOT / 'manifests' / 'examples')}#{number}")


@pytest.mark.parametrize("obj", list(documents()))
def test_example_is_valid(obj: dict[str, Any]) -> None:
    if obj["apiVersion"] == API_VERSION:
        assert validate(obj) == ()


def test_there_is_an_example_of_every_kind() -> None:
    shown = {obj["kind"] for path in EXAMPLES for obj in yaml.safe_load_all(path.read_text())}
    assert RESOURCES.keys() <= shown
