"""Custom grants on a real Milvus 2.3.5: what we expand is what it takes and shows, and an edit or an end is enforced."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.stores.milvus_server import MilvusServer, make_server
from tests.unit.desired.samples import context
from zilliz_operator.adapters.milvus import PymilvusAdmin
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.accesspolicy import PolicyGrant
from zilliz_operator.api.exceptions import InvalidSpec, Rejected
from zilliz_operator.api.outside import DoorAddress, Grant
from zilliz_operator.api.privileges import LEVEL, PrivilegeLevel
from zilliz_operator.desired import access
from zilliz_operator.desired.workload import config

ROOT, USERS = "Rather-long.password~4711", "Another-long.password~1"
VERSION = "2.3.5"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """With the limits that our pods have."""
    environ = {each["name"]: each["value"] for each in config.environment(context()) if "value" in each}
    made = make_server(tmp_path_factory.mktemp("milvus-grants"), environ)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def door(server: MilvusServer) -> DoorAddress:
    return server.door()


@pytest.fixture
async def admin(threads: Threads, door: DoorAddress) -> AsyncIterator[PymilvusAdmin]:
    one = PymilvusAdmin(threads)
    if not await one.login_works(door, user="root", password=ROOT):
        await one.change_password(door, user="root", old="Milvus", new=ROOT)
    yield one


Can = Callable[[str], Awaitable[bool]]


@pytest.fixture
def can(admin: PymilvusAdmin, door: DoorAddress) -> Can:
    """Whether user `u` may make a call that no default right covers."""

    async def ask(call: str) -> bool:
        try:
            await admin._as(door, "u", USERS, lambda client: getattr(client, call)())
        except Rejected:
            return False
        return True

    return ask


async def until(what: Callable[[], Awaitable[bool]], *, seconds: float = 10) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await what():
        assert asyncio.get_running_loop().time() < deadline, "not within the deadline"
        await asyncio.sleep(0.2)


def _places(name: str) -> list[dict[str, str]]:
    """The narrowest and the widest object of a privilege."""
    match LEVEL[name]:
        case PrivilegeLevel.CLUSTER:
            return [{"database": "*", "collection": "*"}]
        case PrivilegeLevel.DATABASE:
            return [{"database": "default", "collection": "*"}, {"database": "*", "collection": "*"}]
    return [{"database": "default", "collection": "docs"}, {"database": "*", "collection": "*"}]


async def test_the_server_takes_and_shows_every_grant_as_we_spell_it(admin: PymilvusAdmin, door: DoorAddress) -> None:
    wanted: set[Grant] = set()
    for name in LEVEL:
        for place in _places(name):
            try:
                wanted |= access.grants([PolicyGrant(**place, privileges=(name,))], version=VERSION)
            except InvalidSpec:
                continue
    assert len(wanted) > 60
    await admin.create_role(door, password=ROOT, role="zg_everything")
    await admin.grant(door, password=ROOT, role="zg_everything", grants=sorted(wanted, key=repr))
    shown = (await admin.roles(door, password=ROOT))["zg_everything"]
    assert shown == wanted
    await admin.revoke(door, password=ROOT, role="zg_everything", grants=sorted(shown, key=repr))
    assert (await admin.roles(door, password=ROOT))["zg_everything"] == frozenset()
    await admin.drop_role(door, password=ROOT, role="zg_everything")


async def test_what_we_say_it_has_not_it_has_not(admin: PymilvusAdmin, door: DoorAddress) -> None:
    await admin.create_role(door, password=ROOT, role="zg_later")
    for name in LEVEL:
        try:
            access.grants([PolicyGrant(database="*", privileges=(name,))], version=VERSION)
        except InvalidSpec:
            for object_type in ("Global", "Collection", "User"):
                with pytest.raises(Rejected, match="not found the privilege name"):
                    await admin.grant(door, password=ROOT, role="zg_later", grants=[Grant(name, object_type, "*", "*")])
    await admin.drop_role(door, password=ROOT, role="zg_later")


async def test_an_edit_and_an_end_of_grants_are_enforced(admin: PymilvusAdmin, door: DoorAddress, can: Can) -> None:
    """As a policy's grants change: the next role first, then the last one away; several times, since an order can be lost."""
    calls = {
        "list_databases": Grant("ListDatabases", "Global", "*", "*"),
        "list_roles": Grant("SelectOwnership", "Global", "*", "*"),
    }
    await admin.create_user(door, password=ROOT, user="u", user_password=USERS)
    before, last = None, ""
    for number in range(4):
        role, call = f"zg_{number}", list(calls)[number % 2]
        await admin.create_role(door, password=ROOT, role=role)
        await admin.grant(door, password=ROOT, role=role, grants=[calls[call]])
        await admin.add_role(door, password=ROOT, user="u", role=role)
        if before is not None:
            await admin.remove_role(door, password=ROOT, user="u", role=before)
            await admin.revoke(door, password=ROOT, role=before, grants=[calls[last]])
            await admin.drop_role(door, password=ROOT, role=before)

        async def as_wanted(now: str = call, then: str = last) -> bool:
            return await can(now) and not (then and await can(then))

        await until(as_wanted)
        before, last = role, call
    await admin.drop_user(door, password=ROOT, user="u")
    assert not await admin.login_works(door, user="u", password=USERS)
    await admin.create_user(door, password=ROOT, user="u", user_password=USERS)

    async def nothing() -> bool:
        return not await can("list_databases") and not await can("list_roles")

    await until(nothing)
    await admin.drop_user(door, password=ROOT, user="u")


async def test_a_user_is_asked_what_it_holds_by_the_roles_marks(admin: PymilvusAdmin, door: DoorAddress) -> None:
    """Of several made at once too, and with none of the marks opening anything but the next question."""
    roles = access.marked(access.roles(VERSION), version=VERSION)
    everybody = access.marked({"zg_all": frozenset({access.SELECT_EVERY_USER})}, version=VERSION)
    for role, grants in {**roles, **everybody}.items():
        await admin.create_role(door, password=ROOT, role=role)
        await admin.grant(door, password=ROOT, role=role, grants=sorted(grants, key=repr))
    for role in [*roles, "zg_all"]:
        await admin.create_user(door, password=ROOT, user=f"of_{role}", user_password=USERS)
        await admin.add_role(door, password=ROOT, user=f"of_{role}", role=role)
    for role in roles:

        async def only_its_own(role: str = role) -> bool:
            marks = access.marks(roles, user_roles=frozenset({role}), version=VERSION)
            assert set(marks) == set(roles)
            return await admin.held(door, user=f"of_{role}", password=USERS, marks=marks) == {role}

        await until(only_its_own, seconds=90)
        assert await admin.held(door, user=f"of_{role}", password="Wrong-secret~1", marks=()) is None

    async def all_marks() -> bool:
        return await admin.held(door, user="of_zg_all", password=USERS, marks=tuple(roles)) == roles.keys()

    await until(all_marks, seconds=90)
    assert access.marks({**roles, **everybody}, user_roles=frozenset({"zg_all"}), version=VERSION) == ("zg_all",)
    await admin.remove_role(door, password=ROOT, user="of_zr_viewer", role="zr_viewer")

    async def nothing() -> bool:
        return await admin.held(door, user="of_zr_viewer", password=USERS, marks=tuple(roles)) == frozenset()

    await until(nothing, seconds=90)
    for role in [*roles, "zg_all"]:
        await admin.drop_user(door, password=ROOT, user=f"of_{role}")


async def test_a_role_that_somebody_still_has_can_be_dropped(admin: PymilvusAdmin, door: DoorAddress) -> None:
    await admin.create_user(door, password=ROOT, user="theirs", user_password=USERS)
    await admin.create_role(door, password=ROOT, role="zg_held")
    await admin.add_role(door, password=ROOT, user="theirs", role="zg_held")
    await admin.drop_role(door, password=ROOT, role="zg_held")
    assert (await admin.users(door, password=ROOT))["theirs"] == frozenset()
    await admin.drop_user(door, password=ROOT, user="theirs")


async def test_the_servers_own_limits_are_raised(admin: PymilvusAdmin, door: DoorAddress) -> None:
    """10 roles and 100 users, its own among them."""

    def many(client: object) -> tuple[int, int]:
        for number in range(12):
            client.create_role(f"zg_many_{number}")  # type: ignore[attr-defined]
        for number in range(101):
            client.create_user(f"many_{number}", USERS)  # type: ignore[attr-defined]
        return len(client.list_roles()), len(client.list_users())  # type: ignore[attr-defined]

    roles, users = await admin._as(door, "root", ROOT, many)
    assert roles >= 14 and users >= 102
