"""What this machine must have: root, a kernel that can, and a few Debian packages, installed if missing."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.devcluster.errors import DevclusterError

Progress = Callable[[str], None]
MODULES = ("overlay", "br_netfilter", "nf_tables", "ip_set", "xt_set", "veth")
# kubelet sets these for the whole machine
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
SYSCTL = Path("/proc/sys")
PACKAGE_LOCK = Path("/run/zilliz-byoc-packages.lock")
POLICY = Path("/usr/sbin/policy-rc.d")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A Debian package, the file by which we know it is there, and why the cluster needs it."""

    name: str
    proof: str
    reason: str
    service: str = ""  # what Debian would start at the next boot


PACKAGES = (
    Package(name="containerd", proof="containerd", reason="runs the pods' containers", service="containerd.service"),
    Package(name="runc", proof="runc", reason="starts a container"),
    Package(name="containernetworking-plugins", proof="/usr/lib/cni/bridge", reason="gives pods their network"),
    Package(name="iproute2", proof="ip", reason="makes network namespaces and bridges"),
    Package(name="iptables", proof="iptables-restore", reason="network policies (kube-router)"),
    Package(name="ipset", proof="ipset", reason="network policies (kube-router)"),
    Package(name="nftables", proof="nft", reason="Services (kube-proxy)"),
    Package(name="socat", proof="socat", reason="kubectl port-forward (containerd)"),
    Package(
        name="bind9",
        proof="named",
        reason="the DNS zone that ACME challenges and load balancers are published in",
        service="named.service",
    ),
    Package(name="bind9-dnsutils", proof="nsupdate", reason="publishes load balancers' names; dig"),
    Package(name="buildah", proof="buildah", reason="builds the project's container images"),
    Package(name="debootstrap", proof="debootstrap", reason="makes the Debian base of those images"),
    Package(
        name="haproxy",
        proof="haproxy",
        reason="checks rendered gateway configurations in the tests",
        service="haproxy.service",
    ),
    Package(
        name="ca-certificates", proof="/etc/ssl/certs/ca-certificates.crt", reason="lets builds reach package sources"
    ),
)


def missing_packages() -> list[Package]:
    """Packages to install, judged by the programs they bring (an own build of one is as good)."""
    return [package for package in PACKAGES if not _present(package.proof)]


def load_modules() -> None:
    """Best effort: they may be built in, or there already; what matters is checked for itself."""
    program = shutil.which("modprobe", path=SBIN)
    if program:
        subprocess.run([program, "--quiet", "--all", *MODULES], check=False, capture_output=True)


def require_machine() -> None:
    """Refuse early, with the reason, on a machine where the cluster cannot run."""
    if os.geteuid() != 0:
        raise DevclusterError("the local cluster needs root (network namespaces, mounts): run it by sudo or as root")
    if not Path("/proc/self/ns/net").exists():
        raise DevclusterError("this kernel has no network namespaces")
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems:
        raise DevclusterError("this kernel has no overlay file system, which containers need")
    if not Path("/sys/fs/cgroup").is_mount():
        raise DevclusterError("no cgroups are mounted below /sys/fs/cgroup, which containers need")


def remember_kernel(file: Path) -> None:
    """Note the machine's settings that kubelet is about to change, once."""
    if not file.exists():
        values = {name: (SYSCTL / name).read_text().strip() for name in KERNEL_SETTINGS if (SYSCTL / name).exists()}
        file.write_text(json.dumps(values))


def restore_kernel(file: Path) -> None:
    """Put the machine's settings back."""
    if file.exists():
        for name, value in json.loads(file.read_text()).items():
            with contextlib.suppress(OSError):  # not ours to write in some virtual machines
                (SYSCTL / name).write_text(value)


def ensure_packages(progress: Progress) -> None:
    """Install what is missing, saying what and why, without letting any service start by itself."""
    absent = missing_packages()
    if not absent:
        return
    if shutil.which("apt-get") is None:
        names = ", ".join(package.name for package in absent)
        raise DevclusterError(f"this machine lacks {names} and has no apt-get: install them (Debian's names) yourself")
    for package in absent:
        progress(f"Debian package {package.name} is missing: installing it ({package.reason})")
    with _services_kept_down():
        _apt("update", "--quiet")
        _apt("install", "--yes", "--quiet", "--no-install-recommends", *(package.name for package in absent))
    _disable([package.service for package in absent if package.service])
    still = [package.name for package in missing_packages()]
    if still:
        raise DevclusterError(f"installed, yet not found: {', '.join(still)}; look at the output of apt-get")


@contextlib.contextmanager
def _services_kept_down() -> Iterator[None]:
    """Debian asks policy-rc.d before it starts a service: 101 means no. One of the machine's own is put back."""
    with PACKAGE_LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        previous = POLICY.read_bytes() if POLICY.exists() else None
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        try:
            yield
        finally:
            if previous is None:
                POLICY.unlink(missing_ok=True)
            else:
                POLICY.write_bytes(previous)


def _disable(services: Sequence[str]) -> None:
    """We need the programs only: a service that came with them must not come up at the next boot either."""
    systemctl = shutil.which("systemctl")
    if systemctl and services:
        subprocess.run([systemctl, "--quiet", "disable", *services], check=False, capture_output=True)


def _apt(*arguments: str) -> None:
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=600", *arguments]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": f"{os.environ.get('PATH', '')}:{SBIN}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise DevclusterError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()[-2000:]}")


def _present(proof: str) -> bool:
    if proof.startswith("/"):
        return Path(proof).exists()
    return shutil.which(proof, path=f"{os.environ.get('PATH', '')}:{SBIN}:/usr/bin:/bin") is not None
