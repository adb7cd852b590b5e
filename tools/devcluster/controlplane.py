"""A bare control plane (etcd, API server, controller manager; no node) in a network namespace of its own, in seconds.

    with ControlPlane("cp-crds") as plane:
        with plane.inside():            # this thread, and children, see https://10.200.0.1:6443
            ...                         # KUBECONFIG=plane.kubeconfig

With `attach_to` it is also a host on a running cluster's bridge: a second data plane that the first one's pods reach, until
`cut` takes its link down.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType

from tools.devcluster import build, components, files, host, identities, netns, process
from tools.devcluster.errors import DevclusterError
from tools.devcluster.kube import Kube
from tools.devcluster.layout import FIRST_CLIENT, NODE_ADDRESS, STATE_ROOT, Layout
from tools.devcluster.process import Supervisor


@dataclass(frozen=True)
class ControlPlane:
    """One control plane. `start` and `stop` are safe to repeat; `stop` removes everything of it."""

    name: str
    apiserver_flags: Sequence[str] = field(default=(), kw_only=True)
    attach_to: str | None = field(default=None, kw_only=True)
    address: IPv4Address = field(default=NODE_ADDRESS, kw_only=True)
    state: Path = field(default=STATE_ROOT, kw_only=True)

    @property
    def layout(self) -> Layout:
        return Layout(name=self.name, root=self.state / self.name, address=self.address)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig; its server answers inside the namespace (and, attached, on the bridge)."""
        return self.layout.kubeconfig

    @property
    def audit_log(self) -> Path:
        return self.layout.audit_log

    @property
    def authentication(self) -> Path:
        """The AuthenticationConfiguration in force; replace it whole, and the API server reads it anew."""
        return self.layout.authentication

    @property
    def server(self) -> str:
        return self.layout.server

    def start(self) -> ControlPlane:
        """Start what does not run, and wait until the API server is ready."""
        host.require_machine()
        for binary in ("etcd", "kube-apiserver"):
            build.ensure(build.BY_BINARY[binary], print)
        files.ensure_control_plane(self.layout)
        self._ensure_network()
        keeper = self._supervisor()
        with self.inside():
            for component in components.control_plane(
                self.layout, durable=False, node=False, extra=self.apiserver_flags
            ):
                keeper.ensure(component)
                keeper.wait_ready(component)
        return self

    def stop(self) -> None:
        """End its processes and remove its namespace and files."""
        keeper = self._supervisor()
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            keeper.stop(name, seconds=3.0)
        process.end_all(netns.members(self.name), seconds=1.0)
        netns.delete(self.name)
        shutil.rmtree(self.layout.root, ignore_errors=True)

    def restart(self, component: str) -> None:
        """Kill one of its processes without warning and start it again: an outage for tests."""
        known = self._supervisor().running(component)
        if known is None:
            raise DevclusterError(f"control plane {self.name}: {component!r} does not run")
        process.end(known, seconds=0.0)
        self.start()

    def kill(self, component: str) -> None:
        """Kill one of its processes; `start` brings it back."""
        self._supervisor().stop(component, seconds=0.0)

    def cut(self) -> None:
        """Take its link down, as a network does that fails: no packet in or out, and nobody is told."""
        netns.set_link(self._neighbour, self._cable, up=False)

    def mend(self) -> None:
        """Bring its link up again."""
        netns.set_link(self._neighbour, self._cable, up=True)

    def inside(self) -> AbstractContextManager[None]:
        """Run this thread (and children started meanwhile) in its network namespace."""
        return netns.inside(self.name)

    def enter(self) -> None:
        """Move this thread into its network namespace for good."""
        netns.enter(self.name)

    def admin(self) -> Kube:
        """A small client with the administrator's certificate; use it inside."""
        return identities.client(self.layout, "admin")

    def __enter__(self) -> ControlPlane:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _supervisor(self) -> Supervisor:
        return Supervisor(namespace=self.name, run=self.layout.run, logs=self.layout.logs)

    def _ensure_network(self) -> None:
        if self.attach_to is None:
            netns.ensure_node(self.layout)
            return
        if self.address < FIRST_CLIENT:
            raise DevclusterError(f"control plane {self.name}: give it an address of its own, {FIRST_CLIENT} or later")
        netns.attach(self._neighbour, namespace=self.name, cable=self._cable, address=self.address)

    @property
    def _neighbour(self) -> Layout:
        if self.attach_to is None:
            raise DevclusterError(f"control plane {self.name} is attached to no cluster")
        return Layout(name=self.attach_to, root=self.state / self.attach_to)

    @property
    def _cable(self) -> str:
        return f"cp{hashlib.sha256(self.name.encode()).hexdigest()[:10]}"
