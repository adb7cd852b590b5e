"""Knocking at a cluster's door as its clients do: REST by plain HTTPS, gRPC by an unmodified pymilvus."""

import http.client
import json
import socket
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.node.harness import Cluster, Host
from zilliz_operator.api.names import GATEWAY_PORT

REST_PATH = "/v1/vector/collections"
SECONDS = 15.0

PYMILVUS = """
import json, sys, tempfile
import grpc
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException
asked = json.load(sys.stdin)
authority = tempfile.NamedTemporaryFile("w", suffix=".crt")
authority.write(asked["ca"]); authority.flush()
answers = {}
for name, token in asked["tokens"].items():
    try:
        client = MilvusClient(uri=asked["uri"], token=token, secure=True, server_pem_path=authority.name,
                              server_name=asked["host"], timeout=asked["seconds"], dedicated=True)
        try:
            answers[name] = {"ok": client.list_collections()}
        finally:
            client.close()
    except MilvusException as error:
        cause = error.__cause__  # pymilvus says "Fail connecting" of every refusal; the refusal is in its cause
        known = isinstance(cause, grpc.RpcError)
        answers[name] = {"refused": cause.details(), "code": cause.code().name} if known else {"broken": repr(error)}
    except Exception as error:
        answers[name] = {"broken": f"{type(error).__name__}: {error}"}
print(json.dumps(answers))
"""


@dataclass(frozen=True)
class Answer:
    """What came back over REST."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else str(self.body)


def rest(cluster: Cluster, *, token: str = "", source: Host, path: str = REST_PATH) -> Answer:
    """One GET through the door from `source`, TLS verified against the connection Secret's authority."""
    connection = cluster.connection
    context = ssl.create_default_context(cadata=connection["ca.crt"])
    with source.inside():
        bare = socket.create_connection((cluster.address, GATEWAY_PORT), timeout=SECONDS)
    client = http.client.HTTPSConnection(connection["host"], GATEWAY_PORT, context=context, timeout=SECONDS)
    client.sock = context.wrap_socket(bare, server_hostname=connection["host"])
    try:
        client.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = client.getresponse()
        body = answer.read().decode()
        is_json = answer.headers.get_content_type() == "application/json"
        return Answer(answer.status, json.loads(body) if is_json else body)
    finally:
        client.close()


def grpc(cluster: Cluster, tokens: Mapping[str, str], *, source: Host) -> dict[str, dict[str, Any]]:
    """What pymilvus says to each token: {"ok": collections}, {"refused": details, "code": gRPC status} or
    {"broken": anything else}.

    In a process of its own, because gRPC's threads would knock from where this process lives. Tokens pass by its input.
    """
    secret = cluster.connection
    asked = {
        "uri": secret["uri"],
        "host": secret["host"],
        "ca": secret["ca.crt"],
        "tokens": dict(tokens),
        "seconds": SECONDS,
    }
    said = source.run(sys.executable, "-c", PYMILVUS, input=json.dumps(asked), seconds=SECONDS * (2 + len(tokens)))
    answers: dict[str, dict[str, Any]] = json.loads(said.splitlines()[-1])
    return answers
