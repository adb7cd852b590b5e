"""The knock at real sockets: open, refused, silent, both families at once, and never an exception."""

import socket
from collections.abc import Iterator

import pytest

from zilliz_operator.adapters.knock import TcpKnocker


@pytest.fixture
def listening() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield "127.0.0.1", server.getsockname()[1]


@pytest.fixture
def refusing() -> tuple[str, int]:
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return "127.0.0.1", int(once.getsockname()[1])


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """A listener whose queue is full: the kernel lets further handshakes wait for ever."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        yield "127.0.0.1", server.getsockname()[1]
        for each in waiting:
            each.close()


async def test_only_a_connection_counts(
    listening: tuple[str, int], refusing: tuple[str, int], silent: tuple[str, int]
) -> None:
    found = await TcpKnocker(timeout=0.5).opened([listening, refusing, silent, listening])
    assert found == {listening: "127.0.0.1"}


async def test_both_families_are_tried() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        target = ("::1", server.getsockname()[1])
        assert await TcpKnocker().opened([target]) == {target: "::1"}


async def test_what_cannot_be_reached_is_left_out() -> None:
    assert await TcpKnocker(timeout=0.2).opened([("255.255.255.255", 9), ("fe80::1", 9)]) == {}
    assert await TcpKnocker().opened([]) == {}
