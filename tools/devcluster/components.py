"""The cluster's processes: what each is started with, when it is ready, when it stops. Data, hardly any logic."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tools.devcluster import cgroups, checks, identities, store
from tools.devcluster import layout as at
from tools.devcluster.build import binary
from tools.devcluster.layout import Layout
from tools.devcluster.process import Component

REPOSITORY = Path(__file__).resolve().parents[2]
CLIENT_URL, PEER_URL = "http://127.0.0.1:2379", "http://127.0.0.1:2380"


def etcd(layout: Layout, *, durable: bool) -> Component:
    """`durable=False` skips fsync: for control planes that live as long as a test."""
    return Component(
        name="etcd",
        argv=(
            str(binary("etcd")),
            f"--data-dir={layout.etcd}",
            f"--listen-client-urls={CLIENT_URL}",
            f"--advertise-client-urls={CLIENT_URL}",
            f"--listen-peer-urls={PEER_URL}",
            f"--initial-advertise-peer-urls={PEER_URL}",
            f"--initial-cluster=default={PEER_URL}",
            "--log-level=warn",
            # compaction is the API server's business; this only bounds a forgotten cluster's disk
            "--quota-backend-bytes=2147483648",
            *(() if durable else ("--unsafe-no-fsync",)),
        ),
        ready=lambda: checks.http_ok(port=2379, path="/health"),
        stop_order=80,
    )


def apiserver(layout: Layout, *, node: bool, extra: Sequence[str] = ()) -> Component:
    """`node=False`: no kubelet and no Service address will ever be used."""
    pki, config = layout.pki, layout.config
    client = identities.client(layout, "bootstrap")
    return Component(
        name="kube-apiserver",
        argv=(
            str(binary("kube-apiserver")),
            f"--etcd-servers={CLIENT_URL}",
            f"--bind-address={layout.address if not node else '0.0.0.0'}",
            f"--advertise-address={layout.address}",
            f"--secure-port={at.API_PORT}",
            f"--tls-cert-file={pki}/apiserver.crt",
            f"--tls-private-key-file={pki}/apiserver.key",
            "--tls-min-version=VersionTLS12",
            f"--client-ca-file={pki}/kube.crt",
            f"--authentication-config={layout.authentication}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/service-account.pub",
            f"--service-account-signing-key-file={pki}/service-account.key",
            f"--service-cluster-ip-range={at.SERVICE_NETWORK}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--endpoint-reconciler-type={'lease' if node else 'none'}",
            "--profiling=false",
            f"--encryption-provider-config={config}/encryption.yaml",
            f"--kubelet-certificate-authority={pki}/kube.crt",
            f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
            f"--kubelet-client-key={pki}/apiserver-kubelet.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki}/front-proxy.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki}/front-proxy-client.crt",
            f"--proxy-client-key-file={pki}/front-proxy-client.key",
            f"--audit-policy-file={config}/audit.yaml",
            f"--audit-log-path={layout.audit_log}",
            # written before the answer is sent: a test that got its answer finds its line
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=2",
            *(() if node else ("--enable-aggregator-routing=true",)),
            *extra,
        ),
        files=(config / "encryption.yaml", config / "audit.yaml", pki / "apiserver.crt", pki / "kube.crt"),
        ready=lambda: client.text("/readyz") == "ok",
        stop_order=70,
        stop_seconds=5.0,
    )


def controller_manager(layout: Layout) -> Component:
    pki, kubeconfig = layout.pki, layout.pki / "kube-controller-manager.kubeconfig"
    return Component(
        name="kube-controller-manager",
        argv=(
            str(binary("kube-controller-manager")),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki}/service-account.key",
            f"--root-ca-file={pki}/kube.crt",
            f"--cluster-signing-cert-file={pki}/kube.crt",
            f"--cluster-signing-key-file={pki}/kube.key",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={at.POD_NETWORK}",
            f"--node-cidr-mask-size={at.POD_NETWORK.prefixlen}",
            f"--service-cluster-ip-range={at.SERVICE_NETWORK}",
            "--bind-address=127.0.0.1",
            "--secure-port=10257",
            "--profiling=false",
        ),
        files=(kubeconfig, pki / "kube.crt"),
        ready=lambda: checks.https_ok(port=10257, path="/healthz"),
        stop_order=60,
    )


def scheduler(layout: Layout) -> Component:
    kubeconfig = layout.pki / "kube-scheduler.kubeconfig"
    return Component(
        name="kube-scheduler",
        argv=(
            str(binary("kube-scheduler")),
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            "--secure-port=10259",
            "--profiling=false",
        ),
        files=(kubeconfig,),
        ready=lambda: checks.https_ok(port=10259, path="/healthz"),
        stop_order=50,
    )


def containerd(layout: Layout) -> Component:
    return Component(
        name="containerd",
        argv=("containerd", "--config", str(layout.config / "containerd.toml"), "--log-level", "warn"),
        files=(layout.config / "containerd.toml", layout.containerd / "cni" / "10-pods.conflist"),
        ready=lambda: checks.socket_answers(layout.containerd_socket),
        stop_order=90,
    )


def kubelet(layout: Layout) -> Component:
    return Component(
        name="kubelet",
        argv=(
            str(binary("kubelet")),
            f"--config={layout.config}/kubelet.yaml",
            f"--kubeconfig={layout.pki}/kubelet-client.kubeconfig",
            f"--hostname-override={at.NODE_NAME}",
            f"--node-ip={layout.address}",
            f"--root-dir={layout.kubelet}",
            f"--cert-dir={layout.kubelet}/pki",
        ),
        files=(layout.config / "kubelet.yaml", layout.resolv_conf, layout.pki / "kubelet.crt"),
        before=lambda: cgroups.ensure(layout.cgroup),
        ready=lambda: checks.http_ok(port=10248, path="/healthz"),
        stop_order=20,
    )


def kube_proxy(layout: Layout) -> Component:
    return Component(
        name="kube-proxy",
        argv=(str(binary("kube-proxy")), f"--config={layout.config}/kube-proxy.yaml"),
        files=(layout.config / "kube-proxy.yaml", layout.pki / "kube-proxy.kubeconfig"),
        ready=lambda: checks.http_ok(port=10256, path="/healthz"),
        stop_order=30,
    )


def kube_router(layout: Layout) -> Component:
    """Enforces NetworkPolicies; routing and Services are others' work."""
    kubeconfig = layout.pki / "kube-router.kubeconfig"
    return Component(
        name="kube-router",
        argv=(
            str(binary("kube-router")),
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--run-loadbalancer=false",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={at.NODE_NAME}",
            f"--service-cluster-ip-range={at.SERVICE_NETWORK}",
            f"--service-external-ip-range={at.VIP_NETWORK}",
            f"--loadbalancer-ip-range={at.VIP_NETWORK}",
            "--health-port=20244",
        ),
        files=(kubeconfig,),
        ready=lambda: checks.http_ok(port=20244, path="/healthz"),
        stop_order=30,
    )


def named(layout: Layout) -> Component:
    return Component(
        name="named",
        # a copy of the program: AppArmor confines /usr/sbin/named to Debian's own directories
        argv=(str(layout.bind / "named"), "-f", "-u", "bind", "-c", str(layout.bind / "named.conf")),
        files=(layout.bind / "named.conf", layout.bind / "root.zone"),
        ready=lambda: checks.dns_answers(server=layout.address, zone=at.PUBLIC_DOMAIN),
        stop_order=40,
    )


def pebble(layout: Layout) -> Component:
    host, authority = str(layout.address), layout.pki / "kube.crt"
    return Component(
        name="pebble",
        argv=(
            str(binary("pebble")),
            "-config",
            str(layout.config / "pebble.json"),
            "-dnsserver",
            f"{layout.address}:53",
            "-strict=false",
        ),
        env={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
        files=(layout.config / "pebble.json", layout.pki / "acme.crt"),
        ready=lambda: checks.https_ok(host=host, port=at.ACME_PORT, path="/dir", authority=authority),
        stop_order=40,
    )


def cert_manager(layout: Layout) -> Component:
    kubeconfig = layout.pki / "cert-manager.kubeconfig"
    return Component(
        name="cert-manager",
        argv=(
            str(binary("certmanager")),
            f"-kubeconfig={kubeconfig}",
            f"-dns01-recursive-nameservers={layout.address}:53",
            "-listen=127.0.0.1:9402",
        ),
        # its ACME client verifies Pebble by the caBundle of the issuer; nothing here trusts the machine's roots
        files=(kubeconfig,),
        ready=lambda: checks.http_ok(port=9402, path="/livez"),
        stop_order=40,
    )


def cloud(layout: Layout) -> Component:
    return Component(
        name="cloud",
        argv=(
            sys.executable,
            "-P",
            "-m",
            "tools.devcluster.cloud",
            "--name",
            layout.name,
            "--state",
            str(layout.root.parent),
        ),
        env={"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        files=tuple(Path(__file__).parent / name for name in ("cloud.py", "kube.py", "layout.py")),
        ready=lambda: checks.fresh(layout.cloud / "heartbeat", seconds=20),
        before=lambda: (layout.cloud / "heartbeat").unlink(missing_ok=True),
        stop_order=40,
    )


def control_plane(layout: Layout, *, durable: bool, node: bool, extra: Sequence[str] = ()) -> tuple[Component, ...]:
    """etcd, API server, controller manager, in the order of their start."""
    return (etcd(layout, durable=durable), apiserver(layout, node=node, extra=extra), controller_manager(layout))


def waves(layout: Layout) -> tuple[tuple[Component, ...], ...]:
    """Everything, in the order of its start; the members of a wave need only those before it.

    The cluster's roles and certificate kinds are written before the third; before the last the node is registered.
    """
    first_store, admin_store = store.components(layout)
    first_etcd, server, manager = control_plane(layout, durable=True, node=True)
    return (
        (named(layout), containerd(layout), first_store, first_etcd),
        (server, admin_store),
        (manager, scheduler(layout), kubelet(layout), kube_proxy(layout), pebble(layout), cloud(layout)),
        (kube_router(layout), cert_manager(layout)),
    )


def all_components(layout: Layout) -> tuple[Component, ...]:
    """Everything, in the order of its start."""
    return tuple(component for wave in waves(layout) for component in wave)
