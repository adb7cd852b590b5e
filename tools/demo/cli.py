"""The steps of `make demo`, in order, each with what it costs, and their undoing."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tools.demo import kind
from tools.demo.live import Conditions, table, wait_until_ready
from tools.devcluster.errors import DevclusterError

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "zilliz-operator"
VALUES = ROOT / "tools" / "demo" / "values.yaml"
QUICKSTART = ROOT / "manifests" / "examples" / "quickstart"
CLIENT_SCRIPT = ROOT / "docs" / "examples" / "quickstart.py"
NAMESPACE, PROJECT, CLUSTER, KEY_SECRET = "zilliz-system", "quickstart", "quickstart", "quickstart-key"
READY_DEADLINE = 600.0
CLIENT_HOST = "office"
CLIENT_ADDRESS = "10.200.0.50"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description=__doc__)
    parser.add_argument("--runtime", choices=["devcluster", "kind"], default="devcluster")
    parser.add_argument("--down", action="store_true", help="undo it")
    options = parser.parse_args(argv)
    try:
        if options.runtime == "kind":
            return int(kind.down() if options.down else kind.demo())
        return _devcluster("down") if options.down else Demo(Console()).run()
    except (DevclusterError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: `{' '.join(map(str, error.cmd))}` ended with {error.returncode}", file=sys.stderr)
        return 1


def devcluster(*words: str) -> list[str]:
    """A command of the local cluster."""
    return [sys.executable, "-m", "tools.devcluster", *words]


def _devcluster(*words: str) -> int:
    return subprocess.run(devcluster(*words), cwd=ROOT, check=False).returncode


def install_operator(*, values: Path = VALUES, extra: Sequence[str] = ()) -> None:
    """Install or upgrade the operator from its chart, and wait until it runs the image that was just built."""
    from tools.devcluster.images import build

    digests = {image.name: image.digest for image in build.ensure_all(lambda _: None)}
    operator = next(digest for name, digest in digests.items() if "/operator:" in name)
    command = devcluster(
        "helm", "--", "upgrade", "--install", "zilliz-operator", str(CHART), "--namespace", NAMESPACE,
        "--values", str(values), "--set-string", f"podAnnotations.built-from={operator.rpartition(':')[2][:16]}",
        "--wait", "--timeout", "5m", *extra,
    )  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")


def kubectl(*words: str, input: str | None = None) -> str:
    """What kubectl prints; raises CalledProcessError."""
    command = devcluster("kubectl", "--", *words)
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, input=input).stdout


def conditions_of(project: str, cluster: str) -> Conditions:
    """A cluster's conditions as they are now."""
    found = json.loads(kubectl("get", "zillizcluster", cluster, "-n", project, "-o", "json"))
    conditions: Conditions = (found.get("status") or {}).get("conditions") or []
    return conditions


class Demo:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()

    def run(self) -> int:
        self._title("1. The local cluster: real Kubernetes, cert-manager, an S3 store")
        if _devcluster("up"):
            return 1
        self._title("2. The operator, from its Helm chart")
        install_operator()
        self._title("3. A ZillizCluster, its Allowlist and its AccessPolicy")
        kubectl("apply", "--server-side", "-f", str(QUICKSTART))
        applied = time.monotonic()
        self._console.print(kubectl("get", "zilliz", "-n", PROJECT), markup=False, highlight=False)
        conditions = wait_until_ready(
            f"{PROJECT}/{CLUSTER}",
            read=lambda: conditions_of(PROJECT, CLUSTER),
            deadline=READY_DEADLINE,
            console=self._console,
        )
        self._title(f"Ready in {time.monotonic() - applied:.0f} s")
        self._console.print(table(f"{PROJECT}/{CLUSTER}", conditions, seconds=time.monotonic() - applied))
        self._wait_for_policies()
        self._title("4. A stock pymilvus client, from a host on the allowlist, with a generated API key")
        code = self._client()
        self._title("5. Every promise, and its proof now")
        self._posture()
        self._next()
        return code

    def _wait_for_policies(self) -> None:
        kubectl("wait", "--for=condition=Ready", "allowlist,accesspolicy", "--all", "-n", PROJECT, "--timeout=120s")

    def _client(self) -> int:
        secret = kubectl("get", "secret", KEY_SECRET, "-n", PROJECT, "-o", "json")
        command = devcluster(
            "client", CLIENT_HOST, "--address", CLIENT_ADDRESS, "--", sys.executable, str(CLIENT_SCRIPT), "-"
        )
        return subprocess.run(command, cwd=ROOT, input=secret, text=True, check=False).returncode

    def _posture(self) -> None:
        command = devcluster("run", "--", sys.executable, "-m", "zilliz_operator.cli", "posture")
        subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"})

    def _next(self) -> None:
        self._title(f"Done in {time.monotonic() - self._began:.0f} s. Next")
        tool = ".venv/bin/python -m tools.devcluster"
        path = "jsonpath={.status.namespace} {.status.endpoint}"
        namespace, endpoint = kubectl("get", "zc", CLUSTER, "-n", PROJECT, "-o", path).split()
        stranger = f"{tool} client stranger --address 10.200.0.99"
        lines = (
            ("look", f"{tool} kubectl -- get zilliz -A"),
            ("why", f"{tool} kubectl -- describe zc {CLUSTER} -n {PROJECT}"),
            ("break it", f"{tool} kubectl -- delete networkpolicy default-deny -n {namespace}   # back within seconds"),
            ("a stranger", f"{stranger} -- curl -sk --max-time 3 https://{endpoint}   # refused"),
            ("end", "make down"),
        )
        for what, command in lines:
            self._console.print(f"  {what:<11} {command}", markup=False, highlight=False, soft_wrap=True)

    def _title(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/]")
