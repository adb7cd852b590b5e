"""Values: every one is described, typed and refused in plain words when it is wrong."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tools.generate_manifests import CHART, GenerationError, render, stale, values

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def paths(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{key}.")


def schema_paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in schema.get("properties", {}).items():
        yield prefix + key
        yield from schema_paths(value, f"{prefix}{key}.")


def objects(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield prefix, schema
    for key, value in schema.get("properties", {}).items():
        if "properties" in value:
            yield from objects(value, f"{prefix}.{key}".lstrip("."))


def test_the_schema_knows_every_value() -> None:
    free = ("networkPolicy.dns.podLabels.", "resources.requests.", "resources.limits.")
    unknown = {path for path in paths(VALUES) if not path.startswith(free)} - set(schema_paths(SCHEMA))
    assert not unknown


def test_the_schema_takes_no_other_value() -> None:
    open_objects = [path for path, schema in objects(SCHEMA) if schema.get("additionalProperties") is not False]
    assert not open_objects


def test_every_value_is_described() -> None:
    rows = [row.path for row in values((CHART / "values.yaml").read_text())]
    missing = [
        path
        for path in paths(VALUES)
        if not any(path == row or path.startswith(f"{row}.") or row.startswith(f"{path}.") for row in rows)
    ]
    assert not missing


def test_a_value_without_a_description_is_refused_by_name() -> None:
    with pytest.raises(GenerationError, match=r"image\.tag has no comment above it"):
        values("image:\n  # where\n  repository: x\n  tag: y\n")


def test_derived_files_are_fresh() -> None:
    assert stale() == [], "run `make generate`"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "replica=3"], ["replica", "not allowed"]),
        (["--set", "replicas=0"], ["/replicas", "minimum"]),
        (["--set", "replicas=two"], ["/replicas", "want integer"]),
        (["--set", "image.pullPolicy=Sometimes"], ["/image/pullPolicy", "'Always', 'IfNotPresent', 'Never'"]),
        (["--set", "image.digest=sha256:abc"], ["/image/digest", "pattern"]),
        (["--set", "networkPolicy.apiServer.cidrs={10.0.0.1}"], ["/networkPolicy/apiServer/cidrs/0", "pattern"]),
        (["--set", "networkPolicy.objectStore.ports={70000}"], ["/networkPolicy/objectStore/ports/0", "maximum"]),
        (["--set", "serviceAccount.name=Bad_Name"], ["/serviceAccount/name", "pattern"]),
        (
            ["--set", "admissionPolicies.deletionProtection=yes"],
            ["/admissionPolicies/deletionProtection", "want boolean"],
        ),
        (["--set", "dataPlane.create=true"], ["/dataPlane/spec", "versions", "objectStorage", "certificates"]),
        (["--set", "dataPlane.create=true,dataPlane.name=Bad.Name"], ["/dataPlane/name", "pattern"]),
        (["--set", "extraEnv[0].nane=x"], ["/extraEnv/0", "nane"]),
        (["--set", "metrics.serviceMonitor.interval=often"], ["/metrics/serviceMonitor/interval", "pattern"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(arguments: list[str], words: list[str]) -> None:
    with pytest.raises(GenerationError) as refusal:
        render(*arguments)
    assert [word for word in words if word not in str(refusal.value)] == [], str(refusal.value)
