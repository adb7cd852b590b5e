"""Which names a cluster may ask for in its door's certificate: any that the issuer proves, but no other cluster's and none inside
Kubernetes. With those, its gateways could pass for a neighbour's door.
"""

import re
from collections.abc import Sequence

from zilliz_operator.api import names

_DOOR = re.compile(re.escape(names.ID_PREFIX) + r"[0-9a-f]{12}")
_NAMESPACE = names.cluster_namespace(names.ID_PREFIX)


def refusal(asked: Sequence[str], *, cluster_id: str, domain: str, cluster_domain: str) -> str:
    """Why `spec.tls.dnsNames` is refused, with the field; empty when it is fine."""
    own = names.door_host(cluster_id=cluster_id, domain=domain)
    for index, name in enumerate(asked):
        labels = name.split(".")
        if name == own:
            continue
        field = f"spec.tls.dnsNames[{index}]: {name}"
        if _DOOR.fullmatch(labels[0]):
            return f"{field} is another cluster's door: remove it; this cluster's own, {own}, is always there"
        if _under(name, domain):
            return f"{field} is under {domain}, whose names are doors of clusters: choose a name elsewhere"
        inside = _under(name, cluster_domain) or labels[-1] == "svc" or len(labels) == 1
        if inside or any(label.startswith(_NAMESPACE) for label in labels):
            return (
                f"{field} is a name inside Kubernetes: remove it; the operator adds those of this cluster's own Service"
            )
    return ""


def _under(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")
