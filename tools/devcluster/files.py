"""Writes the cluster's files: directories, configuration, keys made once. Safe to repeat; only changes are written."""

from __future__ import annotations

import base64
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from tools.devcluster import identities, render, store
from tools.devcluster import layout as at
from tools.devcluster.layout import Layout
from tools.devcluster.pki import write_private
from tools.devcluster.process import boot_id

TSIG_KEYS = ("acme", "cloud")


def ensure_control_plane(layout: Layout) -> None:
    """What a bare control plane reads."""
    for path, mode in layout.directories():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    identities.ensure_control_plane(layout)
    _write(layout.config / "audit.yaml", render.audit_policy())
    if not layout.authentication.exists():  # from then on it is whose who signs people in
        write_private(layout.authentication, render.authentication().encode())


def ensure_all(layout: Layout) -> None:
    """What the whole cluster reads."""
    ensure_control_plane(layout)
    identities.ensure_node(layout)
    _write(layout.resolv_conf, render.resolver(layout))
    _write(layout.config / "kubelet.yaml", render.kubelet(layout))
    _write(layout.config / "kube-proxy.yaml", render.kube_proxy(layout))
    _write(layout.config / "pebble.json", render.pebble(layout))
    _ensure_containerd(layout)
    _ensure_bind(layout)
    store.ensure_files(layout)


def tsig_secret(layout: Layout, name: str) -> str:
    """The shared secret of a DNS update key, made at first use."""
    file = layout.config / f"tsig-{name}.secret"
    if not file.exists():
        write_private(file, base64.b64encode(secrets.token_bytes(32)))
    return file.read_text()


def _ensure_containerd(layout: Layout) -> None:
    cni = layout.containerd / "cni"
    cni.mkdir(parents=True, exist_ok=True)
    layout.containerd.chmod(0o711)
    # what containerd knows of running containers is worth nothing after a reboot
    state = layout.containerd / f"state-{boot_id()[:8]}"
    for old in layout.containerd.glob("state-*"):
        if old != state:
            shutil.rmtree(old, ignore_errors=True)
            shutil.rmtree(layout.containerd / "runc", ignore_errors=True)
    _write(layout.config / "containerd.toml", render.containerd(layout, state=state))
    _write(cni / "10-pods.conflist", render.cni(layout))


def _ensure_bind(layout: Layout) -> None:
    home, keys = layout.bind, {name: tsig_secret(layout, name) for name in TSIG_KEYS}
    program = home / "named"
    source = Path(shutil.which("named", path="/usr/sbin:/usr/bin:/sbin") or "/usr/sbin/named")
    if not program.exists() or program.read_bytes() != source.read_bytes():
        program.unlink(missing_ok=True)
        shutil.copy(source, program)
    _write(home / "named.conf", render.named(layout, keys=keys))
    _write(home / "root.zone", render.root_zone(layout))
    zone = home / f"{at.PUBLIC_DOMAIN}.zone"
    if not zone.exists():  # from then on it is named's own
        zone.write_text(render.public_zone(layout))
    _write(layout.cloud / "tsig.key", render.tsig_key(name="cloud", secret=keys["cloud"]))
    for path in (home, *home.iterdir()):
        shutil.chown(path, "bind", "bind")
    (home / "named.conf").chmod(0o600)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        write_private(path, text.encode())


def summary(layout: Layout) -> Mapping[str, str]:
    """Where a user finds what: addresses, and files that hold secrets (never the secrets)."""
    return {
        "kubernetes": layout.server,
        "kubeconfig": str(layout.kubeconfig),
        "object store": f"https://{layout.address}:{at.STORE_PORT}",
        "object store, administration": f"https://{layout.address}:{at.STORE_ADMIN_PORT}",
        "object store, authority": str(layout.pki / "store.crt"),
        "ACME directory": f"https://{layout.address}:{at.ACME_PORT}/dir",
        "name server": f"{layout.address} ({at.PUBLIC_DOMAIN}, {at.CLUSTER_DOMAIN})",
        "audit log": str(layout.audit_log),
    }
