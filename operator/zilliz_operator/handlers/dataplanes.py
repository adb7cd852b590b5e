"""Clients for each DataPlane, made from what its spec and its Secrets say now and kept while those do not change.

Wiring only: which adapter a data plane gets. A Secret that is missing or lacks a key is an error that names it.
"""

import base64
from dataclasses import dataclass
from typing import Any

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.aws.connection import StoreAccess
from zilliz_operator.adapters.aws.store import AwsStore
from zilliz_operator.adapters.kube import KubeClient, RequestHook
from zilliz_operator.adapters.s3compatible import S3CompatibleStore
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.dataplane import DataPlane, Provider
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.fields import SecretRef
from zilliz_operator.reconcile.pass_ import DataPlaneAccess


@dataclass(slots=True)
class _Wired:
    """One data plane's clients, and what they were made from."""

    fingerprint: tuple[Any, ...]
    access: DataPlaneAccess
    store: AwsStore
    remote: tuple[KubeClient, ClusterAccess] | None


class WiredDataPlanes:
    """Implements `reconcile.pass_.DataPlanes`."""

    def __init__(self, *, hub: KubeClient, threads: Threads, operator_namespace: str, on_request: RequestHook) -> None:
        self._hub = hub
        self._threads = threads
        self._namespace = operator_namespace
        self._on_request = on_request
        self._wired: dict[str, _Wired] = {}

    async def access(self, data_plane: DataPlane) -> DataPlaneAccess:
        """Clients for a data plane; raises InvalidSpec naming the Secret and key that is missing."""
        secrets = await self._secrets(data_plane)
        fingerprint = (data_plane.metadata.uid, data_plane.metadata.generation, tuple(sorted(secrets.items())))
        known = self._wired.get(data_plane.metadata.name)
        if known is not None and known.fingerprint == fingerprint:
            return known.access
        wired = self._wire(data_plane, secrets, fingerprint)
        self._wired[data_plane.metadata.name] = wired
        if known is not None:
            await self._end(known)
        return wired.access

    async def close(self) -> None:
        for wired in self._wired.values():
            await self._end(wired)
        self._wired.clear()

    async def _secrets(self, data_plane: DataPlane) -> dict[str, str]:
        """Everything that the spec refers to, by our own name for it."""
        spec, found = data_plane.spec, {}
        storage = spec.object_storage
        references: dict[str, tuple[str, SecretRef | None]] = {
            "store ca": ("spec.objectStorage.caSecretRef", storage.ca_secret_ref),
            "door ca": ("spec.certificates.caSecretRef", spec.certificates.ca_secret_ref),
            "kubeconfig": (
                "spec.kubernetes.kubeconfigSecretRef",
                spec.kubernetes.kubeconfig_secret_ref if spec.kubernetes else None,
            ),
        }
        if storage.credentials_secret_ref is not None:
            name, path = storage.credentials_secret_ref.name, "spec.objectStorage.credentialsSecretRef"
            for key in ("accessKeyId", "secretAccessKey"):
                references[key] = (path, SecretRef(name=name, key=key))
        for what, (path, reference) in references.items():
            if reference is not None:
                found[what] = await self._value(path, reference)
        return found

    async def _value(self, path: str, reference: SecretRef) -> str:
        secret = await self._hub.get("Secret", reference.name, self._namespace)
        where = f"Secret {self._namespace}/{reference.name}"
        if secret is None:
            raise InvalidSpec(path, f"{where} does not exist: create it with key {reference.key}")
        value = (secret.get("data") or {}).get(reference.key)
        if not value:
            raise InvalidSpec(path, f"{where} has no key {reference.key}: add it")
        return base64.b64decode(value).decode(errors="replace")

    def _wire(self, data_plane: DataPlane, secrets: dict[str, str], fingerprint: tuple[Any, ...]) -> _Wired:
        spec = data_plane.spec
        storage = spec.object_storage
        compatible = storage.provider is Provider.S3_COMPATIBLE
        reference = storage.credentials_secret_ref
        where = StoreAccess(
            region=spec.region or "us-east-1",
            endpoint=str(storage.endpoint) if storage.endpoint else None,
            admin_endpoint=str(storage.admin_endpoint) if storage.admin_endpoint else None,
            ca_pem=secrets.get("store ca"),
            access_key_id=secrets.get("accessKeyId"),
            secret_access_key=secrets.get("secretAccessKey"),
            credentials=f"Secret {self._namespace}/{reference.name}" if reference else "the operator's IAM role",
            path_style=compatible,
        )
        store = (S3CompatibleStore if compatible else AwsStore)(where, self._threads)
        remote = None
        if "kubeconfig" in secrets:
            access = ClusterAccess.from_kubeconfig(secrets["kubeconfig"].encode())
            remote = (KubeClient(access, on_request=self._on_request), access)
        plane = DataPlaneAccess(
            kube=remote[0] if remote else self._hub,
            store=store,
            store_ca_pem=secrets.get("store ca", ""),
            door_ca_pem=secrets.get("door ca", ""),
            local=remote is None,
        )
        return _Wired(fingerprint, plane, store, remote)

    async def _end(self, wired: _Wired) -> None:
        wired.store.close()
        if wired.remote is not None:
            await wired.remote[0].close()
            await wired.remote[1].close()
