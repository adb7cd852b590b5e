"""The object store, Milvus behind its doors, and the knock at them: small, and true where the product leans on them."""

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fake.kube import Recorder
from zilliz_operator.api import names
from zilliz_operator.api.exceptions import NameTaken, Rejected, Unavailable
from zilliz_operator.api.outside import AspectResult, Attestation, Caller, DoorAddress, DoorFinding, Grant, KeyPair

DEFAULT_PASSWORD = "Milvus"
PUBLIC_GRANTS = frozenset(
    {Grant("DescribeCollection", "Global", "*", "*"), Grant("IndexDetail", "Collection", "*", "*")}
)
"""What every server start gives to everybody again."""


class FakeSigningKeys:
    """Identity providers: documents by URL."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.documents: dict[str, str] = {}
        self.trouble: Exception | None = None
        self.authorities: list[str | None] = []

    async def read(self, url: str, *, ca_pem: str | None) -> bytes:
        self._recorder.call(f"issuer read {url}")
        self.authorities.append(ca_pem)
        if self.trouble is not None:
            raise self.trouble
        if url not in self.documents:
            raise Unavailable("issuer idp.test", "answers with status 404")
        return self.documents[url].encode()


class FakeStore:
    """Buckets with their tags and identities with their keys, of one data plane."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.buckets: dict[str, dict[str, Any]] = {}
        self.identities: dict[str, dict[str, Any]] = {}
        self.trouble: Exception | None = None
        self.operator: Caller | None = None
        """Who we are, where the store is AWS."""
        self.looks = 0
        """How often a bucket was looked at."""
        self._numbers = itertools.count(1)

    def _call(self, what: str) -> None:
        self._recorder.call(f"store {what}")
        if self.trouble is not None:
            raise self.trouble

    async def check(self) -> str:
        self._call("check")
        return "the store lists its buckets"

    async def caller(self) -> Caller | None:
        return self.operator

    async def ensure_bucket(self, desired: Any) -> Sequence[AspectResult]:
        self._call("ensure bucket")
        self.looks += 1
        uid = desired.uid
        found = self.buckets.get(desired.name)
        if found is not None and found["tags"].get(names.CLUSTER_UID_LABEL) != uid:
            raise NameTaken(f"bucket {desired.name}", "exists and is not tagged with this cluster's UID")
        if found is None:
            self.buckets[desired.name] = {"tags": dict(desired.tag_map()), "aspects": None}
            self._recorder.wrote(f"store create bucket {desired.name}")
        state = "kept"
        if self.buckets[desired.name]["aspects"] != desired:
            self.buckets[desired.name]["aspects"] = desired
            self._recorder.wrote(f"store aspects {desired.name}")
            state = "repaired"
        return [
            AspectResult("encryption", state),
            AspectResult("object_lock", state),
            AspectResult("ownership", "unsupported", "this store has no ACLs"),
        ]

    async def ensure_identity(self, desired: Any) -> Sequence[AspectResult]:
        self._call("ensure identity")
        found = self.identities.get(desired.name)
        if found is None:
            self.identities[desired.name] = {"policy": "", "keys": {}}
            self._recorder.wrote(f"store create identity {desired.name}")
        if self.identities[desired.name]["policy"] != desired.policy_json():
            self.identities[desired.name]["policy"] = desired.policy_json()
            self._recorder.wrote(f"store policy {desired.name}")
        return [AspectResult("policy", "kept")]

    async def access_keys(self, desired: Any) -> Mapping[str, bool]:
        self._call("list keys")
        return {} if desired.kind == "IRSA" else dict.fromkeys(self.identities[desired.name]["keys"], True)

    async def make_key_pair(self, desired: Any, *, keep: Collection[str]) -> KeyPair:
        self._call("make key")
        self._remove_keys(desired, keep)
        keys = self.identities[desired.name]["keys"]
        assert len(keys) < 2, "AWS would refuse a third key"
        number = next(self._numbers)
        pair = KeyPair(f"AKFAKE{number:06d}", f"store-secret-{number:06d}-never-shown")
        keys[pair.access_key_id] = pair.secret_access_key
        self._recorder.wrote(f"store new key {desired.name}")
        return pair

    async def remove_keys(self, desired: Any, *, keep: Collection[str]) -> None:
        self._call("remove keys")
        self._remove_keys(desired, keep)

    def _remove_keys(self, desired: Any, keep: Collection[str]) -> None:
        keys = self.identities[desired.name]["keys"]
        for old in [k for k in keys if k not in keep]:
            del keys[old]
            self._recorder.wrote(f"store remove key {desired.name}")

    async def remove_identity(self, desired: Any) -> None:
        self._call("remove identity")
        if self.identities.pop(desired.name, None) is not None:
            self._recorder.wrote(f"store remove identity {desired.name}")


@dataclass
class Server:
    """One Milvus with what its volume remembers."""

    passwords: dict[str, str] = field(default_factory=lambda: {"root": DEFAULT_PASSWORD})
    members: dict[str, set[str]] = field(default_factory=dict)
    grants: dict[str, set[Grant]] = field(default_factory=lambda: {"public": set()})
    late: dict[str, set[str]] = field(default_factory=dict)
    """User → the roles by which the server lets it act, while its caches are behind."""
    starts: int = 0
    stubborn_default: bool = False
    """Goes on accepting the default password for a while, as caches do."""

    def start(self) -> None:
        self.starts += 1
        self.grants["public"] |= PUBLIC_GRANTS

    def accepts(self, user: str, password: str) -> bool:
        if user == "root" and password == DEFAULT_PASSWORD and self.stubborn_default:
            return True
        return self.passwords.get(user) == password


class FakeMilvus:
    """Implements `MilvusAdmin`: finds the server behind a door, and lets in whom the door and the server let in."""

    def __init__(self, recorder: Recorder, behind: Callable[[DoorAddress], Server]) -> None:
        self._recorder = recorder
        self._behind = behind

    def _server(self, door: DoorAddress, what: str) -> Server:
        self._recorder.call(f"milvus {what}")
        return self._behind(door)

    def _as_root(self, door: DoorAddress, password: str, what: str) -> Server:
        server = self._server(door, what)
        if not server.accepts("root", password):
            raise Rejected("Milvus", "refuses root's password")
        return server

    async def version(self, door: DoorAddress, *, password: str) -> str:
        self._as_root(door, password, "version")
        return "2.3.5"

    async def login_works(self, door: DoorAddress, *, user: str, password: str) -> bool:
        return self._server(door, "login").accepts(user, password)

    async def held(self, door: DoorAddress, *, user: str, password: str, marks: Sequence[str]) -> frozenset[str] | None:
        server = self._server(door, "held")
        if not server.accepts(user, password):
            return None
        held = server.late.get(user, server.members.get(user, set()))
        users = {
            each.object_name for role in held for each in server.grants.get(role, ()) if each.object_type == "User"
        }
        return frozenset(mark for mark in marks if users & {mark, "*"})

    async def change_password(self, door: DoorAddress, *, user: str, old: str, new: str) -> None:
        server = self._server(door, "change password")
        if not server.accepts(user, old):
            raise Rejected("Milvus", f"refuses the old password of {user}")
        server.passwords[user] = new
        self._recorder.wrote(f"milvus password {user}")

    async def query_works(self, door: DoorAddress, *, password: str) -> str:
        self._as_root(door, password, "query")
        return "1 database answered a query"

    async def users(self, door: DoorAddress, *, password: str) -> Mapping[str, frozenset[str]]:
        server = self._as_root(door, password, "users")
        return {user: frozenset(server.members.get(user, ())) for user in server.passwords}

    async def roles(self, door: DoorAddress, *, password: str) -> Mapping[str, frozenset[Grant]]:
        server = self._as_root(door, password, "roles")
        return {role: frozenset(grants) for role, grants in server.grants.items()}

    async def create_user(self, door: DoorAddress, *, password: str, user: str, user_password: str) -> None:
        server = self._as_root(door, password, "create user")
        assert user not in server.passwords, f"user {user} is made twice"
        server.passwords[user] = user_password
        self._recorder.wrote(f"milvus create user {user}")

    async def drop_user(self, door: DoorAddress, *, password: str, user: str) -> None:
        server = self._as_root(door, password, "drop user")
        server.passwords.pop(user, None)
        server.members.pop(user, None)
        self._recorder.wrote(f"milvus drop user {user}")

    async def set_user_password(self, door: DoorAddress, *, password: str, user: str, user_password: str) -> None:
        self._as_root(door, password, "set password").passwords[user] = user_password
        self._recorder.wrote(f"milvus password {user}")

    async def create_role(self, door: DoorAddress, *, password: str, role: str) -> None:
        server = self._as_root(door, password, "create role")
        assert role not in server.grants, f"role {role} is made twice"
        server.grants[role] = set()
        self._recorder.wrote(f"milvus create role {role}")

    async def drop_role(self, door: DoorAddress, *, password: str, role: str) -> None:
        assert not self._as_root(door, password, "drop role").grants.pop(role), "the server drops no role with grants"
        self._recorder.wrote(f"milvus drop role {role}")

    async def grant(self, door: DoorAddress, *, password: str, role: str, grants: Sequence[Grant]) -> None:
        server = self._as_root(door, password, "grant")
        server.grants[role].add(grants[0])  # the server takes them one by one: a crash may leave some out
        self._recorder.wrote(f"milvus grant {role}")
        if grants[1:]:
            server.grants[role].update(grants[1:])
            self._recorder.wrote(f"milvus grant {role}")

    async def revoke(self, door: DoorAddress, *, password: str, role: str, grants: Sequence[Grant]) -> None:
        server = self._as_root(door, password, "revoke")
        self._take(server.grants[role], grants[:1])
        self._recorder.wrote(f"milvus revoke {role}")
        if grants[1:]:
            self._take(server.grants[role], grants[1:])
            self._recorder.wrote(f"milvus revoke {role}")

    @staticmethod
    def _take(held: set[Grant], grants: Sequence[Grant]) -> None:
        """One without an object type means the privilege of whatever type, as newer servers take it."""
        for given in grants:
            held -= {each for each in held if given in (each, replace(each, object_type=""))}

    async def add_role(self, door: DoorAddress, *, password: str, user: str, role: str) -> None:
        self._as_root(door, password, "add role").members.setdefault(user, set()).add(role)
        self._recorder.wrote(f"milvus {user} gets {role}")

    async def remove_role(self, door: DoorAddress, *, password: str, user: str, role: str) -> None:
        self._as_root(door, password, "remove role").members.setdefault(user, set()).discard(role)
        self._recorder.wrote(f"milvus {user} loses {role}")


@dataclass
class Gateway:
    """What one gateway pod runs: the files its kubelet mounted last."""

    config: str = ""
    certificate: str = ""
    error: str = ""


class FakeProbe:
    """Implements `DoorProbe`."""

    def __init__(self, recorder: Recorder, at: Callable[[DoorAddress], tuple[str, Gateway]]) -> None:
        self._recorder = recorder
        self._at = at
        self.failing: dict[str, str] = {}
        """Check → what was seen instead."""
        self.used: dict[str, datetime] = {}
        """What every gateway tells of the credentials' last use."""

    async def attest(self, door: DoorAddress) -> Attestation:
        self._recorder.call("probe attest")
        pod, gateway = self._at(door)
        return Attestation(
            pod, gateway.config, gateway.certificate, reloads=1, last_error=gateway.error, used=self.used
        )

    async def probe(
        self, door: DoorAddress, *, expected_certificate_sha256: str, outsider_expected: bool
    ) -> DoorFinding:
        self._recorder.call("probe knock")
        _, gateway = self._at(door)
        checks = {
            "certificate": gateway.certificate == expected_certificate_sha256,
            "tls11_refused": True,
            "anonymous_refused": True,
        } | ({"outsider_refused": True} if outsider_expected else {})
        checks |= dict.fromkeys(self.failing, False)
        evidence = {check: check.replace("_", " ") for check in checks} | self.failing
        return DoorFinding(door.host, gateway.certificate, None, checks, evidence)


class FakeKnocker:
    """Implements `Knocker`, as a pod of the operator's: in front of a plugin that enforces the policies, or of none."""

    def __init__(self, recorder: Recorder, addresses: Callable[[], set[str]]) -> None:
        self._recorder = recorder
        self._addresses = addresses
        self.enforcing = True
        self.reachable = True
        self.own = "10.244.0.2"
        self.knocks = 0

    async def opened(self, targets: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], str]:
        self._recorder.call("knock")
        self.knocks += 1
        pods = self._addresses()
        there = {target for target in targets if self.reachable and target[0] in pods}
        return {target: self.own for target in there if target[1] == names.GATEWAY_PORT or not self.enforcing}


def leaf_sha256(pem: str) -> str:
    leaf = x509.load_pem_x509_certificate(pem.encode())
    return hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()


class FakeClock:
    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


class CountedSecrets:
    """Values that a test finds again wherever they went."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.made: list[str] = []

    def password(self) -> str:
        return self._keep(f"Pw~{next(self._numbers):06d}-made-by-the-test")

    def token(self) -> str:
        return self._keep(f"zbk_{next(self._numbers):06d}" + "x" * 37)

    def _keep(self, value: str) -> str:
        self.made.append(value)
        return value


def unavailable(what: str) -> Unavailable:
    return Unavailable(what, "no answer: connection refused")
