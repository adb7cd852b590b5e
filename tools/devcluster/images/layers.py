"""Layers as blobs, read from buildah's store once and kept: an edit of our code then costs one small layer, not all.

`buildah push` writes every layer of an image each time. The store keeps, beside each layer's directory, the recipe of
its tar stream (tar-split: raw headers, and the names of the files between them), from which the stream is made again
to the byte. Its digest proves it; a store laid out otherwise is noticed, and `buildah push` does the work.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

CHUNK = 1 << 20
UNUSED_SECONDS = 7 * 24 * 3600
DIRECTORIES = {"overlay": "overlay/{id}/diff", "vfs": "vfs/dir/{id}"}


class Blobs:
    """A directory of blobs, each named by the hex of its digest."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the blob of this digest is, or would be."""
        return self.directory / digest.removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether the blob is here; asking marks it as in use."""
        path = self.path(digest)
        if path.is_file():
            path.touch()
        return path.is_file()

    def put(self, content: bytes) -> str:
        """Keep some bytes and return their digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.path(digest).write_bytes(content)
        return digest

    def take(self, stream: Iterator[bytes], *, digest: str) -> bool:
        """Keep a stream if it has this digest."""
        partial, found = self.directory / "partial", hashlib.sha256()
        with partial.open("wb") as sink:
            for chunk in stream:
                found.update(chunk)
                sink.write(chunk)
        if f"sha256:{found.hexdigest()}" != digest:
            partial.unlink()
            return False
        partial.rename(self.path(digest))
        return True

    def adopt(self, directory: Path, *, digest: str) -> None:
        """Move a blob here from a directory written by `buildah push`."""
        shutil.move(directory / digest.removeprefix("sha256:"), self.path(digest))

    def prune(self) -> None:
        """Drop what no build has used for a week."""
        for path in self.directory.iterdir():
            if path.stat().st_mtime < time.time() - UNUSED_SECONDS:
                path.unlink()


def stream(store: Path, *, driver: str, digest: str) -> Iterator[bytes]:
    """The tar stream of a layer; nothing where the store does not know it, or is laid out in another way."""
    index = store / f"{driver}-layers"
    try:
        known = json.loads((index / "layers.json").read_text())
        name = next(layer["id"] for layer in known if layer.get("diff-digest") == digest)
        files = store / DIRECTORIES[driver].format(id=name)
        with gzip.open(index / f"{name}.tar-split.gz", "rt") as recipe:
            for line in recipe:
                yield from _piece(json.loads(line), files)
    except (OSError, ValueError, KeyError, StopIteration):
        return


def _piece(entry: dict[str, object], files: Path) -> Iterator[bytes]:
    if entry["type"] == 2:
        yield base64.b64decode(str(entry["payload"]))
    elif entry.get("size"):
        with (files / str(entry["name"])).open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
