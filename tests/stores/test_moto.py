"""What only AWS has: the public access block, KMS, regions, other accounts, and roles for service accounts.

moto stands in for AWS here. It stores and reads back; it does not enforce, so these tests are about what is set.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.stores.conftest import Calls
from tests.stores.servers import Moto
from tests.stores.wishes import bucket, identity
from zilliz_operator.adapters.aws.connection import StoreAccess
from zilliz_operator.adapters.aws.store import AwsStore
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.exceptions import NameTaken, Rejected

KMS = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"


def make_store(server: Moto, threads: Threads, calls: Calls, *, region: str = "us-east-1") -> AwsStore:
    access = StoreAccess(
        region=region,
        endpoint=server.url,
        access_key_id="AKIAEXAMPLE",
        secret_access_key="not-a-secret",
        path_style=True,
    )
    return AwsStore(access, threads, on_request=calls)


@pytest.fixture
def store(moto: Moto, threads: Threads, calls: Calls) -> Iterator[AwsStore]:
    made = make_store(moto, threads, calls)
    yield made
    made.close()


@pytest.fixture
def client(moto: Moto, hostile_environment: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name)

    def make(service: str, **keys: str) -> Any:
        factory: Any = boto3.client
        return factory(
            service,
            region_name="us-east-1",
            endpoint_url=moto.url,
            config=Config(proxies={}, s3={"addressing_style": "path"}),
            **({"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "not-a-secret"} | keys),
        )

    return make


@pytest.fixture
def uid() -> str:
    return str(uuid.uuid4())


async def test_every_aspect_is_set_and_the_second_pass_writes_nothing(
    store: AwsStore, client: Any, calls: Calls, uid: str
) -> None:
    wish = bucket(uid)
    first = await store.ensure_bucket(wish)
    assert all(result.holds for result in first)
    calls.seen.clear()
    assert {result.state for result in await store.ensure_bucket(wish)} == {"kept"}
    assert calls.writes() == []
    block = client("s3").get_public_access_block(Bucket=wish.name)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}


async def test_a_bucket_lies_in_its_region_under_the_customers_key(
    moto: Moto, threads: Threads, client: Any, calls: Calls, uid: str
) -> None:
    store = make_store(moto, threads, calls, region="eu-central-1")
    wish = bucket(uid, kms=KMS, region="eu-central-1")
    await store.ensure_bucket(wish)
    store.close()
    s3 = client("s3")
    assert s3.get_bucket_location(Bucket=wish.name)["LocationConstraint"] == "eu-central-1"
    (rule,) = s3.get_bucket_encryption(Bucket=wish.name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KMS}
    assert rule["BucketKeyEnabled"] is True


async def test_a_weakened_public_access_block_is_repaired_alone(
    store: AwsStore, client: Any, calls: Calls, uid: str
) -> None:
    wish = bucket(uid)
    await store.ensure_bucket(wish)
    client("s3").put_public_access_block(
        Bucket=wish.name, PublicAccessBlockConfiguration={"BlockPublicAcls": True, "BlockPublicPolicy": False}
    )
    calls.seen.clear()
    repaired = [result.name for result in await store.ensure_bucket(wish) if result.state == "repaired"]
    assert repaired == ["public_access"]
    assert calls.writes() == ["PutPublicAccessBlock"]


async def test_a_bucket_of_another_account_is_name_taken(store: AwsStore, client: Any, calls: Calls, uid: str) -> None:
    role = "arn:aws:iam::222222222222:role/other"
    other = client("sts").assume_role(RoleArn=role, RoleSessionName="other")["Credentials"]
    keys = {
        "aws_access_key_id": other["AccessKeyId"],
        "aws_secret_access_key": other["SecretAccessKey"],
        "aws_session_token": other["SessionToken"],
    }
    client("s3", **keys).create_bucket(Bucket=bucket(uid).name)
    with pytest.raises(NameTaken, match="another account, whatever its tags say"):
        await store.ensure_bucket(bucket(uid))
    assert calls.writes() == []


async def test_a_role_is_made_once_with_exactly_its_trust_and_policy(
    store: AwsStore, client: Any, calls: Calls, uid: str
) -> None:
    boundary = client("iam").create_policy(
        PolicyName=f"boundary-{uid}",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
    )["Policy"]["Arn"]
    wish = identity(uid, irsa=True, boundary=boundary)
    await store.ensure_identity(wish)
    role = client("iam").get_role(RoleName=wish.name)["Role"]
    assert wish.trust is not None
    assert role["AssumeRolePolicyDocument"] == wish.trust.document()
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    calls.seen.clear()
    assert {result.state for result in await store.ensure_identity(wish)} == {"kept"}
    assert calls.writes() == []
    assert await store.access_keys(wish) == {}


async def test_a_widened_trust_and_policy_are_taken_back(store: AwsStore, client: Any, uid: str) -> None:
    wish, iam = identity(uid, irsa=True), client("iam")
    await store.ensure_identity(wish)
    assert wish.trust is not None
    wide = wish.trust.document() | {}
    wide["Statement"] = [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]
    iam.update_assume_role_policy(RoleName=wish.name, PolicyDocument=json.dumps(wide))
    everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    iam.put_role_policy(RoleName=wish.name, PolicyName="inline", PolicyDocument=everything)
    (attached,) = iam.list_attached_role_policies(RoleName=wish.name)["AttachedPolicies"]
    for _ in range(4):  # the most that a policy holds, five with the first
        iam.create_policy_version(PolicyArn=attached["PolicyArn"], PolicyDocument=everything, SetAsDefault=True)
    repaired = {result.name for result in await store.ensure_identity(wish) if result.state == "repaired"}
    assert repaired == {"identity_policy", "identity_scope", "identity_trust"}
    assert iam.get_role(RoleName=wish.name)["Role"]["AssumeRolePolicyDocument"] == wish.trust.document()
    assert iam.list_role_policies(RoleName=wish.name)["PolicyNames"] == []
    version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
    assert document == wish.policy_document()


async def test_a_removed_role_is_gone_with_its_policy(store: AwsStore, client: Any, uid: str) -> None:
    wish = identity(uid, irsa=True)
    await store.ensure_identity(wish)
    await store.remove_identity(wish)
    await store.remove_identity(wish)
    assert wish.name not in {role["RoleName"] for role in client("iam").list_roles()["Roles"]}
    policies = client("iam").list_policies(Scope="Local")["Policies"]
    assert wish.policy_name not in {policy["PolicyName"] for policy in policies}


async def test_a_foreign_role_of_our_name_is_left_alone(store: AwsStore, client: Any, calls: Calls, uid: str) -> None:
    wish = identity(uid, irsa=True)
    client("iam").create_role(
        RoleName=wish.name, AssumeRolePolicyDocument="{}", Tags=[{"Key": "team", "Value": "someone"}]
    )
    with pytest.raises(NameTaken, match="untouched"):
        await store.ensure_identity(wish)
    assert calls.writes() == []


async def test_on_aws_a_user_with_keys_works_too(store: AwsStore, client: Any, calls: Calls, uid: str) -> None:
    wish = identity(uid, path="/zilliz-byoc/")
    await store.ensure_identity(wish)
    calls.seen.clear()
    assert {result.state for result in await store.ensure_identity(wish)} == {"kept"}
    assert calls.writes() == []
    first = await store.make_key_pair(wish, keep=())
    second = await store.make_key_pair(wish, keep={first.access_key_id})
    third = await store.make_key_pair(wish, keep={second.access_key_id})  # AWS would refuse a third: the first has left
    assert await store.access_keys(wish) == {second.access_key_id: True, third.access_key_id: True}
    client("iam").update_access_key(UserName=wish.name, AccessKeyId=second.access_key_id, Status="Inactive")
    assert await store.access_keys(wish) == {second.access_key_id: False, third.access_key_id: True}
    await store.remove_keys(wish, keep={third.access_key_id})
    assert await store.access_keys(wish) == {third.access_key_id: True}


async def test_without_any_credentials_the_remedy_is_named(
    moto: Moto, threads: Threads, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = AwsStore(StoreAccess(region="us-east-1", endpoint=moto.url, path_style=True), threads)
    with pytest.raises(Rejected, match="the operator's IAM role"):
        await store.ensure_bucket(bucket(uid))
    store.close()
