"""Who is who on the control plane: certificates and kubeconfigs of every part, each with a user name of its own.

Names matter: the audit log is where tests count who wrote what.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from ipaddress import IPv4Address

from tools.devcluster import layout as at
from tools.devcluster import render
from tools.devcluster.kube import Kube
from tools.devcluster.layout import Layout
from tools.devcluster.pki import Authority, Leaf, ensure_signing_key, write_private

LOOPBACK = IPv4Address("127.0.0.1")
NODE_GROUP = "system:nodes"


@dataclass(frozen=True, kw_only=True)
class User:
    """A client of the API server with a kubeconfig."""

    file: str
    name: str
    group: str = ""


CONTROL_PLANE_USERS = (
    User(file="admin", name="admin", group="system:masters"),
    # the cluster's own hand: what it writes is neither counted nor judged as the administrator's doing
    User(file="bootstrap", name="system:devcluster", group="system:masters"),
    User(file="kube-controller-manager", name="system:kube-controller-manager"),
)
NODE_USERS = (
    User(file="kube-scheduler", name="system:kube-scheduler"),
    User(file="kubelet-client", name=f"system:node:{at.NODE_NAME}", group=NODE_GROUP),
    User(file="kube-proxy", name="system:kube-proxy"),
    User(file="kube-router", name="system:kube-router"),
    User(file="cert-manager", name="system:cert-manager"),
    User(file="cloud", name="system:cloud"),
)


def ensure_control_plane(layout: Layout) -> None:
    """All that etcd, API server and controller manager need on disk."""
    kube = Authority(directory=layout.pki, name="kube").ensure()
    proxy = Authority(directory=layout.pki, name="front-proxy").ensure()
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{at.CLUSTER_DOMAIN}",
    ]
    addresses = (LOOPBACK, at.KUBERNETES_SERVICE, layout.address)
    kube.issue(
        Leaf(
            name="apiserver", common_name="kube-apiserver", dns=("localhost", *names), addresses=addresses, server=True
        )
    )
    kube.issue(
        Leaf(
            name="apiserver-kubelet", common_name="apiserver-kubelet-client", organization="system:masters", client=True
        )
    )
    proxy.issue(Leaf(name="front-proxy-client", common_name="front-proxy-client", client=True))
    ensure_signing_key(layout.pki, "service-account")
    key_file = layout.config / "encryption.yaml"
    if not key_file.exists():
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        write_private(key_file, render.encryption(key=key).encode())
    _ensure_users(layout, kube, CONTROL_PLANE_USERS)


def ensure_node(layout: Layout) -> None:
    """All that the node and the parts around it need on disk."""
    kube = Authority(directory=layout.pki, name="kube").ensure()
    kube.issue(
        Leaf(
            name="kubelet",
            common_name=at.NODE_NAME,
            dns=(at.NODE_NAME,),
            addresses=(layout.address, LOOPBACK),
            server=True,
        )
    )
    kube.issue(
        Leaf(
            name="acme",
            common_name="acme",
            dns=("localhost", f"acme.{at.PUBLIC_DOMAIN}"),
            addresses=(layout.address,),
            server=True,
        )
    )
    store = Authority(directory=layout.pki, name="store").ensure()
    store.issue(
        Leaf(
            name="store-server",
            common_name=f"s3.{at.PUBLIC_DOMAIN}",
            dns=(f"s3.{at.PUBLIC_DOMAIN}", "localhost"),
            addresses=(layout.address, LOOPBACK),
            server=True,
        )
    )
    store.issue(Leaf(name="store-grpc", common_name="store", addresses=(layout.address,), server=True, client=True))
    Authority(directory=layout.pki, name="byoc").ensure()
    _ensure_users(layout, kube, NODE_USERS)


def client(layout: Layout, user: str) -> Kube:
    """The API server as seen by one of our users."""
    certificate, key = layout.pki / f"{user}.crt", layout.pki / f"{user}.key"
    return Kube(
        host=str(layout.address), port=at.API_PORT, authority=layout.pki / "kube.crt", certificate=certificate, key=key
    )


def _ensure_users(layout: Layout, kube: Authority, users: tuple[User, ...]) -> None:
    for user in users:
        certificate, key = kube.issue(Leaf(name=user.file, common_name=user.name, organization=user.group, client=True))
        text = render.kubeconfig(
            server=layout.server, authority=kube.certificate_file, certificate=certificate, key=key, user=user.name
        )
        target = layout.pki / f"{user.file}.kubeconfig"
        if not target.exists() or target.read_text() != text:
            write_private(target, text.encode())
