"""The three buckets on (a simulator of) AWS: what is put, what is read back, what a crash leaves, and every drift.

Two habits of the simulator could hide a fault, so both are met head on: it drops `NewerNoncurrentVersions` in silence
(a setting that a store does not take must not be written for ever), and it keeps tags over a bucket's deletion (every
test has a cluster of its own).
"""

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.stores.conftest import Calls
from tests.stores.servers import Moto
from tests.stores.wishes import OPERATOR, aws_plane, three
from zilliz_operator.adapters.aws.connection import RequestHook, StoreAccess
from zilliz_operator.adapters.aws.store import AwsStore
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.exceptions import NameTaken
from zilliz_operator.api.names import CLUSTER_UID_LABEL, policy_mark
from zilliz_operator.desired.bucket.bucket import Bucket

REGION = "us-west-2"
KMS = f"arn:aws:kms:{REGION}:123456789012:key/11111111-2222-3333-4444-555555555555"
ASPECTS = ("tags", "policy", "public_access", "ownership", "encryption", "versioning", "object_lock", "lifecycle")
PURPOSES = ("data", "audit", "backup")


def wishes(uid: str, **spec: Any) -> dict[str, Bucket]:
    return dict(zip(PURPOSES, three(uid, plane=aws_plane(REGION), **spec), strict=True))


@pytest.fixture
def uid() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def make(moto: Moto, threads: Threads) -> Iterator[Callable[[RequestHook], AwsStore]]:
    made: list[AwsStore] = []

    def store(hook: RequestHook) -> AwsStore:
        access = StoreAccess(
            region=REGION,
            endpoint=moto.url,
            access_key_id="AKIAEXAMPLE",
            secret_access_key="not-a-secret",
            path_style=True,
        )
        made.append(AwsStore(access, threads, on_request=hook))
        made[-1].PATIENCE = ()  # the simulator never answers with what was there before
        return made[-1]

    yield store
    for each in made:
        each.close()


@pytest.fixture
def store(make: Callable[[RequestHook], AwsStore], calls: Calls) -> AwsStore:
    return make(calls)


@pytest.fixture
def s3(moto: Moto, hostile_environment: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name)
    factory: Any = boto3.client
    return factory(
        "s3",
        region_name=REGION,
        endpoint_url=moto.url,
        config=Config(proxies={}, s3={"addressing_style": "path"}),
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="not-a-secret",
    )


def exists(s3: Any, name: str) -> bool:
    return any(found["Name"] == name for found in s3.list_buckets()["Buckets"])


def tags_of(s3: Any, name: str) -> dict[str, str]:
    try:
        return {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=name)["TagSet"]}
    except ClientError:
        return {}


def seen(s3: Any, name: str) -> dict[str, Any]:
    """A bucket as its own API tells it, without our reading of it."""
    lock = None
    try:
        lock = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"].get("Rule")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ObjectLockConfigurationNotFoundError"
    rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    return {
        "where": s3.get_bucket_location(Bucket=name)["LocationConstraint"],
        "encryption": s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"],
        "block": s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
        "ownership": s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"],
        "policy": json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]),
        "versioning": s3.get_bucket_versioning(Bucket=name)["Status"],
        "lifecycle": {rule["ID"]: rule for rule in rules},
        "tags": tags_of(s3, name),
        "lock": lock,
    }


def check(s3: Any, wish: Bucket, *, kms: str | None = None) -> None:
    """Everything that is promised of a bucket, read back by somebody else."""
    found = seen(s3, wish.name)
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms} if kms else {"SSEAlgorithm": "AES256"}
    assert found["where"] == REGION
    assert [rule["ApplyServerSideEncryptionByDefault"] for rule in found["encryption"]] == [default]
    assert [bool(rule.get("BucketKeyEnabled")) for rule in found["encryption"]] == [kms is not None]
    assert sorted(found["block"].values()) == [True] * 4
    assert found["ownership"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert found["versioning"] == "Enabled"
    sids = {statement["Sid"] for statement in found["policy"]["Statement"]}
    assert sids >= {
        policy_mark(wish.uid),
        "DenyTlsBelow12",
        "DenyOtherAccounts",
        "DenyOtherIdentities",
        "DenyOtherEncryption",
    }
    audit = wish.name.endswith("-audit")
    assert set(found["lifecycle"]) == {"noncurrent-versions", "unfinished-uploads", "empty-delete-markers"} | (
        {"retention"} if audit else set()
    )
    assert found["lifecycle"]["unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert found["tags"].items() >= {CLUSTER_UID_LABEL: wish.uid}.items()
    if audit:
        retention = found["lock"]["DefaultRetention"]
        assert (retention["Mode"], retention["Days"]) == ("GOVERNANCE", 365)
        assert found["lifecycle"]["retention"]["Expiration"]["Days"] == 365
    else:
        assert found["lock"] is None


@pytest.mark.parametrize("kms", [None, KMS], ids=["sse-s3", "sse-kms"])
async def test_every_aspect_is_set_and_the_second_look_writes_nothing(
    store: AwsStore, s3: Any, calls: Calls, uid: str, kms: str | None
) -> None:
    for wish in wishes(uid, **({"storage": {"kmsKeyArn": kms}} if kms else {})).values():
        first = await store.ensure_bucket(wish)
        assert tuple(each.name for each in first) == ASPECTS
        assert all(each.holds for each in first)
        check(s3, wish, kms=kms)
        calls.seen.clear()
        assert {each.state for each in await store.ensure_bucket(wish)} == {"kept"}
        assert calls.writes() == []
        assert len(calls.seen) <= 10, "a look is to stay cheap"


async def test_a_bucket_is_born_with_all_that_its_first_call_can_say(store: AwsStore, uid: str) -> None:
    sent: list[dict[str, Any]] = []
    store._connection.s3().meta.events.register(
        "provide-client-params.s3.CreateBucket", lambda params, **_: sent.append(params)
    )
    for purpose, wish in wishes(uid).items():
        await store.ensure_bucket(wish)
        call = sent[-1]
        assert call["ObjectOwnership"] == "BucketOwnerEnforced"
        assert call.get("ObjectLockEnabledForBucket", False) is (purpose == "audit")
        assert call["CreateBucketConfiguration"]["LocationConstraint"] == REGION
        tags = {tag["Key"]: tag["Value"] for tag in call["CreateBucketConfiguration"]["Tags"]}
        assert tags == dict(wish.tags)
    assert len(sent) == 3


async def test_without_an_audit_lock_the_bucket_is_born_without_one(store: AwsStore, s3: Any, uid: str) -> None:
    wish = wishes(uid, audit={"lock": "None"})["audit"]
    await store.ensure_bucket(wish)
    assert seen(s3, wish.name)["lock"] is None
    later = wishes(uid)["audit"]
    changed = {each.name for each in await store.ensure_bucket(later) if each.state == "repaired"}
    assert changed == {"object_lock"}
    check(s3, later)
    back = {each.name for each in await store.ensure_bucket(wish) if each.state == "repaired"}
    assert back == {"object_lock"}
    assert seen(s3, wish.name)["lock"] is None


class Died(Exception):
    """The operator's process ends, right after a call was answered."""


def dies_after(number: int) -> RequestHook:
    count = 0

    def hook(service: str, operation: str, status: int) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise Died(operation)

    return hook


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_crash_after_any_call_leaves_nothing_unowned(
    make: Callable[[RequestHook], AwsStore], s3: Any, calls: Calls, purpose: str
) -> None:
    number, died_in, living = 0, [], make(calls)
    while True:
        number += 1
        wish = wishes(str(uuid.uuid4()))[purpose]
        try:
            await make(dies_after(number)).ensure_bucket(wish)
        except Died as died:
            died_in.append(str(died))
        else:
            break
        if exists(s3, wish.name):
            # The mark, or nothing at all in it: the simulator ignores the tags of the first call, which AWS takes.
            marked = tags_of(s3, wish.name).get(CLUSTER_UID_LABEL) == wish.uid
            assert marked or not s3.list_object_versions(Bucket=wish.name).get("Versions")
        again = await living.ensure_bucket(wish)
        assert all(each.holds for each in again), f"after {died_in[-1]}"
        check(s3, wish)
        calls.seen.clear()
        assert {each.state for each in await living.ensure_bucket(wish)} == {"kept"}
        assert calls.writes() == []
    assert died_in.count("CreateBucket") == 1
    assert sum(1 for operation in died_in if operation.startswith("Put")) == 6


Drift = Callable[[Any, str], Any]
OPEN = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False, "RestrictPublicBuckets": True}
PUBLIC = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}]}
DRIFTS: dict[str, tuple[str, Drift]] = {
    "encryption removed": ("encryption", lambda s3, name: s3.delete_bucket_encryption(Bucket=name)),
    "encryption by a stranger's key": (
        "encryption",
        lambda s3, name: s3.put_bucket_encryption(
            Bucket=name,
            ServerSideEncryptionConfiguration={
                "Rules": [
                    {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "other"}}
                ]
            },
        ),
    ),
    "ownership removed": ("ownership", lambda s3, name: s3.delete_bucket_ownership_controls(Bucket=name)),
    "ownership of writers": (
        "ownership",
        lambda s3, name: s3.put_bucket_ownership_controls(
            Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        ),
    ),
    "no block": ("public_access", lambda s3, name: s3.delete_public_access_block(Bucket=name)),
    "one block off": (
        "public_access",
        lambda s3, name: s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=OPEN),
    ),
    "policy removed": ("policy", lambda s3, name: s3.delete_bucket_policy(Bucket=name)),
    "policy replaced": (
        "policy",
        lambda s3, name: s3.put_bucket_policy(
            Bucket=name,
            Policy=json.dumps(
                PUBLIC | {"Statement": [PUBLIC["Statement"][0] | {"Resource": f"arn:aws:s3:::{name}/*"}]}
            ),
        ),
    ),
    "a denial less": ("policy", lambda s3, name: _less(s3, name)),
    "versioning suspended": (
        "versioning",
        lambda s3, name: s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"}),
    ),
    "lifecycle removed": ("lifecycle", lambda s3, name: s3.delete_bucket_lifecycle(Bucket=name)),
    "lifecycle that deletes data": (
        "lifecycle",
        lambda s3, name: s3.put_bucket_lifecycle_configuration(
            Bucket=name,
            LifecycleConfiguration={
                "Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
            },
        ),
    ),
    "tags removed": ("tags", lambda s3, name: s3.delete_bucket_tagging(Bucket=name)),
    "the id's tag changed": (
        "tags",
        lambda s3, name: s3.put_bucket_tagging(
            Bucket=name,
            Tagging={
                "TagSet": [
                    {"Key": key, "Value": "x" if key.endswith("/cluster-id") else value}
                    for key, value in tags_of(s3, name).items()
                ]
            },
        ),
    ),
    "another retention": (
        "object_lock",
        lambda s3, name: s3.put_object_lock_configuration(
            Bucket=name,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
            },
        ),
    ),
}


def _less(s3: Any, name: str) -> None:
    policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
    policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != "DenyOtherIdentities"]
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_each_aspect_that_somebody_breaks_is_repaired_alone(
    store: AwsStore, s3: Any, calls: Calls, uid: str, purpose: str
) -> None:
    wish = wishes(uid)[purpose]
    await store.ensure_bucket(wish)
    as_it_was = seen(s3, wish.name)
    assert {aspect for aspect, _ in DRIFTS.values()} == set(ASPECTS)
    for what, (aspect, drift) in DRIFTS.items():
        drift(s3, wish.name)
        calls.seen.clear()
        states = {each.name: each.state for each in await store.ensure_bucket(wish)}
        assert states == {name: "repaired" if name == aspect else "kept" for name in ASPECTS}, what
        assert len(calls.writes()) == 1, what
        assert seen(s3, wish.name) == as_it_was, what
        calls.seen.clear()
        assert {each.state for each in await store.ensure_bucket(wish)} == {"kept"}, what
        assert calls.writes() == [], what


async def test_a_setting_that_a_store_drops_is_said_and_not_written_for_ever(
    store: AwsStore, s3: Any, calls: Calls, uid: str
) -> None:
    wish = wishes(uid)["data"]

    class Demanding:
        """Our lifecycle, with a number that this simulator throws away."""

        def configuration(self) -> dict[str, Any]:
            rules = wish.lifecycle.configuration()["Rules"]
            for rule in rules:
                if "NoncurrentVersionExpiration" in rule:
                    rule["NoncurrentVersionExpiration"]["NewerNoncurrentVersions"] = 3
            return {"Rules": rules}

    demanding: Any = Demanding()
    asked = dataclasses.replace(wish, lifecycle=demanding)
    states = {each.name: each for each in await store.ensure_bucket(asked)}
    assert states["lifecycle"].state == "differs"
    assert not states["lifecycle"].holds
    assert "reads back another" in states["lifecycle"].detail
    calls.seen.clear()
    states = {each.name: each for each in await store.ensure_bucket(asked)}
    assert (states["lifecycle"].state, calls.writes()) == ("differs", [])
    s3.delete_bucket_lifecycle(Bucket=wish.name)  # a drift beside it is still seen
    calls.seen.clear()
    await store.ensure_bucket(asked)
    assert calls.writes() == ["PutBucketLifecycleConfiguration"]
    assert {each.name: each for each in await store.ensure_bucket(wish)}["lifecycle"].holds


async def test_tags_that_are_all_gone_are_found_again_by_the_policy_although_data_is_in_it(
    store: AwsStore, s3: Any, uid: str
) -> None:
    wish = wishes(uid)["data"]
    await store.ensure_bucket(wish)
    s3.delete_bucket_policy(Bucket=wish.name)  # the simulator judges conditions wrongly and would refuse the upload
    s3.put_object(Bucket=wish.name, Key="k", Body=b"v")
    await store.ensure_bucket(wish)
    s3.delete_bucket_tagging(Bucket=wish.name)
    assert {each.name for each in await store.ensure_bucket(wish) if each.state == "repaired"} == {"tags"}
    assert tags_of(s3, wish.name) == dict(wish.tags)


@pytest.mark.parametrize("whose", ["another cluster's", "somebody's with data", "another cluster's by policy"])
async def test_a_bucket_that_is_not_ours_is_left_alone(
    store: AwsStore, s3: Any, calls: Calls, uid: str, whose: str
) -> None:
    wish = wishes(uid)["audit"]
    s3.create_bucket(Bucket=wish.name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=wish.name, Key="precious", Body=b"v")
    if whose == "another cluster's":
        s3.put_bucket_tagging(
            Bucket=wish.name, Tagging={"TagSet": [{"Key": CLUSTER_UID_LABEL, "Value": "someone-else"}]}
        )
    if whose == "another cluster's by policy":
        other = wishes(str(uuid.uuid4()))["audit"].policy.json()
        s3.put_bucket_policy(Bucket=wish.name, Policy=other)
    with pytest.raises(NameTaken, match="untouched"):
        await store.ensure_bucket(wish)
    assert calls.writes() == []


async def test_the_operator_is_told_apart_by_what_aws_says_of_it(store: AwsStore, calls: Calls) -> None:
    found = await store.caller()
    assert found is not None
    assert found.account == OPERATOR.account
    assert found.arns
    calls.seen.clear()
    assert await store.caller() == found
    assert calls.seen == []
