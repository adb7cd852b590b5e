"""No generated secret is anywhere but in the Secrets meant for it: not in a log, an object, an event, a metric or a command line, and
not in what etcd, Milvus and the object store keep on disk. Those that were replaced, and tokens that came by, are nowhere at all.

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

from tests.node import access_tokens, door
from tests.node.harness import OPERATOR_NAMESPACE, ROOT, Cluster, Manifest, Product, ours
from tools.devcluster import store
from zilliz_operator.api import names

PRIVATE = ("password", "token", "db_admin", "secretAccessKey", "tls.key", "technical-seed")
"""Keys of Secrets whose values are secret. Other values are public (certificates, addresses, names)."""

STORE = "the object store's files"
STORES_OWN = ("[accessKeyId]", "[secretAccessKey]")
"""Keys that the store itself gives out, and so knows."""


@dataclass(frozen=True)
class Value:
    """A secret value and the Secrets that hold it."""

    name: str
    text: str
    homes: frozenset[str]


@pytest.fixture(scope="module")
def bygone(product: Product, quickstart: Cluster, tmp_path_factory: pytest.TempPathFactory) -> list[Value]:
    """Secrets that nobody keeps: credentials and inner passwords that were replaced, and a token of single sign-on that was used."""
    directory = tmp_path_factory.mktemp("issuer")
    people = access_tokens.People(product, quickstart)
    try:
        with access_tokens.trusted(product, directory) as issuer:
            people.admit(["viewers"])
            (token,) = (
                each.token for each in access_tokens.subjects(issuer, directory) if each.name == "group viewers"
            )
            said = door.grpc(quickstart, {"token": token}, source=product.office)
            assert "ok" in said["token"], said
            assert door.rest(quickstart, token=token, source=product.office).status == 200
    finally:
        people.remove()
    before = replaced(product, quickstart)
    found = {"a token of single sign-on": token, "the signature of that token": token.rpartition(".")[2], **before}
    return [Value(name, text, frozenset()) for name, text in found.items()]


def replaced(product: Product, cluster: Cluster) -> dict[str, str]:
    """The credentials of a policy, and root's password, before they were made anew; all were used."""
    name, project = "bygone", cluster.project
    subjects = [
        {"kind": "ApiKey", "name": name, "secretName": f"{name}-key"},
        {"kind": "ClusterUser", "name": name, "secretName": f"{name}-user"},
    ]
    spec = {"level": "Cluster", "clusters": {"names": [cluster.name]}, "role": "DataViewer", "subjects": subjects}
    product.apply(ours("AccessPolicy", name, project, spec))
    product.wait_condition("AccessPolicy", name, project)

    def read() -> dict[str, str]:
        lines = product.secret("gateway-maps", cluster.namespace)["users.map"].splitlines()
        return {
            "a key": product.secret(f"{name}-key", project)["token"],
            "a password": product.secret(f"{name}-user", project)["password"],
            "root's password": product.secret("milvus-root", cluster.namespace)["password"],
            "the technical users' seed": product.secret("technical-users", cluster.namespace)["technical-seed"],
            "a technical user's password": dict(line.split(maxsplit=1) for line in lines)["zt_viewer"],
        }

    before = read()
    for token in (before["a key"], f"{name}:{before['a password']}"):
        assert door.rest(cluster, token=token, source=product.office).status == 200
    for kind, wanted, what in (
        ("AccessPolicy", name, "rotate"),
        ("ZillizCluster", cluster.name, "rotate-root"),
        ("ZillizCluster", cluster.name, "rotate-technical-users"),
    ):
        product.merge(
            kind, wanted, {"metadata": {"annotations": {f"{names.PREFIX}{what}": "by a test"}}}, namespace=project
        )
    product.wait_for(
        lambda: not set(read().values()) & set(before.values()), what="all of them were made anew", deadline=120
    )
    cluster.wait_condition("AccessApplied")
    product.wait_for(
        lambda: "technical-seed-before" not in product.secret(vault_of(cluster), OPERATOR_NAMESPACE),
        what="the seed before is forgotten",
    )
    product.delete("AccessPolicy", name, project)
    cluster.wait_ready()
    return {f"{each} that was replaced": text for each, text in before.items()}


def vault_of(cluster: Cluster) -> str:
    return f"credentials-{cluster.id}"


@pytest.fixture(scope="module")
def values(product: Product, quickstart: Cluster, other: Cluster, bygone: list[Value]) -> list[Value]:
    """Every secret that the product generated or was handed, and those that it has no more."""
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
    told = " ".join(value.name for value in kept)
    for cluster in (quickstart, other):
        for part in (
            "milvus-root[password]",
            "technical-users[technical-seed]",
            "gateway-maps[zt_admin]",
            "store-credentials[secretAccessKey]",
        ):
            assert f"{cluster.namespace}/{part}" in told
        assert f"{cluster.project}/{cluster.name}-key[token]" in told
    return kept + [each for each in bygone if each.text not in named]


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
    product: Product, quickstart: Cluster, other: Cluster, bygone: list[Value], tmp_path_factory: pytest.TempPathFactory
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
        "etcd, all revisions": product.layout.etcd,
        "volumes, Milvus' own etcd among them": product.layout.root / "volumes",
        STORE: product.layout.root / "store" / "data",
        "metrics": written("metrics.txt", "\n".join(metrics(product, quickstart))),
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


def metrics(product: Product, cluster: Cluster) -> Iterator[str]:
    """What the operators, and a cluster's gateways and Milvus through them, tell monitoring."""
    operators = product.list("Pod", OPERATOR_NAMESPACE, labels={"app.kubernetes.io/name": "zilliz-operator"})
    pages = [(each["status"]["podIP"], 8080, "/metrics") for each in operators]
    for pod in cluster.pods("gateway"):
        pages += [
            (pod.address, names.METRICS_PORT, path) for path in ("/metrics", "/metrics/gateway", "/metrics/agent")
        ]
    for address, port, path in pages:
        yield product.run("curl", "-sS", f"http://{address}:{port}{path}")


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
    seen = {place: search(needles, path) for place, path in places.items()}
    seen[STORE] -= {name for name in seen[STORE] if name.endswith(STORES_OWN)}
    assert {place: found for place, found in seen.items() if found} == {}


def test_the_search_finds_what_is_there(
    product: Product, quickstart: Cluster, places: dict[str, Path], tmp_path: Path
) -> None:
    """The counterpart: public words are found in each kind of place, in each pod's log, and a secret where it is planted."""
    public = {quickstart.id: "cluster", "kube-apiserver": "binary", "secret-encryption": "a look of doctor"}
    public |= {"zt_viewer": "a user's name", "haproxy_frontend_": "a metric"}
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
