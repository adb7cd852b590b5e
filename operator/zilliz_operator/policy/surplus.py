"""What others added to an object that must hold exactly what we want, as the patch that takes it away again.

Server-side apply leaves other people's fields alone, and so it should. But one `egress` more in a network policy opens what we
closed, one label more in a Service's selector leaves it without a pod, one file more in the gateway's configuration changes what is
in force, and one container more runs beside Milvus: there an addition is drift like any other.
"""

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]

Path = tuple[str, ...]

EXACT: Mapping[str, tuple[Path, ...]] = {
    "NetworkPolicy": (("spec",),),
    "ConfigMap": (("data",), ("binaryData",)),
    "Secret": (("data",),),
    "Service": (("spec", "selector"),),
    "PodDisruptionBudget": (("spec", "selector"),),
    "ResourceQuota": (("spec", "hard"),),
    "LimitRange": (("spec",),),
}
"""Kinds and the parts of them in which nothing may be but ours. The API server adds nothing of its own there."""


def removal(desired: Manifest, live: Manifest) -> Manifest | None:
    """The JSON merge patch that leaves only what `desired` says; None when there is nothing too much.

    Everywhere else than in EXACT only items that were added to our lists count, for lone fields may be the API server's defaults.
    """
    exact = EXACT.get(desired["kind"], ())
    parts = {
        *(path[0] for path in exact),
        *(key for key in desired if key not in ("apiVersion", "kind", "metadata", "type")),
    }
    patch: Manifest = {}
    for part in sorted(parts):
        found = _patch(live.get(part), desired.get(part), exact=_below(exact, part))
        if found is not _NOTHING:
            patch[part] = found
    return patch or None


_NOTHING: Any = object()


def _below(exact: tuple[Path, ...], key: str) -> tuple[Path, ...]:
    """The exact paths as seen from below `key`; the empty path says that everything there is."""
    return tuple(path[1:] for path in exact if not path or path[0] == key)


def _patch(live: Any, desired: Any, *, exact: tuple[Path, ...]) -> Any:
    here = () in exact
    if isinstance(live, Mapping) and isinstance(desired, Mapping | None):
        wanted = desired or {}
        found = {k: _patch(value, wanted[k], exact=_below(exact, k)) for k, value in live.items() if k in wanted}
        patch = {key: value for key, value in found.items() if value is not _NOTHING}
        if here:
            patch |= {key: None for key, value in live.items() if key not in wanted and value not in ({}, [], None)}
        return patch or _NOTHING
    if isinstance(live, list) and isinstance(desired, list | tuple):
        return list(desired) if _more(live, list(desired), exact=here) else _NOTHING
    return _NOTHING


def _more(live: Any, desired: Any, *, exact: bool) -> bool:
    """Whether `live` has items (exact: or fields) that `desired` has not."""
    if isinstance(live, Mapping) and isinstance(desired, Mapping):
        added = exact and any(value not in ({}, [], None) for key, value in live.items() if key not in desired)
        return added or any(_more(live[key], value, exact=exact) for key, value in desired.items() if key in live)
    if isinstance(live, list) and isinstance(desired, list | tuple):
        return len(live) > len(desired) or any(_more(a, b, exact=exact) for a, b in zip(live, desired, strict=False))
    return False
