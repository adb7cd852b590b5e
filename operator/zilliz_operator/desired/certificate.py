"""Who signs what in a cluster, as cert-manager objects.

Three authorities that never mix: `internal-ca` signs Milvus and the gateways for each other (Milvus accepts nobody
else); `operator-ca` signs the one certificate by which the gateways know the operator; the DataPlane's issuer signs the
door.
"""

from zilliz_operator.api.dataplane import IssuerRef

from .context import GATEWAY, MILVUS, ClusterContext
from .manifest import Manifest, manifest

CA_DURATION, CA_RENEW_BEFORE = "87600h", "8760h"
LEAF_DURATION, LEAF_RENEW_BEFORE = "8760h", "720h"

_SERVER = ["digital signature", "key encipherment", "server auth"]
_CLIENT = ["digital signature", "client auth"]
_RSA: Manifest = {"algorithm": "RSA", "size": 2048, "rotationPolicy": "Always"}
_ECDSA: Manifest = {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"}


def certificates(ctx: ClusterContext, *, public_issuer: bool = False) -> list[Manifest]:
    """Issuers and certificates.

    `public_issuer`: the DataPlane's issuer proves names in public DNS (ACME), so the door's certificate must not ask
    for names that exist only inside Kubernetes.
    """
    return [
        _issuer(ctx, "selfsigned", {"selfSigned": {}}),
        _authority(ctx, "internal-ca"),
        _issuer(ctx, "internal", {"ca": {"secretName": "internal-ca"}}),
        _authority(ctx, "operator-ca"),
        _issuer(ctx, "operator-ca", {"ca": {"secretName": "operator-ca"}}),
        _leaf(ctx, "milvus-tls", issuer="internal", usages=_SERVER, dns_names=service_names(ctx, MILVUS)),
        _leaf(ctx, "gateway-client", issuer="internal", usages=_CLIENT, dns_names=[GATEWAY]),
        _leaf(ctx, "operator-client", issuer="operator-ca", usages=_CLIENT, common_name="zilliz-operator"),
        _door(ctx, public_issuer=public_issuer),
    ]


def service_names(ctx: ClusterContext, service: str) -> list[str]:
    """The names of a Service inside Kubernetes."""
    full = f"{service}.{ctx.namespace}.svc"
    return [service, f"{service}.{ctx.namespace}", full, f"{full}.{ctx.data_plane.network.cluster_domain}"]


def door_names(ctx: ClusterContext, *, public_issuer: bool) -> list[str]:
    """Every name the door answers to, the one for clients first, each once."""
    inside = [] if public_issuer else service_names(ctx, GATEWAY)[2:]
    return list(dict.fromkeys([ctx.door_host, *inside, *ctx.spec.tls.dns_names]))


def _issuer(ctx: ClusterContext, name: str, spec: Manifest) -> Manifest:
    return manifest("Issuer", name=name, namespace=ctx.namespace, labels=ctx.labels("certificate"), spec=spec)


def _certificate(ctx: ClusterContext, name: str, spec: Manifest) -> Manifest:
    labels = ctx.labels("certificate")
    return manifest("Certificate", name=name, namespace=ctx.namespace, labels=labels, spec={"secretName": name, **spec})


def _authority(ctx: ClusterContext, name: str) -> Manifest:
    spec: Manifest = {
        "isCA": True,
        "commonName": f"{ctx.cluster_id} {name}",
        "duration": CA_DURATION,
        "renewBefore": CA_RENEW_BEFORE,
        # An authority keeps its key when it is renewed: with a new one, what it signed before would not verify.
        "privateKey": {**_RSA, "rotationPolicy": "Never"},
        "usages": ["cert sign", "crl sign", "digital signature"],
        "issuerRef": _issuer_ref(IssuerRef(kind="Issuer", name="selfsigned")),
    }
    return _certificate(ctx, name, spec)


def _leaf(
    ctx: ClusterContext,
    name: str,
    *,
    issuer: str,
    usages: list[str],
    dns_names: list[str] | None = None,
    common_name: str | None = None,
) -> Manifest:
    subject: Manifest = {"commonName": common_name} if common_name else {"commonName": name, "dnsNames": dns_names}
    spec = {
        **subject,
        "duration": LEAF_DURATION,
        "renewBefore": LEAF_RENEW_BEFORE,
        "privateKey": dict(_RSA),
        "usages": list(usages),
        "issuerRef": _issuer_ref(IssuerRef(kind="Issuer", name=issuer)),
    }
    return _certificate(ctx, name, spec)


def _door(ctx: ClusterContext, *, public_issuer: bool) -> Manifest:
    # Behind AWS Certificate Manager the load balancer shows ACM's certificate; the gateways' own hop is internal.
    issuer = ctx.data_plane.certificates.issuer_ref or IssuerRef(kind="Issuer", name="internal")
    spec = {
        "dnsNames": door_names(ctx, public_issuer=public_issuer),  # no commonName: public issuers refuse long ones
        "duration": ctx.spec.tls.duration,
        "renewBefore": ctx.spec.tls.renew_before,
        "privateKey": dict(_ECDSA),
        "usages": ["digital signature", "server auth"],
        "issuerRef": _issuer_ref(issuer),
    }
    return _certificate(ctx, "gateway-tls", spec)


def _issuer_ref(issuer: IssuerRef) -> Manifest:
    return {"kind": issuer.kind, "name": issuer.name, "group": issuer.group}
