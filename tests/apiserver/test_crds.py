"""The definitions at a real API server: accepted whole, and every rule with what it lets pass and what it refuses.

A control plane without the chart: here nothing but the definitions themselves may refuse.
"""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.client import APPLY, MERGE, Answer, Api, path_of, until
from tests.apiserver.conftest import control_plane
from tests.unit.api.cases import BAD, GOOD, Case
from zilliz_operator.api.crd import crds
from zilliz_operator.api.kinds import KINDS, SHORT_NAMES
from zilliz_operator.api.names import API_VERSION

EXAMPLES = Path(__file__).parents[2] / "manifests" / "examples"
KIND_NAMES = [definition["spec"]["names"]["kind"] for definition in crds()]
READY: dict[str, Any] = {
    "type": "Ready",
    "status": "False",
    "reason": "WaitingForPods",
    "message": "milvus-0 is starting",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-11-24T10:00:00Z",
}


@pytest.fixture(scope="module")
def bare() -> Iterator[Api]:
    """An API server that has our definitions and nothing else of ours."""
    plane = control_plane("crds")
    try:
        api = Api(plane.start())
        for definition in crds():
            api.apply(definition).must()
        for kind in KIND_NAMES:
            until(partial(served, api, kind), what=f"{kind} is served")
        yield api
    finally:
        plane.stop()


def served(api: Api, kind: str) -> bool:
    return api.get(kind).ok


def submit(api: Api, case: Case) -> Answer:
    """Create the object, or change `old` into it, for a trial; unknown fields are errors."""
    trial = {"dryRun": "All", "fieldValidation": "Strict"}
    if case.before is None:
        return api.request("POST", home(case.kind), body=case.manifest, query=trial)
    live = api.create(case.before).must()
    try:
        changed = case.manifest
        changed["metadata"] |= {"resourceVersion": live["metadata"]["resourceVersion"]}
        return api.request("PUT", home(case.kind, case.name), body=changed, query=trial)
    finally:
        api.request("DELETE", home(case.kind, case.name)).must()


def home(kind: str, name: str = "") -> str:
    return path_of(kind, name, namespace="default" if KINDS[kind].namespaced else "")


def scope(kind: str) -> tuple[str, ...]:
    return ("--namespace", "default") if KINDS[kind].namespaced else ()


def kubectl(api: Api, *words: str) -> str:
    """What kubectl prints."""
    program = Path(sys.executable).parent / "kubectl"
    with api.plane.inside():
        done = subprocess.run(
            [program, "--kubeconfig", api.plane.kubeconfig, *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("definition", crds(), ids=KIND_NAMES)
def test_definition_is_structural_and_kept_as_written(bare: Api, definition: dict[str, Any]) -> None:
    live = bare.get("CustomResourceDefinition", definition["metadata"]["name"]).must()
    state = {each["type"]: each["status"] for each in live["status"]["conditions"]}
    assert state["Established"] == "True"
    assert state["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in state
    assert live["spec"]["versions"][0]["schema"] == definition["spec"]["versions"][0]["schema"], (
        "the server changed the schema"
    )


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_accepts(bare: Api, case: Case) -> None:
    assert submit(bare, case).must()["spec"].items() >= case.spec.items()


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case.kind}-{case.id}")
def test_refuses_and_names_the_field_and_the_remedy(bare: Api, case: Case) -> None:
    answer = submit(bare, case)
    assert answer.status == 422, answer.body
    causes = {cause.get("field", ""): cause["message"] for cause in answer.body["details"]["causes"]}
    for path, words in case.refused.items():
        assert words in causes[path or "<nil>"]
    if not case.schema:
        assert {path or "<nil>" for path in case.refused} == causes.keys()


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_defaults_are_scalars_directly_under_spec(bare: Api, case: Case) -> None:
    """What the server adds never lies inside a list or an optional object: GitOps tools would report it for ever."""
    spec = submit(bare, case).must()["spec"]
    added = {key: value for key, value in spec.items() if case.spec.get(key) != value}
    assert all(key not in case.spec and isinstance(value, bool | int | str) for key, value in added.items()), added


@pytest.mark.parametrize("case", [each for each in GOOD if each.old is None], ids=lambda case: case.id)
def test_applied_twice_changes_nothing(bare: Api, case: Case) -> None:
    path, query = home(case.kind, case.name), {"fieldManager": "gitops", "fieldValidation": "Strict"}

    def version() -> Any:
        return bare.request("PATCH", path, body=case.manifest, content=APPLY, query=query).must()["metadata"][
            "resourceVersion"
        ]

    try:
        assert version() == version()
    finally:
        bare.request("DELETE", path).must()


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_example_is_accepted(bare: Api, path: Path) -> None:
    for obj in yaml.safe_load_all(path.read_text()):
        if obj["apiVersion"] == API_VERSION:
            namespace = {"namespace": "default"} if KINDS[obj["kind"]].namespaced else {}
            local = obj | {"metadata": obj["metadata"] | namespace}
            query = {"dryRun": "All", "fieldValidation": "Strict"}
            bare.request("POST", home(obj["kind"]), body=local, query=query).must()


def test_spec_and_status_are_written_apart(bare: Api) -> None:
    case = next(each for each in GOOD if each.id == "cluster-empty")
    live = bare.create(case.manifest | {"status": {"version": "9.9.9"}}).must()
    path = home(case.kind, case.name)
    try:
        assert "status" not in live
        status = {"observedGeneration": 1, "namespace": "milvus-x", "conditions": [READY]}
        patch = {"status": status, "spec": {"dataPlane": "other"}}
        written = bare.request("PATCH", f"{path}/status", body=patch, content=MERGE).must()
        assert written["status"] == status
        assert written["spec"]["dataPlane"] == "default"
        assert written["metadata"]["generation"] == 1
    finally:
        bare.request("DELETE", path).must()


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_columns_say_ready_and_why_first_and_age_last(bare: Api, kind: str) -> None:
    case = next(each for each in GOOD if each.kind == kind)
    bare.create(case.manifest).must()
    path = home(kind, case.name)
    try:
        bare.request("PATCH", f"{path}/status", body={"status": {"conditions": [READY]}}, content=MERGE).must()
        heading, row, *_ = kubectl(bare, "get", SHORT_NAMES[kind], case.name, *scope(kind), "-o", "wide").splitlines()
        assert heading.split()[:3] == ["NAME", "READY", "REASON"]
        assert row.split()[:3] == [case.name, "False", "WaitingForPods"]
        assert READY["message"] in row
        narrow = kubectl(bare, "get", SHORT_NAMES[kind], case.name, *scope(kind)).splitlines()[0]
        assert narrow.split()[-1] == "AGE"
    finally:
        bare.request("DELETE", path).must()


def test_short_names_and_category(bare: Api) -> None:
    """`kubectl get zilliz -A` and `kubectl get zc` find them."""
    served = bare.request("GET", f"/apis/{API_VERSION}").must()["resources"]
    ours = {each["kind"]: (each["shortNames"], each["categories"]) for each in served if "/" not in each["name"]}
    assert ours == {
        definition["spec"]["names"]["kind"]: (definition["spec"]["names"]["shortNames"], ["zilliz"])
        for definition in crds()
    }
