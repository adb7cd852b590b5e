"""Server-side apply, as far as it matters here: who owns a field decides whether it goes when it is no longer sent.

Lists of objects with a key are merged by it, as the API server's schemas say; selectors and all other lists are replaced whole.
"""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")


def copied(value: T) -> T:
    """A deep copy of plain data, several times faster than `copy.deepcopy`."""
    return cast(T, _copied(value))


def _copied(value: Any) -> Any:
    if value.__class__ in (str, int, bool, None.__class__):
        return value
    if isinstance(value, str):
        return str(value)  # a word of an enumeration travels as its text
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(each) for each in value]
    return value


ATOMIC_MAPS = frozenset({"selector", "podSelector", "namespaceSelector", "labelSelector"})
KEYED_LISTS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}


def _keys(kind: str, name: str, items: list[Any]) -> tuple[str, ...] | None:
    if kind == "NetworkPolicy":
        return None
    if name == "ports":
        return ("port", "protocol") if kind == "Service" else ("containerPort", "protocol")
    return KEYED_LISTS.get(name)


def _atomic(kind: str, name: str) -> bool:
    # A Service's selector and a label selector alike are replaced whole.
    return name in ATOMIC_MAPS or (kind == "Secret" and name == "type")


def merged(kind: str, live: Any, before: Any, wanted: Any, *, name: str = "") -> Any:
    """`live` after an apply of `wanted` by a manager that had applied `before`, by force."""
    if isinstance(wanted, Mapping) and not _atomic(kind, name):
        out = dict(live) if isinstance(live, Mapping) else {}
        previous = before if isinstance(before, Mapping) else {}
        for key in previous.keys() - wanted.keys():
            _remove(kind, out, key, previous[key])
        for key, value in wanted.items():
            out[key] = merged(kind, out.get(key), previous.get(key), value, name=key)
        return out
    if isinstance(wanted, list):
        keys = _keys(kind, name, wanted)
        if keys is not None and all(isinstance(item, Mapping) for item in wanted):
            return _merged_list(kind, live or [], before or [], wanted, keys)
    return copied(wanted)


def _merged_list(kind: str, live: list[Any], before: list[Any], wanted: list[Any], keys: tuple[str, ...]) -> list[Any]:
    theirs, ours_before = {_id(i, keys): i for i in live}, {_id(i, keys): i for i in before}
    wishes = {_id(i, keys): i for i in wanted}
    out = [merged(kind, theirs.get(key), ours_before.get(key), item) for key, item in wishes.items()]
    return out + [item for key, item in theirs.items() if key not in wishes and key not in ours_before]


def _remove(kind: str, out: dict[str, Any], key: str, previous: Any) -> None:
    """Take away what we had applied below `key`; what others put there stays."""
    live = out.get(key)
    if isinstance(previous, Mapping) and previous and isinstance(live, Mapping) and not _atomic(kind, key):
        rest = merged(kind, live, previous, {}, name=key)
        if rest:
            out[key] = rest
            return
    out.pop(key, None)


def _id(item: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key, "TCP" if key == "protocol" else None) for key in keys)


def still_ours(before: Any, live: Any) -> Any:
    """What of `before` nobody changed since: an edit takes ownership of the fields that it changes."""
    if isinstance(before, Mapping) and isinstance(live, Mapping):
        kept = {key: still_ours(value, live.get(key)) for key, value in before.items() if key in live}
        return {key: value for key, value in kept.items() if value is not _GONE}
    if isinstance(before, list) and isinstance(live, list):
        return before if before == live else [item for item in before if item in live]
    return before if before == live else _GONE


_GONE: Any = object()


def json_merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return copied(patch)
    out = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = json_merge(out.get(key), value)
    return out
