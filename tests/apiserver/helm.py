"""Real Helm against a test's control plane."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.apiserver.client import MERGE, Api, path_of
from tools.devcluster import netns
from tools.devcluster.controlplane import ControlPlane
from tools.generate_manifests import CHART, NAMESPACE, RELEASE, helm


@dataclass(frozen=True)
class Helm:
    """Helm for one control plane. Every command's output is in the failure when it is refused."""

    plane: ControlPlane
    home: Path

    def try_run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command, whatever comes of it."""
        environment = {**os.environ, "KUBECONFIG": str(self.plane.kubeconfig)}
        environment |= {f"HELM_{what}_HOME": str(self.home / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}
        command = ["nsenter", f"--net={netns.path(self.plane.name)}", "--", str(helm()), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=180)

    def run(self, *arguments: str) -> str:
        """One command that must succeed; its output."""
        done = self.try_run(*arguments)
        assert done.returncode == 0, f"helm {' '.join(arguments)}\n{done.stderr}\n{done.stdout}"
        return done.stdout

    def install(self, *arguments: str, chart: Path = CHART) -> str:
        """`helm upgrade --install --wait` of the chart, the way the documentation says."""
        with ready_pods(Api(self.plane)):
            return self.run(*self.installation(*arguments, chart=chart))

    @staticmethod
    def installation(*arguments: str, chart: Path = CHART) -> tuple[str, ...]:
        """The arguments of an installation."""
        return (
            "upgrade",
            "--install",
            RELEASE,
            str(chart),
            "--namespace",
            NAMESPACE,
            "--wait",
            "--timeout=90s",
            *arguments,
        )


@contextmanager
def ready_pods(api: Api) -> Iterator[None]:
    """No kubelet runs here: meanwhile, say of the operator's pods what a kubelet says when they are ready."""
    done = threading.Event()
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"status": {"phase": "Running", "conditions": [condition]}}

    def say() -> None:
        while not done.wait(0.3):
            for pod in api.get("Pod", namespace=NAMESPACE).body.get("items", ()):
                path = path_of("Pod", pod["metadata"]["name"], namespace=NAMESPACE)
                if (pod.get("status") or {}).get("phase") != "Running":
                    api.request("PATCH", f"{path}/status", body=status, content=MERGE)

    thread = threading.Thread(target=say, name="ready-pods", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
