"""The three buckets on the built-in store, real: what of the wish is in force there, and what is said not to be."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.stores.conftest import Calls
from tests.stores.servers import SeaweedFS
from tests.stores.test_seaweedfs import access, client
from tests.stores.wishes import three
from zilliz_operator.adapters.aws.connection import RequestHook
from zilliz_operator.adapters.s3compatible import S3CompatibleStore
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.names import CLUSTER_UID_LABEL
from zilliz_operator.desired.bucket.bucket import Bucket

CANNOT = {"public_access", "policy_conditions"}


def wishes(uid: str, **spec: Any) -> dict[str, Bucket]:
    return dict(zip(("data", "audit", "backup"), three(uid, **spec), strict=True))


@pytest.fixture
def uid() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def make(seaweedfs: SeaweedFS, threads: Threads) -> Iterator[Callable[[RequestHook], S3CompatibleStore]]:
    made: list[S3CompatibleStore] = []

    def store(hook: RequestHook) -> S3CompatibleStore:
        made.append(S3CompatibleStore(access(seaweedfs), threads, on_request=hook))
        return made[-1]

    yield store
    for each in made:
        each.close()


@pytest.fixture
def store(make: Callable[[RequestHook], S3CompatibleStore], calls: Calls) -> S3CompatibleStore:
    return make(calls)


@pytest.fixture
def s3(seaweedfs: SeaweedFS, hostile_environment: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name)
    return client(seaweedfs)


def refused(call: Callable[..., Any], **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403)
    return False


def retention(s3: Any, name: str) -> dict[str, Any] | None:
    try:
        found = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    except ClientError:
        return None
    rule: dict[str, Any] = (found.get("Rule") or {}).get("DefaultRetention") or {}
    return rule or None


async def test_what_the_store_cannot_do_is_said_and_the_second_look_writes_nothing(
    store: S3CompatibleStore, calls: Calls, uid: str
) -> None:
    for wish in wishes(uid).values():
        first = {each.name: each for each in await store.ensure_bucket(wish)}
        assert {name for name, each in first.items() if not each.holds} == CANNOT
        assert all(first[name].detail for name in CANNOT)
        calls.seen.clear()
        second = {each.name: each.state for each in await store.ensure_bucket(wish)}
        assert second == {name: "unsupported" if name in CANNOT else "kept" for name in first}
        assert calls.writes() == []


async def test_a_line_of_the_audit_trail_cannot_be_taken_back(store: S3CompatibleStore, s3: Any, uid: str) -> None:
    wish = wishes(uid, audit={"lock": "Compliance", "retentionDays": 2})["audit"]
    await store.ensure_bucket(wish)
    before = datetime.now(UTC)
    line = {"Bucket": wish.name, "Key": "line"}
    version = s3.put_object(**line, Body=b"who did what", ChecksumAlgorithm="CRC32")["VersionId"]
    held = s3.get_object_retention(**line, VersionId=version)["Retention"]
    assert held["Mode"] == "COMPLIANCE"
    assert timedelta(days=2) - timedelta(minutes=5) < held["RetainUntilDate"] - before < timedelta(days=2, minutes=5)
    assert refused(s3.delete_object, **line, VersionId=version)
    assert refused(s3.delete_object, **line, VersionId=version, BypassGovernanceRetention=True)
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": before + timedelta(hours=1)}
    assert refused(s3.put_object_retention, **line, VersionId=version, Retention=shorter)
    s3.delete_object(**line)  # hides it; the line itself stays
    assert s3.get_object(**line, VersionId=version)["Body"].read() == b"who did what"


async def test_data_and_backups_are_not_locked(store: S3CompatibleStore, s3: Any, uid: str) -> None:
    for purpose in ("data", "backup"):
        wish = wishes(uid)[purpose]
        await store.ensure_bucket(wish)
        assert retention(s3, wish.name) is None
        version = s3.put_object(Bucket=wish.name, Key="k", Body=b"v")["VersionId"]
        s3.delete_object(Bucket=wish.name, Key="k", VersionId=version)


async def test_a_lock_comes_later_and_its_default_goes_again(store: S3CompatibleStore, s3: Any, uid: str) -> None:
    without, with_lock = wishes(uid, audit={"lock": "None"})["audit"], wishes(uid)["audit"]
    await store.ensure_bucket(without)
    s3.put_object(Bucket=without.name, Key="before", Body=b"v")
    changed = {each.name for each in await store.ensure_bucket(with_lock) if each.state == "repaired"}
    assert changed == {"object_lock"}
    assert retention(s3, without.name) == {"Mode": "GOVERNANCE", "Days": 365}
    changed = {each.name for each in await store.ensure_bucket(without) if each.state == "repaired"}
    assert changed == {"object_lock"}
    assert retention(s3, without.name) is None


@pytest.mark.parametrize("purpose", ["data", "audit", "backup"])
async def test_each_aspect_that_somebody_breaks_is_repaired_alone(
    store: S3CompatibleStore, s3: Any, calls: Calls, uid: str, purpose: str
) -> None:
    wish = wishes(uid)[purpose]
    await store.ensure_bucket(wish)
    name = wish.name
    one_day = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    drifts: dict[str, Callable[[], Any]] = {
        "encryption": lambda: s3.delete_bucket_encryption(Bucket=name),
        "policy": lambda: s3.delete_bucket_policy(Bucket=name),
        "lifecycle": lambda: s3.delete_bucket_lifecycle(Bucket=name),
        "tags": lambda: s3.delete_bucket_tagging(Bucket=name),
        "ownership": lambda: s3.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        ),
        "acl": lambda: s3.put_bucket_acl(Bucket=name, ACL="public-read"),
        "object_lock": lambda: s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=one_day),
    }
    if purpose != "audit":  # a locked bucket's versioning cannot be suspended by anybody
        drifts["versioning"] = lambda: s3.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Suspended"}
        )
        # A lock that is there once never goes, and versioning with it: break it last.
        drifts["object_lock"] = drifts.pop("object_lock")
    for aspect, drift in drifts.items():
        drift()
        calls.seen.clear()
        repaired = [each.name for each in await store.ensure_bucket(wish) if each.state == "repaired"]
        assert repaired == [aspect]
        assert len(calls.writes()) == 1
        calls.seen.clear()
        await store.ensure_bucket(wish)
        assert calls.writes() == [], aspect


class Died(Exception):
    """The operator's process ends, right after a call was answered."""


@pytest.mark.parametrize("purpose", ["data", "audit"])
async def test_a_crash_after_any_call_leaves_nothing_unowned(
    make: Callable[[RequestHook], S3CompatibleStore], store: S3CompatibleStore, s3: Any, calls: Calls, purpose: str
) -> None:
    number, died_in = 0, []
    while True:
        number += 1
        left = number

        def hook(service: str, operation: str, status: int) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Died(operation)

        wish = wishes(str(uuid.uuid4()))[purpose]
        try:
            await make(hook).ensure_bucket(wish)
        except Died as died:
            died_in.append(str(died))
        else:
            break
        again = {each.name for each in await store.ensure_bucket(wish) if not each.holds}
        assert again == CANNOT, f"after {died_in[-1]}"
        calls.seen.clear()
        await store.ensure_bucket(wish)
        assert calls.writes() == []
        tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=wish.name)["TagSet"]}
        assert tags[CLUSTER_UID_LABEL] == wish.uid
    assert {"CreateBucket", "PutBucketTagging", "PutBucketPolicy"} <= set(died_in)
