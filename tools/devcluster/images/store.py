"""A private buildah store: builds Containerfiles without a daemon, a registry or a container runtime."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tools.devcluster.images import archive
from tools.devcluster.images.errors import BuildFailed
from tools.devcluster.images.layers import Blobs, stream
from tools.devcluster.images.machine import Machine

TIMESTAMP = "1704067200"  # 2024-01-01: one clock for every layer, so equal inputs make equal digests
PACKAGES = ("buildah", "debootstrap")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VERBS = frozenset(
    {"buildah", "debootstrap", "bud", "push", "pull", "tag", "commit", "from", "mount", "rm", "rmi", "cp"}
)
NICE = ("nice", "-n", "10")  # a build must not starve the cluster that runs beside it


class Store:
    """The images known to buildah on this machine, apart from any other store."""

    def __init__(self, *, root: Path, log: Path) -> None:
        self.log = log
        root.mkdir(parents=True, exist_ok=True)
        self._store, self._driver = root / "store", _driver(root)
        apart = hashlib.sha256(str(self._store).encode()).hexdigest()[:8]
        run = f"/run/zilliz-byoc-images/{apart}"  # holds counts of mounts: must die with a reboot
        self._policy = root / "policy.json"
        self._policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        self._options = ["--storage-driver", self._driver, "--root", str(self._store), "--runroot", run]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no mount behind: a failed build keeps its containers mounted, and buildah its own directory."""
        self._buildah("rm", "--all")
        subprocess.run(["umount", str(self._store / self._driver)], capture_output=True)  # vfs has none: no matter

    def has(self, name: str) -> bool:
        """Whether an image of this name is in the store."""
        command = ["buildah", *self._options, "inspect", "--type", "image", name]
        return subprocess.run(command, capture_output=True).returncode == 0

    def clear(self) -> None:
        """Forget every image: all that was built on another base is of no further use."""
        self._buildah("rmi", "--all", "--force")

    def load(self, path: Path, *, name: str) -> None:
        """Take an image from an archive."""
        reference = self._buildah("pull", "--quiet", *self._trust(), f"oci-archive:{path}").splitlines()[-1]
        self._buildah("tag", reference, name)

    def commit(self, rootfs: Path, *, name: str) -> None:
        """Make an image of one layer from a directory."""
        container = self._buildah("from", "scratch").strip()
        try:
            mounted = self._buildah("mount", container).strip()
            self._run(["cp", "-a", f"{rootfs}/.", mounted])
            self._buildah("umount", container)
            self._buildah("config", "--cmd", "bash", "--env", f"PATH={PATH}", container)
            self._buildah(
                "commit", "--quiet", "--identity-label=false", "--timestamp", TIMESTAMP, *self._trust(), container, name
            )
        finally:
            self._buildah("rm", container)

    def build(
        self, *, name: str, containerfile: Path, context: Path, arguments: Mapping[str, str], machine: Machine
    ) -> None:
        """Build a Containerfile; unchanged steps come from the store's layers."""
        options = ["--isolation", "chroot", "--network", "host", "--pull-never", "--layers"]
        options += ["--timestamp", TIMESTAMP, "--identity-label=false", *self._trust(), *machine.build_options()]
        for key, value in arguments.items():
            options += ["--build-arg", f"{key}={value}"]
        self._buildah("bud", *options, "--file", str(containerfile), "--tag", name, str(context))

    def export(self, name: str, path: Path, *, blobs: Blobs) -> list[Path]:
        """Write an image as an OCI archive of uncompressed layers (local disks are quicker than gzip).

        Returns the blobs that were not known before.
        """
        described = json.loads(self._buildah("inspect", "--type", "image", name))
        manifest = described["Manifest"].encode()
        layers = [layer["digest"] for layer in json.loads(manifest)["layers"]]
        fresh = [layer for layer in dict.fromkeys(layers) if not blobs.has(layer)]
        if all(blobs.take(stream(self._store, driver=self._driver, digest=layer), digest=layer) for layer in fresh):
            fresh.append(blobs.put(described["Config"].encode()))
        else:
            manifest, fresh = self._push(name, blobs)
        archive.write(manifest, blobs, path, name=name)
        return [blobs.path(blob) for blob in fresh]

    def _push(self, name: str, blobs: Blobs) -> tuple[bytes, list[str]]:
        """The slow way, for a store laid out unlike ours. (buildah compresses OCI archives always, directories not.)"""
        with tempfile.TemporaryDirectory(dir=blobs.directory.parent, prefix="push-") as directory:
            options = ["--quiet", "--disable-compression", "--format", "oci", *self._trust()]
            self._buildah("push", *options, name, f"dir:{directory}")
            manifest = Path(directory, "manifest.json").read_bytes()
            described = json.loads(manifest)
            digests = list(dict.fromkeys(blob["digest"] for blob in (described["config"], *described["layers"])))
            for digest in digests:
                blobs.adopt(Path(directory), digest=digest)
        return manifest, digests

    def _trust(self) -> list[str]:
        return ["--signature-policy", str(self._policy)]

    def _buildah(self, verb: str, *arguments: str) -> str:
        return self._run([*NICE, "buildah", *self._options, verb, *arguments])

    def _run(self, command: list[str]) -> str:
        return run_logged(command, log=self.log)


def run_logged(command: list[str], *, log: Path) -> str:
    """Run a program, keep all it says in the log, and on failure show the log's last lines."""
    with log.open("ab") as sink, tempfile.TemporaryFile() as output:
        try:
            code = subprocess.run(command, stdout=output, stderr=sink, stdin=subprocess.DEVNULL).returncode
        except FileNotFoundError as error:
            raise BuildFailed(f"{error.filename} is not installed") from error
        output.seek(0)
        said = output.read()
        sink.write(said)
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BuildFailed(f"`{_shown(command)}` ended with {code}; the whole log is {log}, its end:\n{tail}")
    return said.decode(errors="replace")


def _shown(command: list[str]) -> str:
    """The program and its verb alone: build arguments may carry a proxy's password."""
    return " ".join(word for word in command if word in VERBS)


def require_tools() -> None:
    """Refuse early, with the remedy, on a machine that cannot build images."""
    missing = [tool for tool in PACKAGES if shutil.which(tool) is None]
    if missing:
        remedy = f"apt-get install --no-install-recommends {' '.join(missing)}"
        raise BuildFailed(f"{' and '.join(missing)} missing: {remedy}")
    if os.geteuid() != 0:
        raise BuildFailed("images are built as root (debootstrap and chroot need it): run the command again with sudo")


def _driver(root: Path) -> str:
    """overlay where the kernel lets us mount it on this disk, else vfs (a full copy a layer). Chosen once a store."""
    chosen = root / "driver"
    if not chosen.exists():
        chosen.write_text("overlay" if _overlay_works(root) else "vfs")
    return chosen.read_text()


def _overlay_works(root: Path) -> bool:
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        lower, upper, work, merged = (Path(scratch, name) for name in ("lower", "upper", "work", "merged"))
        for directory in (lower, upper, work, merged):
            directory.mkdir()
        layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mount = ["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)]
        if subprocess.run(mount, capture_output=True).returncode:
            return False
        subprocess.run(["umount", str(merged)], check=True)
        return True
