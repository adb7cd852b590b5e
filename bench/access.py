"""How long it takes until who is given access has it, and until who loses it has lost it, on connections that stay open."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, TypeVar

import grpc

from bench import objects
from bench.errors import BenchError
from bench.report import Table
from bench.search import Door, metadata_of, milvus_channel, milvus_pb2, user_token
from bench.stats import summary
from bench.world import World, collection_path
from tools.devcluster import netns

GIVE_UP_SECONDS = 60.0
EVERY_SECONDS = 0.05
ANSWER_SECONDS = 10.0
ROTATE = f"{objects.GROUP}/rotate"
REST_PATH = "/v1/vector/collections"
METHOD = "/milvus.proto.milvus.MilvusService/ShowCollections"
HOST = "bench-guests"
FIRST, ADDRESSES = IPv4Address("10.200.0.130"), 60
"""The door slows an address down that fails five times in a minute. So whoever asks again and again comes from many."""
GUESTS = ("10.200.0.128/25",)

GRANT_KEY, GRANT_USER = "given: an API key is let in", "given: a cluster user is let in"
ROTATE_KEY, ROTATE_USER = "made anew: the new API key is let in", "made anew: the new password is let in"
REVOKE_KEY, REVOKE_USER = "taken: the API key is refused at the door", "taken: the cluster user is refused at the door"
GONE = "taken: the cluster user is gone from Milvus"
STEPS = (GRANT_KEY, GRANT_USER, ROTATE_KEY, ROTATE_USER, REVOKE_KEY, REVOKE_USER, GONE)

T = TypeVar("T")


@dataclass
class Guests:
    """A host outside with many addresses, and what a knock from it comes to."""

    world: World
    entrance: Door
    _next: int = 0
    _trust: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self._trust = ssl.create_default_context(cadata=self.entrance.authority.decode())
        layout = self.world.layout
        netns.ensure_client(layout, HOST, address=FIRST)
        self._namespace = netns.client_namespace(layout, HOST)
        with netns.inside(self._namespace):
            for more in range(1, ADDRESSES):
                words = ["ip", "addr", "replace", f"{FIRST + more}/32", "dev", "eth0"]
                subprocess.run(words, check=True, capture_output=True)

    def line(self) -> http.client.HTTPSConnection:
        """A new connection, from the next address."""
        address, _, port = self.entrance.address.partition(":")
        source = str(FIRST + self._next % ADDRESSES)
        self._next += 1
        with netns.inside(self._namespace):
            bare = socket.create_connection((address, int(port)), timeout=ANSWER_SECONDS, source_address=(source, 0))
        line = http.client.HTTPSConnection(self.entrance.host, int(port), context=self._trust, timeout=ANSWER_SECONDS)
        line.sock = self._trust.wrap_socket(bare, server_hostname=self.entrance.host)
        return line

    def admitted(self, token: str, line: http.client.HTTPSConnection | None = None) -> bool:
        """Whether a call is answered, over a connection of its own unless one is given."""
        used = line or self.line()
        try:
            return _answered(used, token)
        finally:
            if line is None:
                used.close()


def _answered(line: http.client.HTTPSConnection, token: str) -> bool:
    line.request("GET", REST_PATH, headers={"Authorization": f"Bearer {token}"})
    answer = line.getresponse()
    said = answer.read()
    if answer.status == 200:
        return bool(json.loads(said).get("code") == 200)
    if answer.status in (401, 403):
        return False
    raise BenchError(f"a call was answered {answer.status}: {said[:200]!r}")


def measure(
    world: World, entrance: Door, *, project: str, tries: int, seconds: float, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Step → seconds from the request to the Kubernetes API; stops early when `seconds` are over."""
    took: dict[str, list[float]] = {step: [] for step in STEPS}
    deadline = time.monotonic() + seconds
    world.apply(objects.allowlist(project=project, cidrs=GUESTS, name=HOST))
    guests = Guests(world, entrance)
    _until(lambda: _heard(guests, entrance.key), what="guests are on the list")
    for number in range(tries):
        for step, each in _once(world, guests, project=project, number=number).items():
            took[step].append(each)
        if time.monotonic() > deadline or world.budget.left < 0:
            break
    world.kube.delete(f"{collection_path('Allowlist', project)}/{HOST}")
    say(f"access: {len(took[GONE])} of {tries} tries of each step")
    return took


def table(took: Mapping[str, list[float]]) -> Table:
    """A row for each step."""
    rows = []
    for step in STEPS:
        s = summary(took[step])
        rows.append((step, str(s.count), *(f"{value:.2f} s" for value in (s.p50, s.p95, s.slowest))))
    return Table(
        title="Access given, made anew, taken away",
        columns=("what", "tries", "p50", "p95", "slowest"),
        rows=tuple(rows),
        notes=(
            "One AccessPolicy with an API key and a cluster user each time, one cluster in place. From the request to the Kubernetes "
            "API (apply, annotation, deletion) to the first call that is answered, or refused, asked every "
            f"{EVERY_SECONDS * 1000:.0f} ms. Taken away: over connections that were open and in use.",
            "At the door by REST from outside; in Milvus as the gateway asks it. Who was given access before keeps it meanwhile: the old "
            "key and password are good until the grace period ends.",
        ),
    )


def _heard(guests: Guests, key: str) -> bool:
    try:
        return guests.admitted(key)
    except OSError:
        return False


def _once(world: World, guests: Guests, *, project: str, number: int) -> dict[str, float]:
    """One policy's life."""
    name = f"bench-access-{number}"
    path = f"{collection_path('AccessPolicy', project)}/{name}"
    began = time.monotonic()
    world.apply(objects.people(project=project, name=name))
    tokens = _until(lambda: _tokens(world, project, name), what="the credentials are made")
    took = _first(guests.admitted, tokens, began, keys=GRANT_KEY, users=GRANT_USER)
    began = time.monotonic()
    world.kube.merge(path, {"metadata": {"annotations": {ROTATE: "once"}}})
    renewed = _until(lambda: _other(_tokens(world, project, name), tokens), what="the credentials are made anew")
    took |= _first(guests.admitted, renewed, began, keys=ROTATE_KEY, users=ROTATE_USER)
    lines = {token: guests.line() for token in renewed.values()}
    for token, line in lines.items():
        guests.admitted(token, line)

    def refused(token: str) -> bool:
        return not guests.admitted(token, lines[token])

    inner = user_token(world, guests.entrance, tokens["user"].partition(":")[0])
    with milvus_channel(world, guests.entrance) as channel:
        _until(lambda: _known(channel, inner), what="Milvus knows the user")
        began = time.monotonic()
        world.kube.delete(path)
        took |= _first(refused, renewed, began, keys=REVOKE_KEY, users=REVOKE_USER)
        _until(lambda: not _known(channel, inner), what="the user is gone from Milvus")
        took[GONE] = time.monotonic() - began
    for line in lines.values():
        line.close()
    return took


def _first(
    happened: Callable[[str], bool], tokens: Mapping[str, str], began: float, *, keys: str, users: str
) -> dict[str, float]:
    """When it first happened to each."""
    steps, took = {keys: tokens["key"], users: tokens["user"]}, dict[str, float]()

    def all_did() -> bool:
        for step, token in steps.items():
            if step not in took and happened(token):
                took[step] = time.monotonic() - began
        return len(took) == len(steps)

    _until(all_did, what=f"{keys}; {users}")
    return took


def _known(channel: Any, token: str) -> bool:
    """Whether Milvus itself, past the door, answers a user."""
    call = channel.unary_unary(
        METHOD,
        request_serializer=milvus_pb2.ShowCollectionsRequest.SerializeToString,
        response_deserializer=milvus_pb2.ShowCollectionsResponse.FromString,
    )
    try:
        call(milvus_pb2.ShowCollectionsRequest(), metadata=metadata_of(token), timeout=ANSWER_SECONDS)
    except grpc.RpcError as failed:
        error: Any = failed  # a call, too, which its type does not say
        if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
            return False
        raise BenchError(f"Milvus answered {error.code().name}: {error.details()}") from failed
    return True


def _tokens(world: World, project: str, name: str) -> dict[str, str]:
    """What the policy's Secrets hold; nothing while they are not there."""
    try:
        key, user = world.secret(project, f"{name}-key"), world.secret(project, f"{name}-user")
    except BenchError:
        return {}
    return {"key": key["token"].decode(), "user": f"{user['username'].decode()}:{user['password'].decode()}"}


def _other(found: dict[str, str], before: Mapping[str, str]) -> dict[str, str]:
    return found if found and not set(found.values()) & set(before.values()) else {}


def _until(asked: Callable[[], T], *, what: str) -> T:
    """The first truthy answer."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while not (found := asked()):
        if time.monotonic() > deadline:
            raise BenchError(f"waited {GIVE_UP_SECONDS:.0f} s in vain until {what}")
        time.sleep(EVERY_SECONDS)
    return found
