"""One object store and how we reach it: clients built once, for ever independent of the machine's own AWS settings.

Profiles, configuration files, CA bundles and endpoint overrides of the environment would make a store answer
differently on a laptop and in a pod; only what the DataPlane says counts. On AWS without given credentials the
operator's own role is used.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

# Variables of a session as (name in files, name in the environment, default, conversion).
_SEALED = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 5, 20, 3
RequestHook = Callable[[str, str, int], None]
"""Called once an answered call with service, operation and status code, for metrics."""


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """Where the store is and who we are there. Equal values may share one connection."""

    region: str
    endpoint: str | None = None
    """None: AWS' own endpoint of the region."""
    admin_endpoint: str | None = None
    """Where users and keys are managed; None: `endpoint`."""
    ca_pem: str | None = None
    """None: the public CAs."""
    access_key_id: str | None = None
    """None: the operator's own role."""
    secret_access_key: str | None = field(default=None, repr=False)
    credentials: str = "the operator's IAM role"
    """How a user finds the credentials to correct, as "Secret zilliz-system/object-store"."""
    path_style: bool = False

    @property
    def what(self) -> str:
        return f"object store {self.endpoint or f'AWS S3 {self.region}'}"

    @property
    def sts_what(self) -> str:
        return f"AWS STS {self.region}"

    @property
    def admin_what(self) -> str:
        return f"identities of object store {self.admin_endpoint or self.endpoint or 'AWS IAM'}"


class Connection:
    """The clients of one store.

    They are safe to share between threads; sessions are not, so these are built under a lock.
    """

    def __init__(self, access: StoreAccess, *, pool: int, on_request: RequestHook | None = None) -> None:
        self.access = access
        self._pool = pool
        self._on_request = on_request
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._directory: Path | None = None

    def s3(self) -> "S3Client":
        return self._client("s3", self.access.endpoint)  # type: ignore[no-any-return]

    def iam(self) -> "IAMClient":
        return self._client("iam", self.access.admin_endpoint or self.access.endpoint)  # type: ignore[no-any-return]

    def client(self, service: str) -> Any:
        """Any other service of the same account, at the same endpoint where one is given."""
        return self._client(service, self.access.endpoint)

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None

    def _client(self, service: str, endpoint: str | None) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._build(service, endpoint)
            return self._clients[service]

    def _build(self, service: str, endpoint: str | None) -> Any:
        access = self.access
        # Our own role is found through the environment; given keys must not meet what the environment says.
        session = botocore.session.Session(session_vars=_SEALED if access.access_key_id is not None else None)
        client: Any = boto3.Session(botocore_session=session, region_name=access.region).client(
            service,  # type: ignore[call-overload]
            endpoint_url=endpoint,
            aws_access_key_id=access.access_key_id,
            aws_secret_access_key=access.secret_access_key,
            verify=self._verify(),
            config=self._config(service, endpoint),
        )
        if self._on_request is not None:
            client.meta.events.register("after-call", self._count)
        return client

    def _verify(self) -> str | bool:
        if self.access.ca_pem is None:
            return True  # never None: that would ask the environment
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="zilliz-store-"))
            (self._directory / "ca.crt").write_text(self.access.ca_pem)
        return str(self._directory / "ca.crt")

    def _config(self, service: str, endpoint: str | None) -> Config:
        options: dict[str, Any] = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
            "max_pool_connections": self._pool,
            "ignore_configured_endpoint_urls": True,
            "defaults_mode": "legacy",
            "user_agent_extra": "zilliz-operator",
        }
        if service == "s3":
            options["signature_version"] = "s3v4"
            options["s3"] = {"addressing_style": "path" if self.access.path_style else "auto"}
        if endpoint is not None:
            # A given endpoint is reached directly: a proxy of the environment is for the outside world.
            options |= {"proxies": {}, "use_fips_endpoint": False, "use_dualstack_endpoint": False}
            options |= {
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            }
        return Config(**options)

    def _count(self, model: Any, http_response: Any, **_: Any) -> None:
        assert self._on_request is not None
        self._on_request(model.service_model.service_name, model.name, http_response.status_code)
