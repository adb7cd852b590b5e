"""Search latency straight to Milvus and through the door, in alternating blocks over the same index.

Both ways start on the node, use mutual or server TLS as the product does, and send the very same SearchRequest; stubs are bare
gRPC, so that the client library's own work is not counted twice over.
"""

from __future__ import annotations

import base64
import importlib
import json
import random
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import objects
from bench.budget import Budget
from bench.errors import BenchError
from bench.world import World

# by name: pymilvus' type stubs are not valid Python, which stops a type checker altogether, and grpc has none
grpc: Any = importlib.import_module("grpc")
pymilvus: Any = importlib.import_module("pymilvus")
common_pb2: Any = importlib.import_module("pymilvus.grpc_gen.common_pb2")
milvus_pb2: Any = importlib.import_module("pymilvus.grpc_gen.milvus_pb2")

ROWS, DIMENSION, BATCH, TOP = 10_000, 128, 2_000, 10
COLLECTION = "bench"
METHOD = "/milvus.proto.milvus.MilvusService/Search"
MILVUS_USER = "zt_admin"
CONCURRENCIES = (1, 8)
DIRECT, DOOR = "direct", "door"
DISTINCT_REQUESTS = 50
INDEX_SECONDS = 60.0
ANSWER_SECONDS = 30.0
Send = Callable[[int], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much is sent: at most so many blocks of each way, requests in a block by concurrency, and no pair of blocks begun after
    so many seconds."""

    blocks: int
    requests: dict[int, int]
    seconds: float = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """All latencies of one way at one concurrency, in milliseconds, and how long its blocks took together."""

    way: str
    concurrency: int
    latencies: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Door:
    """How to knock: what the cluster's status and Secrets say."""

    address: str
    host: str
    namespace: str
    key: str
    authority: bytes


def door(world: World, *, project: str, cluster: str) -> Door:
    """From the API key's Secret and the cluster's status."""
    found = next(c for c in world.clusters(project) if c["metadata"]["name"] == cluster)
    secret = world.secret(project, objects.KEY_SECRET)
    status = found["status"]
    if not status.get("address"):
        raise BenchError(f"cluster {project}/{cluster} has no address in its status")
    return Door(
        address=f"{status['address']}:19530",
        host=str(status["endpoint"]).rpartition(":")[0],
        namespace=status["namespace"],
        key=secret["token"].decode(),
        authority=secret["ca.crt"],
    )


def fill(entrance: Door, *, rows: int, budget: Budget) -> float:
    """Make the collection through the door, as any client would; seconds until its index was whole."""
    began = time.monotonic()
    with _client(entrance) as client:
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", pymilvus.DataType.INT64, is_primary=True)
        schema.add_field("vector", pymilvus.DataType.FLOAT_VECTOR, dim=DIMENSION)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 128})
        client.create_collection(COLLECTION, schema=schema, index_params=index)
        vectors = np.random.default_rng(7).random((rows, DIMENSION), dtype=np.float32)
        for start in range(0, rows, BATCH):
            chosen = range(start, min(start + BATCH, rows))
            client.insert(COLLECTION, [{"id": i, "vector": vectors[i].tolist()} for i in chosen])
        client.flush(COLLECTION)

        def indexed() -> bool:
            state = client.describe_index(COLLECTION, "vector")
            return int(state["indexed_rows"]) >= rows and int(state["pending_index_rows"]) == 0

        budget.until(indexed, what=f"the index over {rows} rows", seconds=INDEX_SECONDS)
    return time.monotonic() - began


def measure(world: World, entrance: Door, *, size: Size, say: Callable[[str], None]) -> list[Series]:
    """The series of both ways at every concurrency."""
    found = []
    with _direct(world, entrance) as direct, _through(entrance) as through:
        ways = {DIRECT: direct, DOOR: through}
        for way in ways.values():
            for number in range(2 * DISTINCT_REQUESTS):
                way(number)  # warm: connections, caches, segments
        for concurrency in CONCURRENCIES:
            world.budget.need(15, f"search at concurrency {concurrency}")
            found += alternate(ways, concurrency=concurrency, size=size)
            say(f"search at concurrency {concurrency}: {len(found[-1].latencies)} searches each way")
    return found


def alternate(ways: dict[str, Send], *, concurrency: int, size: Size) -> list[Series]:
    """A B, B A, A B …: whatever drifts on the machine meets both alike."""
    latencies: dict[str, list[float]] = {way: [] for way in ways}
    took = dict.fromkeys(ways, 0.0)
    deadline = time.monotonic() + size.seconds
    with ThreadPoolExecutor(concurrency) as pool:
        for block in range(size.blocks):
            if block % 2 == 0 and block and time.monotonic() > deadline:
                break  # after whole pairs only: each way has been first as often as the other
            for way in tuple(ways) if block % 2 == 0 else tuple(ways)[::-1]:
                began = time.perf_counter()
                latencies[way] += pool.map(ways[way], range(size.requests[concurrency]))
                took[way] += time.perf_counter() - began
    return [
        Series(way=way, concurrency=concurrency, latencies=tuple(latencies[way]), seconds=took[way]) for way in ways
    ]


def search_requests() -> list[Any]:
    """Different vectors, so that nothing is answered from a cache of the last answer."""
    rng = random.Random(5)
    return [search_request([rng.random() for _ in range(DIMENSION)]) for _ in range(DISTINCT_REQUESTS)]


def search_request(vector: Sequence[float]) -> Any:
    """One vector, the nearest ten, as pymilvus would send it; eventual consistency, so that no clock is waited for."""
    value = common_pb2.PlaceholderValue(
        tag="$0", type=common_pb2.PlaceholderType.FloatVector, values=[struct.pack(f"<{len(vector)}f", *vector)]
    )
    parameters = {
        "anns_field": "vector",
        "topk": str(TOP),
        "params": json.dumps({"nprobe": 16}),
        "metric_type": "L2",
        "round_decimal": "-1",
        "offset": "0",
        "ignore_growing": "False",
    }
    return milvus_pb2.SearchRequest(
        collection_name=COLLECTION,
        dsl_type=common_pb2.DslType.BoolExprV1,
        placeholder_group=common_pb2.PlaceholderGroup(placeholders=[value]).SerializeToString(),
        search_params=[common_pb2.KeyValuePair(key=key, value=value) for key, value in parameters.items()],
        nq=1,
        guarantee_timestamp=1,
        consistency_level=common_pb2.ConsistencyLevel.Eventually,
    )


@contextmanager
def _direct(world: World, entrance: Door) -> Iterator[Send]:
    """As the gateway itself would: its client certificate, the technical user's password; the node is no pod, so no policy stops it."""
    with milvus_channel(world, entrance) as channel:
        yield _sender(channel, token=user_token(world, entrance, MILVUS_USER))


def user_token(world: World, entrance: Door, user: str) -> str:
    """What Milvus knows a user by, as the gateways do."""
    lines = world.secret(entrance.namespace, "gateway-maps")["users.map"].decode().splitlines()
    return f"{user}:{dict(line.split(maxsplit=1) for line in lines)[user]}"


def milvus_channel(world: World, entrance: Door) -> Any:
    """A channel to Milvus' pod itself."""
    identity = world.secret(entrance.namespace, "gateway-client")
    credentials = grpc.ssl_channel_credentials(identity["ca.crt"], identity["tls.key"], identity["tls.crt"])
    address = world.pod(entrance.namespace, "milvus")["status"]["podIP"]
    return _channel(f"{address}:19530", "milvus", credentials)


@contextmanager
def _through(entrance: Door) -> Iterator[Send]:
    """As a client does: the load balancer's address, the authority of the Secret, an API key."""
    credentials = grpc.ssl_channel_credentials(entrance.authority)
    with _channel(entrance.address, entrance.host, credentials) as channel:
        yield _sender(channel, token=entrance.key)


def _channel(target: str, name: str, credentials: Any) -> Any:
    options = [("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]
    return grpc.secure_channel(target, credentials, options=options)


def metadata_of(token: str) -> tuple[tuple[str, str], ...]:
    """What a client sends with every call."""
    return (("authorization", base64.b64encode(token.encode()).decode()), ("dbname", "default"))


def _sender(channel: Any, *, token: str) -> Send:
    call = channel.unary_unary(
        METHOD,
        request_serializer=milvus_pb2.SearchRequest.SerializeToString,
        response_deserializer=milvus_pb2.SearchResults.FromString,
    )
    metadata = metadata_of(token)
    prepared = search_requests()

    def send(number: int) -> float:
        request = prepared[number % len(prepared)]
        began = time.perf_counter()
        answer = call(request, metadata=metadata, timeout=ANSWER_SECONDS)
        took = (time.perf_counter() - began) * 1000
        if answer.status.code or len(answer.results.scores) != TOP:
            raise BenchError(f"a search was answered {answer.status.reason or len(answer.results.scores)!r}")
        return took

    return send


@contextmanager
def _client(entrance: Door) -> Iterator[Any]:
    with tempfile.TemporaryDirectory(prefix="zbyoc-bench-") as directory:
        authority = Path(directory) / "ca.crt"
        authority.write_bytes(entrance.authority)
        client = pymilvus.MilvusClient(
            uri=f"https://{entrance.address}",
            token=entrance.key,
            secure=True,
            server_pem_path=str(authority),
            server_name=entrance.host,
            timeout=60,
            dedicated=True,
        )
        try:
            yield client
        finally:
            client.close()
