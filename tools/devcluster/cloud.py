"""The "cloud" around the cluster: load-balancer addresses, their DNS names, and volumes.

What a cloud's controllers do, in one small level-based process: every change wakes one pass over what is there.
- a Service of type LoadBalancer gets an address of the pool in its status, kept for its life;
- its `external-dns.alpha.kubernetes.io/hostname` is published as an A record by RFC 2136;
- a claim of our StorageClass becomes a `local` volume on the node, and goes when it is released.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from types import FrameType
from typing import Any

from tools.devcluster import identities
from tools.devcluster import layout as at
from tools.devcluster.kube import ApiError, Kube, Object
from tools.devcluster.layout import Layout

PROVISIONER = "cloud.byoc.test/local"
HOSTNAME_ANNOTATION = "external-dns.alpha.kubernetes.io/hostname"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
SERVICES, CLAIMS, VOLUMES = "/api/v1/services", "/api/v1/persistentvolumeclaims", "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
SETTLE_SECONDS = 0.05
HEARTBEAT_SECONDS = 5.0
SWEEP_SECONDS = 30.0
RETRY_SECONDS = 1.0


# ------------------------------------------------------------------------------------------------- decisions (pure)


@dataclass(frozen=True, kw_only=True)
class StatusChange:
    """A Service whose load-balancer status must become this."""

    namespace: str
    name: str
    ingress: tuple[Object, ...]


def plan_addresses(services: Iterable[Object]) -> list[StatusChange]:
    """Give each load balancer without an address the lowest free one; take it from Services that are none any more."""
    ordered = sorted(services, key=_age)
    balancers = [service for service in ordered if _is_balancer(service)]
    taken: dict[IPv4Address, str] = {}
    needy: list[Object] = []
    for service in balancers:
        address = _address(service)
        if address is not None and address in at.VIP_NETWORK and address not in taken:
            taken[address] = service["metadata"]["uid"]
        else:
            needy.append(service)
    changes = [_change(service, ()) for service in ordered if not _is_balancer(service) and _ours(service)]
    pool = [at.FIRST_VIP + step for step in range(200)]
    for service in needy:
        wanted = service["spec"].get("loadBalancerIP")
        candidates = [IPv4Address(wanted)] if wanted else pool
        free = next((address for address in candidates if address in pool and address not in taken), None)
        if free is not None:
            taken[free] = service["metadata"]["uid"]
            changes.append(_change(service, ({"ip": str(free), "ipMode": "VIP"},)))
    return changes


def wanted_records(services: Iterable[Object]) -> dict[str, str]:
    """Host name → address for every load balancer that has both; the oldest Service wins a contested name."""
    records: dict[str, str] = {}
    for service in sorted(services, key=_age):
        address = _address(service)
        if not _is_balancer(service) or address is None:
            continue
        for name in service["metadata"].get("annotations", {}).get(HOSTNAME_ANNOTATION, "").split(","):
            host = name.strip().rstrip(".").lower()
            if host.endswith(f".{at.PUBLIC_DOMAIN}"):
                records.setdefault(host, str(address))
    return records


def dns_script(*, server: IPv4Address, published: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Input of nsupdate that turns what is published into what is wanted; empty if nothing differs."""
    lines = [f"update delete {host}. A" for host in sorted(published) if wanted.get(host) != published[host]]
    lines += [
        f"update add {host}. 1 A {wanted[host]}" for host in sorted(wanted) if published.get(host) != wanted[host]
    ]
    if not lines:
        return ""
    return "\n".join([f"server {server}", f"zone {at.PUBLIC_DOMAIN}.", *lines, "send", ""])


def claims_to_provision(*, claims: Iterable[Object], volumes: Iterable[Object], classes: Iterable[str]) -> list[Object]:
    """Claims of our classes that the scheduler has placed on the node and that have no volume yet."""
    ours, known = set(classes), {volume["metadata"]["name"] for volume in volumes}
    return [
        claim
        for claim in claims
        if claim["spec"].get("storageClassName") in ours
        and not claim["spec"].get("volumeName")
        and claim["metadata"].get("annotations", {}).get(SELECTED_NODE) == at.NODE_NAME
        and "deletionTimestamp" not in claim["metadata"]
        and volume_name(claim) not in known
    ]


def volumes_to_remove(volumes: Iterable[Object]) -> list[Object]:
    """Released volumes of ours that are not to be kept."""
    return [
        volume
        for volume in volumes
        if volume["metadata"].get("annotations", {}).get(PROVISIONED_BY) == PROVISIONER
        and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete"
        and volume.get("status", {}).get("phase") in {"Released", "Failed"}
    ]


def volume_name(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def volume_for(claim: Object, *, directory: Path) -> Object:
    """The PersistentVolume of a claim: a directory of the node, reachable from that node alone."""
    metadata = claim["metadata"]
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [at.NODE_NAME]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": claim["spec"]["storageClassName"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "local": {"path": str(directory)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }


def _is_balancer(service: Object) -> bool:
    spec, metadata = service["spec"], service["metadata"]
    return (
        spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and "deletionTimestamp" not in metadata
    )


def _address(service: Object) -> IPv4Address | None:
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
    try:
        return IPv4Address(ingress[0].get("ip", ""))
    except ValueError:
        return None


def _ours(service: Object) -> bool:
    address = _address(service)
    return address is not None and address in at.VIP_NETWORK and not service["spec"].get("loadBalancerClass")


def _change(service: Object, ingress: tuple[Object, ...]) -> StatusChange:
    return StatusChange(namespace=service["metadata"]["namespace"], name=service["metadata"]["name"], ingress=ingress)


def _age(item: Object) -> tuple[str, str, str]:
    metadata = item["metadata"]
    return metadata.get("creationTimestamp", ""), metadata.get("namespace", ""), metadata["name"]


# ------------------------------------------------------------------------------------------------- watching


@dataclass
class Store:
    """The live copy of one collection, kept by a thread that lists, watches, and starts over on any trouble."""

    kube: Kube
    path: str
    wake: queue.SimpleQueue[None]
    items: dict[str, Object] = field(default_factory=dict)
    synced: bool = False

    def run(self) -> None:
        """Never returns; an unreachable API server is asked again each second."""
        while True:
            try:
                self._follow()
            except (ApiError, OSError, ValueError) as error:
                # 410 is the ordinary end of a watch that was away for too long
                if not (isinstance(error, ApiError) and error.status == 410):
                    log("watch interrupted", path=self.path, error=str(error))
                    time.sleep(RETRY_SECONDS)

    def _follow(self) -> None:
        listing = self.kube.request("GET", self.path)
        self.items = {item["metadata"]["uid"]: item for item in listing["items"]}
        self.synced = True
        self.wake.put(None)
        version = listing["metadata"]["resourceVersion"]
        while True:
            for event in self.kube.watch(self.path, resource_version=version):
                item = event["object"]
                version = item["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                copy = dict(self.items)  # replaced, never changed: readers are in another thread
                if event["type"] == "DELETED":
                    copy.pop(item["metadata"]["uid"], None)
                else:
                    copy[item["metadata"]["uid"]] = item
                self.items = copy
                self.wake.put(None)


# ------------------------------------------------------------------------------------------------- acting


@dataclass
class Cloud:
    """One pass does all that is due; a failure of one thing does not stop the others."""

    layout: Layout
    kube: Kube
    services: Store
    claims: Store
    volumes: Store
    classes: Store

    def reconcile(self) -> bool:
        """True if everything is as wanted; False if something must be tried again soon."""
        steps = (self._addresses, self._names, self._provision, self._remove)
        done = [self._attempt(step) for step in steps]
        return all(done)

    def _attempt(self, step: Any) -> bool:
        try:
            step()
        except (ApiError, OSError, subprocess.SubprocessError) as error:
            log("will be tried again", step=step.__name__.lstrip("_"), error=str(error))
            return False
        return True

    def _addresses(self) -> None:
        for change in plan_addresses(self.services.items.values()):
            path = f"/api/v1/namespaces/{change.namespace}/services/{change.name}"
            try:
                self.kube.merge(
                    f"{path}/status", {"status": {"loadBalancer": {"ingress": list(change.ingress) or None}}}
                )
            except ApiError as error:
                if error.status != 404:
                    raise
            else:
                log(
                    "load balancer",
                    service=f"{change.namespace}/{change.name}",
                    ingress=[i["ip"] for i in change.ingress],
                )

    def _names(self) -> None:
        file = self.layout.cloud / "published.json"
        published = json.loads(file.read_text()) if file.exists() else {}
        wanted = wanted_records(self.services.items.values())
        script = dns_script(server=self.layout.address, published=published, wanted=wanted)
        if not script:
            return
        # written down first: a record that we may have published must be known to be removed one day
        file.write_text(json.dumps({**published, **dict.fromkeys(wanted.keys() - published.keys(), "")}))
        key = self.layout.cloud / "tsig.key"
        done = subprocess.run(
            ["nsupdate", "-k", str(key)], input=script, text=True, capture_output=True, timeout=15, check=False
        )
        if done.returncode != 0:
            raise OSError(f"nsupdate: {done.stderr.strip()}")
        file.write_text(json.dumps(wanted))
        log("names published", records=wanted)

    def _provision(self) -> None:
        ours = [
            name["metadata"]["name"] for name in self.classes.items.values() if name.get("provisioner") == PROVISIONER
        ]
        due = claims_to_provision(claims=self.claims.items.values(), volumes=self.volumes.items.values(), classes=ours)
        for claim in due:
            directory = self.layout.volumes / volume_name(claim)
            directory.mkdir(mode=0o770, exist_ok=True)
            try:
                self.kube.request("POST", VOLUMES, body=volume_for(claim, directory=directory))
            except ApiError as error:
                if error.status != 409:
                    raise
            log(
                "volume made",
                claim=f"{claim['metadata']['namespace']}/{claim['metadata']['name']}",
                volume=directory.name,
            )

    def _remove(self) -> None:
        for volume in volumes_to_remove(self.volumes.items.values()):
            name = volume["metadata"]["name"]
            directory = Path(volume["spec"]["local"]["path"])
            if directory != self.layout.volumes / name:
                log("volume left alone: its directory is not ours", volume=name)
                continue
            shutil.rmtree(directory, ignore_errors=not directory.exists())
            self.kube.delete(f"{VOLUMES}/{name}")
            log("volume removed", volume=name)


def log(message: str, **fields: Any) -> None:
    """One JSON line."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"time": now, "message": message, **fields}), file=sys.stderr, flush=True)


def serve(layout: Layout) -> None:
    """Watch and reconcile until ended."""
    kube, wake = identities.client(layout, "cloud"), queue.SimpleQueue[None]()
    stores = {path: Store(kube=kube, path=path, wake=wake) for path in (SERVICES, CLAIMS, VOLUMES, CLASSES)}
    for store in stores.values():
        threading.Thread(target=store.run, daemon=True).start()
    cloud = Cloud(
        layout=layout,
        kube=kube,
        services=stores[SERVICES],
        claims=stores[CLAIMS],
        volumes=stores[VOLUMES],
        classes=stores[CLASSES],
    )
    heartbeat = layout.cloud / "heartbeat"
    next_pass = 0.0
    while True:
        try:
            wake.get(timeout=min(HEARTBEAT_SECONDS, max(0.0, next_pass - time.monotonic())))
            time.sleep(SETTLE_SECONDS)
            while not wake.empty():
                wake.get()
            next_pass = 0.0
        except queue.Empty:
            pass
        if all(store.synced for store in stores.values()):
            heartbeat.touch()
            if time.monotonic() >= next_pass:
                next_pass = time.monotonic() + (SWEEP_SECONDS if cloud.reconcile() else RETRY_SECONDS)


def main() -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(description="load balancers, names and volumes of a local cluster")
    parser.add_argument("--name", required=True)
    parser.add_argument("--state", required=True, type=Path)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _leave)
    serve(Layout(name=arguments.name, root=arguments.state / arguments.name))


def _leave(_number: int, _frame: FrameType | None) -> None:
    # every step is safe to repeat, so there is nothing to finish
    os._exit(0)


if __name__ == "__main__":
    main()
