"""A stock Milvus client through the door: insert, index, search. It needs nothing of ours but the Secret of the quickstart.

    kubectl -n quickstart get secret quickstart-key -o json | python docs/examples/quickstart.py -

TLS is verified against the authority in that Secret; the token is the API key that the AccessPolicy generated.
"""

import base64
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pymilvus import MilvusClient

ROWS, DIMENSION, BATCH = 10_000, 128, 2_000
COLLECTION = "quickstart"


def connect(secret: dict[str, str]) -> MilvusClient:
    """A client of pymilvus, as anybody would make it."""
    with tempfile.NamedTemporaryFile("w", suffix=".crt", delete=False) as authority:
        authority.write(secret["ca.crt"])
    return MilvusClient(
        uri=secret["uri"],
        token=secret["token"],
        secure=True,
        server_pem_path=authority.name,
        server_name=secret["host"],
        timeout=60,
    )


def main() -> int:
    source = sys.stdin.read() if sys.argv[1:] in ([], ["-"]) else Path(sys.argv[1]).read_text()
    secret = {key: base64.b64decode(value).decode() for key, value in json.loads(source)["data"].items()}
    client = connect(secret)
    print(f"connected to {secret['uri']} with an API key, TLS verified")

    began = time.monotonic()
    if client.has_collection(COLLECTION):
        client.drop_collection(COLLECTION)
    client.create_collection(COLLECTION, dimension=DIMENSION, metric_type="COSINE")
    vectors = np.random.default_rng(7).random((ROWS, DIMENSION), dtype=np.float32)
    for start in range(0, ROWS, BATCH):
        rows = [{"id": i, "vector": vectors[i].tolist(), "note": f"row {i}"} for i in range(start, start + BATCH)]
        client.insert(COLLECTION, rows)
    client.flush(COLLECTION)
    inserted = time.monotonic()
    print(f"inserted {ROWS:,} vectors of {DIMENSION} dimensions and built the index in {inserted - began:.1f} s")

    hits = client.search(COLLECTION, [vectors[42].tolist()], limit=3, output_fields=["note"])[0]
    print(f"searched in {(time.monotonic() - inserted) * 1000:.0f} ms:")
    for hit in hits:
        print(f"  id {hit['id']:>5}  similarity {hit['distance']:.4f}  {hit['entity']['note']}")
    client.close()
    return 0 if hits and hits[0]["id"] == 42 else 1


if __name__ == "__main__":
    sys.exit(main())
