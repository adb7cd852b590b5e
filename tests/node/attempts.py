"""A client in a process of its own that tries things at a door, one subject after the other, and prints what came of each.

gRPC by an unmodified pymilvus, REST by plain HTTPS. It is its own process because gRPC's threads would knock from where the
tests live. Tokens pass by its input, never by its command line; what it prints has none.
"""

import http.client
import json
import re
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import grpc
from pymilvus import DataType, MilvusClient

DIMENSION = 8
SECONDS = 20.0
UNHEARD_SECONDS = 4.0
"""How long who is shut out knocks: packets that a policy drops are never answered."""
DONE, DENIED, UNAUTHENTICATED, UNREACHABLE = "done", "denied", "unauthenticated", "unreachable"
"""What can come of an attempt, beside the reason that the gateway says, and `broken: …`."""
_SAID = re.compile(r"gateway: ([a-z_]+)")
VECTOR = [0.5] * DIMENSION


def reason(status: object, text: str) -> str:
    """One word for a refusal."""
    if said := _SAID.search(text):
        return said[1]
    name = str(getattr(status, "name", status))
    if name in ("TimeoutError", "DEADLINE_EXCEEDED") or (
        name == "UNAVAILABLE" and ("Failed to connect" in text or "timed out" in text)
    ):
        return UNREACHABLE
    return {"PERMISSION_DENIED": DENIED, "403": DENIED, "UNAUTHENTICATED": UNAUTHENTICATED, "401": UNAUTHENTICATED}.get(
        name, f"broken: {name} {text}"[:300]
    )


def cause(error: BaseException) -> tuple[object, str]:
    """The refusal inside an error of pymilvus, which says "Fail connecting" of every one while it connects."""
    if isinstance(error, RestRefused):
        return error.status, error.said
    inner: BaseException | None = error
    passed: set[int] = set()  # such chains were seen to bite their own tail
    while inner is not None and id(inner) not in passed:
        if isinstance(inner, grpc.RpcError) and isinstance(inner, grpc.Call):
            return inner.code(), str(inner.details())
        passed.add(id(inner))
        inner = inner.__cause__ or inner.__context__
    return type(error).__name__, str(error)


def outcome(call: Callable[[], object]) -> str:
    """What came of a call."""
    try:
        call()
    except Exception as error:
        return reason(*cause(error))
    return DONE


class Door:
    """Where the cluster's door is, and how its certificate is verified."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self.host = str(asked["host"])
        self.address, self.port = str(asked["address"]), int(asked["port"])
        self._file = tempfile.NamedTemporaryFile("w", suffix=".crt")  # noqa: SIM115 - lives as long as the door
        self._file.write(asked["ca"])
        self._file.flush()
        self.tls = ssl.create_default_context(cadata=asked["ca"])
        self.seconds = UNHEARD_SECONDS if asked["unheard"] else SECONDS

    def client(self, token: str, database: str = "default") -> MilvusClient:
        """A connection of its own."""
        return MilvusClient(
            uri=f"https://{self.address}:{self.port}", token=token, db_name=database, secure=True, server_pem_path=self._file.name,
            server_name=self.host, timeout=self.seconds, dedicated=True,
        )  # fmt: skip

    def line(self) -> http.client.HTTPSConnection:
        """A connection for REST, open."""
        bare = socket.create_connection((self.address, self.port), timeout=self.seconds)
        line = http.client.HTTPSConnection(self.host, self.port, context=self.tls, timeout=self.seconds)
        line.sock = self.tls.wrap_socket(bare, server_hostname=self.host)
        return line

    def rest(self, token: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """One call; a refusal raises."""
        line = self.line()
        try:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            line.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = line.getresponse()
            said = answer.read().decode(errors="replace")
        finally:
            line.close()
        code = json.loads(said).get("code") if said.startswith("{") else None
        if answer.status != 200 or code != 200:
            raise RestRefused(answer.status, said)


class RestRefused(Exception):
    """A call over REST that was not answered with what it asked for."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


class Trying:
    """One subject at the door. `keeper` is a client that may do everything: it makes what an attempt needs, and clears up.
    `bystander`: a user whose password none of them may change."""

    def __init__(self, door: Door, token: str, keeper: Mapping[str, MilvusClient], bystander: str, number: int) -> None:
        self._bystander = bystander
        self._door, self._token, self._keeper, self._number = door, token, keeper, number
        self._clients: dict[str, MilvusClient] = {}

    def close(self) -> None:
        for each in self._clients.values():
            each.close()

    def client(self, database: str) -> MilvusClient:
        if database not in self._clients:
            self._clients[database] = self._door.client(self._token, database)
        return self._clients[database]

    def attempt(self, way: str, action: str, database: str, collection: str) -> str:
        """What comes of it. What it needs is made before, by the keeper."""
        call = getattr(self, f"_{way}_{action.replace(' ', '_')}")
        self._prepare(action, database)
        try:
            return outcome(lambda: call(database, collection))
        finally:
            self._clear(action, database, collection)

    # ---- before and after

    @cached_property
    def _name(self) -> str:
        return f"tried_{self._number}"

    @cached_property
    def _row(self) -> dict[str, Any]:
        return {"id": 1_000 + self._number, "vector": VECTOR}

    def _prepare(self, action: str, database: str) -> None:
        if action in ("drop collection", "rename collection"):
            bare(self._keeper[database], self._name)
        if action == "drop database":
            self._keeper["default"].create_database(self._name)

    def _clear(self, action: str, database: str, collection: str) -> None:
        keeper = self._keeper.get(database)
        if keeper is None:
            return
        if action in ("create collection", "drop collection", "rename collection"):
            for name in (self._name, f"{self._name}_renamed"):
                if keeper.has_collection(name):
                    keeper.drop_collection(name)
        if action == "create alias":
            outcome(lambda: keeper.drop_alias(self._name))
        if action == "create partition" and keeper.has_partition(collection, self._name):
            keeper.release_partitions(collection, [self._name])
            keeper.drop_partition(collection, self._name)
        if action in ("create database", "drop database") and self._name in self._keeper["default"].list_databases():
            self._keeper["default"].drop_database(self._name)

    # ---- gRPC

    def _grpc_list_collections(self, database: str, _: str) -> None:
        self.client(database).list_collections()

    def _grpc_list_databases(self, database: str, _: str) -> None:
        self.client(database).list_databases()

    def _grpc_describe(self, database: str, collection: str) -> None:
        self.client(database).describe_collection(collection)

    def _grpc_search(self, database: str, collection: str) -> None:
        found = self.client(database).search(collection, [VECTOR], limit=1)
        assert len(found) == 1, found

    def _grpc_query(self, database: str, collection: str) -> None:
        self.client(database).query(collection, filter="id >= 0", limit=1)

    def _grpc_insert(self, database: str, collection: str) -> None:
        self.client(database).insert(collection, [self._row])

    def _grpc_delete(self, database: str, collection: str) -> None:
        self.client(database).delete(collection, ids=[self._row["id"]])

    def _grpc_load(self, database: str, collection: str) -> None:
        self.client(database).load_collection(collection)

    def _grpc_create_partition(self, database: str, collection: str) -> None:
        self.client(database).create_partition(collection, self._name)

    def _grpc_create_collection(self, database: str, _: str) -> None:
        bare(self.client(database), self._name)

    def _grpc_drop_collection(self, database: str, _: str) -> None:
        self.client(database).drop_collection(self._name)

    def _grpc_rename_collection(self, database: str, _: str) -> None:
        self.client(database).rename_collection(self._name, f"{self._name}_renamed")

    def _grpc_create_alias(self, database: str, collection: str) -> None:
        self.client(database).create_alias(collection, self._name)

    def _grpc_create_database(self, database: str, _: str) -> None:
        self.client(database).create_database(self._name)

    def _grpc_drop_database(self, database: str, _: str) -> None:
        self.client(database).drop_database(self._name)

    def _grpc_list_users(self, database: str, _: str) -> None:
        self.client(database).list_users()

    def _grpc_create_user(self, database: str, _: str) -> None:
        self.client(database).create_user(self._name, "Tried-0-tried")

    def _grpc_reset_a_password(self, database: str, _: str) -> None:
        self.client(database).update_password(self._bystander, "Tried-0-tried", "Tried-1-tried")

    def _grpc_create_role(self, database: str, _: str) -> None:
        self.client(database).create_role(self._name)

    def _grpc_grant_a_privilege(self, database: str, _: str) -> None:
        self.client(database).grant_privilege("zr_viewer", "Global", "CreateOwnership", "*")

    def _grpc_give_the_role_admin(self, database: str, _: str) -> None:
        self.client(database).grant_role("zt_viewer", "admin")

    # ---- REST

    def _rest_list_collections(self, database: str, _: str) -> None:
        self._door.rest(self._token, "GET", f"/v1/vector/collections?dbName={database}")

    def _rest_describe(self, database: str, collection: str) -> None:
        query = f"dbName={database}&collectionName={collection}"
        self._door.rest(self._token, "GET", f"/v1/vector/collections/describe?{query}")

    def _rest_search(self, database: str, collection: str) -> None:
        self._post("search", database, collection, vector=VECTOR, limit=1)

    def _rest_query(self, database: str, collection: str) -> None:
        self._post("query", database, collection, filter="id >= 0", limit=1)

    def _rest_insert(self, database: str, collection: str) -> None:
        self._post("insert", database, collection, data=[self._row])

    def _rest_delete(self, database: str, collection: str) -> None:
        self._post("delete", database, collection, id=self._row["id"])

    def _rest_create_collection(self, database: str, _: str) -> None:
        self._post("collections/create", database, self._name, dimension=DIMENSION, metricType="L2")

    def _rest_drop_collection(self, database: str, _: str) -> None:
        self._post("collections/drop", database, self._name)

    def _post(self, what: str, database: str, collection: str, **more: Any) -> None:
        body = {"dbName": database, "collectionName": collection, **more}
        self._door.rest(self._token, "POST", f"/v1/vector/{what}", body)


def bare(client: MilvusClient, name: str) -> None:
    """A collection without an index, which is quick."""
    schema = client.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    client.create_collection(name, schema=schema)


def simple(client: MilvusClient, name: str) -> None:
    """A collection with an index, loaded; anew if it was there."""
    if client.has_collection(name):
        client.drop_collection(name)
    client.create_collection(name, dimension=DIMENSION, metric_type="L2")


def furnish(keeper: Mapping[str, MilvusClient], collections: Mapping[str, list[str]]) -> None:
    """The databases and collections that attempts are about, each with a row."""
    for database, names in collections.items():
        for name in names:
            simple(keeper[database], name)
            keeper[database].insert(name, [{"id": 0, "vector": VECTOR}])


def main() -> None:
    asked = json.load(sys.stdin)
    door = Door(asked)
    keeper: dict[str, MilvusClient] = {}
    if asked["keeper"]:
        keeper["default"] = door.client(asked["keeper"])
        for database in asked["collections"]:
            if database != "default":
                if database not in keeper["default"].list_databases():
                    keeper["default"].create_database(database)
                keeper[database] = door.client(asked["keeper"], database)
        if asked["furnish"]:
            furnish(keeper, asked["collections"])
    for number, subject in enumerate(asked["subjects"]):
        trying = Trying(door, subject["token"], keeper, asked["bystander"], number)
        for way, action, database, collection in subject["attempts"]:
            seen = trying.attempt(way, action, database, collection)
            print(json.dumps([subject["name"], way, action, database, collection, seen]), flush=True)
        trying.close()


if __name__ == "__main__":
    main()
