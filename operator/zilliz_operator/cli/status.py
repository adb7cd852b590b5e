"""`zilliz-operator status`: a cluster's conditions as sentences, for a person in a hurry."""

import argparse
from typing import Any

from zilliz_operator.cli.reading import clusters, with_kube

MARKS = {"True": "✓", "False": "✗"}


def lines(cluster: dict[str, Any]) -> list[str]:
    """One cluster: its name and state, then a line for every condition with its evidence."""
    metadata, status = cluster["metadata"], cluster.get("status") or {}
    conditions = status.get("conditions") or []
    ready: dict[str, Any] = next((c for c in conditions if c["type"] == "Ready"), {})
    title = f"{metadata['namespace']}/{metadata['name']}"
    head = f"{title}  {ready.get('reason', 'not seen by the operator yet')}  {status.get('endpoint', '')}".rstrip()
    width = max((len(c["type"]) for c in conditions), default=0)
    return [
        head,
        *(f"  {MARKS.get(c['status'], '?')} {c['type']:<{width}}  {c.get('message', '')}" for c in conditions),
    ]


def command(options: argparse.Namespace) -> int:
    """Print them; 1 when any cluster is not Ready."""
    found = with_kube(options, lambda kube: clusters(kube, namespace=options.namespace, name=options.name))
    if not found:
        print("no ZillizCluster" + (f" named {options.name}" if options.name else "") + " is there")
        return 1 if options.name else 0
    for cluster in found:
        print("\n".join(lines(cluster)))
    return 0 if all(_ready(cluster) for cluster in found) else 1


def _ready(cluster: dict[str, Any]) -> bool:
    conditions = (cluster.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
