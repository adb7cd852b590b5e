"""What others added to an object that must hold exactly what we want, as the patch that takes it away again.

Server-side apply leaves other people's fields alone, and so it should. But one `egress` more in a network policy opens what we
closed, one file more in the gateway's configuration changes what is in force, and one container more runs beside Milvus: there an
addition is drift like any other.
"""

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]

EXACT: Mapping[str, tuple[str, ...]] = {
    "NetworkPolicy": ("spec",),
    "ConfigMap": ("data", "binaryData"),
    "Secret": ("data",),
}
"""Kinds and the parts of them in which nothing may be but ours. The API server adds nothing of its own there."""


def removal(desired: Manifest, live: Manifest) -> Manifest | None:
    """The JSON merge patch that leaves only what `desired` says; None when there is nothing too much.

    Everywhere else than in EXACT only items that were added to our lists count, for lone fields may be the API server's defaults.
    """
    exact = EXACT.get(desired["kind"], ())
    parts = {*exact, *(key for key in desired if key not in ("apiVersion", "kind", "metadata", "type"))}
    patch: Manifest = {}
    for part in sorted(parts):
        found = _patch(live.get(part), desired.get(part), exact=part in exact)
        if found is not _NOTHING:
            patch[part] = found
    return patch or None


_NOTHING: Any = object()


def _patch(live: Any, desired: Any, *, exact: bool) -> Any:
    if isinstance(live, Mapping) and isinstance(desired, Mapping | None):
        wanted = desired or {}
        found = {key: _patch(value, wanted[key], exact=exact) for key, value in live.items() if key in wanted}
        patch = {key: value for key, value in found.items() if value is not _NOTHING}
        if exact:
            patch |= {key: None for key, value in live.items() if key not in wanted and value not in ({}, [], None)}
        return patch or _NOTHING
    if isinstance(live, list) and isinstance(desired, list | tuple):
        return list(desired) if _more(live, list(desired), exact=exact) else _NOTHING
    return _NOTHING


def _more(live: Any, desired: Any, *, exact: bool) -> bool:
    """Whether `live` has items (exact: or fields) that `desired` has not."""
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        added = exact and any(value not in ({}, [], None) for key, value in live.items() if key not in desired)
        return added or any(_more(live[key], value, exact=exact) for key, value in desired.items() if key in live)
    if isinstance(live, list) and isinstance(desired, list | tuple):
        return len(live) > len(desired) or any(_more(a, b, exact=exact) for a, b in zip(live, desired, strict=False))
    return False
