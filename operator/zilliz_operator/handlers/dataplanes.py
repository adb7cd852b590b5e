"""Clients for each DataPlane, made from what its spec and its Secrets say now and kept while those do not change.

Wiring only: which adapter a data plane gets. A Secret that is missing, lacks a key or holds what is not used is an error that
names it. Whoever holds a remote data plane's client goes on with it when its kubeconfig is exchanged.
"""

import asyncio
import base64
from dataclasses import dataclass, field, replace

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.aws.connection import StoreAccess
from zilliz_operator.adapters.aws.ec2 import AwsNetwork
from zilliz_operator.adapters.aws.store import AwsStore
from zilliz_operator.adapters.kube import KubeClient, RequestHook
from zilliz_operator.adapters.s3compatible import S3CompatibleStore
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.dataplane import Cloud, DataPlane, Provider
from zilliz_operator.api.exceptions import CredentialsMissing, InvalidSpec, KubeconfigRefused
from zilliz_operator.api.fields import SecretRef
from zilliz_operator.handlers.spokes import OnChild, OnTurn, Spoke
from zilliz_operator.reconcile.pass_ import DataPlaneAccess

KUBECONFIG = "spec.kubernetes.kubeconfigSecretRef"


@dataclass(frozen=True, slots=True)
class _Given:
    """Everything that the spec refers to, by our own name for it, and what of it is missing."""

    values: dict[str, str] = field(repr=False)
    missing: dict[str, CredentialsMissing]

    def same(self, other: "_Given") -> bool:
        lacks, others = ({what: str(error) for what, error in each.missing.items()} for each in (self, other))
        return (self.values, lacks) == (other.values, others)

    def text(self, what: str) -> str | CredentialsMissing:
        return self.missing.get(what) or self.values.get(what, "")


@dataclass(slots=True)
class _Wired:
    """One data plane's clients, and what they were made from."""

    uid: str
    generation: int
    given: _Given
    access: DataPlaneAccess
    store: AwsStore | None
    cloud: AwsNetwork | None
    spoke: Spoke | None


class WiredDataPlanes:
    """Implements `reconcile.pass_.DataPlanes`."""

    def __init__(
        self,
        *,
        hub: KubeClient,
        threads: Threads,
        operator_namespace: str,
        on_request: RequestHook,
        on_child: OnChild,
        on_turn: OnTurn,
        cloud_sweep_seconds: float,
    ) -> None:
        """`on_child` hears of changes on remote data planes, `on_turn` which of them began or ceased to answer."""
        self._hub = hub
        self._threads = threads
        self._namespace = operator_namespace
        self._on_request = on_request
        self._on_child = on_child
        self._on_turn = on_turn
        self._cloud_sweep_seconds = cloud_sweep_seconds
        self._wired: dict[str, _Wired] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def access(self, data_plane: DataPlane) -> DataPlaneAccess:
        """Clients for a data plane; raises CredentialsMissing or KubeconfigRefused for its kubeconfig, naming Secret and key."""
        metadata = data_plane.metadata
        # One at a time: of two passes that read a Secret before and after it changed, the later one has the last word.
        async with self._locks.setdefault(metadata.name, asyncio.Lock()):
            known = self._wired.get(metadata.name)
            same = known is not None and known.uid == metadata.uid
            if known is not None and same and known.generation > metadata.generation:
                return known.access
            given = await self._given(data_plane)
            if known is not None and same and known.generation == metadata.generation and known.given.same(given):
                return known.access
            try:
                return await self._renew(data_plane, given, known)
            except InvalidSpec:  # what was given once is not used after it was taken away
                await self._drop(metadata.name)
                raise

    async def forget(self, name: str) -> None:
        """End everything of a data plane that is gone."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            await self._drop(name)
            self._threads.forget(name)

    async def close(self) -> None:
        for name in list(self._wired):
            await self._drop(name)

    async def _renew(self, data_plane: DataPlane, given: _Given, known: _Wired | None) -> DataPlaneAccess:
        """Clients as they should be now in place of those known; a spoke of the same DataPlane goes on as the same one."""
        metadata = data_plane.metadata
        access = self._kubernetes(data_plane, given)
        spoke = known.spoke if known is not None and known.uid == metadata.uid else None
        if access is None:
            spoke = None
        elif spoke is None:
            spoke = Spoke(
                metadata.name, access, on_request=self._on_request, on_child=self._on_child, on_turn=self._on_turn
            )
        elif known is not None and known.given.values.get("kubeconfig") != given.values["kubeconfig"]:
            await spoke.use(access)
        lacks = [
            given.missing[what] for what in ("accessKeyId", "secretAccessKey", "store ca") if what in given.missing
        ]
        where = self._where(data_plane, given.values)
        store = None if lacks else self._store(data_plane, where)
        unable = self._no_cloud(data_plane, given)
        cloud = self._cloud(data_plane, where) if data_plane.spec.cloud is Cloud.AWS and unable is None else None
        plane = DataPlaneAccess(
            kube=self._hub if spoke is None else spoke.kube,
            local=spoke is None,
            found_store=store if store is not None else lacks[0],
            found_store_ca=given.text("store ca"),
            found_door_ca=given.text("door ca"),
            found_cloud=unable or cloud,
        )
        self._wired[metadata.name] = _Wired(metadata.uid, metadata.generation, given, plane, store, cloud, spoke)
        if known is not None:
            await self._end(known, but=spoke)
        return plane

    def _kubernetes(self, data_plane: DataPlane, given: _Given) -> ClusterAccess | None:
        """How to reach its Kubernetes cluster; None: it is this one."""
        kubernetes = data_plane.spec.kubernetes
        if kubernetes is None:
            return None
        if "kubeconfig" in given.missing:
            raise given.missing["kubeconfig"]
        try:
            return ClusterAccess.from_kubeconfig(given.values["kubeconfig"].encode())
        except InvalidSpec as error:
            reference = kubernetes.kubeconfig_secret_ref
            where = f"key {reference.key} of Secret {self._namespace}/{reference.name}"
            raise KubeconfigRefused(KUBECONFIG, f"{where} is no kubeconfig that is used: {error}") from None

    async def _given(self, data_plane: DataPlane) -> _Given:
        spec = data_plane.spec
        given = _Given({}, {})
        storage = spec.object_storage
        references: dict[str, tuple[str, SecretRef | None]] = {
            "store ca": ("spec.objectStorage.caSecretRef", storage.ca_secret_ref),
            "door ca": ("spec.certificates.caSecretRef", spec.certificates.ca_secret_ref),
            "kubeconfig": (KUBECONFIG, spec.kubernetes.kubeconfig_secret_ref if spec.kubernetes else None),
        }
        if storage.credentials_secret_ref is not None:
            name, path = storage.credentials_secret_ref.name, "spec.objectStorage.credentialsSecretRef"
            for key in ("accessKeyId", "secretAccessKey"):
                references[key] = (path, SecretRef(name=name, key=key))
        for what, (path, reference) in references.items():
            if reference is not None:
                try:
                    given.values[what] = await self._value(path, reference)
                except CredentialsMissing as error:
                    given.missing[what] = error
        return given

    async def _value(self, path: str, reference: SecretRef) -> str:
        secret = await self._hub.get("Secret", reference.name, self._namespace)
        where = f"Secret {self._namespace}/{reference.name}"
        if secret is None:
            raise CredentialsMissing(path, f"{where} does not exist: create it with key {reference.key}")
        value = (secret.get("data") or {}).get(reference.key)
        if not value:
            raise CredentialsMissing(path, f"{where} has no key {reference.key}: add it")
        return base64.b64decode(value).decode(errors="replace")

    def _where(self, data_plane: DataPlane, values: dict[str, str]) -> StoreAccess:
        spec = data_plane.spec
        storage = spec.object_storage
        reference = storage.credentials_secret_ref
        return StoreAccess(
            region=spec.region or "us-east-1",
            endpoint=str(storage.endpoint) if storage.endpoint else None,
            admin_endpoint=str(storage.admin_endpoint) if storage.admin_endpoint else None,
            ca_pem=values.get("store ca"),
            access_key_id=values.get("accessKeyId"),
            secret_access_key=values.get("secretAccessKey"),
            credentials=f"Secret {self._namespace}/{reference.name}" if reference else "the operator's IAM role",
            path_style=storage.provider is Provider.S3_COMPATIBLE,
        )

    def _store(self, data_plane: DataPlane, where: StoreAccess) -> AwsStore:
        compatible = data_plane.spec.object_storage.provider is Provider.S3_COMPATIBLE
        return (S3CompatibleStore if compatible else AwsStore)(where, self._threads)

    def _no_cloud(self, data_plane: DataPlane, given: _Given) -> CredentialsMissing | None:
        """Which missing key keeps us from the cloud's own APIs: those are asked with the store's where the store is of that cloud."""
        spec = data_plane.spec
        if spec.cloud is not Cloud.AWS or spec.object_storage.provider is not Provider.AWS:
            return None
        return given.missing.get("accessKeyId") or given.missing.get("secretAccessKey")

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

    async def _drop(self, name: str) -> None:
        known = self._wired.pop(name, None)
        if known is not None:
            await self._end(known)

    async def _end(self, wired: _Wired, *, but: Spoke | None = None) -> None:
        if wired.store is not None:
            wired.store.close()
        if wired.cloud is not None:
            wired.cloud.close()
        if wired.spoke is not None and wired.spoke is not but:
            await wired.spoke.close()
