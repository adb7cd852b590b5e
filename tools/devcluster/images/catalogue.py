"""What is built: a name, a Containerfile, the files it may copy, and what must be fetched first."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tools.devcluster.images.errors import BuildFailed

REPOSITORY = Path(__file__).resolve().parents[3]
HERE = "tools/devcluster/images"
GATEWAY_CODE = ("__init__.py", "agent", "api/__init__.py", "api/confighash.py", "api/names.py")


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image. Everything that decides its content is reachable from here, and nothing else is copied."""

    key: str
    name: str
    root: Path
    sources: tuple[str, ...] = ()
    outside: Mapping[str, Path] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    fetch: Callable[[Path], None] | None = None
    estimate: int = 30
    containerfile: str = "Containerfile"


def version() -> str:
    """The product's version, the tag of its images."""
    return str(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"])


def images(*, coredns: Path | None) -> tuple[Image, ...]:
    """All images, cheapest first. CoreDNS is among them when its binary is given."""
    own = {"root": REPOSITORY, "arguments": {"VERSION": version()}}
    dev = REPOSITORY / HERE
    found = [
        Image(key="pause", name="registry.k8s.io/pause:3.10", root=dev / "pause", sources=("pause.c",), estimate=25),
        Image(key="toolbox", name="docker.io/zillizbyoc/toolbox:dev", root=dev / "toolbox", estimate=40),
        Image(
            key="gateway",
            name=f"docker.io/zillizbyoc/gateway:{version()}",
            containerfile="images/gateway/Containerfile",
            sources=("images/gateway", *(f"operator/zilliz_operator/{part}" for part in GATEWAY_CODE)),
            estimate=40,
            **own,  # type: ignore[arg-type]
        ),
        Image(
            key="operator",
            name=f"docker.io/zillizbyoc/operator:{version()}",
            containerfile="images/operator/Containerfile",
            sources=("images/operator", "operator/zilliz_operator", "requirements.lock"),
            estimate=150,
            **own,  # type: ignore[arg-type]
        ),
        Image(
            key="milvus",
            name="docker.io/milvusdb/milvus:v2.3.5",
            root=dev / "milvus",
            sources=("glog.conf", "requirements.lock"),
            fetch=fetch_milvus,
            estimate=60,
        ),
    ]
    if coredns is not None:
        found.insert(
            1,
            Image(
                key="coredns",
                name="docker.io/coredns/coredns:1.14.7",
                root=dev / "coredns",
                outside={"coredns": coredns},
                estimate=5,
            ),
        )
    return tuple(found)


def fetch_milvus(context: Path) -> None:
    """Unpack the server's binaries from the pinned wheel into `context`/bin."""
    with tempfile.TemporaryDirectory(dir=context.parent) as scratch:
        pins = ["--no-deps", "--require-hashes", "--requirement", str(context / "requirements.lock")]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *pins, "--dest", scratch]
        done = subprocess.run(command, capture_output=True, text=True)
        wheel = next(Path(scratch).glob("milvus-*.whl"), None)
        if done.returncode or wheel is None:
            raise BuildFailed(f"cannot download the Milvus wheel with pip:\n{done.stderr[-1500:]}")
        with zipfile.ZipFile(wheel) as archive:
            packed = [name for name in archive.namelist() if name.endswith(".lzma")]
            archive.extractall(scratch, members=packed)
        binaries = context / "bin"
        binaries.mkdir()
        with ThreadPoolExecutor(2) as pool:  # the decoder works outside of Python's lock
            list(pool.map(_unpack, [Path(scratch, name) for name in packed], [binaries] * len(packed)))


def _unpack(packed: Path, target: Path) -> None:
    """The files are named .lzma but are xz streams; Python's reader takes both."""
    os.nice(10)
    file = target / packed.stem
    with lzma.open(packed) as source, file.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    file.chmod(0o755)
