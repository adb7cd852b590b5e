"""Users and roles on a real Milvus 2.3.5 over mutual TLS: what the server says, what it enforces, and how it refuses."""

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, MilvusClient

from tests.stores.certificates import Authority
from tests.stores.milvus_server import SERVER_NAME, MilvusServer, make_server
from zilliz_operator.adapters.milvus import PymilvusAdmin
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.exceptions import Conflict, InvalidSpec, Rejected, Unavailable
from zilliz_operator.api.outside import DoorAddress, Grant

NEW = "Rather-long.password~4711"
PUBLIC = frozenset(
    {
        Grant("IndexDetail", "Collection", "*", "*"),
        Grant("DescribeCollection", "Global", "*", "*"),
        Grant("ShowCollections", "Global", "*", "*"),
    }
)
LIST_DATABASES = Grant("ListDatabases", "Global")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    made = make_server(tmp_path_factory.mktemp("milvus"))
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def door(server: MilvusServer) -> DoorAddress:
    return server.door()


@pytest.fixture
def admin(threads: Threads) -> PymilvusAdmin:
    return PymilvusAdmin(threads)


@pytest.fixture
async def root(admin: PymilvusAdmin, door: DoorAddress) -> AsyncIterator[str]:
    """root's password, changed from the default by whichever test comes first."""
    if not await admin.login_works(door, user="root", password=NEW):
        await admin.change_password(door, user="root", old="Milvus", new=NEW)
    yield NEW


async def allowed(admin: PymilvusAdmin, door: DoorAddress, user: str, password: str) -> bool:
    """Whether the server lets this user list databases, which no default right covers."""
    try:
        await admin._as(door, user, password, lambda client: client.list_databases())
    except Rejected:
        return False
    return True


async def until(expected: bool, admin: PymilvusAdmin, door: DoorAddress, user: str, password: str) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while await allowed(admin, door, user, password) is not expected:
        assert asyncio.get_running_loop().time() < deadline, f"still not {'allowed' if expected else 'denied'}"
        await asyncio.sleep(0.3)


async def test_the_default_password_is_seen_refused_after_the_change(admin: PymilvusAdmin, door: DoorAddress) -> None:
    if await admin.login_works(door, user="root", password="Milvus"):
        await admin.change_password(door, user="root", old="Milvus", new=NEW)
    assert await admin.login_works(door, user="root", password=NEW)
    assert not await admin.login_works(door, user="root", password="Milvus")
    assert not await admin.login_works(door, user="nobody", password="Milvus")


async def test_the_version_is_the_servers_own(admin: PymilvusAdmin, door: DoorAddress, root: str) -> None:
    assert (await admin.version(door, password=root)).startswith("v2.3.5")


async def test_public_is_stripped_and_roles_say_so(admin: PymilvusAdmin, door: DoorAddress, root: str) -> None:
    assert await admin.roles(door, password=root) == {"public": PUBLIC}
    await admin.revoke(door, password=root, role="public", grants=sorted(PUBLIC, key=repr))
    assert await admin.roles(door, password=root) == {"public": frozenset()}


async def test_a_grant_of_any_database_is_seen_and_taken(admin: PymilvusAdmin, door: DoorAddress, root: str) -> None:
    await admin._as(door, "root", root, lambda client: client.create_database("other"))
    grants = (
        Grant("Search", "Collection", "docs"),
        Grant("Insert", "Collection", "docs", "other"),
        Grant("ListDatabases", "Global"),
        Grant("SelectUser", "User"),
        Grant("ShowCollections", "Global", "*", "*"),
    )
    await admin.create_role(door, password=root, role="zr_mixed")
    await admin.grant(door, password=root, role="zr_mixed", grants=grants)
    assert (await admin.roles(door, password=root))["zr_mixed"] == frozenset(grants)
    with pytest.raises(Rejected, match="privileges"):
        await admin.drop_role(door, password=root, role="zr_mixed")
    await admin.revoke(door, password=root, role="zr_mixed", grants=grants)
    assert (await admin.roles(door, password=root))["zr_mixed"] == frozenset()
    await admin.drop_role(door, password=root, role="zr_mixed")
    assert "zr_mixed" not in await admin.roles(door, password=root)


async def test_rights_follow_role_and_membership(admin: PymilvusAdmin, door: DoorAddress, root: str) -> None:
    user, password, role = "zt_viewer", "Another-long.password~1", "zr_viewer"
    await admin.create_user(door, password=root, user=user, user_password=password)
    await admin.create_role(door, password=root, role=role)
    assert (await admin.users(door, password=root))[user] == frozenset()
    assert not await allowed(admin, door, user, password)
    await admin.grant(door, password=root, role=role, grants=[LIST_DATABASES])
    await admin.add_role(door, password=root, user=user, role=role)
    assert (await admin.users(door, password=root))[user] == {role}
    await until(True, admin, door, user, password)
    await admin.remove_role(door, password=root, user=user, role=role)
    await until(False, admin, door, user, password)
    await admin.add_role(door, password=root, user=user, role=role)
    await until(True, admin, door, user, password)
    await admin.revoke(door, password=root, role=role, grants=[LIST_DATABASES])
    await until(False, admin, door, user, password)
    with pytest.raises(Conflict):
        await admin.create_user(door, password=root, user=user, user_password=password)
    await admin.drop_user(door, password=root, user=user)
    assert not await admin.login_works(door, user=user, password=password)
    assert user not in await admin.users(door, password=root)
    await admin.drop_role(door, password=root, role=role)


async def test_the_superuser_resets_a_password_without_knowing_it(
    admin: PymilvusAdmin, door: DoorAddress, root: str
) -> None:
    await admin.create_user(door, password=root, user="lost", user_password="Forgotten-password~1")
    await admin.set_user_password(door, password=root, user="lost", user_password="Found-again.password~1")
    assert await admin.login_works(door, user="lost", password="Found-again.password~1")
    assert not await admin.login_works(door, user="lost", password="Forgotten-password~1")
    await admin.drop_user(door, password=root, user="lost")


async def test_the_query_reads_a_real_row(admin: PymilvusAdmin, door: DoorAddress, root: str, tmp_path: Path) -> None:
    assert "0 collections" in await admin.query_works(door, password=root)
    files = {
        "ca_pem_path": door.ca_pem,
        "client_pem_path": door.client_cert_pem,
        "client_key_path": door.client_key_pem,
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    paths: dict[str, Any] = {name: str(tmp_path / name) for name in files}
    client = MilvusClient(
        uri=f"https://{door.host}:{door.port}",
        user="root",
        password=root,
        server_name=SERVER_NAME,
        dedicated=True,
        **paths,
    )
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("v", DataType.FLOAT_VECTOR, dim=4)
    index = MilvusClient.prepare_index_params()
    index.add_index("v", index_type="FLAT", metric_type="L2")
    client.create_collection("docs", schema=schema, index_params=index)
    client.insert("docs", [{"id": 1, "v": [0.1, 0.2, 0.3, 0.4]}])
    client.close()
    assert "a row read from docs" in await admin.query_works(door, password=root)


async def test_privilege_groups_are_refused_by_a_server_that_has_none(
    admin: PymilvusAdmin, door: DoorAddress, root: str
) -> None:
    with pytest.raises(InvalidSpec, match="no privilege groups"):
        await admin.grant(door, password=root, role="public", grants=[Grant("CollectionReadOnly", "")])


async def test_a_wrong_root_password_is_rejected_and_not_told(admin: PymilvusAdmin, door: DoorAddress) -> None:
    with pytest.raises(Rejected, match="refuses the password of user root") as caught:
        await admin.users(door, password="Wrong-secret~1")
    assert "Wrong-secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("change", ["ca", "name", "client", "port"])
async def test_whatever_breaks_the_connection_is_an_outage(threads: Threads, door: DoorAddress, change: str) -> None:
    stranger = Authority("stranger")
    client = stranger.issue("gateway")
    broken = {
        "ca": {"ca_pem": stranger.pem},
        "name": {"server_name": "else.test"},
        "client": {"client_cert_pem": client.certificate, "client_key_pem": client.key},
        "port": {"port": 9},
    }[change]
    admin = PymilvusAdmin(threads, timeout=3)
    with pytest.raises(Unavailable):
        await admin.login_works(dataclasses.replace(door, **broken), user="root", password=NEW)  # type: ignore[arg-type]


async def test_no_key_stays_on_disk(
    admin: PymilvusAdmin, door: DoorAddress, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await admin.users(door, password=root)
    assert list(tmp_path.iterdir()) == []
