"""How to reach one Kubernetes cluster, and with which credentials.

Kopf and our own client share one connector and one bearer middleware from here. The middleware re-reads the projected
token by modification time and waits out a 401: the API server may refuse the old token a moment before the kubelet has
written the new one, and Kopf would end its watches for good on that refusal.
"""

import asyncio
import base64
import binascii
import ipaddress
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yaml
from yarl import URL

from zilliz_operator.adapters.tls import load_client_certificate
from zilliz_operator.api.exceptions import InvalidSpec

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_WAITS_AFTER_401 = (0.2, 0.5, 1.0, 2.0)


class OneServer:
    """An aiohttp middleware that talks to one server alone: an answer that redirects must not carry our token elsewhere."""

    def __init__(self, server: str) -> None:
        self._at = _place(URL(server))

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if _place(request.url) != self._at:
            raise aiohttp.ClientConnectionError("redirected to another server, which is refused")
        return await handler(request)


def _place(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


class BearerToken:
    """An aiohttp middleware that sends the token a file holds now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._modified = -1
        self._token = ""

    def read(self) -> str:
        modified = self._path.stat().st_mtime_ns
        if modified != self._modified:
            self._token = self._path.read_text(encoding="ascii").strip()
            self._modified = modified
        return self._token

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        for wait in _WAITS_AFTER_401:
            request.headers["Authorization"] = f"Bearer {self.read()}"
            response = await handler(request)
            if response.status != 401:
                return response
            response.release()
            await asyncio.sleep(wait)
        request.headers["Authorization"] = f"Bearer {self.read()}"
        return await handler(request)


class StaticToken:
    """An aiohttp middleware that sends a token that never changes."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return await handler(request)


class ClusterAccess:
    """One cluster's address, trust and credentials. Make it inside the event loop's life; `close()` it last."""

    def __init__(
        self,
        *,
        server: str,
        ssl_context: ssl.SSLContext | None = None,
        token_file: Path | None = None,
        token: str | None = None,
        namespace: str = "default",
    ) -> None:
        self.server = server.rstrip("/")
        self.ssl_context = ssl_context
        self.namespace = namespace
        self._connector: aiohttp.TCPConnector | None = None
        self.middlewares: tuple[aiohttp.ClientMiddlewareType, ...] = (OneServer(self.server),)
        if token_file is not None:
            self.middlewares += (BearerToken(token_file),)
        elif token is not None:
            self.middlewares += (StaticToken(token),)

    def __repr__(self) -> str:
        return f"ClusterAccess({self.server!r})"

    @classmethod
    def from_in_cluster(
        cls, directory: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] | None = None
    ) -> "ClusterAccess":
        """The cluster this pod runs in, by its service account."""
        environ = os.environ if environ is None else environ
        host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (directory / "token").is_file():
            raise InvalidSpec(
                "kubeconfig",
                "not running in a pod with a service account token: give a kubeconfig (--kubeconfig or KUBECONFIG)",
            )
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        namespace = (
            (directory / "namespace").read_text(encoding="utf-8").strip()
            if (directory / "namespace").is_file()
            else "default"
        )
        return cls(
            server=server,
            ssl_context=_ssl_context(ca_file=directory / "ca.crt"),
            token_file=directory / "token",
            namespace=namespace,
        )

    @classmethod
    def from_kubeconfig(cls, source: Path | str | bytes | Mapping[str, Any], *, context: str = "") -> "ClusterAccess":
        """A kubeconfig: a path (relative files are looked up beside it), its bytes, or its parsed content.

        Only a path is a person's own file. Bytes and content come from a Secret: files that they name would be this
        process' files (its own token among them), sent to whatever server they name; so everything must be within.
        """
        base: Path | None = None
        if isinstance(source, Path | str):
            base = Path(source).expanduser().resolve().parent
            source = _read(Path(source).expanduser())
        return _Kubeconfig(_parse(source), base, context).access()

    def connector(self) -> aiohttp.TCPConnector:
        """The connections that every session to this cluster shares."""
        if self._connector is None or self._connector.closed:
            self._connector = aiohttp.TCPConnector(limit=0, ssl=self.ssl_context or True, keepalive_timeout=30)
        return self._connector

    def session(self) -> aiohttp.ClientSession:
        """A session for Kopf. Closing it leaves the shared connections open."""
        return aiohttp.ClientSession(
            connector=self.connector(),
            connector_owner=False,
            middlewares=self.middlewares,
            trust_env=False,
            read_bufsize=2**21,
        )

    async def close(self) -> None:
        if self._connector is not None:
            await self._connector.close()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidSpec("kubeconfig", f"cannot read {path}: {error.strerror}") from error


def _parse(source: bytes | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(source, Mapping):
        return source
    try:
        parsed = yaml.safe_load(source)
    except (yaml.YAMLError, UnicodeDecodeError):  # the parser's text would quote the file, which holds credentials
        raise InvalidSpec("kubeconfig", "is not YAML") from None
    if not isinstance(parsed, Mapping):
        raise InvalidSpec("kubeconfig", "is not a mapping with clusters, users and contexts")
    return parsed


class _Kubeconfig:
    """The one context of a kubeconfig that is used, and the files it names."""

    def __init__(self, content: Mapping[str, Any], base: Path | None, context: str) -> None:
        self._base = base
        name = context or str(content.get("current-context") or "")
        if not name:
            raise InvalidSpec("current-context", "is empty: name the context to use")
        chosen = self._named(content, "contexts", name, "context")
        self._cluster = self._named(content, "clusters", str(chosen.get("cluster")), "cluster")
        self._user = self._named(content, "users", str(chosen.get("user")), "user") if chosen.get("user") else {}
        self._namespace = str(chosen.get("namespace") or "default")

    @staticmethod
    def _named(content: Mapping[str, Any], section: str, name: str, key: str) -> Mapping[str, Any]:
        entries = content.get(section)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, Mapping) and entry.get("name") == name and isinstance(entry.get(key), Mapping):
                found: Mapping[str, Any] = entry[key]
                return found
        raise InvalidSpec(section, f"has no {key} named {name!r}")

    def access(self) -> ClusterAccess:
        server = self._server()
        self._refuse_what_we_cannot_honour()
        context = None
        if server.startswith("https://"):
            certificate, key = self._bytes("users", "client-certificate"), self._bytes("users", "client-key")
            if (certificate is None) != (key is None):
                raise InvalidSpec("users", "client-certificate and client-key come together: give both or none")
            context = _ssl_context(
                ca=self._bytes("clusters", "certificate-authority"), certificate=certificate, key=key
            )
        token_file = self._user.get("tokenFile")
        token = str(self._user.get("token") or "").strip()
        if not token.isascii() or any(c.isspace() or not c.isprintable() for c in token):
            raise InvalidSpec("users.token", "holds characters that no token has: copy it anew")
        return ClusterAccess(
            server=server,
            ssl_context=context,
            token_file=self._path("users.tokenFile", token_file) if token_file else None,
            token=token or None,
            namespace=self._namespace,
        )

    def _server(self) -> str:
        server = str(self._cluster.get("server") or "")
        try:
            url = urlsplit(server)
            known = bool(url.hostname) and url.username is None and url.port != 0
        except ValueError:
            known = False
        if known and url.scheme == "https":
            return server
        if known and url.scheme == "http" and _is_loopback(str(url.hostname)) and self._base is not None:
            return server  # kubectl proxy
        raise InvalidSpec("clusters.server", "must be an https:// address, without credentials in it")

    def _refuse_what_we_cannot_honour(self) -> None:
        if self._cluster.get("insecure-skip-tls-verify"):
            raise InvalidSpec(
                "clusters.insecure-skip-tls-verify", "is refused: give certificate-authority-data instead"
            )
        for field in ("proxy-url", "tls-server-name"):
            if self._cluster.get(field):
                raise InvalidSpec(f"clusters.{field}", "is not supported: give an address that is reached directly")
        remedy = (
            "use a token, tokenFile or client certificate" if self._base else "use token, or client-certificate-data"
        )
        for field in ("exec", "auth-provider"):
            if self._user.get(field):
                raise InvalidSpec(f"users.{field}", f"is refused, no command is ever run from a kubeconfig: {remedy}")
        for field in ("username", "as", "as-uid", "as-groups", "as-user-extra"):
            if self._user.get(field):
                raise InvalidSpec(f"users.{field}", f"is not supported: {remedy}")

    def _path(self, field: str, name: object) -> Path:
        if self._base is None:
            instead = {"users.tokenFile": "users.token"}.get(field, f"{field}-data")
            raise InvalidSpec(field, f"names a file, which is refused here: write its content into {instead}")
        return self._base / Path(str(name))

    def _bytes(self, section: str, field: str) -> bytes | None:
        where = self._cluster if section == "clusters" else self._user
        if data := where.get(f"{field}-data"):
            try:
                return base64.b64decode(str(data), validate=True)
            except binascii.Error:
                raise InvalidSpec(f"{section}.{field}-data", "is not base64") from None
        return _read(self._path(f"{section}.{field}", where[field])) if where.get(field) else None


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ssl_context(
    *, ca_file: Path | None = None, ca: bytes | None = None, certificate: bytes | None = None, key: bytes | None = None
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=str(ca_file) if ca_file else None, cadata=ca.decode("ascii") if ca else None
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Certificate authorities made by common cluster installers carry no authority key identifier.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if certificate is not None and key is not None:
            load_client_certificate(context, certificate=certificate, key=key)
    except (ssl.SSLError, UnicodeDecodeError, FileNotFoundError) as error:
        raise InvalidSpec(
            "kubeconfig", f"holds a certificate or key that cannot be loaded: {type(error).__name__}"
        ) from None
    return context
