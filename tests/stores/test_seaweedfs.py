"""The built-in store, real and hardened: what is held, what is said to be impossible, and who gets nothing."""

import dataclasses
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.stores.conftest import Calls
from tests.stores.servers import SeaweedFS
from tests.stores.wishes import bucket, identity
from zilliz_operator.adapters.aws.connection import StoreAccess
from zilliz_operator.adapters.s3compatible import S3CompatibleStore
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.exceptions import InvalidSpec, NameTaken, NotReady, Rejected, Unavailable
from zilliz_operator.api.outside import KeyPair


def access(server: SeaweedFS, **changes: Any) -> StoreAccess:
    return dataclasses.replace(
        StoreAccess(
            region="us-east-1",
            endpoint=server.tenant,
            admin_endpoint=server.operator,
            ca_pem=server.authority.pem,
            access_key_id=server.access_key_id,
            secret_access_key=server.secret_access_key,
            credentials="Secret zilliz-system/object-store",
            path_style=True,
        ),
        **changes,
    )


@pytest.fixture
def store(seaweedfs: SeaweedFS, threads: Threads, calls: Calls) -> Iterator[S3CompatibleStore]:
    made = S3CompatibleStore(access(seaweedfs), threads, on_request=calls)
    yield made
    made.close()


@pytest.fixture
def uid() -> str:
    return str(uuid.uuid4())


def client(server: SeaweedFS, service: str = "s3", keys: KeyPair | None = None, *, admin: bool = False) -> Any:
    keys = keys or KeyPair(server.access_key_id, server.secret_access_key)
    factory: Any = boto3.client
    return factory(
        service,
        region_name="us-east-1",
        endpoint_url=server.operator if admin else server.tenant,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        verify=str(server.directory / "ca.crt"),
        config=Config(proxies={}, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.fixture
def plain_environment(hostile_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the clients that tests make themselves; it comes after the hostile one."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name)


async def test_a_bucket_gets_every_aspect_and_the_second_pass_writes_nothing(
    store: S3CompatibleStore, calls: Calls, uid: str
) -> None:
    first = {result.name: result for result in await store.ensure_bucket(bucket(uid))}
    assert (first["tags"].state, first["tags"].detail) == ("repaired", "created")
    cannot = {"public_access", "policy_conditions"}
    assert {name for name, result in first.items() if result.state == "unsupported"} == cannot
    assert "does not know" in first["public_access"].detail
    assert "TLS version" in first["policy_conditions"].detail
    calls.seen.clear()
    second = {result.name: result.state for result in await store.ensure_bucket(bucket(uid))}
    assert calls.writes() == []
    assert second == {name: "unsupported" if name in cannot else "kept" for name in first}


@pytest.mark.usefixtures("plain_environment")
async def test_drift_of_each_aspect_is_repaired_alone(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, calls: Calls, uid: str
) -> None:
    wish = bucket(uid)
    await store.ensure_bucket(wish)
    s3 = client(seaweedfs)
    drifts = {
        "encryption": lambda: s3.delete_bucket_encryption(Bucket=wish.name),
        "versioning": lambda: s3.put_bucket_versioning(
            Bucket=wish.name, VersioningConfiguration={"Status": "Suspended"}
        ),
        "policy": lambda: s3.delete_bucket_policy(Bucket=wish.name),
        "lifecycle": lambda: s3.delete_bucket_lifecycle(Bucket=wish.name),
        "ownership": lambda: s3.put_bucket_ownership_controls(
            Bucket=wish.name, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        ),
        "acl": lambda: s3.put_bucket_acl(Bucket=wish.name, ACL="public-read"),
    }
    for aspect, drift in drifts.items():
        drift()
        calls.seen.clear()
        repaired = [result.name for result in await store.ensure_bucket(wish) if result.state == "repaired"]
        assert repaired == [aspect]
        assert len(calls.writes()) == 1


@pytest.mark.usefixtures("plain_environment")
async def test_objects_are_encrypted_and_the_public_sees_nothing(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str
) -> None:
    wish = bucket(uid)
    await store.ensure_bucket(wish)
    s3 = client(seaweedfs)
    s3.put_object(Bucket=wish.name, Key="k", Body=b"v")
    assert s3.head_object(Bucket=wish.name, Key="k")["ServerSideEncryption"] == "AES256"


async def test_a_kms_key_is_never_set_and_said_to_be_impossible(
    store: S3CompatibleStore, calls: Calls, uid: str
) -> None:
    wish = bucket(uid, kms="arn:aws:kms:us-east-1:123456789012:key/1")
    first = {result.name: result for result in await store.ensure_bucket(wish)}
    assert first["encryption"].state == "unsupported"
    assert "no KMS" in first["encryption"].detail
    calls.seen.clear()
    await store.ensure_bucket(wish)
    assert calls.writes() == []


@pytest.mark.usefixtures("plain_environment")
@pytest.mark.parametrize("tagged", [True, False], ids=["another-uid", "no-tag-but-data"])
async def test_a_foreign_bucket_is_left_alone(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, calls: Calls, uid: str, tagged: bool
) -> None:
    wish, s3 = bucket(uid), client(seaweedfs)
    s3.create_bucket(Bucket=wish.name)
    if tagged:
        tags = {"TagSet": [{"Key": "byoc.zilliz.com/cluster-uid", "Value": "someone-else"}]}
        s3.put_bucket_tagging(Bucket=wish.name, Tagging=tags)
    else:
        s3.put_object(Bucket=wish.name, Key="precious", Body=b"v")
    with pytest.raises(NameTaken, match="untouched"):
        await store.ensure_bucket(wish)
    assert calls.writes() == []


@pytest.mark.usefixtures("plain_environment")
async def test_an_old_version_alone_makes_a_bucket_foreign(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str
) -> None:
    wish, s3 = bucket(uid), client(seaweedfs)
    s3.create_bucket(Bucket=wish.name)
    s3.put_bucket_versioning(Bucket=wish.name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=wish.name, Key="precious", Body=b"v")
    s3.delete_object(Bucket=wish.name, Key="precious")
    with pytest.raises(NameTaken):
        await store.ensure_bucket(wish)


@pytest.mark.usefixtures("plain_environment")
async def test_what_a_crash_left_between_create_and_tag_is_finished(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str
) -> None:
    client(seaweedfs).create_bucket(Bucket=bucket(uid).name)
    first, *_ = await store.ensure_bucket(bucket(uid))
    assert (first.state, first.detail) == ("repaired", "tagged")


@pytest.mark.usefixtures("plain_environment")
async def test_a_customers_own_tags_survive(store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str) -> None:
    wish, s3 = bucket(uid), client(seaweedfs)
    await store.ensure_bucket(wish)
    mark = {"Key": "byoc.zilliz.com/cluster-uid", "Value": uid}
    s3.put_bucket_tagging(Bucket=wish.name, Tagging={"TagSet": [mark, {"Key": "cost-center", "Value": "42"}]})
    await store.ensure_bucket(wish)
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=wish.name)["TagSet"]}
    assert tags == dict(wish.tags) | {"cost-center": "42"}


@pytest.mark.usefixtures("plain_environment")
async def test_each_clusters_key_reaches_its_own_bucket_and_no_other(
    store: S3CompatibleStore, seaweedfs: SeaweedFS
) -> None:
    a, b = str(uuid.uuid4()), str(uuid.uuid4())
    pairs = {}
    for one in (a, b):
        await store.ensure_bucket(bucket(one))
        await store.ensure_identity(identity(one))
        pairs[one] = await store.make_key_pair(identity(one), keep=())
        client(seaweedfs, keys=pairs[one]).put_object(Bucket=bucket(one).name, Key="k", Body=b"v")
    intruder, victim = client(seaweedfs, keys=pairs[a]), bucket(b).name
    attempts = (
        lambda: intruder.get_object(Bucket=victim, Key="k"),
        lambda: intruder.list_objects_v2(Bucket=victim),
        lambda: intruder.put_object(Bucket=victim, Key="x", Body=b"v"),
        lambda: intruder.delete_object(Bucket=victim, Key="k"),
        lambda: intruder.copy_object(Bucket=bucket(a).name, Key="x", CopySource={"Bucket": victim, "Key": "k"}),
        lambda: intruder.get_bucket_policy(Bucket=victim),
        lambda: intruder.put_bucket_policy(Bucket=bucket(a).name, Policy="{}"),
        lambda: intruder.delete_bucket(Bucket=bucket(a).name),
        lambda: client(seaweedfs, "iam", pairs[a]).create_access_key(UserName=identity(a).name),
    )
    for attempt in attempts:
        with pytest.raises(ClientError) as caught:
            attempt()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def test_an_identity_is_made_once_and_then_nothing_is_written(
    store: S3CompatibleStore, calls: Calls, uid: str
) -> None:
    first = {result.name: result.state for result in await store.ensure_identity(identity(uid))}
    assert set(first.items()) >= {("identity", "repaired"), ("identity_policy", "repaired")}
    calls.seen.clear()
    assert {result.state for result in await store.ensure_identity(identity(uid))} == {"kept"}
    assert calls.writes() == []


@pytest.mark.usefixtures("plain_environment")
async def test_widened_rights_are_taken_back(store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str) -> None:
    wish, iam = identity(uid), client(seaweedfs, "iam", admin=True)
    await store.ensure_identity(wish)
    everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}'
    arn = iam.create_policy(PolicyName=f"{wish.name}-wide", PolicyDocument=everything)["Policy"]["Arn"]
    iam.attach_user_policy(UserName=wish.name, PolicyArn=arn)
    iam.put_user_policy(UserName=wish.name, PolicyName="inline", PolicyDocument=everything)
    own = iam.list_attached_user_policies(UserName=wish.name)["AttachedPolicies"]
    mine = next(policy["PolicyArn"] for policy in own if policy["PolicyName"] == wish.policy_name)
    iam.create_policy_version(PolicyArn=mine, PolicyDocument=everything, SetAsDefault=True)
    repaired = {result.name: result for result in await store.ensure_identity(wish) if result.state == "repaired"}
    assert set(repaired) == {"identity_policy", "identity_scope"}
    assert repaired["identity_policy"].detail == "rewritten"
    left = iam.list_attached_user_policies(UserName=wish.name)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in left] == [wish.policy_name]
    assert iam.list_user_policies(UserName=wish.name)["PolicyNames"] == []


@pytest.mark.usefixtures("plain_environment")
async def test_keys_that_others_minted_go_and_the_ones_to_keep_stay(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str
) -> None:
    wish, iam = identity(uid), client(seaweedfs, "iam", admin=True)
    await store.ensure_identity(wish)
    first = await store.make_key_pair(wish, keep=())
    assert await store.access_keys(wish) == {first.access_key_id: True}
    for _ in range(3):
        iam.create_access_key(UserName=wish.name)
    assert len(await store.access_keys(wish)) == 4
    await store.remove_keys(wish, keep={first.access_key_id})
    assert await store.access_keys(wish) == {first.access_key_id: True}
    iam.create_access_key(UserName=wish.name)
    second = await store.make_key_pair(wish, keep={first.access_key_id})
    assert set(await store.access_keys(wish)) == {first.access_key_id, second.access_key_id}
    assert second.secret_access_key not in repr(second)


@pytest.mark.usefixtures("plain_environment")
async def test_a_rotation_never_leaves_a_moment_without_a_key_and_ends_the_old_one(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str
) -> None:
    wish, name = identity(uid), bucket(uid).name
    await store.ensure_bucket(bucket(uid))
    await store.ensure_identity(wish)
    old = await store.make_key_pair(wish, keep=())
    client(seaweedfs, keys=old).put_object(Bucket=name, Key="k", Body=b"v")
    new = await store.make_key_pair(wish, keep={old.access_key_id})
    for pair in (old, new):
        assert client(seaweedfs, keys=pair).get_object(Bucket=name, Key="k")["Body"].read() == b"v"
    await store.remove_keys(wish, keep={new.access_key_id})
    assert client(seaweedfs, keys=new).get_object(Bucket=name, Key="k")["Body"].read() == b"v"
    with pytest.raises(ClientError) as caught:
        client(seaweedfs, keys=old).get_object(Bucket=name, Key="k")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.usefixtures("plain_environment")
async def test_a_user_that_lost_its_tag_and_holds_our_policy_gets_it_back(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str
) -> None:
    wish, iam = identity(uid), client(seaweedfs, "iam", admin=True)
    await store.ensure_identity(wish)
    await store.make_key_pair(wish, keep=())
    iam.untag_user(UserName=wish.name, TagKeys=["byoc.zilliz.com/cluster-uid"])
    repaired = [result.name for result in await store.ensure_identity(wish) if result.state == "repaired"]
    assert repaired == ["identity"]
    tags = {tag["Key"]: tag["Value"] for tag in iam.list_user_tags(UserName=wish.name)["Tags"]}
    assert tags["byoc.zilliz.com/cluster-uid"] == uid


@pytest.mark.usefixtures("plain_environment")
async def test_a_removed_identity_is_gone_with_keys_and_policy(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, uid: str
) -> None:
    wish = identity(uid)
    await store.ensure_bucket(bucket(uid))
    await store.ensure_identity(wish)
    pair = await store.make_key_pair(wish, keep=())
    await store.remove_identity(wish)
    await store.remove_identity(wish)
    with pytest.raises(ClientError):
        client(seaweedfs, keys=pair).list_objects_v2(Bucket=bucket(uid).name)
    policies = client(seaweedfs, "iam", admin=True).list_policies(Scope="Local")["Policies"]
    assert wish.policy_name not in {policy["PolicyName"] for policy in policies}


@pytest.mark.usefixtures("plain_environment")
async def test_a_foreign_user_of_our_name_is_left_alone(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, calls: Calls, uid: str
) -> None:
    wish, iam = identity(uid), client(seaweedfs, "iam", admin=True)
    iam.create_user(UserName=wish.name)
    key = iam.create_access_key(UserName=wish.name)["AccessKey"]["AccessKeyId"]
    calls_that_must_not_touch_it = (
        store.ensure_identity,
        partial(store.make_key_pair, keep=()),
        partial(store.remove_keys, keep=()),
        store.remove_identity,
    )
    for call in calls_that_must_not_touch_it:
        with pytest.raises(NameTaken, match="untouched"):
            await call(wish)
    assert calls.writes() == []
    assert [found["AccessKeyId"] for found in iam.list_access_keys(UserName=wish.name)["AccessKeyMetadata"]] == [key]


async def test_keys_of_an_absent_user_are_not_ready(store: S3CompatibleStore, uid: str) -> None:
    with pytest.raises(NotReady):
        await store.make_key_pair(identity(uid), keep=())
    assert await store.access_keys(identity(uid)) == {}
    await store.remove_keys(identity(uid), keep=())


async def test_roles_are_refused_with_the_remedy(store: S3CompatibleStore, uid: str) -> None:
    with pytest.raises(InvalidSpec, match="AccessKeys"):
        await store.ensure_identity(identity(uid, irsa=True))


async def test_the_administrators_check_says_what_answered(store: S3CompatibleStore, calls: Calls) -> None:
    assert "verified TLS" in await store.check()
    assert {service for service, _, _ in calls.seen} == {"s3", "iam"}
    assert calls.writes() == []


@pytest.mark.parametrize("field", ["access_key_id", "secret_access_key"])
async def test_wrong_credentials_are_rejected_and_the_secret_is_named(
    seaweedfs: SeaweedFS, threads: Threads, uid: str, field: str
) -> None:
    wrong = S3CompatibleStore(access(seaweedfs, **{field: "wrongwrongwrongwrong"}), threads)
    with pytest.raises(Rejected):
        await wrong.check()
    for call, wish in ((wrong.ensure_bucket, bucket(uid)), (wrong.ensure_identity, identity(uid))):
        with pytest.raises(Rejected, match="Secret zilliz-system/object-store") as caught:
            await call(wish)
        assert seaweedfs.secret_access_key not in str(caught.value)
    wrong.close()


async def test_a_tenants_key_does_not_pass_for_the_administrators(
    store: S3CompatibleStore, seaweedfs: SeaweedFS, threads: Threads, uid: str
) -> None:
    await store.ensure_identity(identity(uid))
    pair = await store.make_key_pair(identity(uid), keep=())
    assert pair is not None
    tenant = S3CompatibleStore(
        access(seaweedfs, access_key_id=pair.access_key_id, secret_access_key=pair.secret_access_key), threads
    )
    with pytest.raises(Rejected):
        await tenant.ensure_bucket(bucket(str(uuid.uuid4())))
    with pytest.raises(Rejected):
        await tenant.ensure_identity(identity(str(uuid.uuid4())))
    tenant.close()


async def test_a_store_that_is_down_is_an_outage(seaweedfs: SeaweedFS, threads: Threads, uid: str) -> None:
    down = S3CompatibleStore(access(seaweedfs, endpoint="https://127.0.0.1:9", admin_endpoint=None), threads)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        await down.ensure_bucket(bucket(uid))
    with pytest.raises(Unavailable):
        await down.ensure_identity(identity(uid))
    down.close()


async def test_an_untrusted_certificate_is_an_outage_that_names_the_field(
    seaweedfs: SeaweedFS, threads: Threads, uid: str
) -> None:
    untrusted = S3CompatibleStore(access(seaweedfs, ca_pem=None), threads)
    with pytest.raises(Unavailable, match="caSecretRef"):
        await untrusted.ensure_bucket(bucket(uid))
    untrusted.close()
