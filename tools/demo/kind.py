"""The demo on kind, where Docker is: the same chart, images and examples, on a cluster that kind makes.

Short on purpose: a list of commands, in order, each printed before it runs, and run again without harm. The object store and the
issuer come from `on-kind/`. The client is a Job inside the cluster, an allowed workload, since kind has no load balancer.
"""

import json
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.devcluster.errors import DevclusterError

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("tools") / "demo" / "on-kind"
EXAMPLE = Path("manifests") / "examples" / "quickstart"
CLIENT_SCRIPT = Path("docs") / "examples" / "quickstart.py"
NAME = "zilliz-byoc"
CONTEXT = f"kind-{NAME}"
VERSION = "0.1.0"
CERT_MANAGER = "v1.21.2"
OPERATOR, GATEWAY = f"docker.io/zillizbyoc/operator:{VERSION}", f"docker.io/zillizbyoc/gateway:{VERSION}"
SYSTEM, PROJECT, CLUSTER = "zilliz-system", "quickstart", "quickstart"

Command = tuple[str, ...]
KUBECTL: Command = ("kubectl", "--context", CONTEXT)
HELM: Command = ("helm", "--kube-context", CONTEXT)


@dataclass(frozen=True, slots=True)
class Step:
    """A command. `unless`: another that succeeds when there is nothing to do. `stdin`: what it reads, never printed."""

    command: Command
    unless: Command = ()
    stdin: str = field(default="", repr=False)


def steps() -> tuple[Step, ...]:
    """Everything from nothing to a searched cluster."""
    return (
        Step(("kind", "create", "cluster", "--name", NAME, "--wait", "120s"), unless=(*KUBECTL, "version")),
        *(Step(_build(what, tag)) for what, tag in (("operator", OPERATOR), ("gateway", GATEWAY))),
        Step(("kind", "load", "docker-image", "--name", NAME, OPERATOR, GATEWAY)),
        *(Step(command) for command in _neighbours()),
        Step(
            (*KUBECTL, "create", "-f", "-"),
            unless=(*KUBECTL, "get", "secret", "object-store-admin", "-n", SYSTEM),
            stdin=_store_keys(),
        ),
        Step((*KUBECTL, "rollout", "status", "deployment/object-store", "-n", SYSTEM, "--timeout=300s")),
        *(Step(command) for command in _cluster()),
        *_client(),
    )


def undo() -> tuple[Step, ...]:
    return (Step(("kind", "delete", "cluster", "--name", NAME)),)


def demo() -> int:
    """Run them all; stops at the first that fails."""
    return _run(steps())


def down() -> int:
    return _run(undo())


def _build(what: str, tag: str) -> Command:
    containerfile = f"images/{what}/Containerfile"
    return ("docker", "build", "--file", containerfile, "--build-arg", f"VERSION={VERSION}", "--tag", tag, ".")


def _neighbours() -> tuple[Command, ...]:
    return (
        (
            *(*HELM, "upgrade", "--install", "cert-manager", "oci://quay.io/jetstack/charts/cert-manager"),
            *("--version", CERT_MANAGER, "--namespace", "cert-manager", "--create-namespace"),
            *("--set", "crds.enabled=true", "--wait"),
        ),
        _apply(HERE / "neighbours.yaml"),
    )


def _cluster() -> tuple[Command, ...]:
    return (
        (
            *(*HELM, "upgrade", "--install", "zilliz-operator", "charts/zilliz-operator", "--namespace", SYSTEM),
            *("--values", str(HERE / "values.yaml"), "--wait", "--timeout", "5m"),
        ),
        (*KUBECTL, "rollout", "restart", "deployment/zilliz-operator", "-n", SYSTEM),
        (*KUBECTL, "rollout", "status", "deployment/zilliz-operator", "-n", SYSTEM, "--timeout=300s"),
        _apply(EXAMPLE / "00-namespace.yaml"),
        _apply(HERE / "cluster.yaml"),
        _apply(EXAMPLE / "30-access.yaml"),
        (*KUBECTL, "wait", "--for=condition=Ready", f"zc/{CLUSTER}", "-n", PROJECT, "--timeout=600s"),
        (*KUBECTL, "wait", "--for=condition=Ready", "allowlist,accesspolicy", "--all", "-n", PROJECT, "--timeout=120s"),
    )


def _client() -> tuple[Step, ...]:
    job = ("-n", PROJECT, "job/quickstart-client")
    return (
        Step((*KUBECTL, "apply", "--server-side", "-f", "-"), stdin=_client_script()),
        Step((*KUBECTL, "delete", *job, "--ignore-not-found")),
        Step(_apply(HERE / "job.yaml")),
        Step((*KUBECTL, "wait", "--for=condition=Complete", *job, "--timeout=300s")),
        Step((*KUBECTL, "logs", *job)),
        Step((*KUBECTL, "exec", "-n", SYSTEM, "deploy/zilliz-operator", "--", "zilliz-operator", "posture")),
    )


def _apply(file: Path) -> Command:
    return (*KUBECTL, "apply", "--server-side", "-f", str(file))


def _store_keys() -> str:
    """The object store's administrator, made once. On the standard input, so that no process list shows it."""
    data = {
        "accessKeyId": "ADMIN" + secrets.token_hex(8).upper(),
        "secretAccessKey": secrets.token_urlsafe(30),
        "keyEncryptionKey": secrets.token_hex(32),
    }
    metadata = {"name": "object-store-admin", "namespace": SYSTEM}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})


def _client_script() -> str:
    data = {CLIENT_SCRIPT.name: (ROOT / CLIENT_SCRIPT).read_text()}
    metadata = {"name": "quickstart-client", "namespace": PROJECT}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _run(plan: Sequence[Step]) -> int:
    for program in sorted({step.command[0] for step in plan}):
        if shutil.which(program) is None:
            raise DevclusterError(
                f"RUNTIME=kind needs `{program}`: install it, or leave RUNTIME out to use the local cluster"
            )
    for step in plan:
        if step.unless and subprocess.run(step.unless, cwd=ROOT, check=False, capture_output=True).returncode == 0:
            continue
        print("$ " + shlex.join(step.command), flush=True)
        subprocess.run(step.command, cwd=ROOT, check=True, input=step.stdin or None, text=True)
    return 0
