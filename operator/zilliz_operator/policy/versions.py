"""Which Milvus version a cluster runs, and from which image.

A version comes out of the DataPlane's catalogue. A cluster keeps the one it was born with until its spec names a newer
one: editing the catalogue must never restart or break what runs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from zilliz_operator.api.dataplane import CatalogVersion
from zilliz_operator.api.exceptions import InvalidSpec

FLOOR = "2.6.15"
"""Older servers have published flaws; they run only where the platform team listed them on purpose."""
PATH = "spec.version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effective:
    """What to run."""

    version: str
    image: str


def order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """A sort key: numbers first, and a pre-release before its release."""
    core, _, suffix = version.partition("-")
    return tuple(int(part) for part in core.split(".")), not suffix, suffix


def effective(*, requested: str | None, running: Effective | None, catalogue: Sequence[CatalogVersion]) -> Effective:
    """What a cluster shall run; `running` is what was started last (from its status and its live workload), if anything; its
    image is empty when a newer one took its place.

    Raises InvalidSpec when the request is not in the catalogue or goes back.
    """
    listed = {entry.version: entry.image for entry in catalogue}
    if requested is None:
        return _kept(running, listed) if running else _default(catalogue)
    if running is not None and requested == running.version:
        return _kept(running, listed)
    if running is not None and order(requested) < order(running.version):
        raise InvalidSpec(
            PATH,
            f"{requested} is older than {running.version}, which runs: Milvus cannot go back. "
            f"Set {running.version}, or restore a backup into a new cluster",
        )
    if requested not in listed:
        raise InvalidSpec(PATH, _not_listed(requested, listed))
    return Effective(version=requested, image=listed[requested])


def _kept(running: Effective, listed: dict[str, str]) -> Effective:
    if running.version not in listed and not running.image:
        raise InvalidSpec(PATH, _not_listed(running.version, listed))
    return Effective(version=running.version, image=listed.get(running.version, running.image))


def _default(catalogue: Sequence[CatalogVersion]) -> Effective:
    if not catalogue:
        raise InvalidSpec(PATH, "the DataPlane lists no Milvus version: add one to its spec.versions")
    return Effective(version=catalogue[0].version, image=catalogue[0].image)


def _not_listed(requested: str, listed: dict[str, str]) -> str:
    if not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?", requested):
        return f"{requested!r} is no Milvus version: write it as {FLOOR}"
    known = ", ".join(sorted(listed, key=order)) or "none"
    if order(requested) < order(FLOOR):
        return (
            f"{requested} is older than {FLOOR}, the oldest without known security flaws: choose one of {known}, or "
            "list it in the DataPlane's spec.versions if you accept them"
        )
    return f"{requested} is not in the DataPlane's catalogue ({known}): choose one of these or list it in spec.versions"
