"""Reading an OCI archive: its digest, its configuration, and whether it holds what it must not."""

from __future__ import annotations

import hashlib
import io
import json
import mmap
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.devcluster.images.layers import Blobs

FORBIDDEN_FILES = ("etc/pip.conf", "root/.config/pip/pip.conf", "root/.pip/pip.conf", "mnt/pip.conf", "mnt/ca.pem")


def write(manifest: bytes, blobs: Blobs, path: Path, *, name: str) -> None:
    """Make an archive of a manifest and the blobs it names.

    It appears under its name only when it is whole. containerd and OCI tools each look for the image's name elsewhere.
    """
    described = json.loads(manifest)
    entry = {
        "mediaType": described["mediaType"],
        "digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}",
        "size": len(manifest),
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
    }
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", json.dumps(index).encode())
        _add(tar, _blob(str(entry["digest"])), manifest)
        for blob in dict.fromkeys([described["config"]["digest"], *(layer["digest"] for layer in described["layers"])]):
            with blobs.path(blob).open("rb") as content:
                member = tarfile.TarInfo(_blob(blob))
                member.size = os.fstat(content.fileno()).st_size
                tar.addfile(member, content)
    partial.rename(path)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


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
        gone = "/".join(filter(None, (folder, leaf.removeprefix(".wh."))))
        for known in [k for k in found if k == gone or k.startswith(f"{gone}/")]:
            del found[known]
    else:
        found[name] = member


def leaks(blob: Path, *, private_names: Iterable[str]) -> list[str]:
    """What of the building machine is found in a blob (an uncompressed layer or a configuration); empty means clean."""
    found = []
    if tarfile.is_tarfile(blob):
        with tarfile.open(blob) as layer:
            found += [f"file /{name}" for name in layer.getnames() if name in FORBIDDEN_FILES]
    with blob.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found += [f"the name {name!r}" for name in private_names if data.find(name.encode()) >= 0]
    return found


def _blob(name: str) -> str:
    return "blobs/" + name.replace(":", "/")


def _json(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    handle = tar.extractfile(name)
    if handle is None:
        raise ValueError(f"not an OCI archive: {name} is not a file")
    value: dict[str, Any] = json.load(handle)
    return value
