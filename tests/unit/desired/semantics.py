"""What a set of network policies lets through, as the Kubernetes documentation defines it: written apart from the builder,
and for any policies, so that it can judge ours and a stranger's alike.

A packet passes when the policies of its source's namespace let it out and those of its target's let it in. Policies of one
direction that select a pod shut it in that direction, and each of their rules opens it again for some peers and ports.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Manifest = Mapping[str, Any]
NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Somebody with an address; a pod has a namespace and labels as well."""

    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> dict[str, str]:
        return {NAME: self.namespace}


def lets_through(policies: Iterable[Manifest], source: Peer, target: Peer, port: int, *, protocol: str = "TCP") -> bool:
    """Whether a connection from `source` to this port of `target` comes about."""
    known = list(policies)
    out = _opens(known, source, target, port, protocol, "Egress")
    return out and _opens(known, target, source, port, protocol, "Ingress")


def _opens(policies: list[Manifest], pod: Peer, other: Peer, port: int, protocol: str, way: str) -> bool:
    shutting = [each for each in policies if way in _types(each) and _selects_pod(each, pod)]
    if not shutting:
        return True
    rules, peers = ("egress", "to") if way == "Egress" else ("ingress", "from")
    return any(
        _is_peer(rule.get(peers), other, here=policy["metadata"]["namespace"]) and _is_port(rule, port, protocol)
        for policy in shutting
        for rule in policy["spec"].get(rules) or ()
    )


def _types(policy: Manifest) -> list[str]:
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _selects_pod(policy: Manifest, pod: Peer) -> bool:
    return policy["metadata"]["namespace"] == pod.namespace and matches(policy["spec"]["podSelector"], pod.labels)


def _is_peer(peers: list[Manifest] | None, other: Peer, *, here: str) -> bool:
    if not peers:  # no list, or an empty one: everybody
        return True
    return any(_is(peer, other, here=here) for peer in peers)


def _is(peer: Manifest, other: Peer, *, here: str) -> bool:
    if "ipBlock" in peer:
        block, address = peer["ipBlock"], ip_address(other.address)
        holes = [ip_network(each) for each in block.get("except") or ()]
        return address in ip_network(block["cidr"]) and not any(address in hole for hole in holes)
    if not other.namespace:
        return False
    spaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
    there = other.namespace == here if spaces is None else matches(spaces, other.namespace_labels)
    return there and (pods is None or matches(pods, other.labels))


def _is_port(rule: Manifest, port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    if not ports:
        return True
    for each in ports:
        assert not isinstance(each.get("port"), str), "names of ports are not known here"
        first = each.get("port")
        last = each.get("endPort", first)
        if each.get("protocol", "TCP") == protocol and (first is None or first <= port <= last):
            return True
    return False


def matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a selector; an empty one is satisfied by all."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        {
            "In": labels.get(each["key"]) in (each.get("values") or ()),
            "NotIn": labels.get(each["key"]) not in (each.get("values") or ()),
            "Exists": each["key"] in labels,
            "DoesNotExist": each["key"] not in labels,
        }[each["operator"]]
        for each in selector.get("matchExpressions") or ()
    )
