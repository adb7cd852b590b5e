"""Texts of the configuration files. Pure functions of a Layout and values; nothing is written here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.devcluster import layout as at
from tools.devcluster.layout import Layout

SANDBOX_IMAGE = "registry.k8s.io/pause:3.10"
CNI_NETWORK = "pods"
READS = ["get", "list", "watch"]
PARTS_OF_THE_CLUSTER = [
    "system:apiserver",
    "system:devcluster",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    "system:kube-router",
    "system:cloud",
    "system:cert-manager",
    f"system:node:{at.NODE_NAME}",
    "system:serviceaccount:kube-system:coredns",
]


def kubeconfig(*, server: str, authority: Path, certificate: Path, key: Path, user: str) -> str:
    """A kubeconfig that names its certificate files (of the owner's eyes only)."""
    return to_yaml(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "byoc", "cluster": {"server": server, "certificate-authority": str(authority)}}],
            "users": [{"name": user, "user": {"client-certificate": str(certificate), "client-key": str(key)}}],
            "contexts": [{"name": "byoc", "context": {"cluster": "byoc", "user": user}}],
            "current-context": "byoc",
        }
    )


def audit_policy() -> str:
    """Writes in full but for Secrets and ConfigMaps; reads by name; reads of the cluster's own parts not at all."""
    sensitive = [
        {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
        {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
    ]
    return to_yaml(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "omitManagedFields": True,
            "rules": [
                {"level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*"]},
                {"level": "None", "users": PARTS_OF_THE_CLUSTER, "verbs": READS},
                {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"], "verbs": READS},
                {"level": "Metadata", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
                {"level": "Metadata", "resources": sensitive},
                {"level": "Metadata", "verbs": READS},
                {"level": "RequestResponse"},
            ],
        }
    )


def authentication() -> str:
    """No identity provider: people and parts have certificates, pods their tokens."""
    return to_yaml({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": []})


def encryption(*, key: str) -> str:
    """Secrets are encrypted in etcd by a key made for this cluster."""
    providers = [{"secretbox": {"keys": [{"name": "key1", "secret": key}]}}, {"identity": {}}]
    return to_yaml(
        {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": providers}],
        }
    )


def kubelet(layout: Layout) -> str:
    """The kubelet's configuration: own directories and cgroup, works on cgroup v1 and v2, evicts only in real need."""
    pki = layout.pki
    return to_yaml(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "kube.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": layout.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDomain": at.CLUSTER_DOMAIN,
            "clusterDNS": [str(at.DNS_SERVICE)],
            "resolvConf": str(layout.resolv_conf),
            "tlsCertFile": str(pki / "kubelet.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet.key"),
            "address": str(layout.address),
            "healthzBindAddress": "127.0.0.1",
            "readOnlyPort": 0,
            "podLogsDir": str(layout.pod_logs),
            "volumePluginDir": str(layout.kubelet / "volume-plugins"),
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
            # images come from archives: one thrown away could not be pulled again
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "logging": {"verbosity": 1},
        }
    )


def kube_proxy(layout: Layout) -> str:
    """kube-proxy by nftables; conntrack limits are the machine's and stay as they are."""
    return to_yaml(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clusterCIDR": str(at.CLUSTER_POD_NETWORK),
            "clientConnection": {"kubeconfig": str(layout.pki / "kube-proxy.kubeconfig")},
            "hostnameOverride": at.NODE_NAME,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "nodePortAddresses": ["primary"],
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
        }
    )


def containerd(layout: Layout, *, state: Path) -> str:
    """containerd with directories of its own. No container gets a lower oom_score_adj than ours: that may fail."""
    home = layout.containerd
    unused = ", ".join(f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "devmapper", "zfs"))
    return f"""version = 2
root = "{home}/root"
state = "{state}"
oom_score = 0
disabled_plugins = [{unused}, "io.containerd.internal.v1.opt"]
[grpc]
  address = "{layout.containerd_socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{SANDBOX_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{home}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{home}/runc"
"""


def cni(layout: Layout) -> str:
    """Pods hang on a bridge, see no masquerading among themselves, and leave by the node."""
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": at.POD_BRIDGE,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(layout.containerd / "addresses"),
            "ranges": [[{"subnet": str(at.POD_NETWORK)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    network = f"{layout.name}-{CNI_NETWORK}"  # the name keys a machine-wide cache
    return json.dumps({"cniVersion": "1.0.0", "name": network, "plugins": [bridge, portmap]}, indent=1)


def resolver(layout: Layout) -> str:
    """The resolv.conf of client hosts and of the node."""
    return f"nameserver {layout.address}\nsearch {at.PUBLIC_DOMAIN}\noptions timeout:2 attempts:2\n"


def named(layout: Layout, *, keys: Mapping[str, str]) -> str:
    """bind9: owns byoc.test (updated by RFC 2136, each key its own record types), asks CoreDNS for cluster.local.

    It also owns an empty root zone: there is no Internet here, and "no such name" must be said at once.
    """
    home = layout.bind
    secrets = "".join(tsig_key(name=name, secret=secret) for name, secret in sorted(keys.items()))
    return f"""{secrets}options {{
  directory "{home}";
  pid-file "{home}/named.pid";
  session-keyfile "{home}/session.key";
  managed-keys-directory "{home}";
  listen-on port 53 {{ {layout.address}; 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion yes;
  allow-query {{ any; }};
  allow-recursion {{ any; }};
  dnssec-validation no;
  empty-zones-enable no;
  notify no;
  minimal-responses yes;
  max-cache-ttl 2;
  max-ncache-ttl 1;
}};
controls {{ }};
zone "." {{ type primary; file "{home}/root.zone"; }};
zone "{at.CLUSTER_DOMAIN}" {{ type static-stub; server-addresses {{ {at.DNS_SERVICE}; }}; }};
zone "{at.PUBLIC_DOMAIN}" {{
  type primary;
  file "{home}/{at.PUBLIC_DOMAIN}.zone";
  update-policy {{ grant acme zonesub TXT; grant cloud zonesub A; }};
}};
"""


def root_zone(layout: Layout) -> str:
    """A root that knows nobody but our own zones."""
    return (
        f"$TTL 1\n@ IN SOA ns.{at.PUBLIC_DOMAIN}. root.{at.PUBLIC_DOMAIN}. ( 1 60 60 60 1 )\n"
        f"  IN NS ns.{at.PUBLIC_DOMAIN}.\n"
        f"{at.PUBLIC_DOMAIN}. IN NS ns.{at.PUBLIC_DOMAIN}.\nns.{at.PUBLIC_DOMAIN}. IN A {layout.address}\n"
    )


def public_zone(layout: Layout) -> str:
    """byoc.test as it is at birth: name server, object store, ACME server."""
    return (
        f"$TTL 1\n@ IN SOA ns root ( 1 60 60 60 1 )\n  IN NS ns\n"
        f"ns IN A {layout.address}\ns3 IN A {layout.address}\nacme IN A {layout.address}\n"
    )


def tsig_key(*, name: str, secret: str) -> str:
    """A key file for nsupdate."""
    return f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n'


def pebble(layout: Layout) -> str:
    """The ACME test server. One profile: it would pick any of several at random."""
    return json.dumps(
        {
            "pebble": {
                "listenAddress": f"{layout.address}:{at.ACME_PORT}",
                "managementListenAddress": f"{layout.address}:{at.ACME_MANAGEMENT_PORT}",
                "certificate": str(layout.pki / "acme.crt"),
                "privateKey": str(layout.pki / "acme.key"),
                "httpPort": 5002,
                "tlsPort": 5001,
                "externalAccountBindingRequired": False,
                "retryAfter": {"authz": 1, "order": 1},
                "keyAlgorithm": "ecdsa",
                "profiles": {"default": {"description": "90 days, as Let's Encrypt issues", "validityPeriod": 7776000}},
            }
        },
        indent=1,
    )


def store_security(layout: Layout) -> str:
    """SeaweedFS' security.toml: its parts talk among themselves only with a certificate of the store's authority.

    Without it any process that reaches the filer's port reads every secret key in clear.
    """
    tables = [f'[grpc]\nca = "{layout.pki}/store.crt"']
    for part in ("master", "volume", "filer", "s3", "admin", "worker", "client", "msg_broker"):
        tables.append(f'[grpc.{part}]\ncert = "{layout.pki}/store-grpc.crt"\nkey = "{layout.pki}/store-grpc.key"')
    return "\n".join(tables) + "\n"


def to_yaml(value: Any) -> str:
    """YAML without aliases, in the order written."""
    return yaml.dump(value, Dumper=_Plain, sort_keys=False, width=160)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True
