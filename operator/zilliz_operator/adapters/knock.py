"""Knocks at addresses and says which took a TCP connection. Nothing is sent: who listens sees a connection come and go."""

import asyncio
import socket
from collections.abc import Iterable, Mapping

Address = tuple[str, int]

TIMEOUT = 1.0
"""Seconds for all of them together, since they are tried at once. What a policy forbids is refused or silent."""


class TcpKnocker:
    """Implements `Knocker`."""

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout

    async def opened(self, targets: Iterable[Address]) -> Mapping[Address, str]:
        wanted = sorted(set(targets))
        answers = await asyncio.gather(*(self._connects(target) for target in wanted))
        return {target: own for target, own in zip(wanted, answers, strict=True) if own}

    async def _connects(self, target: Address) -> str:
        """Our own address on the connection; empty when there is none."""
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as line:
            line.setblocking(False)  # noqa: FBT003 - the socket's own
            try:
                async with asyncio.timeout(self._timeout):
                    await asyncio.get_running_loop().sock_connect(line, target)
                return str(line.getsockname()[0])
            except OSError:  # refused, unreachable, forbidden or, as TimeoutError, silent
                return ""
