"""Real Helm against a test's control plane."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

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
        """`helm upgrade --install` of the chart, the way the documentation says."""
        return self.run("upgrade", "--install", RELEASE, str(chart), "--namespace", NAMESPACE, *arguments)
