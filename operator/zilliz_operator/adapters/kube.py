"""The Kubernetes API as reconcilers use it: plain dictionaries, server-side apply, and errors that say what to do.

It stands on the raw `ApiClient` of `kubernetes.aio`. The typed APIs cost 100 MiB, its watch re-uses a stale version
after 410, and its retries never repeat a PATCH, hence never an apply; so retries live here, for exactly the calls that
may be repeated.
"""

import asyncio
import json
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.api.exceptions import (
    Conflict,
    InvalidSpec,
    NotReady,
    Rejected,
    Unavailable,
    Unreachable,
    ZillizError,
)
from zilliz_operator.api.kinds import KINDS
from zilliz_operator.api.names import FIELD_MANAGER
from zilliz_operator.api.rights import Access

Manifest = dict[str, Any]
RequestHook = Callable[[str, str, int], None]
"""Called once a request with verb, kind and status code (0: no answer), for metrics."""

log = logging.getLogger(__name__)

JSON = "application/json"
TEXT = "text/plain"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PAGE = 500
NOTE_BYTES = 1000  # the API accepts 1024 bytes
MAX_BACKOFF = 5.0
RETRY_AFTER_LIMIT = 10.0
NOWHERE = "milvus-in01-000000000000"
"""No cluster's namespace: rights there are rights everywhere."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call: `verb` and `kind` name it in errors and metrics, `repeatable` allows retries, `limit` is in seconds."""

    method: str
    path: str
    verb: str
    kind: str
    name: str = ""
    namespace: str = ""
    query: tuple[tuple[str, str], ...] = ()
    body: Manifest | None = None
    content_type: str = JSON
    repeatable: bool = True
    limit: float | None = None
    accept: str = JSON

    @property
    def target(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace and self.name else self.namespace or self.name
        return f"{self.kind} {where}".strip()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Manifest
    retry_after: float | None


def path_of(kind: str, name: str = "", namespace: str | None = None, *, subresource: str = "") -> str:
    """The URL path of a kind, an object, or its subresource. `namespace` None lists a namespaced kind everywhere."""
    try:
        info = KINDS[kind]
    except KeyError:
        raise KeyError(f"kind {kind!r} is not in api.kinds.KINDS") from None
    root = info.path
    if info.namespaced and name and not namespace:
        raise ValueError(f"{kind} {name} needs a namespace")
    if info.namespaced and namespace:
        root += f"/namespaces/{quote(namespace, safe='')}"
    parts = [root, info.plural, quote(name, safe=""), subresource]
    return "/".join(part for part in parts if part)


class KubeClient:
    """One Kubernetes cluster. Safe to share between tasks; `close()` leaves the shared connections of `access` open."""

    def __init__(
        self,
        access: ClusterAccess,
        *,
        on_request: RequestHook | None = None,
        timeout: float = 20.0,
        attempts: int = 4,
        user_agent: str = FIELD_MANAGER,
    ) -> None:
        self.access = access
        self._on_request = on_request
        self._timeout = timeout
        self._attempts = attempts
        self._instance = os.uname().nodename[:128] or FIELD_MANAGER
        self._api = ApiClient(
            Configuration(
                host=access.server,
                client_session_kwargs={
                    "connector": access.connector(),
                    "middlewares": access.middlewares,
                    "trust_env": False,
                },
            )
        )
        self._api.user_agent = user_agent

    @property
    def what(self) -> str:
        return f"Kubernetes API {self.access.server}"

    async def close(self) -> None:
        await self._api.close()  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> "KubeClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- the port

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        request = Request("GET", path_of(kind, name, namespace), "get", kind, name=name, namespace=namespace or "")
        answer = await self.call(request)
        if answer.status == 404:
            return None
        return self._checked(request, answer)

    async def list(
        self, kind: str, namespace: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        query: list[tuple[str, str]] = [("limit", str(PAGE))]
        if labels:
            query.append(("labelSelector", ",".join(f"{key}={value}" for key, value in sorted(labels.items()))))
        for _ in range(3):  # a page token expires after minutes: start over, a few times
            found = await self._pages(kind, namespace, tuple(query))
            if found is not None:
                return found
        raise Unavailable(self.what, f"listing {kind} never finished: its page tokens kept expiring")

    async def apply(self, manifest: Manifest) -> Manifest:
        kind, name, namespace = _identity(manifest)
        query = (("fieldManager", FIELD_MANAGER), ("force", "true"))
        path = path_of(kind, name, namespace)
        return await self._do(Request("PATCH", path, "patch", kind, name, namespace or "", query, manifest, APPLY))

    async def create(self, manifest: Manifest) -> Manifest:
        kind, name, namespace = _identity(manifest)
        query = (("fieldManager", FIELD_MANAGER),)
        path = path_of(kind, "", namespace)
        return await self._do(
            Request("POST", path, "create", kind, name, namespace or "", query, manifest, repeatable=False)
        )

    async def delete(self, kind: str, name: str, namespace: str | None = None, *, uid: str) -> None:
        body: Manifest = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        request = Request("DELETE", path_of(kind, name, namespace), "delete", kind, name, namespace or "", (), body)
        answer = await self.call(request)
        if answer.status != 404:
            self._checked(request, answer)

    async def merge_patch(
        self, kind: str, name: str, namespace: str | None, patch: Manifest, *, subresource: str = ""
    ) -> Manifest:
        manager = f"{FIELD_MANAGER}-{subresource}" if subresource else FIELD_MANAGER
        path = path_of(kind, name, namespace, subresource=subresource)
        query = (("fieldManager", manager),)
        return await self._do(Request("PATCH", path, "patch", kind, name, namespace or "", query, patch, MERGE))

    async def event(self, regarding: Manifest, *, type: str, reason: str, message: str) -> None:
        """Record an Event. It is a courtesy: a failure is logged and never stops the reconcile that had news."""
        metadata = regarding.get("metadata") or {}
        namespace = metadata.get("namespace") or "default"
        reference = {
            "apiVersion": regarding.get("apiVersion", ""),
            "kind": regarding.get("kind", ""),
            "name": metadata.get("name", ""),
            "uid": metadata.get("uid", ""),
        }
        if metadata.get("namespace"):
            reference["namespace"] = metadata["namespace"]
        body: Manifest = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "generateName": f"{str(metadata.get('name', 'object'))[:50].rstrip('-.')}-",
                "namespace": namespace,
            },
            "eventTime": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingController": "byoc.zilliz.com/operator",
            "reportingInstance": self._instance,
            "type": type,
            "reason": reason[:128],
            "action": "Reconcile",
            "note": message.encode()[:NOTE_BYTES].decode(errors="ignore"),
            "regarding": reference,
        }
        path = f"/apis/events.k8s.io/v1/namespaces/{quote(namespace, safe='')}/events"
        try:
            await self._do(Request("POST", path, "create", "Event", namespace=namespace, body=body, repeatable=False))
        except ZillizError as error:
            log.warning("event %s about %s %s not recorded: %s", reason, reference["kind"], reference["name"], error)

    # ---- beside the port

    async def resources(self, group_version: str) -> frozenset[str]:
        """The plural names that `group/version` serves now; empty when it is not installed."""
        root = "apis" if "/" in group_version else "api"
        request = Request("GET", f"/{root}/{group_version}", "get", "APIResourceList", name=group_version)
        answer = await self.call(request)
        if answer.status == 404:
            return frozenset()
        resources = self._checked(request, answer).get("resources") or ()
        return frozenset(str(resource["name"]) for resource in resources)

    async def version(self, *, limit: float | None = None) -> str:
        """Of Kubernetes. Asked with credentials, for it tells whether these are accepted too."""
        return str((await self._do(Request("GET", "/version", "get", "Version", limit=limit))).get("gitVersion", ""))

    async def missing_rights(self, needed: Sequence[Access]) -> Sequence[Access]:
        """Those of `needed` that we have not. One question about all of them; where the server cannot list our rights in full
        (an authorizer beside RBAC), each that is not in its list is asked about."""
        spec = {"namespace": NOWHERE}
        rules = (await self._review("SelfSubjectRulesReview", spec)).get("resourceRules") or ()
        doubtful = [access for access in needed if not any(_grants(rule, access) for rule in rules)]
        answers = [
            await self._review("SelfSubjectAccessReview", {"resourceAttributes": _attributes(access)})
            for access in doubtful
        ]
        return [access for access, answer in zip(doubtful, answers, strict=True) if not answer.get("allowed")]

    async def _review(self, kind: str, spec: Manifest) -> Manifest:
        """The status of a question about ourselves. It is posted, but nothing is stored, so it may be repeated."""
        group = "authorization.k8s.io/v1"
        body = {"apiVersion": group, "kind": kind, "spec": spec}
        answer = await self._do(Request("POST", f"/apis/{group}/{kind.lower()}s", "review", kind, body=body))
        status: Manifest = answer.get("status") or {}
        return status

    async def document(self, path: str) -> Manifest | None:
        """A JSON document that is no object of a kind (the served schemas, say); None when there is none."""
        request = Request("GET", path, "get", path)
        answer = await self.call(request)
        return None if answer.status == 404 else self._checked(request, answer)

    async def text(self, path: str) -> str:
        """A plain text (the API server's metrics)."""
        request = Request("GET", path, "get", path, accept=TEXT)
        return str(self._checked(request, await self.call(request)).get("text", ""))

    async def review(self, kind: str, spec: Manifest) -> Manifest:
        """The status of an access review: asked and answered, kept nowhere."""
        group = "authentication" if kind == "SelfSubjectReview" else "authorization"
        version = f"{group}.k8s.io/v1"
        body = {"apiVersion": version, "kind": kind, "metadata": {}, "spec": spec}
        answer = await self._do(Request("POST", f"/apis/{version}/{kind.lower()}s", "create", kind, body=body))
        return dict(answer.get("status") or {})

    async def call(self, request: Request) -> Answer:
        """The answer whatever its status below 500, after the retries that are safe. Raises Unavailable."""
        for attempt in range(1, self._attempts + 1):
            last = attempt == self._attempts
            try:
                answer = await self._send(request, request.limit or self._timeout)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                never_sent = isinstance(error, aiohttp.ClientConnectorError)
                if last or not (request.repeatable or never_sent):
                    raise Unreachable(
                        self.what, f"no answer to {request.verb} {request.target}: {_short(error)}"
                    ) from error
                await self._pause(attempt, None)
                continue
            refused_before_work = answer.status == 429
            if answer.status < 500 and not refused_before_work:
                return answer
            if last or not (request.repeatable or refused_before_work):
                message = _message(answer.body) or "no reason given"
                raise Unavailable(self.what, f"answered {answer.status} to {request.verb} {request.target}: {message}")
            await self._pause(attempt, answer.retry_after)
        raise AssertionError("unreachable: the last attempt returns or raises")

    # ---- inside

    async def _do(self, request: Request) -> Manifest:
        return self._checked(request, await self.call(request))

    async def _pages(
        self, kind: str, namespace: str | None, query: tuple[tuple[str, str], ...]
    ) -> Sequence[Manifest] | None:
        items: list[Manifest] = []
        token = ""
        while True:
            page = (*query, ("continue", token)) if token else query
            request = Request("GET", path_of(kind, "", namespace), "list", kind, namespace=namespace or "", query=page)
            answer = await self.call(request)
            if answer.status == 404:
                return ()
            if answer.status == 410 and token:
                return None
            body = self._checked(request, answer)
            for item in body.get("items") or ():  # items of a list come without their type
                items.append({"apiVersion": KINDS[kind].api_version, "kind": kind, **item})
            token = str((body.get("metadata") or {}).get("continue") or "")
            if not token:
                return items

    async def _send(self, request: Request, limit: float) -> Answer:
        code = 0
        try:
            serialized = await self._api.param_serialize(
                request.method,
                request.path,
                query_params=list(request.query),
                body=request.body,
                header_params={"Content-Type": request.content_type, "Accept": request.accept},
            )
            timeout = aiohttp.ClientTimeout(total=limit, sock_connect=min(5.0, limit))
            response = await self._api.call_api(*serialized, _request_timeout=timeout)
            data = await response.read()  # type: ignore[no-untyped-call]
            code = int(response.status)
            plain = request.accept == TEXT and code == 200
            body = {"text": data.decode(errors="replace")} if plain else _decoded(data)
            return Answer(code, body, _seconds(response.headers.get("Retry-After")))
        finally:
            if self._on_request is not None:
                self._on_request(request.verb, request.kind, code)

    async def _pause(self, attempt: int, retry_after: float | None) -> None:
        backoff = min(MAX_BACKOFF, 0.2 * 2 ** (attempt - 1)) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        await asyncio.sleep(backoff if retry_after is None else min(RETRY_AFTER_LIMIT, retry_after) + backoff / 4)

    def _checked(self, request: Request, answer: Answer) -> Manifest:
        if 200 <= answer.status < 300:
            return answer.body
        raise self._error(request, answer)

    def _error(self, request: Request, answer: Answer) -> ZillizError:
        details = answer.body.get("details") or {}
        causes = [cause for cause in details.get("causes") or () if isinstance(cause, Mapping)]
        message = _message(answer.body)
        match answer.status:
            case 401:
                return Rejected(self.what, "refuses our credentials: renew the service account token or the kubeconfig")
            case 403 if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
                return NotReady(f"{request.target}: its namespace is being deleted")
            case 403:
                return Rejected(self.what, f"does not let us {request.verb} {_resource(request)}: {message}")
            case 404 | 410:
                return NotReady(f"{request.target}: it, its namespace or its kind does not exist ({message})")
            case 409:
                return Conflict(f"{request.verb} {request.target}: {message}")
        field = next((str(cause["field"]) for cause in causes if cause.get("field")), "")
        if request.kind == "Secret":  # the server quotes refused values
            message = f"the API server refused it as {answer.body.get('reason', 'invalid')}"
        return InvalidSpec(f"{request.target} {field}".strip(), message or f"the API server answered {answer.status}")


def _identity(manifest: Manifest) -> tuple[str, str, str | None]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata["name"], metadata.get("namespace")


def _resource(request: Request) -> str:
    info = KINDS.get(request.kind)
    if info is None:
        return request.target
    return f"{info.plural}{'.' + info.group if info.group else ''}" + (
        f" in namespace {request.namespace}" if request.namespace else ""
    )


def _grants(rule: Mapping[str, Any], access: Access) -> bool:
    """Whether a rule of a SelfSubjectRulesReview gives a right on every object."""

    def has(field: str, wanted: str) -> bool:
        found = rule.get(field) or ()
        return wanted in found or "*" in found

    whole = not rule.get("resourceNames")
    return whole and has("verbs", access.verb) and has("apiGroups", access.group) and has("resources", access.resource)


def _attributes(access: Access) -> Manifest:
    return {"verb": access.verb, "group": access.group, "resource": access.resource}


def _message(body: Mapping[str, Any]) -> str:
    return str(body.get("message") or body.get("reason") or "")[:500]


def _decoded(data: bytes) -> Manifest:
    try:
        decoded = json.loads(data) if data else {}
    except ValueError:
        return {"message": data[:200].decode(errors="replace")}
    return decoded if isinstance(decoded, dict) else {"value": decoded}


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def _short(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".strip()[:300]
