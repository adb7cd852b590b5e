"""Reads an issuer's signing keys over https: bounded in time and size, verified, and from nowhere but where it was told.

The URL is the platform team's, the answer is not. So no redirect to another host is followed, and a name that leads to this
machine or to the link (where clouds keep their instance metadata) is not asked.
"""

import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from zilliz_operator.api.exceptions import Unavailable

MAX_BYTES: Final = 256 * 1024
SECONDS: Final = 10.0
REDIRECTS: Final = 3


def forbidden(address: str) -> bool:
    """Whether an address is this machine, the link, or nobody's in particular."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified


class _Resolver(AbstractResolver):
    """Names → addresses that may be asked."""

    def __init__(self, refused: Callable[[str], bool]) -> None:
        self._inner = ThreadedResolver()
        self._refused = refused

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed = [each for each in found if not self._refused(each["host"])]
        if found and not allowed:
            raise OSError(None, "its name leads to this machine or the link only")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


class HttpsSigningKeys:
    """Implements the port `SigningKeys`."""

    def __init__(self, *, refused: Callable[[str], bool] = forbidden, seconds: float = SECONDS) -> None:
        self._refused = refused
        self._timeout = aiohttp.ClientTimeout(total=seconds)

    async def read(self, url: str, *, ca_pem: str | None) -> bytes:
        what = f"issuer {urlsplit(url).hostname}"
        try:
            context = ssl.create_default_context(cadata=ca_pem) if ca_pem else ssl.create_default_context()
        except (ssl.SSLError, ValueError):
            raise Unavailable(what, "caSecretRef holds no certificate in PEM") from None
        connector = aiohttp.TCPConnector(ssl=context, resolver=_Resolver(self._refused), force_close=True)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=self._timeout) as session:
                return await self._follow(session, url, what)
        except TimeoutError:
            raise Unavailable(what, "did not answer in time") from None
        except aiohttp.ClientConnectorCertificateError:
            raise Unavailable(what, "its certificate is not trusted: see caSecretRef") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(what, _words(error)) from None

    async def _follow(self, session: aiohttp.ClientSession, url: str, what: str) -> bytes:
        home = urlsplit(url)
        for _ in range(REDIRECTS + 1):
            here = urlsplit(url)
            if (here.scheme, here.hostname, here.port) != ("https", home.hostname, home.port):
                raise Unavailable(what, "redirects to another host, which is not followed: name the right URL")
            if _literal(here.hostname or "") and self._refused(here.hostname or ""):
                raise Unavailable(what, "is this machine or the link, which is not asked")
            async with session.get(url, allow_redirects=False, headers={"accept": "application/json"}) as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    url = urljoin(url, answer.headers.get("location", ""))
                    continue
                if answer.status != 200:
                    raise Unavailable(what, f"answers with status {answer.status}")
                return await _bounded(answer, what)
        raise Unavailable(what, f"redirects more than {REDIRECTS} times")


async def _bounded(answer: aiohttp.ClientResponse, what: str) -> bytes:
    body = bytearray()
    async for block in answer.content.iter_chunked(16384):
        body += block
        if len(body) > MAX_BYTES:
            raise Unavailable(what, f"answers with more than {MAX_BYTES // 1024} KiB")
    return bytes(body)


def _literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _words(error: Exception) -> str:
    """Stable words for the kinds of trouble: what is written into a status must not change with every try."""
    inner: BaseException | None = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, ConnectionRefusedError):
        return "refuses the connection"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return f"cannot be read ({type(error).__name__})"


__all__ = ["HttpsSigningKeys", "forbidden"]
