"""Reading an OCI archive: its digest, its configuration, and whether it holds what it must not."""

from __future__ import annotations

import json
import mmap
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FORBIDDEN_FILES = ("etc/pip.conf", "root/.config/pip/pip.conf", "root/.pip/pip.conf", "mnt/pip.conf", "mnt/ca.pem")


def digest(path: Path) -> str:
    """Digest of the image manifest, as a registry or containerd would name it."""
    with tarfile.open(path) as tar:
        return str(_json(tar, "index.json")["manifests"][0]["digest"])


def configuration(path: Path) -> dict[str, Any]:
    """The image's configuration: user, entry point, environment, history."""
    with tarfile.open(path) as tar:
        manifest = _json(tar, _blob(_json(tar, "index.json")["manifests"][0]["digest"]))
        return _json(tar, _blob(manifest["config"]["digest"]))


def files(path: Path) -> dict[str, tarfile.TarInfo]:
    """Every file of the image, later layers over earlier ones (white-outs applied)."""
    found: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(path) as tar:
        manifest = _json(tar, _blob(_json(tar, "index.json")["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=tar.extractfile(_blob(layer["digest"]))) as contents:
                for member in contents:
                    _lay(found, member)
    return found


def _lay(found: dict[str, tarfile.TarInfo], member: tarfile.TarInfo) -> None:
    name = member.name.removeprefix("./").strip("/")
    folder, _, leaf = name.rpartition("/")
    if leaf.startswith(".wh."):
        gone = f"{folder}/{leaf.removeprefix('.wh.')}".strip("/")
        for known in [k for k in found if k == gone or k.startswith(f"{gone}/")]:
            del found[known]
    else:
        found[name] = member


def leaks(path: Path, *, private_names: Iterable[str]) -> list[str]:
    """What of the building machine is found in an (uncompressed) archive; empty means clean."""
    found = [f"file /{name}" for name in files(path) if name in FORBIDDEN_FILES]
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found += [f"the name {name!r}" for name in private_names if data.find(name.encode()) >= 0]
    return found


def _blob(name: str) -> str:
    return "blobs/" + name.replace(":", "/")


def _json(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    handle = tar.extractfile(name)
    if handle is None:
        raise ValueError(f"{tar.name}: {name} is not a file")
    value: dict[str, Any] = json.load(handle)
    return value
