"""The whole cluster: up, status, down. Each step looks at what is there and does only what is missing."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.devcluster import (
    acme,
    build,
    cgroups,
    components,
    containers,
    files,
    host,
    identities,
    manifests,
    netns,
    process,
    render,
    spokes,
    store,
)
from tools.devcluster.errors import DevclusterError
from tools.devcluster.images import build as image_build
from tools.devcluster.images.errors import BuildFailed
from tools.devcluster.kube import Kube, Object, object_path
from tools.devcluster.layout import NODE_NAME, Layout
from tools.devcluster.process import Component, Supervisor

Progress = Callable[[str], None]
LOCKS = Path("/run")
CERT_MANAGER_MODULE = "github.com/cert-manager/cert-manager"
KUBELET_LEFTOVERS = Path("/var/lib/kubelet")
SHARED = (
    containers.CNI_CACHE,
    containers.CNI_CACHE.parent,
    containers.SHIM_SOCKETS,
    containers.SHIM_SOCKETS.parent,
    containers.POD_LOG_LINKS,
    Path("/run/runc"),
)
BUILD_RUNS = Path("/run/zilliz-byoc-images")
BUILD_BLOBS = Path("/var/lib/containers")
SETTLED = (
    ("/apis/cert-manager.io/v1/clusterissuers/byoc-ca", "Ready"),
    ("/apis/cert-manager.io/v1/clusterissuers/letsencrypt", "Ready"),
    ("/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available"),
)


@dataclass(frozen=True, kw_only=True)
class Health:
    """One line of `status`."""

    name: str
    pid: int | None
    healthy: bool
    since: float | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `up` did."""

    seconds: float
    built: int  # binaries' modules and images; a cold start builds them all
    started: tuple[str, ...]


def supervisor(layout: Layout) -> Supervisor:
    return Supervisor(namespace=layout.name, run=layout.run, logs=layout.logs)


@contextlib.contextmanager
def locked(layout: Layout, progress: Progress) -> Iterator[None]:
    """One `up` or `down` of a cluster at a time."""
    with (LOCKS / f"zilliz-byoc-{layout.name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("another up or down of this cluster is running: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, kw_only=True)
class Images:
    """All images as archives, and how many of them had to be built."""

    archives: tuple[containers.Archive, ...]
    built: int


def build_all(progress: Progress) -> int:
    """Build every missing binary and image; how many of them."""
    host.require_machine()
    host.ensure_packages(progress)
    absent = build.missing()
    _announce(absent, progress)
    return len(absent) + _build(absent, progress).result().built


def up(layout: Layout, progress: Progress, *, data_planes: int = 1) -> Report:
    """Bring the cluster to where everything runs and answers, with as many data planes, its own among them."""
    began = time.monotonic()
    host.load_modules()
    host.require_machine()
    host.ensure_packages(progress)
    absent = build.missing(to_run=True)
    _announce(absent, progress)
    images = _build(absent, progress)
    with locked(layout, progress):
        files.ensure_all(layout)
        netns.ensure_cluster(layout)
        for client in netns.clients(layout):
            netns.ensure_client(layout, client)
        host.remember_kernel(layout.config / "kernel.json")
        with netns.inside(layout.name):
            started = _start(layout, images, progress)
            _settle(layout, progress)
            kinds = certificate_kinds(layout)
        spokes.up(layout, count=data_planes, kinds=kinds, progress=progress)
    built = len(absent) + images.result().built
    return Report(seconds=time.monotonic() - began, built=built, started=tuple(started))


def _announce(absent: Sequence[build.Module], progress: Progress) -> None:
    if absent:
        minutes = sum(module.seconds for module in absent) / 60
        names = ", ".join(module.name for module in absent)
        progress(f"to be built once: {names}; about {minutes:.0f} min on two idle cores")


def _build(absent: Sequence[build.Module], progress: Progress) -> Future[Images]:
    """Build the binaries here, and meanwhile the images in a thread."""
    for module in absent[:1]:
        build.ensure(module, progress)
    future: Future[Images] = Future()
    # a thread of its own: this one will move into the cluster's network namespace, builds need the machine's
    threading.Thread(target=_build_images, args=(future, progress), daemon=True).start()
    for module in absent[1:]:
        build.ensure(module, progress)
    return future


def _build_images(future: Future[Images], progress: Progress) -> None:
    try:
        build.ensure(build.BY_BINARY["coredns"], progress)
        coredns = build.binary("coredns")
        absent = [plan for plan in image_build.planned(coredns=coredns) if not plan.present]
        if absent:
            names = ", ".join(plan.image.key for plan in absent)
            progress(f"images to be built: {names}; about {sum(plan.seconds for plan in absent)} s")
        archives = image_build.ensure_all(progress, coredns=coredns)
        future.set_result(Images(archives=tuple(archives), built=len(absent)))
    except BuildFailed as error:
        future.set_exception(DevclusterError(str(error)))
    except BaseException as error:  # handed to the thread that waits
        future.set_exception(error)


def _start(layout: Layout, images: Future[Images], progress: Progress) -> list[str]:
    first, second, third, last = components.waves(layout)
    owner = identities.client(layout, "bootstrap")
    started = _wave(layout, first, progress)
    started += _wave(layout, second, progress)
    apply_all(owner, manifests.base(layout))
    crds = certificate_kinds(layout)
    apply_all(owner, [crd for crd in crds if owner.find(object_path(crd)) is None])
    started += _wave(layout, third, progress)
    node_ready = functools.partial(_is, owner, f"/api/v1/nodes/{NODE_NAME}", "Ready")
    _until(node_ready, what="the node to be Ready", seconds=90)
    started += _wave(layout, last, progress)
    if not images.done():
        progress("waiting for the images")
    _import(layout, images, progress)
    return started


def _import(layout: Layout, images: Future[Images], progress: Progress) -> None:
    """A broken image of the product must not stop a cluster that has its own images; `up` still fails, at its end."""
    error = images.exception()
    if error is None:
        containers.import_images(layout, images.result().archives, progress)
    elif not {manifests.COREDNS_IMAGE, render.SANDBOX_IMAGE} <= containers.images(layout).keys():
        raise error
    else:
        progress("an image cannot be built (see the end): going on with those of before")


def _wave(layout: Layout, wave: Sequence[Component], progress: Progress) -> list[str]:
    keeper = supervisor(layout)
    started = [component.name for component in wave if keeper.ensure(component)]
    if started:
        progress(f"starting {', '.join(started)}")
    for component in wave:
        keeper.wait_ready(component)
    return started


def apply_all(kube: Kube, objects: Sequence[Object]) -> None:
    """Server-side apply, in order."""
    for manifest in objects:
        kube.apply(manifest)


def certificate_kinds(layout: Layout) -> list[Object]:
    """cert-manager's CRDs, out of the very module its controllers are built from; kept, to be sought only once."""
    kept = layout.config / "cert-manager-crds.yaml"
    if not kept.exists():
        directory = build.module_directory(CERT_MANAGER_MODULE, of="certmanager") / "deploy" / "crds"
        texts = [file.read_text() for file in sorted(directory.glob("*.yaml"))]
        if not texts:
            raise DevclusterError(f"{directory} holds no CRDs: cert-manager's module has another shape than expected")
        kept.write_text("\n---\n".join(texts))
    return [crd for crd in yaml.load_all(kept.read_text(), Loader=yaml.CSafeLoader) if crd]


def _settle(layout: Layout, progress: Progress) -> None:
    """The objects that need the controllers, and the wait until all of it works."""
    owner = identities.client(layout, "bootstrap")
    pki = layout.pki
    acme.heal(layout, owner)
    apply_all(
        owner,
        manifests.issuers(
            layout,
            byoc=((pki / "byoc.crt").read_bytes(), (pki / "byoc.key").read_bytes()),
            acme_authority=(pki / "kube.crt").read_bytes(),
            acme_key=files.tsig_secret(layout, "acme"),
        ),
    )
    apply_all(
        owner,
        manifests.handover(
            keys=store.admin_keys(layout),
            store_authority=(pki / "store.crt").read_bytes(),
            acme_roots=acme.roots(layout),
            byoc_authority=(pki / "byoc.crt").read_bytes(),
        ),
    )
    progress("waiting for DNS and the certificate issuers")
    for path, condition in SETTLED:
        what = f"{path.rpartition('/')[2]} to be {condition}"
        _until(functools.partial(_is, owner, path, condition), what=what, seconds=120)


def _is(kube: Kube, path: str, kind: str) -> bool:
    conditions = (kube.find(path) or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def _until(condition: Callable[[], bool], *, what: str, seconds: float) -> None:
    if not process.wait_for(condition, seconds=seconds):
        raise DevclusterError(
            f"waited {seconds:.0f} s in vain for {what}: see `status`, and `logs` of what is not healthy"
        )


def status(layout: Layout) -> list[Health]:
    """Every component, whether it runs and whether it answers; those of further data planes too."""
    if not layout.root.is_dir() or not (layout.store / store.SECRETS).exists():
        return []
    rows = _rows(layout, components.all_components(layout))
    for number in spokes.found(layout):
        parts = spokes.parts(layout, number)
        rows += _rows(spokes.plane(layout, number).layout, parts, prefix=f"{spokes.name(number)}/")
    return rows


def _rows(layout: Layout, parts: Sequence[Component], *, prefix: str = "") -> list[Health]:
    keeper, rows = supervisor(layout), []
    with netns.inside(layout.name) if netns.exists(layout.name) else contextlib.nullcontext():
        for component in parts:
            known = keeper.running(component.name)
            alive = known is not None
            rows.append(
                Health(
                    name=prefix + component.name,
                    pid=known.pid if known else None,
                    healthy=alive and process.healthy(component),
                    since=known.since if known else None,
                )
            )
    return rows


def down(layout: Layout, progress: Progress) -> None:
    """Remove every process, mount, network namespace, cgroup and file of the cluster. The cache stays."""
    host.require_machine()
    with locked(layout, progress):
        spokes.down(layout)
        progress("stopping the node and its pods")
        keeper = supervisor(layout)
        for name in _by_stop_order(layout):
            keeper.stop(name, seconds=0.0)  # nothing is to be saved: its files go next
        containers.kill_pods(layout)
        progress("removing network namespaces, mounts and files")
        spaces = [*containers.forget_pods(layout), *_client_spaces(layout), layout.name]
        for space in spaces:
            process.end_all(netns.members(space), seconds=1.0)
        containers.unmount_below(layout.root)
        for space in spaces:
            netns.delete(space)
        host.restore_kernel(layout.config / "kernel.json")
        _until(lambda: cgroups.remove(layout.cgroup), what=f"cgroup {layout.cgroup} to be empty", seconds=10)
        _until(lambda: _removed(layout.root), what=f"{layout.root} to be free", seconds=10)
        _tidy(layout)
        (LOCKS / f"zilliz-byoc-{layout.name}.lock").unlink(missing_ok=True)


def _removed(directory: Path) -> bool:
    """Delete a directory; a lazy unmount may take a moment to let go of it."""
    containers.unmount_below(directory)
    try:
        shutil.rmtree(directory)
    except FileNotFoundError:
        return not directory.exists()
    except OSError:
        return False
    return True


def _by_stop_order(layout: Layout) -> list[str]:
    """Names of what may run, first to stop first; of an older version's components too."""
    known: dict[str, int] = {}
    if (layout.store / store.SECRETS).exists():
        known = {component.name: component.stop_order for component in components.all_components(layout)}
    recorded = [file.stem for file in layout.run.glob("*.json")] if layout.run.is_dir() else []
    return sorted({*known, *recorded}, key=lambda name: known.get(name, 0))


def _client_spaces(layout: Layout) -> list[str]:
    found = {netns.client_namespace(layout, client) for client in netns.clients(layout)}
    if netns.NAMESPACES.is_dir():
        found |= {path.name for path in netns.NAMESPACES.glob(f"{layout.name}.*")}
    return sorted(found)


def _tidy(layout: Layout) -> None:
    """Directories on the machine that only the cluster caused, once the last cluster is gone."""
    with contextlib.suppress(OSError):
        layout.root.parent.rmdir()
    if layout.root.parent.exists():
        return
    _tidy_builds()
    leftovers = KUBELET_LEFTOVERS / "device-plugins"
    for name in ("kubelet.sock", "kubelet_internal_checkpoint"):
        (leftovers / name).unlink(missing_ok=True)
    for directory in (leftovers, KUBELET_LEFTOVERS, *SHARED):
        with contextlib.suppress(OSError):  # not empty: somebody else's too
            directory.rmdir()


def _tidy_builds() -> None:
    """What image builds leave outside the cache: mounts (of a killed build), their counts, a list of blobs."""
    images = image_build.cache_directory()
    if images.is_dir():
        with (images / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # a build is running: it will need all of them
            containers.unmount_below(images)
            shutil.rmtree(BUILD_RUNS, ignore_errors=True)
    if BUILD_BLOBS.is_dir() and {path.name for path in BUILD_BLOBS.iterdir()} <= {"cache"}:
        shutil.rmtree(BUILD_BLOBS, ignore_errors=True)  # nobody else on this machine builds images
