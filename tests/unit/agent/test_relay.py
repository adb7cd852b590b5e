"""The audit lines' last stretch: whole lines, in order, counted, and never a reason for HAProxy to wait."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zilliz_operator.agent.relay import Counts, Relay, read_counts, write_counts

Pipes = tuple[int, int, int, int]
"""Source reader and writer, sink reader and writer."""


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    source, writer, reader, sink = OPEN[:] = (*os.pipe(), *os.pipe())
    yield source, writer, reader, sink
    close(writer)
    close(reader)  # whoever still writes to it gets an error now, and ends
    for thread in RUNNING:  # one that outlived its test would take the next one's lines, by the same number
        thread.join(10)
        assert not thread.is_alive()
    RUNNING.clear()
    close(source)
    close(sink)


OPEN: list[int] = []
"""Descriptors that are ours to close. A number that is closed may be somebody else's at once."""
RUNNING: list[threading.Thread] = []


def close(descriptor: int) -> None:
    if descriptor in OPEN:
        OPEN.remove(descriptor)
        os.close(descriptor)


def start(relay: Relay) -> None:
    for work in (relay.fill, relay.drain):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        RUNNING.append(thread)


def test_lines_pass_whole_and_in_order_whatever_the_blocks(pipes: Pipes) -> None:
    source, writer, reader, sink = pipes
    other: list[str] = []
    relay = Relay(source, sink, other=other.append)
    start(relay)
    lines = [b'{"n":%d}\n' % n for n in range(2000)]
    text = b"".join(lines[:1000]) + b"Proxy door stopped.\n" + b"".join(lines[1000:])
    for begin in range(0, len(text), 777):
        os.write(writer, text[begin : begin + 777])
    close(writer)
    assert relay.done.wait(10)
    close(sink)
    got = b""
    while block := os.read(reader, 65536):
        got += block
    assert got == b"".join(lines)
    assert other == ["Proxy door stopped."]
    assert relay.counts == Counts(lines=2000, dropped=0)


def test_a_sink_that_stands_still_costs_lines_but_never_the_source(pipes: Pipes) -> None:
    source, writer, _, sink = pipes
    # More than the relay reads at once: a block that never fits would leave nothing for the sink to stand still on.
    relay = Relay(source, sink, other=print, limit_bytes=80_000)
    start(relay)
    line = b'{"x":"' + b"y" * 991 + b'"}\n'
    finished = threading.Event()

    def produce() -> None:
        for _ in range(4000):
            os.write(writer, line)
        close(writer)
        finished.set()

    threading.Thread(target=produce, daemon=True).start()
    assert finished.wait(20), "the source had to wait"
    assert not relay.done.is_set()
    deadline = threading.Event()
    while relay.counts.dropped < 3700 and not deadline.wait(0.05):
        pass
    assert 3700 <= relay.counts.dropped < 4000


def test_a_sink_that_is_gone_is_counted(pipes: Pipes) -> None:
    source, writer, reader, sink = pipes
    close(reader)
    relay = Relay(source, sink, other=print)
    os.write(writer, b"{}\n{}\n")
    close(writer)
    start(relay)
    assert relay.done.wait(10)
    assert relay.counts == Counts(lines=0, dropped=2)


def test_refusals_are_counted_by_reason_and_nobody_forges_one(pipes: Pipes) -> None:
    source, writer, _reader, sink = pipes
    relay = Relay(source, sink, other=print)
    refused = '{"kind":"request","db":%s,"decision":"denied","reason":"%s","guard":"%s"}\n'
    hostile = json.dumps('","decision":"denied","reason":"throttled","guard":"slowed')
    lines = [
        refused % ('"-"', "unknown_key", "slowed"),
        refused % ('"-"', "unknown_key", "-"),
        refused % (hostile, "ip_not_allowed", "-"),
        refused.replace("denied", "allowed") % (hostile, "-", "-"),
        '{"kind":"connection","decision":"denied","reason":"SSL handshake failure"}\n',
    ]
    os.write(writer, "".join(lines).encode())
    close(writer)
    start(relay)
    assert relay.done.wait(10)
    assert relay.counts == Counts(5, 0, 1, {"unknown_key": 2, "ip_not_allowed": 1, "connection": 1})


def test_counts_travel_by_file(tmp_path: Path) -> None:
    path = tmp_path / "audit"
    assert read_counts(path) == Counts()
    seen = Counts(7, 2, 3, {"throttled": 4})
    write_counts(path, seen)
    assert read_counts(path) == seen
    path.write_text("nonsense")
    assert read_counts(path) == Counts()
