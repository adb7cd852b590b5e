"""No generated secret is anywhere but in the Secrets meant for it: not in a log, an object, an event or a command line.

Two searches over the same places: for every secret in every spelling, which must find nothing; and for a public word that must
be found in each kind of place, so that a search which looks nowhere cannot pass.
"""

import base64
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.node.harness import OPERATOR_NAMESPACE, ROOT, Cluster, Manifest, Product
from tools.devcluster import store

PRIVATE = ("password", "token", "db_admin", "secretAccessKey", "tls.key", "technical-seed")
"""Keys of Secrets whose values are secret. Other values are public (certificates, addresses, names)."""


@dataclass(frozen=True)
class Value:
    """A secret value and the Secrets that hold it."""

    name: str
    text: str
    homes: frozenset[str]


@pytest.fixture(scope="module")
def values(product: Product, quickstart: Cluster, other: Cluster) -> list[Value]:
    """Every secret that the product generated or was handed."""
    found: dict[str, set[str]] = defaultdict(set)
    named: dict[str, str] = {}
    for secret in product.list("Secret"):
        place = f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"
        if "/sh.helm.release." in place:
            continue
        for key, encoded in (secret.get("data") or {}).items():
            text = base64.b64decode(encoded).decode()
            if key in PRIVATE or place.startswith(f"{OPERATOR_NAMESPACE}/credentials-"):
                named.setdefault(text, f"{place}[{key}]")
            found[text].add(place)
            for user, password in (line.split() for line in text.splitlines() if key == "users.map"):
                named.setdefault(password, f"{place}[{user}]")
                found[password].add(place)
    kept = [Value(named[text], text, frozenset(found[text])) for text in named if len(text) >= 16]
    names = " ".join(value.name for value in kept)
    for cluster in (quickstart, other):
        for part in (
            "milvus-root[password]",
            "technical-users[technical-seed]",
            "gateway-maps[zt_admin]",
            "store-credentials[secretAccessKey]",
        ):
            assert f"{cluster.namespace}/{part}" in names
        assert f"{cluster.project}/{cluster.name}-key[token]" in names
    return kept


def spellings(value: Value) -> Iterator[str]:
    """How a secret could be written: as it is, as base64, as the base64 of user:password; of a private key, a line of it."""
    if value.text.startswith("-----BEGIN"):
        yield value.text.splitlines()[2]
        yield base64.b64encode(value.text.encode()).decode()[80:160]
        return
    yield value.text
    for prefix in ("", "root:", "db_admin:", "zt_admin:", "zt_operator:", "zt_viewer:", "quickstart:", "other:"):
        yield base64.b64encode((prefix + value.text).encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def needles(values: list[Value]) -> dict[str, str]:
    """Spelling -> which secret it is."""
    return {spelling: value.name for value in values for spelling in spellings(value)}


@pytest.fixture(scope="module")
def places(
    product: Product, quickstart: Cluster, other: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Everything that is written down or shown, each kind of place as a file or a directory."""
    home = tmp_path_factory.mktemp("seen")

    def written(name: str, text: str) -> Path:
        (home / name).write_text(text)
        return home / name

    return {
        "logs of the cluster's parts, with the audit log": product.layout.logs,
        "logs of pods": product.layout.pod_logs,
        "all objects but Secrets": written("objects.json", json.dumps(list(objects(product)))),
        "metadata of Secrets": written("secrets.json", json.dumps([s["metadata"] for s in product.list("Secret")])),
        "command lines": written("commands.txt", "\n".join(command_lines())),
        "what posture prints": written("posture.json", printed(product, "posture")),
        "what doctor prints": written("doctor.json", printed(product, "doctor")),
    }


def objects(product: Product) -> Iterator[Manifest]:
    """Every object of every kind but Secrets."""
    api = product.api
    groups = [group["preferredVersion"]["groupVersion"] for group in api.request("GET", "/apis").must()["groups"]]
    for root in ("/api/v1", *(f"/apis/{group}" for group in groups)):
        for kind in api.request("GET", root).must()["resources"]:
            if "list" in kind["verbs"] and kind["name"] != "secrets":
                for each in api.request("GET", f"{root}/{kind['name']}").must()["items"]:
                    yield {**each, "kind": kind["kind"]}


def command_lines() -> Iterator[str]:
    """Of every process on the machine, pods' too."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has ended


def printed(product: Product, command: str) -> str:
    script = ("env", f"PYTHONPATH={ROOT / 'operator'}:{ROOT}", sys.executable)
    done = product.try_run(*script, "-m", "zilliz_operator.cli", command, "-o", "json")
    return done.stdout + done.stderr


def search(needles: Mapping[str, str], place: Path) -> set[str]:
    """Names of what is found there, with the file. The needles pass by input: a command line would show them."""
    words = ["grep", "-rohaF" if place.is_dir() else "-ohaF", "-f", "-", str(place)]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(words, input="\n".join(needles), capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in (0, 1), done.stderr
    return {needles[line] for line in done.stdout.splitlines()}


def test_no_secret_is_seen_anywhere(needles: dict[str, str], places: dict[str, Path]) -> None:
    assert {place: found for place, path in places.items() if (found := search(needles, path))} == {}


def test_the_search_finds_what_is_there(
    product: Product, quickstart: Cluster, places: dict[str, Path], tmp_path: Path
) -> None:
    """The counterpart: public words are found in each kind of place, in each pod's log, and a secret where it is planted."""
    public = {quickstart.id: "cluster", "kube-apiserver": "binary", "secret-encryption": "a look of doctor"}
    assert {place for place, path in places.items() if search(public, path)} == {*places}
    containers = {path.parent.parent.name for path in product.layout.pod_logs.rglob("*.log") if path.stat().st_size}
    for prefix in (
        f"{OPERATOR_NAMESPACE}_zilliz-operator-",
        f"{quickstart.namespace}_gateway-",
        f"{quickstart.namespace}_milvus-",
    ):
        assert any(name.startswith(prefix) for name in containers), (prefix, containers)
    seen = json.loads(places["all objects but Secrets"].read_text())
    assert {each["kind"] for each in seen} >= {
        "Pod",
        "Event",
        "ConfigMap",
        "ZillizCluster",
        "StatefulSet",
        "DataPlane",
    }
    key = quickstart.key["token"]
    (tmp_path / "log").write_text(f'{{"token": "{key}"}}\n')
    assert search({key: "planted"}, tmp_path) == {"planted"}


def test_every_secret_lives_only_where_it_is_needed(values: list[Value], quickstart: Cluster) -> None:
    vault = f"{OPERATOR_NAMESPACE}/credentials-{quickstart.id}"
    project = f"{quickstart.project}/{quickstart.name}"
    root, technical, bucket = (
        f"{quickstart.namespace}/{name}" for name in ("milvus-root", "technical-users", "store-credentials")
    )
    by_text = {value.text: value.homes for value in values}
    read = quickstart.product.secret
    assert by_text[read("milvus-root", quickstart.namespace)["password"]] == {root, vault}
    assert by_text[read("milvus-root", quickstart.namespace)["db_admin"]] == {root, vault, f"{project}-connection"}
    assert by_text[read("technical-users", quickstart.namespace)["technical-seed"]] == {technical, vault}
    for line in read("gateway-maps", quickstart.namespace)["users.map"].splitlines():
        assert by_text[line.split()[1]] == {f"{quickstart.namespace}/gateway-maps"}
    assert by_text[read("store-credentials", quickstart.namespace)["secretAccessKey"]] == {bucket, vault}
    assert by_text[quickstart.key["token"]] == {f"{project}-key"}
    assert by_text[read(f"{quickstart.name}-user", quickstart.project)["password"]] == {f"{project}-user"}


def test_the_stores_administrator_key_is_in_the_operators_namespace_alone(
    product: Product, values: list[Value]
) -> None:
    _, secret = store.admin_keys(product.layout)
    homes = {value.text: value.homes for value in values}[secret]
    assert homes == {f"{OPERATOR_NAMESPACE}/object-store-admin"}
