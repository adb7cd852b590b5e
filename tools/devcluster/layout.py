"""Where everything of one cluster lives: directories, addresses, names. Pure: nothing is created here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tools.devcluster.errors import DevclusterError

DEFAULT_NAME = "zbyoc"
NAME_PATTERN = re.compile(r"^[a-z][a-z0-9-]{0,23}$")
STATE_ROOT = Path("/var/lib/zilliz-byoc")

NODE_ADDRESS = IPv4Address("10.200.0.1")
NODE_NETWORK = IPv4Network("10.200.0.0/24")
FIRST_CLIENT = IPv4Address("10.200.0.50")
POD_NETWORK = IPv4Network("10.244.0.0/24")
CLUSTER_POD_NETWORK = IPv4Network("10.244.0.0/16")
SERVICE_NETWORK = IPv4Network("10.96.0.0/16")
KUBERNETES_SERVICE = IPv4Address("10.96.0.1")
DNS_SERVICE = IPv4Address("10.96.0.10")
VIP_NETWORK = IPv4Network("10.201.0.0/24")
FIRST_VIP = IPv4Address("10.201.0.10")

NODE_NAME = "devnode"
NODE_BRIDGE = "node0"
POD_BRIDGE = "pods0"
CLUSTER_DOMAIN = "cluster.local"
PUBLIC_DOMAIN = "byoc.test"

API_PORT = 6443
STORE_PORT = 8333
STORE_ADMIN_PORT = 8334
ACME_PORT = 14000
ACME_MANAGEMENT_PORT = 15000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One cluster: its name (also of its network namespace), its directory and its address."""

    name: str
    root: Path
    address: IPv4Address = NODE_ADDRESS

    @property
    def server(self) -> str:
        return f"https://{self.address}:{API_PORT}"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def authentication(self) -> Path:
        """What the API server knows of identity providers; it is read anew whenever it changes."""
        return self.config / "authentication.yaml"

    @property
    def audit_log(self) -> Path:
        return self.logs / "audit.log"

    @property
    def containerd(self) -> Path:
        return self.root / "containerd"

    @property
    def containerd_socket(self) -> Path:
        return self.containerd / "containerd.sock"

    @property
    def kubelet(self) -> Path:
        return self.root / "kubelet"

    @property
    def pod_logs(self) -> Path:
        return self.root / "pod-logs"

    @property
    def volumes(self) -> Path:
        return self.root / "volumes"

    @property
    def bind(self) -> Path:
        return self.root / "bind"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def cloud(self) -> Path:
        return self.root / "cloud"

    @property
    def acme(self) -> Path:
        return self.root / "acme"

    @property
    def clients(self) -> Path:
        return self.root / "clients"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig (usable inside the network namespace)."""
        return self.pki / "admin.kubeconfig"

    @property
    def resolv_conf(self) -> Path:
        return self.config / "resolv.conf"

    @property
    def cgroup(self) -> str:
        """Own cgroup parent of the pods, so that two clusters on one machine never reap each other's."""
        return f"/{self.name}"

    def directories(self) -> tuple[tuple[Path, int], ...]:
        """Directories to make, with their modes; 0711 where daemons of another user must pass through."""
        private = (
            self.pki,
            self.config,
            self.run,
            self.etcd,
            self.kubelet,
            self.volumes,
            self.store,
            self.cloud,
            self.acme,
            self.clients,
        )
        return ((self.root, 0o711), (self.logs, 0o755), (self.bind, 0o755), *((path, 0o700) for path in private))


def layout(*, name: str | None = None, address: IPv4Address = NODE_ADDRESS) -> Layout:
    """The cluster asked for: `name`, else $ZBYOC_NAME, else the default; below $ZBYOC_STATE or /var/lib/zilliz-byoc."""
    chosen = name or os.environ.get("ZBYOC_NAME") or DEFAULT_NAME
    if not NAME_PATTERN.match(chosen):
        raise DevclusterError(f"cluster name {chosen!r}: use 1-24 of a-z, 0-9 and -, a letter first")
    return Layout(name=chosen, root=Path(os.environ.get("ZBYOC_STATE") or STATE_ROOT) / chosen, address=address)


def cache_root() -> Path:
    """What outlives a cluster: built binaries, images, a Go toolchain."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zilliz-byoc"
