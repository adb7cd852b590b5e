"""Milvus' own users and roles, asked and changed through the door, as root with our client certificate.

pymilvus hides "wrong password" behind the text of "unreachable", shares connections by address and user, and reads
its certificates from files: so every call here is one dedicated connection, its cause is unwrapped, and the files
live for the call alone. Milvus 2.3 applies grants with a delay and can lose opposite ones that follow each other
closely: calls to one cluster are serial, and a role's grants and revocations keep a distance.
"""

import asyncio
import importlib
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from zilliz_operator.adapters.threads import Threads
from zilliz_operator.adapters.tls import public_roots
from zilliz_operator.api.exceptions import Conflict, InvalidSpec, NotReady, Rejected, Unavailable, ZillizError
from zilliz_operator.api.outside import DoorAddress, Grant

T = TypeVar("T")
Work = Callable[[Any], T]

ROOT = "root"
BUILT_IN_ADMIN = "admin"  # bypasses every check and shows no grants
TIMEOUT = 10.0  # of one call
QUIET = 5.0  # between opposite calls about one role
LOADED_TO_ASK = 3
PRIVILEGE_GROUP = re.compile(r"(Collection|Database|Cluster)(ReadOnly|ReadWrite|Admin)")
_STARTING = re.compile(
    r"not ready|not healthy|unavailable|not initialized|not loaded|node offline|empty grpc client|failed to connect",
    re.IGNORECASE,
)
"""What a server says while its own parts do not reach each other yet."""
_EXISTS = re.compile(r"already exist", re.IGNORECASE)


class PymilvusAdmin:
    def __init__(self, threads: Threads, *, timeout: float = TIMEOUT, quiet: float = QUIET) -> None:
        self._threads = threads
        self._timeout = timeout
        self._quiet = quiet
        self._locks: dict[str, asyncio.Lock] = {}
        self._last: dict[tuple[str, str], tuple[str, float]] = {}

    # ---- the port

    async def version(self, door: DoorAddress, *, password: str) -> str:
        return await self._root(door, password, lambda client: str(client.get_server_version()))

    async def login_works(self, door: DoorAddress, *, user: str, password: str) -> bool:
        try:
            await self._as(door, user, password, lambda client: client.get_server_version())
        except _WrongPassword:
            return False
        return True

    async def held(self, door: DoorAddress, *, user: str, password: str, marks: Sequence[str]) -> frozenset[str] | None:
        def ask(client: Any) -> frozenset[str]:
            client.get_server_version()
            return frozenset(mark for mark in marks if _may_describe(client, mark))

        try:
            return await self._as(door, user, password, ask)
        except _WrongPassword:
            return None

    async def change_password(self, door: DoorAddress, *, user: str, old: str, new: str) -> None:
        await self._as(door, user, old, lambda client: client.update_password(user, old, new))

    async def query_works(self, door: DoorAddress, *, password: str) -> str:
        return await self._root(door, password, _ask)

    async def users(self, door: DoorAddress, *, password: str) -> Mapping[str, frozenset[str]]:
        def read(client: Any) -> dict[str, frozenset[str]]:
            return {
                str(user): frozenset(str(role) for role in client.describe_user(user).get("roles") or ())
                for user in client.list_users()
            }

        return await self._root(door, password, read)

    async def roles(self, door: DoorAddress, *, password: str) -> Mapping[str, frozenset[Grant]]:
        def read(client: Any) -> dict[str, frozenset[Grant]]:
            databases = sorted({"default", *(str(name) for name in client.list_databases())})
            roles = (str(role) for role in client.list_roles())
            return {role: _grants(client, role, databases) for role in roles if role != BUILT_IN_ADMIN}

        return await self._root(door, password, read)

    async def create_user(self, door: DoorAddress, *, password: str, user: str, user_password: str) -> None:
        await self._root(door, password, lambda client: client.create_user(user, user_password))

    async def drop_user(self, door: DoorAddress, *, password: str, user: str) -> None:
        await self._root(door, password, lambda client: client.drop_user(user))

    async def set_user_password(self, door: DoorAddress, *, password: str, user: str, user_password: str) -> None:
        # A superuser need not know the old password, but the server wants to see one.
        await self._root(door, password, lambda client: client.update_password(user, "unknown", user_password))

    async def create_role(self, door: DoorAddress, *, password: str, role: str) -> None:
        await self._root(door, password, lambda client: client.create_role(role))

    async def drop_role(self, door: DoorAddress, *, password: str, role: str) -> None:
        await self._root(door, password, lambda client: client.drop_role(role))

    async def grant(self, door: DoorAddress, *, password: str, role: str, grants: Sequence[Grant]) -> None:
        await self._root(door, password, lambda client: _each(client, "grant", role, grants), about=(role, "give"))

    async def revoke(self, door: DoorAddress, *, password: str, role: str, grants: Sequence[Grant]) -> None:
        await self._root(door, password, lambda client: _each(client, "revoke", role, grants), about=(role, "take"))

    async def add_role(self, door: DoorAddress, *, password: str, user: str, role: str) -> None:
        await self._root(door, password, lambda client: client.grant_role(user, role), about=(role, "give"))

    async def remove_role(self, door: DoorAddress, *, password: str, user: str, role: str) -> None:
        await self._root(door, password, lambda client: client.revoke_role(user, role), about=(role, "take"))

    # ---- inside

    async def _root(
        self, door: DoorAddress, password: str, work: "Work[T]", *, about: tuple[str, str] | None = None
    ) -> T:
        return await self._as(door, ROOT, password, work, about=about)

    async def _as(
        self, door: DoorAddress, user: str, password: str, work: "Work[T]", *, about: tuple[str, str] | None = None
    ) -> T:
        # A cluster is known by the name of its door: its gateways have several addresses, its Milvus is one.
        async with self._locks.setdefault(door.server_name, asyncio.Lock()):
            if about is not None:
                await self._keep_distance(door.server_name, *about)
            try:
                return await self._threads.run(_call, door, user, password, work, self._timeout)
            finally:
                if about is not None:
                    self._last[door.server_name, about[0]] = (about[1], time.monotonic())

    async def _keep_distance(self, door: str, role: str, direction: str) -> None:
        before = self._last.get((door, role))
        if before is not None and before[0] != direction:
            await asyncio.sleep(max(0.0, before[1] + self._quiet - time.monotonic()))


class _WrongPassword(Rejected):
    """The server refused the user's password; not worth telling apart outside."""


def _call(door: DoorAddress, user: str, password: str, work: "Work[T]", timeout: float) -> T:
    what = f"Milvus at {door.host}:{door.port}"
    try:
        with _connected(door, user, password, timeout) as client:
            return work(client)
    except ZillizError:
        raise
    except Exception as error:  # pymilvus raises its own, grpc's and builtin errors
        raise _translated(error, what, user) from None  # its text and frames carry what was sent


def _library(name: str) -> Any:
    """Imported at the first call: these cost 100 MiB, and whoever only imports this module should not pay."""
    return importlib.import_module(name)


@contextmanager
def _connected(door: DoorAddress, user: str, password: str, timeout: float) -> Iterator[Any]:
    pymilvus = _library("pymilvus")
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # every failure is raised, and told by us
    if ":" in door.host:
        raise InvalidSpec("podCIDRs", f"{door.host}: the Milvus client library cannot reach an IPv6 address")
    with tempfile.TemporaryDirectory(prefix="zilliz-door-") as directory:
        files = _written(Path(directory), door)
        client = pymilvus.MilvusClient(
            uri=f"https://{door.host}:{door.port}",
            user=user,
            password=password,
            server_name=door.server_name,
            timeout=timeout,
            dedicated=True,  # otherwise an older connection answers for this one
            grpc_options={"grpc.enable_http_proxy": 0},
            **files,
        )
        try:
            yield _Timed(client, timeout)
        finally:
            client.close()


def _written(directory: Path, door: DoorAddress) -> dict[str, str]:
    """The three files with which pymilvus both verifies the server by a private CA and shows a client certificate."""
    contents = {
        "ca_pem_path": door.ca_pem or public_roots(),
        "client_pem_path": door.client_cert_pem,
        "client_key_path": door.client_key_pem,
    }
    for name, content in contents.items():
        if not content:
            raise NotReady(f"the door's {name.removesuffix('_path')} is not there yet")
        path = directory / name
        path.touch(mode=0o600)
        path.write_text(content, encoding="ascii")
    return {name: str(directory / name) for name in contents}


class _Timed:
    """A client whose every call has a time-out: pymilvus would repeat one without for minutes."""

    def __init__(self, client: Any, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: method(*args, timeout=self._timeout, **kwargs)


# ---- what is asked and said


def _ask(client: Any) -> str:
    """A real question: names, load states, and a row of what is loaded. Health checks say OK long before this works."""
    databases = sorted(str(name) for name in client.list_databases())
    collections = sorted(str(name) for name in client.list_collections())
    loaded: list[str] = []
    for name in collections:
        if len(loaded) == LOADED_TO_ASK:
            break
        if _state(client.get_load_state(name)) == "Loaded":
            client.query(name, filter="", limit=1)
            loaded.append(name)
    seen = f"{len(databases)} databases, {len(collections)} collections in default"
    return f"{seen}, a row read from {', '.join(loaded)}" if loaded else seen


def _state(answer: Mapping[str, Any]) -> str:
    state = answer.get("state")
    return str(getattr(state, "name", state)).rpartition(".")[2]


def _may_describe(client: Any, user: str) -> bool:
    """Whether a user may look at another (who need not exist): the one right that a role's mark gives."""
    try:
        client.describe_user(user)
    except Exception as error:
        if _grpc_cause(error)[0] is _library("grpc").StatusCode.PERMISSION_DENIED:
            return False
        raise
    return True


def _each(client: Any, verb: str, role: str, grants: Sequence[Grant]) -> None:
    grouped = any(not grant.object_type for grant in grants)
    if grouped and not knows_privilege_groups(str(client.get_server_version())):
        raise InvalidSpec("spec.grants", "this Milvus version has no privilege groups: expand them, or upgrade to 2.5")
    for grant in grants:
        if grant.object_type:
            method = getattr(client, f"{verb}_privilege")
            method(role, grant.object_type, grant.privilege, grant.object_name, db_name=grant.database)
        else:
            method = getattr(client, f"{verb}_privilege_v2")
            method(role, grant.privilege, grant.object_name, db_name=grant.database)


def knows_privilege_groups(version: str) -> bool:
    """Whether a server has privilege groups and grants without object types: 2.4.18 and later, and every 2.5."""
    numbers = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    if numbers is None:
        return False
    return tuple(int(number or 0) for number in numbers.groups()) >= (2, 4, 18)


def _grants(client: Any, role: str, databases: Sequence[str]) -> frozenset[Grant]:
    """The server shows the grants of one database at a time, and those of all of them with each."""
    answers = (client.describe_role(role, db_name=database) for database in databases)
    return frozenset(_grant(found) for answer in answers for found in answer["privileges"])


def _grant(found: Mapping[str, Any]) -> Grant:
    privilege = str(found["privilege"])
    # A privilege group is stored under an object type that nobody granted it for.
    object_type = "" if PRIVILEGE_GROUP.fullmatch(privilege) else str(found["object_type"])
    return Grant(privilege, object_type, str(found["object_name"]), str(found.get("db_name") or "default"))


# ---- what went wrong


def _translated(error: BaseException, what: str, user: str) -> ZillizError:
    grpc = _library("grpc")
    code, details = _grpc_cause(error)
    match code:
        case grpc.StatusCode.UNAUTHENTICATED:
            return _WrongPassword(what, f"refuses the password of user {user} ({details})")
        case grpc.StatusCode.PERMISSION_DENIED:
            return Rejected(what, f"denies user {user}: {details}")
        case grpc.StatusCode.UNIMPLEMENTED:
            return Rejected(what, f"does not know the call: {details}")
        case None:
            return _of_business(error, what)
    return Unavailable(what, f"{code.name}: {details}")


def _grpc_cause(error: BaseException) -> tuple[Any, str]:
    grpc = _library("grpc")
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, grpc.RpcError) and callable(getattr(cause, "code", None)):
            return cause.code(), str(cause.details() or "")[:300]
        own = getattr(cause, "code", None)
        if isinstance(own, grpc.StatusCode):
            return own, str(getattr(cause, "message", ""))[:300]
        cause = cause.__cause__ or cause.__context__
    return None, ""


def _of_business(error: BaseException, what: str) -> ZillizError:
    pymilvus = _library("pymilvus.exceptions")
    message = str(getattr(error, "message", "") or error)[:300]
    if isinstance(error, pymilvus.MilvusUnavailableException) or not isinstance(error, pymilvus.MilvusException):
        return Unavailable(what, f"{type(error).__name__}: {message}")
    if error.code in (1, 2) or "Fail connecting" in message or "Retry timeout" in message:
        return Unavailable(what, message)
    if _STARTING.search(message):
        return NotReady(f"{what}: {message}")
    if _EXISTS.search(message):
        return Conflict(f"{what}: {message}")
    return Rejected(what, f"refuses: {message}")
