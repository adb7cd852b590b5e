"""A real API server as tests see it: plain requests, as anybody, that return the answer, refused or not."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

from tools.devcluster.controlplane import ControlPlane
from zilliz_operator.api.kinds import KINDS, Kind

Manifest = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

_AUTHORIZATION = "authorization.k8s.io/v1"
OTHER_KINDS = {
    kind.kind: kind
    for kind in (
        Kind(_AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews", namespaced=False),
        Kind(_AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False),
    )
}


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    body: Manifest

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str:
        """The text of a refusal."""
        return str(self.body.get("message", ""))

    def must(self) -> Manifest:
        """The object; a refusal fails the test with its text."""
        assert self.ok, f"{self.status}: {self.message or self.body}"
        return self.body


class Api:
    """Requests to one control plane, as its administrator or (`user`) as anybody else."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        pki = self.plane.layout.pki
        context = ssl.create_default_context(cafile=str(pki / "kube.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return context

    def connect(self) -> http.client.HTTPSConnection:
        """A connection, to be closed by the caller."""
        host, _, port = self.plane.server.removeprefix("https://").partition(":")
        connection = http.client.HTTPSConnection(host, int(port), context=self._trust, timeout=30)
        with self.plane.inside():  # the socket stays in that network namespace
            connection.connect()
        return connection

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Manifest | None = None,
        content: str = "application/json",
        query: Mapping[str, str] | None = None,
        user: str = "",
        groups: Sequence[str] = (),
        over: http.client.HTTPSConnection | None = None,
    ) -> Answer:
        """One request; `user` and `groups` impersonate. `over`: a connection that is kept, for hundreds of them."""
        connection = over or self.connect()
        try:
            connection.putrequest(method, path + (f"?{urlencode(query)}" if query else ""))
            if user:
                connection.putheader("Impersonate-User", user)
            for group in groups:
                connection.putheader("Impersonate-Group", group)
            payload = b"" if body is None else json.dumps(body).encode()
            connection.putheader("Content-Type", content)
            connection.putheader("Content-Length", str(len(payload)))
            connection.endheaders(payload)
            response = connection.getresponse()
            return Answer(response.status, _parsed(response.read()))
        finally:
            if over is None:
                connection.close()

    def create(
        self, manifest: Manifest, *, dry_run: bool = False, user: str = "", groups: Sequence[str] = ()
    ) -> Answer:
        """Create one object."""
        metadata = manifest.get("metadata", {})
        path = path_of(manifest["kind"], namespace=metadata.get("namespace", ""))
        query = {"fieldManager": "tests", **_dry(dry_run)}
        return self.request("POST", path, body=manifest, query=query, user=user, groups=groups)

    def apply(self, manifest: Manifest, *, dry_run: bool = False, user: str = "", groups: Sequence[str] = ()) -> Answer:
        """Server-side apply of one object."""
        metadata = manifest["metadata"]
        path = path_of(manifest["kind"], metadata["name"], namespace=metadata.get("namespace", ""))
        query = {"fieldManager": "tests", "force": "true", "fieldValidation": "Strict", **_dry(dry_run)}
        return self.request("PATCH", path, body=manifest, content=APPLY, query=query, user=user, groups=groups)

    def merge(
        self, kind: str, name: str, patch: Manifest, *, namespace: str = "", user: str = "", groups: Sequence[str] = ()
    ) -> Answer:
        """JSON merge patch."""
        path = path_of(kind, name, namespace=namespace)
        return self.request("PATCH", path, body=patch, content=MERGE, user=user, groups=groups)

    def get(
        self, kind: str, name: str = "", *, namespace: str = "", user: str = "", groups: Sequence[str] = ()
    ) -> Answer:
        """One object, or (no name) a list."""
        return self.request("GET", path_of(kind, name, namespace=namespace), user=user, groups=groups)

    def delete(
        self,
        kind: str,
        name: str,
        *,
        namespace: str = "",
        dry_run: bool = False,
        user: str = "",
        groups: Sequence[str] = (),
    ) -> Answer:
        """Delete one object."""
        path = path_of(kind, name, namespace=namespace)
        return self.request("DELETE", path, query=_dry(dry_run), user=user, groups=groups)

    def namespace(self, name: str, *, labels: Mapping[str, str] | None = None) -> str:
        """A namespace that exists from now on; its name."""
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}
        ).must()
        return name


def path_of(kind: str, name: str = "", *, namespace: str = "") -> str:
    """The path of a kind, or of one object."""
    info = KINDS.get(kind) or OTHER_KINDS[kind]
    scope = f"/namespaces/{namespace}" if info.namespaced and namespace else ""
    return f"{info.path}{scope}/{info.plural}" + (f"/{quote(name)}" if name else "")


def until(condition: Callable[[], Any], *, what: str, seconds: float = 60.0) -> Any:
    """The first truthy answer of `condition`; a test fails that waits longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.2)


def _parsed(data: bytes) -> Manifest:
    try:
        return dict(json.loads(data or b"{}"))
    except ValueError:  # some refusals are plain text
        return {"message": data.decode(errors="replace")}


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
