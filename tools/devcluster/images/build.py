"""The pipeline: every image is keyed by all it is made of, built when the key is new, and kept as an OCI archive."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.devcluster.images import archive, base, catalogue, machine
from tools.devcluster.images.catalogue import Image
from tools.devcluster.images.errors import BuildFailed
from tools.devcluster.images.layers import Blobs
from tools.devcluster.images.store import TIMESTAMP, Store, require_tools

Progress = Callable[[str], None]
KEEP = 3  # archives kept of one image: a colleague's checkout may be on an older key
PIPELINE = "4"  # raise it when the pipeline changes what an image holds

__all__ = ["BuildFailed", "ImageArchive", "ensure_all", "planned"]


@dataclass(frozen=True, kw_only=True)
class ImageArchive:
    """One image, ready to import."""

    name: str
    path: Path
    digest: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is known of an image before anything is built."""

    image: Image
    path: Path
    present: bool
    seconds: int


def cache_directory() -> Path:
    """Where archives and buildah's store live."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zilliz-byoc" / "images"


def ensure_all(
    progress: Progress = print,
    *,
    coredns: Path | None = None,
    only: Collection[str] | None = None,
    cache: Path | None = None,
) -> list[ImageArchive]:
    """Build what is missing and return the archives of all images (or of those named in `only`).

    `coredns` is the path of the CoreDNS binary; without it that image is left out, and `progress` says so.
    Safe to call from several processes at once: one builds, the others wait and find the result.
    """
    directory = cache or cache_directory()
    chosen = _chosen(coredns=coredns, only=only)
    if coredns is None and only is None:
        progress("image coredns: left out, no CoreDNS binary was given")
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    with _lock(directory / "lock", progress), tempfile.TemporaryDirectory(dir=directory, prefix="build-") as scratch:
        return [_ensure(image, directory=directory, scratch=Path(scratch), progress=progress) for image in chosen]


def planned(*, coredns: Path | None = None, cache: Path | None = None) -> list[Plan]:
    """Which archives exist for the checkout as it is now, and how long the others will take."""
    directory = cache or cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    plans = []
    with tempfile.TemporaryDirectory(dir=directory, prefix="plan-") as scratch:
        for image in _chosen(coredns=coredns, only=None):
            path = directory / f"{image.key}-{_stage(image, Path(scratch, image.key))}.tar"
            plans.append(Plan(image=image, path=path, present=path.is_file(), seconds=_seconds(directory, image)))
    return plans


def _chosen(*, coredns: Path | None, only: Collection[str] | None) -> list[Image]:
    if coredns is not None and not coredns.is_file():
        raise BuildFailed(f"coredns: {coredns} is not a file; build the binary first")
    known = {image.key: image for image in catalogue.images(coredns=coredns)}
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        hint = " (give its binary)" if unknown == ["coredns"] else ""
        raise BuildFailed(f"no image is called {', '.join(unknown)}{hint}; there are {', '.join(sorted(known))}")
    return [image for key, image in known.items() if only is None or key in only]


def _ensure(image: Image, *, directory: Path, scratch: Path, progress: Progress) -> ImageArchive:
    context = scratch / image.key
    path = directory / f"{image.key}-{_stage(image, context)}.tar"
    if not path.is_file():
        progress(f"image {image.key}: building, about {_seconds(directory, image)} s")
        started = time.monotonic()
        _build(image, context=context, path=path, directory=directory, scratch=scratch, progress=progress)
        took = time.monotonic() - started
        _remember(directory, image, took)
        progress(f"image {image.key}: built in {took:.0f} s, {path.stat().st_size / 1e6:.0f} MB")
    else:
        progress(f"image {image.key}: up to date")
    os.utime(path)  # youngest is what is in use; see _prune
    _prune(directory, image.key)
    shutil.rmtree(context)
    return ImageArchive(name=image.name, path=path, digest=archive.digest(path))


def _build(image: Image, *, context: Path, path: Path, directory: Path, scratch: Path, progress: Progress) -> None:
    require_tools()
    log = directory / "logs" / f"{image.key}.log"
    log.unlink(missing_ok=True)
    settings = machine.prepare(directory / "machine")
    blobs = Blobs(directory / "blobs")
    if image.fetch is not None:
        image.fetch(context)
        _normalise(context)
    with Store(root=directory / "buildah", log=log) as store:
        _ensure_base(store, settings, directory=directory, scratch=scratch, progress=progress)
        store.build(
            name=image.name,
            containerfile=context / image.containerfile,
            context=context,
            arguments=image.arguments,
            machine=settings,
        )
        fresh = store.export(image.name, path, blobs=blobs)
    found = [leak for blob in fresh for leak in archive.leaks(blob, private_names=settings.private_names)]
    if found:
        for file in (path, *fresh):  # a blob is searched once, so a bad one must not be found here next time
            file.unlink()
        raise BuildFailed(f"image {image.key} holds {', '.join(found)} of the machine that built it; it was removed")
    blobs.prune()


def _ensure_base(
    store: Store, settings: machine.Machine, *, directory: Path, scratch: Path, progress: Progress
) -> None:
    path = directory / f"debian-{_base_key()}.tar"
    if path.is_file():
        if not store.has(base.NAME):
            store.load(path, name=base.NAME)
        return
    progress("image debian: bootstrapping the base, about 60 s")
    started = time.monotonic()
    store.clear()
    base.build(store, mirrors=settings.mirrors, scratch=scratch)
    store.export(base.NAME, path, blobs=Blobs(directory / "blobs"))
    _prune(directory, "debian")
    progress(f"image debian: built in {time.monotonic() - started:.0f} s")


def _base_key() -> str:
    return hashlib.sha256(f"{base.RECIPE}\0{base.NAME}\0{machine.SUITE}".encode()).hexdigest()[:16]


def _stage(image: Image, context: Path) -> str:
    """Copy what the Containerfile may see, and return the key of that copy: others may be editing the original."""
    context.mkdir(parents=True)
    for source in (image.containerfile, *image.sources):
        _copy(image.root / source, context / source)
    for target, path in image.outside.items():
        _copy(path, context / target)
    _normalise(context)
    key = hashlib.sha256(f"{PIPELINE}\0{_base_key()}\0{image.name}\0{json.dumps(dict(image.arguments))}".encode())
    for file in sorted(p for p in context.rglob("*") if p.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        key.update(f"{file.relative_to(context)}\0{file.stat().st_mode & 0o777:o}\0{content}\n".encode())
    return key.hexdigest()[:16]


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise BuildFailed(f"{source} is missing, an image needs it")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True)
    elif not target.exists():
        shutil.copyfile(source, target)
        target.chmod(source.stat().st_mode & 0o777)


def _normalise(context: Path) -> None:
    """One owner's umask or clock must not make another image."""
    for path in [context, *context.rglob("*")]:
        executable = path.is_dir() or path.stat().st_mode & 0o111
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (int(TIMESTAMP), int(TIMESTAMP)))


def _prune(directory: Path, key: str) -> None:
    archives = sorted(directory.glob(f"{key}-*.tar"), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in archives[KEEP:]:
        old.unlink()


def _seconds(directory: Path, image: Image) -> int:
    """How long the image took last time, if its slow layers are still those; else what it takes from nothing."""
    weight, seconds = _timings(directory).get(image.key, ("", 0))
    return seconds if weight == _weight(image) else image.estimate


def _remember(directory: Path, image: Image, took: float) -> None:
    timings = _timings(directory) | {image.key: (_weight(image), max(1, round(took)))}
    (directory / "timings.json").write_text(json.dumps(timings, indent=1))


def _timings(directory: Path) -> dict[str, tuple[str, int]]:
    try:
        read = json.loads((directory / "timings.json").read_text())
        return {key: (str(weight), int(seconds)) for key, (weight, seconds) in read.items()}
    except (OSError, ValueError, TypeError):
        return {}


def _weight(image: Image) -> str:
    """Names the layers that take long: packages and locked downloads, not our own code."""
    slow = [image.containerfile, *(source for source in image.sources if source.endswith(".lock"))]
    texts = [(image.root / source).read_text() for source in slow]
    return hashlib.sha256("\0".join([_base_key(), *texts]).encode()).hexdigest()[:16]


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("images: another build is running, waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
