"""The base image, docker.io/library/debian:bookworm-slim, made from Debian's own packages on the machine's mirror.

A release pulls the published image of that name; a machine without a registry gets an equal one from debootstrap, so
that the same Containerfiles build in both places.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.devcluster.images.machine import KEYRING, PUBLIC_MIRRORS, SUITE, Mirrors
from tools.devcluster.images.store import NICE, Store, run_logged

NAME = "docker.io/library/debian:bookworm-slim"
RECIPE = "3"  # raise it when the steps below change what the image holds
UNNEEDED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian")
LEFTOVERS = ("var/cache/apt", "var/lib/apt/lists", "var/log", "var/cache/debconf", "tmp")
SLIM = "".join(f"path-exclude /{path}/*\n" for path in UNNEEDED) + "path-include /usr/share/doc/*/copyright\n"
APT = 'Acquire::Languages "none";\nAcquire::GzipIndexes "true";\nAPT::Install-Recommends "false";\nDPkg::Use-Pty "0";\n'


def build(store: Store, *, mirrors: Mirrors, scratch: Path) -> None:
    """Bootstrap Debian below `scratch` and commit it to the store."""
    rootfs = scratch / "rootfs"
    keyring = [f"--keyring={KEYRING}"] if Path(KEYRING).is_file() else []
    command = ["debootstrap", "--variant=minbase", *keyring, SUITE, str(rootfs), mirrors.debian]
    run_logged([*NICE, *command], log=store.log)
    slim(rootfs)
    store.commit(rootfs, name=NAME)


def slim(rootfs: Path) -> None:
    """Leave out manuals and caches, now and in later installs, and name the public mirror only."""
    for path in (*UNNEEDED, *LEFTOVERS):
        for child in (rootfs / path).glob("*"):
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
    (rootfs / "etc/apt/sources.list").unlink(missing_ok=True)
    for name in ("apt.conf.d", "sources.list.d"):
        (rootfs / "etc/apt" / name).mkdir(parents=True, exist_ok=True)
    (rootfs / "etc/apt/sources.list.d/debian.sources").write_text(PUBLIC_MIRRORS.sources())
    (rootfs / "etc/apt/apt.conf.d/50slim").write_text(APT)
    (rootfs / "etc/dpkg/dpkg.cfg.d/50slim").write_text(SLIM)
    for name in ("etc/resolv.conf", "etc/hostname", "etc/machine-id"):  # debootstrap copies the machine's
        (rootfs / name).unlink(missing_ok=True)
        (rootfs / name).touch()
