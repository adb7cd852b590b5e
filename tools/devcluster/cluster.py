"""The whole cluster: up, status, down. Each step looks at what is there and does only what is missing."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.devcluster import acme, build, cgroups, components, containers, files, host, identities, manifests, netns, process, store
from tools.devcluster.errors import DevclusterError
from tools.devcluster.kube import Kube, Object
from tools.devcluster.layout import Layout
from tools.devcluster.process import Component, Supervisor

Progress = Callable[[str], None]
LOCKS = Path("/run")
CERT_MANAGER_MODULE = "github.com/cert-manager/cert-manager"
KUBELET_LEFTOVERS = Path("/var/lib/kubelet")


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
    cold: bool
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


def build_all(progress: Progress) -> bool:
    """Build every missing binary and image; True if there was anything to build that takes long."""
    host.require_machine()
    host.ensure_packages(progress)
    absent = build.missing()
    _announce(absent, progress)
    _build(absent, progress).result()
    return bool(absent)


def up(layout: Layout, progress: Progress) -> Report:
    """Bring the cluster to where everything runs and answers."""
    began = time.monotonic()
    host.require_machine()
    host.ensure_packages(progress)
    absent = build.missing()
    _announce(absent, progress)
    images = _build(absent, progress)
    with locked(layout, progress):
        files.ensure_all(layout)
        netns.ensure_cluster(layout)
        for client in netns.clients(layout):
            netns.ensure_client(layout, client)
        with netns.inside(layout.name):
            started = _start(layout, images, progress)
            _settle(layout, progress)
    return Report(seconds=time.monotonic() - began, cold=bool(absent), started=tuple(started))


def _announce(absent: Sequence[build.Module], progress: Progress) -> None:
    if absent:
        minutes = sum(module.seconds for module in absent) / 60
        names = ", ".join(module.name for module in absent)
        progress(f"to be built once: {names}; about {minutes:.0f} min on two idle cores")


def _build(absent: Sequence[build.Module], progress: Progress) -> Future[list[containers.Archive]]:
    """Build the binaries here; the images meanwhile in a thread, as soon as the binary that one of them holds is there."""
    for module in absent[:1]:
        build.ensure(module, progress)
    future: Future[list[containers.Archive]] = Future()
    # a thread of its own: this one will move into the cluster's network namespace, builds need the machine's
    threading.Thread(target=_build_images, args=(future, progress), daemon=True).start()
    for module in absent[1:]:
        build.ensure(module, progress)
    return future


def _build_images(future: Future[list[containers.Archive]], progress: Progress) -> None:
    from tools.devcluster.images import ensure_all  # noqa: PLC0415 - only who builds images loads the builder

    try:
        coredns = build.BY_BINARY["coredns"]
        build.ensure(coredns, progress)
        future.set_result(list(ensure_all(progress, coredns=build.binary("coredns"))))
    except BaseException as error:  # handed to the thread that waits
        future.set_exception(error)


def _start(layout: Layout, images: Future[list[containers.Archive]], progress: Progress) -> list[str]:
    first, second, third, last = components.waves(layout)
    admin = identities.client(layout, "admin")
    started = _wave(layout, first, progress)
    started += _wave(layout, second, progress)
    apply_all(admin, manifests.base(layout))
    crds = certificate_kinds(layout)
    apply_all(admin, [crd for crd in crds if admin.find(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd['metadata']['name']}") is None])
    started += _wave(layout, third, progress)
    started += _wave(layout, last, progress)
    if not images.done():
        progress("waiting for the images")
    containers.import_images(layout, images.result(), progress)
    return started


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
    """cert-manager's CRDs, out of the very module its controllers are built from (kept beside the cluster: read once)."""
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
    admin = identities.client(layout, "admin")
    _until(lambda: _condition(admin.find(f"/api/v1/nodes/{_node()}"), "Ready"), what="the node to be Ready", seconds=60)
    pki = layout.pki
    acme.heal(layout, admin)
    apply_all(
        admin,
        manifests.issuers(
            layout,
            byoc=((pki / "byoc.crt").read_bytes(), (pki / "byoc.key").read_bytes()),
            acme_authority=(pki / "kube.crt").read_bytes(),
            acme_key=files.tsig_secret(layout, "acme"),
        ),
    )
    apply_all(
        admin,
        manifests.handover(
            keys=store.admin_keys(layout),
            store_authority=(pki / "store.crt").read_bytes(),
            acme_roots=acme.roots(layout),
            byoc_authority=(pki / "byoc.crt").read_bytes(),
        ),
    )
    progress("waiting for DNS and the certificate issuers")
    for path, condition in (
        ("/apis/cert-manager.io/v1/clusterissuers/byoc-ca", "Ready"),
        ("/apis/cert-manager.io/v1/clusterissuers/letsencrypt", "Ready"),
        ("/apis/apps/v1/namespaces/kube-system/deployments/coredns", "Available"),
    ):
        _until(lambda p=path, c=condition: _condition(admin.find(p), c), what=f"{path.rpartition('/')[2]} to be {condition}", seconds=120)


def _node() -> str:
    from tools.devcluster.layout import NODE_NAME

    return NODE_NAME


def _condition(thing: Object | None, kind: str) -> bool:
    conditions = (thing or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def _until(condition: Callable[[], bool], *, what: str, seconds: float) -> None:
    if not process.wait_for(condition, seconds=seconds):
        raise DevclusterError(f"waited {seconds:.0f} s in vain for {what}: see `status`, and `logs` of what is not healthy")


def status(layout: Layout) -> list[Health]:
    """Every component, whether it runs and whether it answers."""
    if not layout.root.is_dir() or not (layout.store / store.SECRETS).exists():
        return []
    keeper, rows = supervisor(layout), []
    with netns.inside(layout.name) if netns.exists(layout.name) else contextlib.nullcontext():
        for component in components.all_components(layout):
            known = keeper.running(component.name)
            alive = known is not None
            rows.append(
                Health(
                    name=component.name,
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
        progress("stopping the node and its pods")
        keeper = supervisor(layout)
        ordered = _by_stop_order(layout)
        for name, seconds in ordered:
            if name == "containerd":
                containers.kill_pods(layout)
            keeper.stop(name, seconds=seconds)
        containers.kill_pods(layout)
        progress("removing network namespaces, mounts and files")
        spaces = [*containers.forget_pods(layout), *_client_spaces(layout), layout.name]
        for space in spaces:
            process.end_all(netns.members(space), seconds=1.0)
        containers.unmount_below(layout.root)
        for space in spaces:
            netns.delete(space)
        cgroups.remove(layout.cgroup)
        shutil.rmtree(layout.root, ignore_errors=False) if layout.root.exists() else None
        _tidy(layout)
        (LOCKS / f"zilliz-byoc-{layout.name}.lock").unlink(missing_ok=True)


def _by_stop_order(layout: Layout) -> list[tuple[str, float]]:
    """Names and patience of what may run, first to stop first; of an older version's components too."""
    known: dict[str, tuple[int, float]] = {}
    if (layout.store / store.SECRETS).exists():
        known = {c.name: (c.stop_order, c.stop_seconds) for c in components.all_components(layout)}
    recorded = [file.stem for file in layout.run.glob("*.json")] if layout.run.is_dir() else []
    names = sorted({*known, *recorded}, key=lambda name: known.get(name, (0, 0.0))[0])
    return [(name, known.get(name, (0, 5.0))[1]) for name in names]


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
    leftovers = KUBELET_LEFTOVERS / "device-plugins"
    for name in ("kubelet.sock", "kubelet_internal_checkpoint"):
        (leftovers / name).unlink(missing_ok=True)
    for empty in (leftovers, KUBELET_LEFTOVERS, containers.CNI_CACHE, containers.CNI_CACHE.parent, containers.SHIM_SOCKETS):
        with contextlib.suppress(OSError):
            empty.rmdir()
    with contextlib.suppress(OSError):
        containers.POD_LOG_LINKS.rmdir()
