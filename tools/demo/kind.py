"""The demo on kind, where Docker is: the same chart, images and examples, on a cluster that kind makes.

Short on purpose: a list of commands, in order, each printed before it runs. The object store and the issuer come from
`tools/demo/on-kind/`. The client runs as a Job inside the cluster, as an allowed workload, since kind has no load balancer.
"""

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.devcluster.errors import DevclusterError

ROOT = Path(__file__).resolve().parents[2]
HERE = Path("tools") / "demo" / "on-kind"
NAME = "zilliz-byoc"
VERSION = "0.1.0"
CERT_MANAGER = "v1.21.2"
OPERATOR, GATEWAY = f"docker.io/zillizbyoc/operator:{VERSION}", f"docker.io/zillizbyoc/gateway:{VERSION}"

Command = tuple[str, ...]


def commands() -> tuple[Command, ...]:
    """Everything from nothing to a searched cluster."""
    kubectl = ("kubectl", "--context", f"kind-{NAME}")
    helm = ("helm", "--kube-context", f"kind-{NAME}")
    build = tuple(
        ("docker", "build", "--file", f"images/{what}/Containerfile", "--build-arg", f"VERSION={VERSION}", "--tag", tag, ".")
        for what, tag in (("operator", OPERATOR), ("gateway", GATEWAY))
    )
    return (
        ("kind", "create", "cluster", "--name", NAME, "--wait", "120s"),
        *build,
        ("kind", "load", "docker-image", "--name", NAME, OPERATOR, GATEWAY),
        (*helm, "upgrade", "--install", "cert-manager", "oci://quay.io/jetstack/charts/cert-manager", "--version", CERT_MANAGER,
         "--namespace", "cert-manager", "--create-namespace", "--set", "crds.enabled=true", "--wait"),
        (*kubectl, "apply", "--server-side", "-f", str(HERE / "neighbours.yaml")),
        (*kubectl, "wait", "--for=condition=Complete", "job/object-store-secrets", "-n", "zilliz-system", "--timeout=300s"),
        (*helm, "upgrade", "--install", "zilliz-operator", "charts/zilliz-operator", "--namespace", "zilliz-system",
         "--values", str(HERE / "values.yaml"), "--wait"),
        (*kubectl, "apply", "--server-side", "-f", "manifests/examples/quickstart"),
        (*kubectl, "apply", "--server-side", "-f", str(HERE / "client.yaml")),
        (*kubectl, "wait", "--for=condition=Ready", "zc/quickstart", "-n", "quickstart", "--timeout=600s"),
        (*kubectl, "create", "configmap", "quickstart-client", "-n", "quickstart", "--from-file=docs/examples/quickstart.py"),
        (*kubectl, "apply", "-f", str(HERE / "job.yaml")),
        (*kubectl, "wait", "--for=condition=Complete", "job/quickstart-client", "-n", "quickstart", "--timeout=300s"),
        (*kubectl, "logs", "-n", "quickstart", "job/quickstart-client"),
    )  # fmt: skip


def undo() -> tuple[Command, ...]:
    return (("kind", "delete", "cluster", "--name", NAME),)


def demo() -> int:
    """Run them all; stops at the first that fails."""
    return _run(commands())


def down() -> int:
    return _run(undo())


def _run(steps: Sequence[Command]) -> int:
    for program in sorted({step[0] for step in steps}):
        if shutil.which(program) is None:
            raise DevclusterError(f"RUNTIME=kind needs `{program}`: install it, or leave RUNTIME out to use the local cluster")
    for step in steps:
        print("$ " + shlex.join(step), flush=True)
        subprocess.run(step, cwd=ROOT, check=True)
    return 0
