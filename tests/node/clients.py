"""A stock Milvus client on a host outside: it stores rows, finds them again, and goes on searching while something breaks.

In a process of its own, because gRPC's threads would knock from where this process lives. Secrets pass by its input.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from tests.node.harness import ROOT, Cluster, Host

ROWS, DIMENSION = 200, 8
COLLECTION = "kept"

SCRIPT = """
import http.client, json, socket, ssl, sys, tempfile, threading, time
import numpy as np
from pymilvus import MilvusClient

asked = json.loads(sys.stdin.readline())
authority = tempfile.NamedTemporaryFile("w", suffix=".crt")
authority.write(asked["ca"]); authority.flush()
name = asked["collection"]

def vector(row):
    return np.random.default_rng(row).random(asked["dimension"], dtype=np.float32).tolist()

def connect():
    return MilvusClient(uri=asked["uri"], token=asked["token"], secure=True, server_pem_path=authority.name,
                        server_name=asked["host"], timeout=asked["timeout"], dedicated=True)

def fill():
    client = connect()
    if client.has_collection(name):
        client.drop_collection(name)
    client.create_collection(name, dimension=asked["dimension"], metric_type="L2")
    client.insert(name, [{"id": i, "vector": vector(i), "note": f"row {i}"} for i in range(asked["rows"])])
    client.flush(name)
    return search(client, 7)

def search(client, row):
    hits = client.search(name, [vector(row)], limit=1, output_fields=["note"], consistency_level="Strong")[0]
    return [hit["entity"]["note"] for hit in hits]

def find():
    # A server that has just started may not have its rows in memory yet.
    end = time.monotonic() + asked["patience"]
    while True:
        try:
            found = search(connect(), 7)
            if found or time.monotonic() > end:
                return found
        except Exception:
            if time.monotonic() > end:
                raise
        time.sleep(1)

tls = ssl.create_default_context(cafile=authority.name)

def rest(row):
    # One connection a call: what a client meets that comes now. Connecting is tried again, a call never.
    end = time.monotonic() + asked["timeout"]
    while True:
        try:
            bare = socket.create_connection((asked["address"], asked["port"]), timeout=3)
            line = tls.wrap_socket(bare, server_hostname=asked["host"])
            break
        except OSError:
            counts["connects tried again"] += 1
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
    web = http.client.HTTPSConnection(asked["host"], asked["port"], timeout=asked["timeout"])
    web.sock = line
    body = json.dumps({"collectionName": name, "vector": vector(row), "limit": 1, "outputFields": ["note"]})
    web.request("POST", "/v1/vector/search", body, {"Authorization": "Bearer " + asked["token"]})
    answer = web.getresponse()
    said = json.loads(answer.read())
    web.close()
    assert answer.status == 200 and said.get("code") == 200, (answer.status, said)
    return [hit["note"] for hit in said["data"]]

counts = {"grpc": 0, "rest": 0, "connects tried again": 0}
failures = []

def loop():
    client, over = connect(), threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    row, started = 0, False
    while not over.is_set():
        row = (row + 1) % asked["rows"]
        for way, call in (("grpc", lambda: search(client, row)), ("rest", lambda: rest(row))):
            try:
                found = call()
                assert found == [f"row {row}"], found
                counts[way] += 1
            except Exception as error:
                failures.append(f"{time.strftime('%H:%M:%S')} {way}: {type(error).__name__}: {error}"[:300])
        if not started:
            print("started", flush=True)
            started = True
        time.sleep(0.1)
    return {**counts, "failures": failures}

print(json.dumps({"fill": fill, "find": find, "loop": loop}[asked["do"]]()), flush=True)
"""


@dataclass
class Traffic:
    """What a loop of searches saw, once it has ended."""

    grpc: int = 0
    rest: int = 0
    connects_tried_again: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Client:
    """A client of one cluster on a host, with the cluster's generated API key."""

    cluster: Cluster
    host: Host
    collection: str = COLLECTION

    def fill(self) -> None:
        """Make the collection anew, with ROWS rows that `find` knows."""
        assert self._ask("fill") == ["row 7"]

    def find(self, *, patience: float = 120.0) -> list[str]:
        """The note of the row nearest to the vector of row 7; a server that is still loading gets `patience` seconds."""
        found: list[str] = self._ask("find", patience=patience)
        return found

    @contextmanager
    def traffic(self) -> Iterator[Traffic]:
        """Search without pause meanwhile, by gRPC on one connection and by REST on a new one each time."""
        with subprocess.Popen(
            self._command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            watchdog = threading.Timer(600.0, process.kill)
            watchdog.start()
            try:
                print(json.dumps(self._asked("loop")), file=process.stdin, flush=True)
                first = process.stdout.readline()
                assert first.strip() == "started", f"the client did not start: {first or 'no output'}"
                seen = Traffic()
                yield seen
                _read_end(seen, process.stdin, process.stdout)
            finally:
                watchdog.cancel()
                process.kill()

    def _ask(self, do: str, **more: Any) -> Any:
        said = self.host.run(
            sys.executable, "-c", SCRIPT, input=json.dumps(self._asked(do, **more)) + "\n", seconds=300.0
        )
        return json.loads(said.splitlines()[-1])

    def _command(self) -> list[str]:
        product, host = self.cluster.product, self.host
        tool = [sys.executable, "-m", "tools.devcluster", "--name", product.name]
        return [*tool, "client", host.name, "--address", str(host.address), "--", sys.executable, "-c", SCRIPT]

    def _asked(self, do: str, **more: Any) -> dict[str, Any]:
        secret = self.cluster.key
        return {
            "do": do,
            "uri": secret["uri"],
            "host": secret["host"],
            "port": int(secret["port"]),
            "address": self.cluster.address,
            "ca": secret["ca.crt"],
            "token": secret["token"],
            "collection": self.collection,
            "rows": ROWS,
            "dimension": DIMENSION,
            "timeout": 20.0,
            **more,
        }


def _read_end(seen: Traffic, stdin: IO[str], stdout: IO[str]) -> None:
    stdin.close()
    said = json.loads(stdout.readline())
    seen.grpc, seen.rest = said["grpc"], said["rest"]
    seen.connects_tried_again, seen.failures = said["connects tried again"], said["failures"]
