"""Whether a live object still is what we want, without writing to find out.

Two questions, both needed: is everything we want there (somebody edited it), and is what we wanted last time still what
we want now (we stopped wanting a field, which the first question cannot see)? Fields that others or the API server add
are theirs and do not count: server-side apply would leave them, so writing on their account would never end.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from zilliz_operator.api.names import APPLIED_HASH

Manifest = dict[str, Any]

_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)")
_SUFFIX = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10) ** 3} | {
    letter + mark: base**power
    for power, letter in enumerate("KMGTPE", start=1)
    for mark, base in (("", Decimal(1000)), ("i", Decimal(1024)))
    if letter + mark != "K"
}
_QUANTITY_KEYS = frozenset({"requests", "limits", "hard", "default", "defaultRequest", "max", "min", "sizeLimit"})
"""Fields below which (or at which) the API server rewrites a quantity to its canonical form."""


def applied_hash(desired: Manifest) -> str:
    """The fingerprint of what we want. A Secret's values stay out of it: a fingerprint of them does not belong in an
    annotation, and they are compared one by one anyway."""
    metadata = {key: value for key, value in desired["metadata"].items() if key != "annotations"}
    annotations = {
        key: value for key, value in desired["metadata"].get("annotations", {}).items() if key != APPLIED_HASH
    }
    content = {**desired, "metadata": {**metadata, "annotations": annotations}}
    if desired["kind"] == "Secret":
        content["data"] = sorted(desired.get("data") or ())
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def stamped(desired: Manifest) -> Manifest:
    """The manifest as it is sent: with the fingerprint of what was wanted. `desired` is left as it is."""
    annotations = {**desired["metadata"].get("annotations", {}), APPLIED_HASH: applied_hash(desired)}
    return {**desired, "metadata": {**desired["metadata"], "annotations": annotations}}


def needs_apply(desired: Manifest, live: Manifest) -> bool:
    """Whether `desired` must be applied over `live`. `desired` may be stamped or not."""
    recorded = (live["metadata"].get("annotations") or {}).get(APPLIED_HASH)
    if recorded != applied_hash(desired):
        return True
    return not contains(live, stamped(desired))


def contains(live: Any, desired: Any, *, quantity: bool = False) -> bool:
    """Whether everything in `desired` is in `live`: maps key by key, lists of equal length element by element.

    What is empty may be absent, for the API server drops it. `quantity` is True below a field of quantities.
    """
    if isinstance(desired, Mapping):
        if not desired:
            return live is None or isinstance(live, Mapping)
        return isinstance(live, Mapping) and all(
            contains(live.get(key), value, quantity=quantity or key in _QUANTITY_KEYS) for key, value in desired.items()
        )
    if isinstance(desired, Sequence) and not isinstance(desired, str):
        if not desired:
            return not live
        return (
            isinstance(live, Sequence)
            and not isinstance(live, str)
            and len(live) == len(desired)
            and all(contains(theirs, ours, quantity=quantity) for theirs, ours in zip(live, desired, strict=True))
        )
    if desired is None:
        return live is None
    return _same(live, desired, quantity=quantity)


def _same(live: Any, desired: Any, *, quantity: bool) -> bool:
    if quantity and (wanted := parse_quantity(desired)) is not None:
        return parse_quantity(live) == wanted
    if isinstance(desired, str):  # a word of an enumeration, too, which the API server gives back as plain text
        return isinstance(live, str) and live == desired
    return type(live) is type(desired) and bool(live == desired)


def parse_quantity(value: Any) -> Decimal | None:
    """`1000m`, `1` and `1.0` are one; None when it is no quantity."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    match = _QUANTITY.fullmatch(str(value))
    return Decimal(match[1]) * _SUFFIX[match[2]] if match else None
