"""Network namespaces: the cluster's own, and one for each client host on its bridge.

The cluster's namespace has no default route: nothing started in it can reach the machine's network by mistake.
A thread can enter a namespace (`inside`): sockets and children made meanwhile live there.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from tools.devcluster import layout as at
from tools.devcluster.errors import DevclusterError
from tools.devcluster.layout import Layout

BRIDGED_TRAFFIC = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
NAMESPACES = Path("/run/netns")
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND, MS_REC, MS_SLAVE = 0x1000, 0x4000, 0x80000
_libc = ctypes.CDLL(None, use_errno=True)


def path(name: str) -> Path:
    """The file that stands for the namespace."""
    return NAMESPACES / name


def exists(name: str) -> bool:
    """Whether the namespace is there and is one (a left-over plain file is not)."""
    return path(name).exists() and path(name).stat().st_dev != NAMESPACES.stat().st_dev


def holds(name: str, pid: int) -> bool:
    """Whether the process lives in the namespace."""
    try:
        return exists(name) and Path(f"/proc/{pid}/ns/net").stat().st_ino == path(name).stat().st_ino
    except OSError:
        return False


def members(name: str) -> list[int]:
    """Pids of every process in the namespace."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if holds(name, pid)]


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Run this thread in the namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(name)
        try:
            yield
        finally:
            _call("setns", home, CLONE_NEWNET)
    finally:
        os.close(home)


def enter(name: str) -> None:
    """Move this thread into the namespace for good."""
    if not exists(name):
        raise DevclusterError(f"network namespace {name!r} does not exist: start the cluster first (`up`)")
    there = os.open(path(name), os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", there, CLONE_NEWNET)
    finally:
        os.close(there)


def with_resolver(resolv_conf: Path) -> None:
    """Give this process a mount namespace of its own in which /etc/resolv.conf is `resolv_conf`."""
    _call("unshare", CLONE_NEWNS)
    # slave, not private: what the cluster unmounts later must not be held busy by us
    _call("mount", b"none", b"/", None, MS_REC | MS_SLAVE, None)
    target = os.path.realpath("/etc/resolv.conf")
    _call("mount", str(resolv_conf).encode(), target.encode(), None, MS_BIND, None)


def ensure_cluster(layout: Layout) -> None:
    """The cluster's namespace with loopback, the node's bridge and the routes that host processes need."""
    ensure_node(layout)
    with inside(layout.name):
        for network in (at.SERVICE_NETWORK, at.VIP_NETWORK):
            # a source address to route by; the packets themselves are taken by kube-proxy before they leave
            _run("ip", "route", "replace", str(network), "dev", at.NODE_BRIDGE)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        if not BRIDGED_TRAFFIC.exists():
            raise DevclusterError("this kernel lacks br_netfilter: network policies between pods would not be enforced")
        BRIDGED_TRAFFIC.write_text("1")


def ensure_node(layout: Layout) -> None:
    """A namespace with loopback and the node's address on a bridge: all that a bare control plane needs."""
    _ensure_namespace(layout.name)
    with inside(layout.name):
        _run("ip", "link", "set", "lo", "up")
        if not _link_exists(at.NODE_BRIDGE):
            _run("ip", "link", "add", at.NODE_BRIDGE, "type", "bridge")
        _run("ip", "addr", "replace", f"{layout.address}/{at.NODE_NETWORK.prefixlen}", "dev", at.NODE_BRIDGE)
        _run("ip", "link", "set", at.NODE_BRIDGE, "up")


def delete(name: str) -> None:
    """Remove the namespace (and the ends of its cables); fine if it is not there."""
    if path(name).exists():
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        path(name).unlink(missing_ok=True)


def client_namespace(layout: Layout, client: str) -> str:
    """Name of the namespace of a client host."""
    return f"{layout.name}.{client}"


def ensure_client(layout: Layout, client: str, *, address: IPv4Address | None = None) -> IPv4Address:
    """A further host on the node's bridge with an address of its own; made once, mended when half there."""
    layout.clients.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (layout.clients / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _ensure_client(layout, client, address=address)


def _ensure_client(layout: Layout, client: str, *, address: IPv4Address | None) -> IPv4Address:
    if not at.NAME_PATTERN.match(client):
        raise DevclusterError(f"client host {client!r}: use 1-24 lower-case letters, digits and dashes")
    record = layout.clients / f"{client}.json"
    known = clients(layout)
    chosen = address or known.get(client) or next_address(list(known.values()))
    if chosen not in at.NODE_NETWORK or chosen < at.FIRST_CLIENT:
        raise DevclusterError(f"client host {client!r}: {chosen} is not in {at.NODE_NETWORK} from {at.FIRST_CLIENT} on")
    taken = [name for name, used in known.items() if used == chosen and name != client]
    if taken:
        raise DevclusterError(f"client host {client!r}: address {chosen} belongs to client host {taken[0]!r}")
    cable = _cable(layout, client)
    record.write_text(json.dumps({"address": str(chosen), "cable": cable}))
    attach(layout, namespace=client_namespace(layout, client), cable=cable, address=chosen)
    return chosen


def clients(layout: Layout) -> dict[str, IPv4Address]:
    """The client hosts made so far."""
    found = sorted(layout.clients.glob("*.json")) if layout.clients.is_dir() else []
    return {file.stem: IPv4Address(json.loads(file.read_text())["address"]) for file in found}


def _cable(layout: Layout, client: str) -> str:
    """Interface name of a client's end on the bridge: stable, unlike any other client's, within 15 characters."""
    record = layout.clients / f"{client}.json"
    if record.exists():
        return str(json.loads(record.read_text())["cable"])
    return f"host{len(clients(layout)) + 1:03d}"


def next_address(used: Sequence[IPv4Address]) -> IPv4Address:
    """The lowest free client address."""
    free = (at.FIRST_CLIENT + step for step in range(150))
    for candidate in free:
        if candidate not in used:
            return candidate
    raise DevclusterError("no client address is left: remove the cluster (`down`) or name one with --address")


def attach(layout: Layout, *, namespace: str, cable: str, address: IPv4Address) -> None:
    """Wire `namespace` into the cluster's bridge as a host that routes by the node."""
    _ensure_namespace(namespace)
    with inside(namespace):
        ready = _link_exists("eth0")
    if not ready:
        with inside(layout.name):
            if _link_exists(cable):
                _run("ip", "link", "del", cable)
            _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            _run("ip", "link", "set", cable, "master", at.NODE_BRIDGE, "up")
    with inside(namespace):
        _run("ip", "link", "set", "lo", "up")
        own = f"{address}/{at.NODE_NETWORK.prefixlen}"
        if own not in _output("ip", "-brief", "addr", "show", "dev", "eth0").split():  # left alone: it may be in use
            _run("ip", "addr", "flush", "dev", "eth0")
            _run("ip", "addr", "add", own, "dev", "eth0")
        _run("ip", "link", "set", "eth0", "up")
        _run("ip", "route", "replace", "default", "via", str(layout.address))


def set_link(layout: Layout, cable: str, *, up: bool) -> None:
    """Take the cluster's end of a cable up or down."""
    with inside(layout.name):
        _run("ip", "link", "set", cable, "up" if up else "down")


def _ensure_namespace(name: str) -> None:
    if not exists(name):
        path(name).unlink(missing_ok=True)
        _run("ip", "netns", "add", name)


def _link_exists(name: str) -> bool:
    return subprocess.run(["ip", "link", "show", name], check=False, capture_output=True).returncode == 0


def _run(*argv: str) -> None:
    _output(*argv)


def _output(*argv: str) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise DevclusterError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")
    return done.stdout


def _call(function: str, *arguments: object) -> None:
    if getattr(_libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise DevclusterError(f"{function}: {os.strerror(number)} (this needs root and CAP_SYS_ADMIN)")
