"""The shape of a Kubernetes object as the builders return it, and the few moves they all make.

Builders return plain dicts: they print, diff and compare without help, and nothing here can call out.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from zilliz_operator.api import kinds

Manifest = dict[str, Any]


def manifest(
    kind: str,
    *,
    name: str,
    labels: Mapping[str, str],
    namespace: str | None = None,
    annotations: Mapping[str, str] | None = None,
    **body: Any,
) -> Manifest:
    """One object of a known kind; `body` is everything beside metadata (`spec=…`, `data=…`)."""
    metadata: Manifest = {"name": name, "labels": dict(labels)}
    if namespace is not None:
        metadata["namespace"] = namespace
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": kinds.KINDS[kind].api_version, "kind": kind, "metadata": metadata, **body}


def secret_data(values: Mapping[str, str]) -> dict[str, str]:
    """Values as a Secret's `data` holds them. (`stringData` is write-only: nothing live could be compared with it.)"""
    return {key: base64.b64encode(value.encode()).decode() for key, value in sorted(values.items())}


def digest(value: Any) -> str:
    """A short, stable fingerprint of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
