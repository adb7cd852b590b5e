"""The demo on kind: the commands in order, with files that exist, objects that are valid, and no secret on a command line."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.demo import kind
from tools.devcluster.errors import DevclusterError
from zilliz_operator import __version__
from zilliz_operator.api.registry import RESOURCES
from zilliz_operator.api.validate import validate

ON_KIND = kind.ROOT / kind.HERE
FILES = sorted(ON_KIND.glob("*.yaml"))


def objects(file: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(file.read_text()) if found]


def by_kind(file: str) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["kind"], each["metadata"]["name"]): each for each in objects(ON_KIND / file)}


def lines() -> list[str]:
    return [" ".join(step.command) for step in kind.steps()]


def position(part: str) -> int:
    return next(index for index, line in enumerate(lines()) if part in line)


def test_the_order() -> None:
    order = (
        "kind create cluster",
        "docker build --file images/operator/Containerfile",
        "docker build --file images/gateway/Containerfile",
        "kind load docker-image",
        "install cert-manager",
        "neighbours.yaml",
        "create -f -",
        "rollout status deployment/object-store",
        "install zilliz-operator",
        "00-namespace.yaml",
        "cluster.yaml",
        "30-access.yaml",
        "wait --for=condition=Ready zc/quickstart",
        "wait --for=condition=Ready allowlist,accesspolicy",
        "job.yaml",
        "wait --for=condition=Complete",
        "logs",
        "zilliz-operator posture",
    )
    found = [position(part) for part in order]
    assert found == sorted(found)


def test_kubectl_and_helm_mean_this_cluster_and_no_other() -> None:
    for step in kind.steps():
        match step.command:
            case ("kubectl", *rest):
                assert rest[:2] == ["--context", "kind-zilliz-byoc"], step.command
            case ("helm", *rest):
                assert rest[:2] == ["--kube-context", "kind-zilliz-byoc"], step.command


def test_every_file_is_there() -> None:
    named = {word for step in kind.steps() for word in step.command if "/" in word and ":" not in word}
    paths = {word for word in named if not word.startswith(("deploy", "job/", "zc/"))}
    assert len(paths) >= 7
    assert [path for path in sorted(paths) if not (kind.ROOT / path).exists()] == []


def test_images_are_those_of_this_version() -> None:
    assert __version__ == kind.VERSION
    assert f'appVersion: "{kind.VERSION}"' in (kind.ROOT / "charts/zilliz-operator/Chart.yaml").read_text()
    job = by_kind("job.yaml")["Job", "quickstart-client"]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == kind.OPERATOR
    assert kind.OPERATOR in lines()[position("kind load")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_objects_of_our_kinds_are_valid(file: Path) -> None:
    for found in objects(file):
        if found.get("kind") in RESOURCES:
            assert [str(finding) for finding in validate(found)] == []


def test_the_data_plane_of_the_values_is_valid() -> None:
    values = objects(ON_KIND / "values.yaml")[0]["dataPlane"]
    plane = {"apiVersion": "byoc.zilliz.com/v1alpha1", "kind": "DataPlane", "metadata": {"name": values["name"]}}
    assert [str(finding) for finding in validate({**plane, "spec": values["spec"]})] == []


def test_the_data_plane_refers_to_what_the_neighbours_and_the_demo_make() -> None:
    store = objects(ON_KIND / "values.yaml")[0]["dataPlane"]["spec"]
    neighbours = by_kind("neighbours.yaml")
    assert ("ClusterIssuer", store["certificates"]["issuerRef"]["name"]) in neighbours
    certificate = neighbours["Certificate", "object-store-tls"]["spec"]
    assert store["objectStorage"]["caSecretRef"]["name"] == certificate["secretName"]
    host = re.fullmatch(r"https://([^:]+):8333", store["objectStorage"]["endpoint"])
    assert host and certificate["dnsNames"] == [host[1]]
    made = json.loads(kind._store_keys())
    assert made["metadata"]["name"] == store["objectStorage"]["credentialsSecretRef"]["name"]
    wanted = set(re.findall(r"name: object-store-admin, key: (\w+)", (ON_KIND / "neighbours.yaml").read_text()))
    assert wanted | {"accessKeyId", "secretAccessKey"} == set(made["stringData"])


def test_tenants_cannot_make_keys_and_only_the_operator_reaches_the_other_door() -> None:
    neighbours = by_kind("neighbours.yaml")
    store, door = neighbours["Deployment", "object-store"]["spec"]["template"]["spec"]["containers"]
    assert "-s3.iam.readOnly=true" in store["command"][2]
    assert {"-iam.readOnly=false", "-port=8334"} <= set(door["command"])
    rules = neighbours["NetworkPolicy", "object-store"]["spec"]["ingress"]
    to_the_door = [rule["from"] for rule in rules if any(port["port"] == 8334 for port in rule["ports"])]
    assert to_the_door == [[{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "zilliz-operator"}}}]]


def test_no_secret_is_on_a_command_line_or_shown(capfd: pytest.CaptureFixture[str]) -> None:
    step = next(each for each in kind.steps() if "object-store-admin" in each.stdin)
    values = json.loads(step.stdin)["stringData"].values()
    assert all(len(value) >= 20 for value in values)
    everything = " ".join(" ".join(each.command) + repr(each) for each in kind.steps())
    assert not [value for value in values if value in everything]
    step = kind.Step(("true",), stdin=step.stdin)
    assert kind._run([step]) == 0
    shown = capfd.readouterr()
    assert shown.out == "$ true\n"
    assert not [value for value in values if value in shown.out + shown.err]


def test_a_second_run_makes_no_other_cluster_and_no_other_keys() -> None:
    guarded = [" ".join(step.command) for step in kind.steps() if step.unless]
    assert len(guarded) == 2
    assert guarded[0].startswith("kind create cluster")
    assert guarded[1].endswith("create -f -")
    others = [line for line in lines() if " create " in line]
    assert others == guarded


def test_a_step_that_is_done_is_left_out(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert kind._run([kind.Step(("touch", str(mark)), unless=("true",))]) == 0
    assert not mark.exists()
    assert kind._run([kind.Step(("touch", str(mark)), unless=("false",))]) == 0
    assert mark.exists()


def test_it_stops_at_the_first_failure(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(subprocess.CalledProcessError):
        kind._run([kind.Step(("false",)), kind.Step(("touch", str(mark)))])
    assert not mark.exists()


def test_a_missing_program_is_named_before_anything_runs(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(
        DevclusterError, match=r"RUNTIME=kind needs `no-such-program`: install it, or leave RUNTIME out"
    ):
        kind._run([kind.Step(("touch", str(mark))), kind.Step(("no-such-program",))])
    assert not mark.exists()


def test_the_client_reads_the_mounted_secret_as_kubectl_would_print_it(tmp_path: Path) -> None:
    job = by_kind("job.yaml")["Job", "quickstart-client"]
    script = job["spec"]["template"]["spec"]["containers"][0]["command"][2]
    code = re.search(r"python -c '\n(.*)' \| python /client/quickstart\.py -", script, re.DOTALL)
    assert code
    hidden = tmp_path / "..2026"  # how the kubelet lays a Secret out: links into a directory
    hidden.mkdir()
    (hidden / "token").write_text("zbk_x")
    (tmp_path / "token").symlink_to(hidden / "token")
    done = subprocess.run(
        [sys.executable, "-c", code[1].replace("/key", str(tmp_path))], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"data": {"token": base64.b64encode(b"zbk_x").decode()}}


def test_the_client_is_the_workload_that_the_allowlist_admits() -> None:
    workload = by_kind("cluster.yaml")["Allowlist", "demo-client"]["spec"]["workloads"][0]
    job = by_kind("job.yaml")["Job", "quickstart-client"]
    assert job["metadata"]["namespace"] == workload["namespace"]
    assert workload["podLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_the_client_is_the_documented_script() -> None:
    step = next(each for each in kind.steps() if "quickstart-client" in each.stdin)
    script = (kind.ROOT / "docs" / "examples" / "quickstart.py").read_text()
    assert json.loads(step.stdin)["data"] == {"quickstart.py": script}


def test_down_deletes_the_cluster_that_demo_made() -> None:
    assert [step.command for step in kind.undo()] == [("kind", "delete", "cluster", "--name", "zilliz-byoc")]
    assert kind.steps()[0].command[:5] == ("kind", "create", "cluster", "--name", "zilliz-byoc")
