"""A small client of the API server: plain HTTPS with a client certificate, nothing but the standard library.

Used by `up` (to write the cluster's own objects) and by the cloud controller (to watch). It must run inside the
cluster's network namespace.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tools.devcluster.errors import DevclusterError

Object = dict[str, Any]
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
PLURALS = {
    "Namespace": "namespaces",
    "Secret": "secrets",
    "ConfigMap": "configmaps",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "Deployment": "deployments",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "StorageClass": "storageclasses",
    "PersistentVolume": "persistentvolumes",
    "CustomResourceDefinition": "customresourcedefinitions",
    "ClusterIssuer": "clusterissuers",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
CLUSTER_SCOPED = frozenset(
    {
        "Namespace",
        "ClusterRole",
        "ClusterRoleBinding",
        "StorageClass",
        "PersistentVolume",
        "CustomResourceDefinition",
        "ClusterIssuer",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)


class ApiError(DevclusterError):
    """The API server's refusal, with its status code."""

    def __init__(self, *, status: int, message: str) -> None:
        super().__init__(f"API server answered {status}: {message}")
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Kube:
    """Where the API server is and who we are."""

    host: str
    port: int
    authority: Path
    certificate: Path
    key: Path
    timeout: float = 10.0

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Object:
        """One request; the decoded answer. Raises ApiError on a refusal, OSError when nobody answers."""
        with self._open(method, path, body=body, content=content, query=query, timeout=self.timeout) as response:
            return cast(Object, json.loads(response.read() or b"{}"))

    def text(self, path: str) -> str:
        """The plain answer of a path such as /readyz."""
        with self._open("GET", path, timeout=self.timeout) as response:
            return response.read().decode()

    def watch(self, path: str, *, resource_version: str, seconds: int = 50) -> Iterator[Object]:
        """Events after `resource_version`, until the server ends the stream."""
        query = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        # a server that died without a word is noticed by silence after the end it promised
        with self._open("GET", path, query=query, timeout=seconds + 10) as response:
            while line := response.readline():
                event = cast(Object, json.loads(line))
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(status=int(status.get("code", 500)), message=str(status.get("message", "")))
                yield event

    def apply(self, manifest: Object, *, manager: str = "devcluster") -> Object:
        """Server-side apply of one object."""
        query = {"fieldManager": manager, "force": "true"}
        return self.request("PATCH", object_path(manifest), body=manifest, content=APPLY, query=query)

    def merge(self, path: str, patch: Object) -> Object:
        """JSON merge patch."""
        return self.request("PATCH", path, body=patch, content=MERGE)

    def find(self, path: str) -> Object | None:
        """The object, or None if it is not there."""
        try:
            return self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def delete(self, path: str) -> None:
        """Delete; fine if it is gone."""
        try:
            self.request("DELETE", path)
        except ApiError as error:
            if error.status != 404:
                raise

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        body: Any = None,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        connection = http.client.HTTPSConnection(self.host, self.port, context=context, timeout=timeout)
        try:
            url = path + ("?" + urllib.parse.urlencode(query) if query else "")
            connection.request(
                method, url, body=None if body is None else json.dumps(body), headers={"Content-Type": content}
            )
            response = connection.getresponse()
            if response.status >= 300:
                raise ApiError(status=response.status, message=_message(response.read()))
            yield response
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()


def object_path(manifest: Object) -> str:
    """The path of an object on the API server."""
    version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    scope = "" if kind in CLUSTER_SCOPED else f"/namespaces/{metadata['namespace']}"
    return f"{root}{scope}/{PLURALS[kind]}/{metadata['name']}"


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:300]
