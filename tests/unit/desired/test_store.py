"""The identity: this bucket, these actions, this service account, and not a word more."""

from typing import Any

import pytest

from tests.unit.desired.samples import context, data_plane, documents
from zilliz_operator.api.dataplane import IdentityMode
from zilliz_operator.desired import identity, store

KEY = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
AWS = documents("dataplane-aws.yaml")[0]
LOCAL = context()
CLOUD = context({}, AWS)


def test_a_key_of_the_customers_is_for_the_identity_too() -> None:
    ctx = context({"storage": {"kmsKeyArn": KEY}}, AWS)
    name = store.bucket_name(ctx, "data")
    key_statement = identity.milvus_identity(ctx).policy_document()["Statement"][-1]
    assert key_statement["Resource"] == [KEY]
    assert set(key_statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert key_statement["Condition"] == {
        "StringEquals": {"kms:ViaService": ["s3.us-west-2.amazonaws.com"]},
        "StringLike": {"kms:EncryptionContext:aws:s3:arn": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]},
    }


def _resources(document: dict[str, Any]) -> set[str]:
    return {arn for statement in document["Statement"] for arn in statement["Resource"]}


@pytest.mark.parametrize("ctx", [LOCAL, CLOUD])
def test_the_identity_may_use_its_own_bucket_and_nothing_else(ctx: Any) -> None:
    found = identity.milvus_identity(ctx)
    name = store.bucket_name(ctx, "data")
    assert _resources(found.policy_document()) == {f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"}
    actions = {action for statement in found.policy_document()["Statement"] for action in statement["Action"]}
    assert not any("*" in action for action in actions)
    assert not {"s3:PutBucketPolicy", "s3:DeleteBucket", "s3:PutObjectAcl", "s3:DeleteObjectVersion"} & actions
    assert {statement["Effect"] for statement in found.policy_document()["Statement"]} == {"Allow"}


def test_two_clusters_share_nothing() -> None:
    other = context({}, data_plane())
    foreign = type(other)(**{**_fields(other), "uid": "another", "cluster_id": "in01-ffffffffffff"})
    assert not _resources(identity.milvus_identity(LOCAL).policy_document()) & _resources(
        identity.milvus_identity(foreign).policy_document()
    )
    assert identity.milvus_identity(LOCAL).name != identity.milvus_identity(foreign).name


def _fields(ctx: Any) -> dict[str, Any]:
    return {name: getattr(ctx, name) for name in type(ctx).__dataclass_fields__}


def test_where_keys_are_used_nobody_assumes_anything() -> None:
    found = identity.milvus_identity(LOCAL)
    assert found.kind is IdentityMode.ACCESS_KEYS and found.trust is None
    assert all("annotations" not in each["metadata"] for each in identity.service_accounts(LOCAL))


def test_with_irsa_exactly_one_service_account_may_assume_the_role() -> None:
    found = identity.milvus_identity(CLOUD)
    assert found.kind is IdentityMode.IRSA and found.trust is not None
    (statement,) = found.trust.document()["Statement"]
    issuer = "oidc.eks.us-west-2.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:sub": f"system:serviceaccount:{CLOUD.namespace}:milvus",
            f"{issuer}:aud": "sts.amazonaws.com",
        }
    }
    assert found.permissions_boundary_arn == "arn:aws:iam::111122223333:policy/zilliz-boundary"
    assert len(found.name) <= 64


def test_every_service_account_carries_its_own_role_and_none_a_token() -> None:
    accounts = {each["metadata"]["name"]: each for each in identity.service_accounts(CLOUD)}
    assert all(each["automountServiceAccountToken"] is False for each in accounts.values())
    assert {name: each["metadata"]["annotations"] for name, each in accounts.items()} == {
        role: {
            "eks.amazonaws.com/role-arn": f"arn:aws:iam::111122223333:role/zilliz-byoc/acme-{CLOUD.cluster_id}-{role}",
            "eks.amazonaws.com/sts-regional-endpoints": "true",
        }
        for role in ("milvus", "gateway", "backup")
    }


def test_roles_cost_nothing_so_all_have_one_and_a_key_goes_to_whoever_uses_it() -> None:
    assert [each.component for each in identity.identities(CLOUD)] == ["milvus", "gateway", "backup"]
    assert [each.component for each in identity.identities(LOCAL)] == ["milvus"]
    assert {each.path for each in identity.identities(CLOUD)} == {"/zilliz-byoc/"}
    assert {each.path for each in identity.identities(LOCAL)} == {"/"}


def test_every_name_fits_with_the_longest_prefix() -> None:
    plane = documents("dataplane-aws.yaml")[0]
    plane["spec"]["objectStorage"]["bucketPrefix"] = "a" * 39
    for found in identity.identities(context({}, plane)):
        assert len(found.name) <= 64
        assert len(found.policy_name) <= 128


def test_whoever_uses_keys_on_aws_is_a_user_and_known_as_one() -> None:
    plane = documents("dataplane-aws.yaml")[0]
    plane["spec"]["objectStorage"]["identity"] = "AccessKeys"
    ctx = context({}, plane)
    arn = f"arn:aws:iam::111122223333:user/zilliz-byoc/acme-{ctx.cluster_id}-milvus"
    assert store.principal_arn(ctx, "milvus", account="111122223333") == arn
    assert store.principal_arn(CLOUD, "milvus", account="444455556666") == store.role_arn(CLOUD, "milvus")


def test_a_store_without_kms_is_asked_for_no_right_on_a_key() -> None:
    ctx = context({"storage": {"kmsKeyArn": KEY}})
    assert identity.milvus_identity(ctx).policy_document() == identity.milvus_identity(LOCAL).policy_document()


def test_other_partitions_of_aws_are_followed() -> None:
    plane = documents("dataplane-aws.yaml")[0]
    plane["spec"]["objectStorage"]["oidcProviderArn"] = "arn:aws-cn:iam::111122223333:oidc-provider/oidc.x"
    ctx = context({}, plane)
    assert all(arn.startswith("arn:aws-cn:") for arn in _resources(identity.milvus_identity(ctx).policy_document()))
    assert store.role_arn(ctx, "milvus").startswith("arn:aws-cn:iam::111122223333:role/")


@pytest.mark.parametrize(
    ("region", "partition", "domain"),
    [
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("eu-west-1", "aws", "amazonaws.com"),
    ],
)
def test_without_a_provider_the_region_says_the_partition(region: str, partition: str, domain: str) -> None:
    plane = documents("dataplane-aws.yaml")[0]
    plane["spec"] |= {"region": region, "objectStorage": {"provider": "AWS"}}
    ctx = context({}, plane)
    assert store.partition(ctx) == partition
    assert store.aws_domain(region) == domain
