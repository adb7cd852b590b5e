"""The bucket policies, judged request by request: whom they shut out, and that they shut out nobody they should not."""

import json

import pytest

from tests.iam.evaluator import Principal, Request, allowed
from tests.unit.desired.samples import UID, context, data_plane, documents
from zilliz_operator.api.names import policy_mark
from zilliz_operator.api.outside import Caller
from zilliz_operator.desired import store
from zilliz_operator.desired.bucket.policy import bucket_policy
from zilliz_operator.desired.context import BACKUP, GATEWAY, MILVUS, ClusterContext

KEY = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role"
OPERATOR = Caller(account=ACCOUNT, arns=(f"{ROLE}/zilliz-operator", f"{ROLE}/*/zilliz-operator"))
AWS = documents("dataplane-aws.yaml")[0]
CLOUD = context({}, AWS)
WITH_KMS = context({"storage": {"kmsKeyArn": KEY}}, AWS)
KEYS = context({}, data_plane(cloud="aws", region="us-west-2", objectStorage={"provider": "AWS"}))
SSE = "s3:x-amz-server-side-encryption"
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
INVITED = {"Effect": "Allow", "Principal": "*", "Action": "*"}
OBJECT_ACTIONS = ("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
BUCKET_ACTIONS = ("s3:ListBucket", "s3:ListBucketVersions", "s3:PutLifecycleConfiguration", "s3:PutBucketVersioning")


def let_in(
    action: str,
    *,
    ctx: ClusterContext = CLOUD,
    purpose: str = "data",
    who: str | None = f"{ROLE}/zilliz-operator",
    account: str | None = ACCOUNT,
    **headers: str,
) -> bool:
    """Whether the bucket's policy leaves somebody in who may do anything by their own rights; by TLS 1.3 unless `headers` differ."""
    document = bucket_policy(ctx, purpose, operator=OPERATOR).document()
    bucket = f"arn:aws:s3:::{store.bucket_name(ctx, purpose)}"
    asked = Request(
        principal=Principal(arn=who, account=account, policies=(ANYTHING,)),
        action=action,
        resource=f"{bucket}/files/1" if action in OBJECT_ACTIONS else bucket,
        owner=ACCOUNT,
        context=headers,
    )
    if account != ACCOUNT:  # whoever comes from elsewhere needs to be invited as well: only a denial can keep them out
        document["Statement"] = [*document["Statement"], {**INVITED, "Resource": [bucket, f"{bucket}/*"]}]
    return allowed(asked, document)


def role(ctx: ClusterContext, component: str) -> str:
    return store.principal_arn(ctx, component, account=ACCOUNT)


@pytest.mark.parametrize("ctx", [CLOUD, WITH_KMS, KEYS], ids=["irsa", "kms", "access-keys"])
@pytest.mark.parametrize(
    ("purpose", "inside"),
    [("data", {MILVUS, BACKUP}), ("audit", {GATEWAY}), ("backup", {BACKUP})],
)
def test_only_the_buckets_own_identities_and_the_operator_come_in(
    ctx: ClusterContext, purpose: str, inside: set[str]
) -> None:
    for action in (*OBJECT_ACTIONS, *BUCKET_ACTIONS):
        for component in (MILVUS, GATEWAY, BACKUP):
            found = let_in(action, ctx=ctx, purpose=purpose, who=role(ctx, component))
            assert found is (component in inside), (action, component)
        for operator in ("zilliz-operator", "platform/eu/zilliz-operator"):
            assert let_in(action, ctx=ctx, purpose=purpose, who=f"{ROLE}/{operator}")


@pytest.mark.parametrize(
    "who",
    [
        f"{ROLE}/admin",
        f"{ROLE}/zilliz-operator-2",
        f"{ROLE}/x-zilliz-operator",
        f"arn:aws:iam::{ACCOUNT}:user/anna",
        f"arn:aws:iam::{ACCOUNT}:root",
        f"{ROLE}/acme-in01-ffffffffffff-milvus",
    ],
)
def test_the_accounts_other_identities_reach_nothing_in_it(who: str) -> None:
    for action in (*OBJECT_ACTIONS, *BUCKET_ACTIONS, "s3:DeleteBucket", "s3:PutEncryptionConfiguration"):
        assert not let_in(action, who=who), action


def test_an_administrator_of_the_account_can_undo_the_policy_and_read_settings() -> None:
    for action in (
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
        "s3:GetBucketTagging",
        "s3:GetBucketVersioning",
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetEncryptionConfiguration",
        "s3:GetLifecycleConfiguration",
    ):
        assert let_in(action, who=f"{ROLE}/admin"), action


@pytest.mark.parametrize("who", ["arn:aws:iam::999988887777:role/zilliz-operator", None])
def test_other_accounts_and_nobody_in_particular_get_not_even_settings(who: str | None) -> None:
    account = "999988887777" if who else None
    for action in (*OBJECT_ACTIONS, *BUCKET_ACTIONS, "s3:GetBucketPolicy", "s3:PutBucketPolicy"):
        assert not let_in(action, who=who, account=account), action


def test_the_wire_is_tls_of_today_for_everybody() -> None:
    for action in (*OBJECT_ACTIONS, *BUCKET_ACTIONS, "s3:PutBucketPolicy"):
        assert not let_in(action, **{"aws:SecureTransport": "false"})
        assert not let_in(action, **{"s3:TlsVersion": "1.1"})
        assert let_in(action, **{"s3:TlsVersion": "1.2"})


def put(ctx: ClusterContext, **headers: str) -> bool:
    return let_in("s3:PutObject", ctx=ctx, who=role(ctx, MILVUS), **headers)


def test_uploads_are_encrypted_the_buckets_way_or_refused() -> None:
    """Milvus says nothing about encryption, and must get in: the bucket's default encrypts what it sends."""
    key, customer = f"{SSE}-aws-kms-key-id", f"{SSE}-customer-algorithm"
    assert put(CLOUD)
    assert put(CLOUD, **{SSE: "AES256"})
    assert not put(CLOUD, **{SSE: "aws:kms"})
    assert not put(CLOUD, **{SSE: "aws:kms", key: KEY})
    assert not put(CLOUD, **{SSE: "aws:kms:dsse"})
    assert not put(CLOUD, **{customer: "AES256"})
    assert put(WITH_KMS)
    assert put(WITH_KMS, **{SSE: "aws:kms", key: KEY})
    assert not put(WITH_KMS, **{SSE: "AES256"})
    assert not put(WITH_KMS, **{SSE: "aws:kms"}), "without a key's name AWS takes its own key"
    assert not put(WITH_KMS, **{SSE: "aws:kms", key: KEY + "0"})
    assert not put(WITH_KMS, **{customer: "AES256"})


def test_it_carries_the_clusters_uid_and_fits_into_what_s3_takes() -> None:
    for purpose in store.BUCKET_USERS:
        policy = bucket_policy(WITH_KMS, purpose, operator=OPERATOR)
        assert json.loads(policy.json()) == policy.document()
        assert len(policy.json()) < 20 * 1024
        sids = [statement["Sid"] for statement in policy.document()["Statement"]]
        assert len(set(sids)) == len(sids)
        assert all(sid.isalnum() for sid in sids)
        assert UID.replace("-", "") in sids[0]


def test_another_store_gets_only_what_it_judges() -> None:
    (only,) = bucket_policy(context(), "data", operator=None).document()["Statement"]
    assert (only["Sid"], only["Condition"]) == (policy_mark(UID), {"Bool": {"aws:SecureTransport": "false"}})


def test_on_aws_nobody_forgets_to_say_who_the_operator_is() -> None:
    with pytest.raises(ValueError, match="the operator"):
        bucket_policy(CLOUD, "data", operator=None)


def test_other_partitions_of_aws_are_followed() -> None:
    plane = documents("dataplane-aws.yaml")[0]
    plane["spec"]["objectStorage"]["oidcProviderArn"] = f"arn:aws-cn:iam::{ACCOUNT}:oidc-provider/oidc.x"
    by_region = data_plane(cloud="aws", region="us-gov-west-1", objectStorage={"provider": "AWS"})
    for of, partition in ((plane, "aws-cn"), (by_region, "aws-us-gov")):
        document = bucket_policy(context({}, of), "data", operator=OPERATOR).document()
        for statement in document["Statement"]:
            assert all(arn.startswith(f"arn:{partition}:s3:::") for arn in statement["Resource"])
        known = next(s for s in document["Statement"] if s["Sid"] == "DenyOtherIdentities")["Condition"]
        ours = [arn for arn in known["ArnNotLike"]["aws:PrincipalArn"] if arn not in OPERATOR.arns]
        assert len(ours) == 2
        assert all(arn.startswith(f"arn:{partition}:iam::{ACCOUNT}:") for arn in ours)
