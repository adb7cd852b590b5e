"""Clients for each DataPlane, made from what its spec and its Secrets say now and kept while those do not change.

Wiring only: which adapter a data plane gets. A Secret that is missing or lacks a key is an error that names it.
"""

import base64
from dataclasses import dataclass, replace
from typing import Any

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.aws.connection import StoreAccess
from zilliz_operator.adapters.aws.ec2 import AwsNetwork
from zilliz_operator.adapters.aws.store import AwsStore
from zilliz_operator.adapters.kube import KubeClient, RequestHook
from zilliz_operator.adapters.s3compatible import S3CompatibleStore
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.dataplane import Cloud, DataPlane, Provider
from zilliz_operator.api.exceptions import CredentialsMissing
from zilliz_operator.api.fields import SecretRef
from zilliz_operator.reconcile.pass_ import DataPlaneAccess


@dataclass(slots=True)
class _Wired:
    """One data plane's clients, and what they were made from."""

    fingerprint: tuple[Any, ...]
    access: DataPlaneAccess
    store: AwsStore | None
    cloud: AwsNetwork | None
    remote: tuple[KubeClient, ClusterAccess] | None


class WiredDataPlanes:
    """Implements `reconcile.pass_.DataPlanes`."""

    def __init__(
        self,
        *,
        hub: KubeClient,
        threads: Threads,
        operator_namespace: str,
        on_request: RequestHook,
        cloud_sweep_seconds: float,
    ) -> None:
        self._hub = hub
        self._threads = threads
        self._namespace = operator_namespace
        self._on_request = on_request
        self._cloud_sweep_seconds = cloud_sweep_seconds
        self._wired: dict[str, _Wired] = {}

    async def access(self, data_plane: DataPlane) -> DataPlaneAccess:
        """Clients for a data plane; raises CredentialsMissing when its kubeconfig is."""
        secrets, missing = await self._secrets(data_plane)
        if "kubeconfig" in missing:
            raise missing["kubeconfig"]
        lacks = tuple(sorted((what, str(error)) for what, error in missing.items()))
        fingerprint = (data_plane.metadata.uid, data_plane.metadata.generation, tuple(sorted(secrets.items())), lacks)
        known = self._wired.get(data_plane.metadata.name)
        if known is not None and known.fingerprint == fingerprint:
            return known.access
        wired = self._wire(data_plane, secrets, missing, fingerprint)
        self._wired[data_plane.metadata.name] = wired
        if known is not None:
            await self._end(known)
        return wired.access

    async def close(self) -> None:
        for wired in self._wired.values():
            await self._end(wired)
        self._wired.clear()

    async def _secrets(self, data_plane: DataPlane) -> tuple[dict[str, str], dict[str, CredentialsMissing]]:
        """Everything that the spec refers to, by our own name for it, and what of it is missing."""
        spec = data_plane.spec
        found: dict[str, str] = {}
        missing: dict[str, CredentialsMissing] = {}
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
                try:
                    found[what] = await self._value(path, reference)
                except CredentialsMissing as error:
                    missing[what] = error
        return found, missing

    async def _value(self, path: str, reference: SecretRef) -> str:
        secret = await self._hub.get("Secret", reference.name, self._namespace)
        where = f"Secret {self._namespace}/{reference.name}"
        if secret is None:
            raise CredentialsMissing(path, f"{where} does not exist: create it with key {reference.key}")
        value = (secret.get("data") or {}).get(reference.key)
        if not value:
            raise CredentialsMissing(path, f"{where} has no key {reference.key}: add it")
        return base64.b64decode(value).decode(errors="replace")

    def _wire(
        self,
        data_plane: DataPlane,
        secrets: dict[str, str],
        missing: dict[str, CredentialsMissing],
        fingerprint: tuple[Any, ...],
    ) -> _Wired:
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
        lacks = [missing[what] for what in ("accessKeyId", "secretAccessKey", "store ca") if what in missing]
        store = None if lacks else (S3CompatibleStore if compatible else AwsStore)(where, self._threads)
        no_keys = next((missing[what] for what in ("accessKeyId", "secretAccessKey") if what in missing), None)
        unable = no_keys if storage.provider is Provider.AWS else None
        cloud = self._cloud(data_plane, where) if spec.cloud is Cloud.AWS and unable is None else None
        remote = None
        if "kubeconfig" in secrets:
            access = ClusterAccess.from_kubeconfig(secrets["kubeconfig"].encode())
            remote = (KubeClient(access, on_request=self._on_request), access)
        plane = DataPlaneAccess(
            kube=remote[0] if remote else self._hub,
            local=remote is None,
            found_store=store if store is not None else lacks[0],
            found_store_ca=missing.get("store ca") or secrets.get("store ca", ""),
            found_door_ca=missing.get("door ca") or secrets.get("door ca", ""),
            found_cloud=unable if spec.cloud is Cloud.AWS and unable is not None else cloud,
        )
        return _Wired(fingerprint, plane, store, cloud, remote)

    def _cloud(self, data_plane: DataPlane, store: StoreAccess) -> AwsNetwork:
        """The cloud's own APIs: with the store's credentials where the store is of that cloud, else with our own role."""
        access = StoreAccess(region=store.region)
        if data_plane.spec.object_storage.provider is Provider.AWS:
            access = replace(
                access,
                access_key_id=store.access_key_id,
                secret_access_key=store.secret_access_key,
                credentials=store.credentials,
            )
        return AwsNetwork(access, self._threads, sweep_seconds=self._cloud_sweep_seconds)

    async def _end(self, wired: _Wired) -> None:
        if wired.store is not None:
            wired.store.close()
        if wired.cloud is not None:
            wired.cloud.close()
        if wired.remote is not None:
            await wired.remote[0].close()
            await wired.remote[1].close()
