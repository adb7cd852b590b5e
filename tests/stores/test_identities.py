"""The matrix of who may do what, by calls to a real store; and the roles as they stand in (a simulator of) AWS.

`tests.iam.world` has the table; `tests/unit/desired/test_identity_matrix.py` holds the policies to the same one without a store.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.iam.calls import UNKNOWN_HERE, answers, attempts
from tests.iam.world import ACTIONS, DELETE, GET, LIST, PURPOSES, PUT, ROLES, cells, clusters
from tests.stores.conftest import Calls
from tests.stores.servers import Moto, SeaweedFS
from tests.stores.test_moto import make_store
from tests.stores.test_seaweedfs import access, client
from tests.unit.desired.samples import data_plane, documents
from zilliz_operator.adapters.aws.store import AwsStore
from zilliz_operator.adapters.s3compatible import S3CompatibleStore
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.exceptions import NameTaken
from zilliz_operator.api.outside import KeyPair
from zilliz_operator.desired import identity, store
from zilliz_operator.desired.bucket.bucket import buckets
from zilliz_operator.desired.context import ClusterContext

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def plain_environment(hostile_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the clients that tests make themselves; it comes after the hostile one."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name)


# ---- SeaweedFS: what is enforced ------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Filled:
    """Two clusters with three buckets each, every role with a key pair, and a user who is nobody's."""

    clusters: Mapping[str, ClusterContext]
    keys: Mapping[tuple[str, str], KeyPair]
    outsider: KeyPair
    versions: Mapping[str, Mapping[str, str]]

    @property
    def buckets(self) -> list[str]:
        return list(self.versions)


async def fill(seaweedfs: SeaweedFS, made: S3CompatibleStore) -> Filled:
    found, keys, versions = clusters(data_plane()), {}, {}
    admin = client(seaweedfs)
    for name, ctx in found.items():
        for bucket in buckets(ctx, operator=None):
            await made.ensure_bucket(bucket)
        for purpose in PURPOSES:
            bucket_name = store.bucket_name(ctx, purpose)
            versions[bucket_name] = {
                key: admin.put_object(Bucket=bucket_name, Key=key, Body=b"v")["VersionId"] for key in ("seen", "old")
            }
        for role in ROLES:  # all of them, whoever of them gets a key in the product
            wanted = identity.IDENTITIES[role](ctx)
            await made.ensure_identity(wanted)
            keys[name, role] = await made.make_key_pair(wanted, keep=())
    iam = client(seaweedfs, "iam", admin=True)
    iam.create_user(UserName="outsider")
    pair = iam.create_access_key(UserName="outsider")["AccessKey"]
    return Filled(found, keys, KeyPair(pair["AccessKeyId"], pair["SecretAccessKey"]), versions)


@pytest.fixture
async def filled(seaweedfs: SeaweedFS, threads: Threads) -> Any:
    made = S3CompatibleStore(access(seaweedfs), threads)
    admin, iam = client(seaweedfs), client(seaweedfs, "iam", admin=True)
    whole = await fill(seaweedfs, made)
    yield whole
    for ctx in whole.clusters.values():
        for role in ROLES:
            await made.remove_identity(identity.IDENTITIES[role](ctx))
    iam.delete_access_key(UserName="outsider", AccessKeyId=whole.outsider.access_key_id)
    iam.delete_user(UserName="outsider")
    for name in whole.buckets:
        listed = admin.list_object_versions(Bucket=name)
        right = {"BypassGovernanceRetention": True} if name.endswith("-audit") else {}
        for each in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
            admin.delete_object(Bucket=name, Key=each["Key"], VersionId=each["VersionId"], **right)
        admin.delete_bucket(Bucket=name)
    made.close()


async def test_every_call_of_every_role_on_every_bucket_is_answered_as_the_table_says(
    seaweedfs: SeaweedFS, filled: Filled
) -> None:
    differences = []
    clients = {who: client(seaweedfs, keys=pair) for who, pair in filled.keys.items()}
    asked = cells(tuple(filled.clusters), tuple(action for action in ACTIONS if action not in UNKNOWN_HERE))
    for cell in asked:
        name = store.bucket_name(filled.clusters[cell.cluster], cell.purpose)
        calls = attempts(clients[cell.asker, cell.role], name, filled.versions[name])
        if answers(calls[cell.action]) is not cell.expected:
            differences.append(cell)
    assert differences == []


async def test_an_outsider_and_the_public_get_nothing(seaweedfs: SeaweedFS, filled: Filled) -> None:
    factory: Any = boto3.client
    public = factory(
        "s3",
        region_name="us-east-1",
        endpoint_url=seaweedfs.tenant,
        verify=str(seaweedfs.directory / "ca.crt"),
        config=Config(proxies={}, signature_version=UNSIGNED, s3={"addressing_style": "path"}),
    )
    through = [
        (kind, name, action)
        for kind, s3 in (("outsider", client(seaweedfs, keys=filled.outsider)), ("public", public))
        for name in filled.buckets
        for action, call in attempts(s3, name, filled.versions[name]).items()
        if answers(call)
    ]
    assert through == []


async def test_a_role_sees_no_bucket_of_others_and_makes_no_key_for_itself(
    seaweedfs: SeaweedFS, filled: Filled
) -> None:
    for (name, role), pair in filled.keys.items():
        ctx = filled.clusters[name]
        own = {store.bucket_name(ctx, purpose) for purpose in PURPOSES}
        s3, iam = client(seaweedfs, keys=pair), client(seaweedfs, "iam", keys=pair)
        try:
            listed = {each["Name"] for each in s3.list_buckets()["Buckets"]}
        except ClientError:
            listed = set()
        assert listed <= own, (name, role)
        user = identity.IDENTITIES[role](ctx).name
        assert not answers(lambda iam=iam, user=user: iam.create_access_key(UserName=user))  # type: ignore[misc]


async def test_the_administrator_may_do_it_all(seaweedfs: SeaweedFS, filled: Filled) -> None:
    """The counterpart of the refusals: on the same buckets the same calls work for whoever may. It also says what the store's
    administrator can: on such stores that includes reading."""
    for name in filled.buckets:
        calls = attempts(client(seaweedfs), name, filled.versions[name])
        for action in (LIST, GET, PUT, DELETE, "s3:GetObjectVersion", "s3:PutEncryptionConfiguration"):
            assert answers(calls[action]), (name, action)


# ---- AWS, by a simulator: what is set -------------------------------------------------------------------------------------

MOTO_ACCOUNT = "123456789012"


@pytest.fixture
def aws(moto: Moto, threads: Threads, calls: Calls) -> Iterator[AwsStore]:
    made = make_store(moto, threads, calls)
    yield made
    made.close()


@pytest.fixture
def iam(moto: Moto) -> Any:
    factory: Any = boto3.client
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "not-a-secret"}
    return factory("iam", region_name="us-east-1", endpoint_url=moto.url, config=Config(proxies={}), **keys)


@pytest.fixture
def ctx(iam: Any) -> Iterator[ClusterContext]:
    """A cluster in moto's account, below a boundary that exists there."""
    plane = documents("dataplane-aws.yaml")[0]
    wanted = plane["spec"]["objectStorage"]
    wanted["oidcProviderArn"] = wanted["oidcProviderArn"].replace("111122223333", MOTO_ACCOUNT)
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    )
    boundary = iam.create_policy(PolicyName="zilliz-boundary", PolicyDocument=document)["Policy"]["Arn"]
    wanted["permissionsBoundaryArn"] = boundary
    yield clusters(plane)["search"]
    iam.delete_policy(PolicyArn=boundary)


async def remove(aws: AwsStore, ctx: ClusterContext) -> None:
    for each in identity.identities(ctx):
        await aws.remove_identity(each)


async def test_three_roles_with_path_tags_boundary_trust_and_policy_each(
    aws: AwsStore, iam: Any, calls: Calls, ctx: ClusterContext
) -> None:
    wanted = identity.identities(ctx)
    assert [each.component for each in wanted] == list(ROLES)
    for each in wanted:
        await aws.ensure_identity(each)
    for each in wanted:
        role = iam.get_role(RoleName=each.name)["Role"]
        assert role["Arn"] == store.role_arn(ctx, each.component)
        assert role["Path"] == "/zilliz-byoc/"
        assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == each.permissions_boundary_arn
        assert {tag["Key"]: tag["Value"] for tag in role["Tags"]} == dict(each.tags)
        assert each.trust is not None
        assert role["AssumeRolePolicyDocument"] == each.trust.document()
        (attached,) = iam.list_attached_role_policies(RoleName=each.name)["AttachedPolicies"]
        policy = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]
        assert policy["Path"] == "/zilliz-byoc/"
        assert {tag["Key"]: tag["Value"] for tag in policy["Tags"]} == dict(each.tags)
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        assert version["PolicyVersion"]["Document"] == each.policy_document()
    calls.seen.clear()
    for each in wanted:
        assert {result.state for result in await aws.ensure_identity(each)} == {"kept"}
    assert calls.writes() == []
    await remove(aws, ctx)


async def test_a_role_is_whole_from_its_first_call(aws: AwsStore, iam: Any, calls: Calls, ctx: ClusterContext) -> None:
    wanted = identity.milvus_identity(ctx)
    await aws.ensure_identity(wanted)
    assert calls.writes() == ["CreateRole", "CreatePolicy", "AttachRolePolicy"]
    await remove(aws, ctx)


async def test_a_tag_that_somebody_took_away_comes_back(aws: AwsStore, iam: Any, ctx: ClusterContext) -> None:
    wanted = identity.milvus_identity(ctx)
    await aws.ensure_identity(wanted)
    iam.untag_role(RoleName=wanted.name, TagKeys=["byoc.zilliz.com/cluster-uid"])
    repaired = [result.name for result in await aws.ensure_identity(wanted) if result.state == "repaired"]
    assert repaired == ["identity"]
    tags = {tag["Key"]: tag["Value"] for tag in iam.list_role_tags(RoleName=wanted.name)["Tags"]}
    assert tags == dict(wanted.tags)
    await remove(aws, ctx)


@pytest.mark.parametrize("marked", [True, False], ids=["under another path", "without our mark"])
async def test_a_role_of_our_name_that_is_not_ours_is_left_alone(
    aws: AwsStore, iam: Any, calls: Calls, ctx: ClusterContext, marked: bool
) -> None:
    wanted = identity.milvus_identity(ctx)
    tags = [{"Key": key, "Value": value} for key, value in wanted.tags] if marked else []
    path = "/" if marked else wanted.path
    iam.create_role(RoleName=wanted.name, Path=path, AssumeRolePolicyDocument="{}", Tags=tags)
    with pytest.raises(NameTaken, match="untouched"):
        await aws.ensure_identity(wanted)
    assert calls.writes() == []
    iam.delete_role(RoleName=wanted.name)


async def test_a_policy_of_our_name_that_is_not_ours_is_left_alone(
    aws: AwsStore, iam: Any, ctx: ClusterContext
) -> None:
    wanted = identity.milvus_identity(ctx)
    document = json.dumps(wanted.policy_document())
    arn = iam.create_policy(PolicyName=wanted.policy_name, Path=wanted.path, PolicyDocument=document)["Policy"]["Arn"]
    with pytest.raises(NameTaken, match="untouched"):
        await aws.ensure_identity(wanted)
    assert [version["VersionId"] for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1"]
    assert iam.list_attached_role_policies(RoleName=wanted.name)["AttachedPolicies"] == []
    iam.delete_policy(PolicyArn=arn)
    await remove(aws, ctx)


ACTION_OF = {
    "ListBuckets": "s3:ListAllMyBuckets",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
"""Calls whose permission has another name."""


async def test_the_documented_role_of_the_operator_suffices(
    aws: AwsStore, iam: Any, calls: Calls, ctx: ClusterContext
) -> None:
    """Everything that is asked of AWS in a bucket's and an identity's birth, repair and end is in the policy of the pages."""
    everything = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    anybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    operator = await aws.caller()  # the one question that needs no right
    calls.seen.clear()
    await aws.check()
    for bucket in buckets(ctx, operator=operator):
        await aws.ensure_bucket(bucket)
    for each in identity.identities(ctx):
        await aws.ensure_identity(each)
        (attached,) = iam.list_attached_role_policies(RoleName=each.name)["AttachedPolicies"]
        for _ in range(4):  # the most that a policy holds, five with the first
            iam.create_policy_version(PolicyArn=attached["PolicyArn"], PolicyDocument=everything, SetAsDefault=True)
        iam.put_role_policy(RoleName=each.name, PolicyName="inline", PolicyDocument=everything)
        foreign = iam.create_policy(PolicyName=f"{each.name}-foreign", PolicyDocument=everything)["Policy"]["Arn"]
        iam.attach_role_policy(RoleName=each.name, PolicyArn=foreign)
        trust = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
        iam.update_assume_role_policy(RoleName=each.name, PolicyDocument=trust)
        iam.untag_role(RoleName=each.name, TagKeys=["byoc.zilliz.com/cluster"])
        iam.delete_role_permissions_boundary(RoleName=each.name)
        repaired = {result.name for result in await aws.ensure_identity(each) if result.state == "repaired"}
        aspects = {"identity", "identity_policy", "identity_scope", "identity_trust", "permissions_boundary"}
        assert repaired == aspects
        iam.delete_policy(PolicyArn=foreign)
    await remove(aws, ctx)
    used = {ACTION_OF.get(operation, f"{service}:{operation}") for service, operation, _ in calls.seen}
    policy = json.loads((ROOT / "docs/examples/aws-operator-policy.json").read_text())
    granted = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert used - granted == set()
    assert len(used) > 30
