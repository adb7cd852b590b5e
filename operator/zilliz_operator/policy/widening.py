"""Network policies of others that let in or out what ours do not: policies add up, and none can take away.

Only what selects a pod of the cluster and allows somebody something counts. A policy that only denies, or that selects
none of our pods, changes nothing for us.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Manifest = dict[str, Any]
Labels = Mapping[str, str]


def wideners(foreign: Iterable[Manifest], pods: Sequence[Labels]) -> tuple[str, ...]:
    """Each of them as `name (lets in and lets out)`, in order. `pods`: the labels of the cluster's pods."""
    found = []
    for policy in foreign:
        spec = policy.get("spec") or {}
        if any(selects(spec.get("podSelector") or {}, labels) for labels in pods) and (ways := opens(spec)):
            found.append(f"{policy['metadata']['name']} ({' and '.join(ways)})")
    return tuple(sorted(found))


def opens(spec: Mapping[str, Any]) -> list[str]:
    """The directions in which a policy allows anything. Types that are left out are those that Kubernetes would fill in:
    Ingress always, Egress where there are rules for it."""
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    ways = (("Ingress", "ingress", "lets in"), ("Egress", "egress", "lets out"))
    return [said for type, key, said in ways if type in types and spec.get(key)]


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector matches. One that says what we do not understand is taken to match: better a word too
    much than a door unseen."""
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or ())


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return True
