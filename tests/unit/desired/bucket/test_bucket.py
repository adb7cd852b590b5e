"""The three buckets: every aspect in each, and the two in which the audit trail differs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.desired.samples import UID, context, documents
from zilliz_operator.api import names
from zilliz_operator.api.outside import Caller
from zilliz_operator.desired.bucket.bucket import Bucket, buckets
from zilliz_operator.desired.context import ClusterContext

KEY = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
AWS = documents("dataplane-aws.yaml")[0]
OPERATOR = Caller(account="111122223333", arns=("arn:aws:iam::111122223333:role/zilliz-operator",))
LOCAL, CLOUD = context(), context({}, AWS)


def three(ctx: ClusterContext) -> tuple[Bucket, ...]:
    return buckets(ctx, operator=OPERATOR)


def rules(bucket: Bucket) -> dict[str, dict[str, object]]:
    return {rule["ID"]: rule for rule in bucket.lifecycle.configuration()["Rules"]}


@pytest.mark.parametrize("ctx", [LOCAL, CLOUD], ids=["local", "aws"])
def test_each_is_hardened_whatever_the_store(ctx: ClusterContext) -> None:
    found = three(ctx)
    prefix = ctx.data_plane.object_storage.bucket_prefix
    assert [each.name for each in found] == [f"{prefix}{ctx.cluster_id}-{p}" for p in ("data", "audit", "backup")]
    for each in found:
        (rule,) = each.encryption.configuration()["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
        assert each.versioning.configuration() == {"Status": "Enabled"}
        assert each.ownership.configuration() == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        assert list(each.public_access_block.configuration().values()) == [True] * 4
        assert each.tag_map()["byoc.zilliz.com/cluster-uid"] == each.uid == UID
        assert each.tag_map()["byoc.zilliz.com/cluster-id"] == ctx.cluster_id
        assert {rule["Status"] for rule in rules(each).values()} == {"Enabled"}
        assert {str(rule["Filter"]) for rule in rules(each).values()} == {"{'Prefix': ''}"}
        assert rules(each)["unfinished-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}


def test_a_key_of_the_customers_encrypts_all_of_them() -> None:
    for each in three(context({"storage": {"kmsKeyArn": KEY}}, AWS)):
        (rule,) = each.encryption.configuration()["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
        assert rule["BucketKeyEnabled"] is True


def test_old_versions_stay_as_long_as_the_spec_says_and_lines_as_long_as_their_retention() -> None:
    spec = {"storage": {"noncurrentVersionDays": 7}, "audit": {"retentionDays": 400}}
    data, audit, backup = three(context(spec))
    for each in (data, backup):
        assert rules(each)["noncurrent-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
        assert "retention" not in rules(each)
    assert rules(audit)["retention"]["Expiration"] == {"Days": 400}
    assert rules(audit)["noncurrent-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


@pytest.mark.parametrize(
    ("lock", "configuration"),
    [
        ("Governance", {"Mode": "GOVERNANCE", "Days": 90}),
        ("Compliance", {"Mode": "COMPLIANCE", "Days": 90}),
        ("None", None),
    ],
)
def test_the_audit_trail_alone_is_locked(lock: str, configuration: object) -> None:
    data, audit, backup = three(context({"audit": {"lock": lock, "retentionDays": 90}}))
    assert audit.object_lock.configuration() == configuration
    assert audit.object_lock.wanted is (configuration is not None)
    assert data.object_lock.configuration() is backup.object_lock.configuration() is None


def test_equal_wishes_are_equal() -> None:
    assert three(CLOUD) == three(context({}, AWS))
    assert three(CLOUD) != three(context({"audit": {"retentionDays": 366}}, AWS))


PREFIXES = st.from_regex(r"([a-z0-9][a-z0-9-]{0,38})?", fullmatch=True)
IDS = st.from_regex(r"in01-[0-9a-f]{12}", fullmatch=True)


@given(PREFIXES, IDS, st.sampled_from(names.BUCKET_PURPOSES))
def test_a_name_is_one_that_s3_takes(prefix: str, identity: str, purpose: str) -> None:
    name = names.bucket_name(prefix=prefix, cluster_id=identity, purpose=purpose)
    assert 3 <= len(name) <= 63
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*[a-z0-9]", name)
    assert not name.endswith(("-s3alias", "--ol-s3", "--x-s3", "--table-s3", "-an"))


ANYTHING = st.tuples(PREFIXES, IDS, st.sampled_from(names.BUCKET_PURPOSES))


@given(ANYTHING, ANYTHING)
def test_two_buckets_never_have_one_name(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    of = [names.bucket_name(prefix=p, cluster_id=i, purpose=purpose) for p, i, purpose in (one, other)]
    assert (of[0] == of[1]) == (one == other)


@given(PREFIXES, IDS)
def test_a_name_says_what_it_was_made_of(prefix: str, identity: str) -> None:
    for purpose in names.BUCKET_PURPOSES:
        rest, _, found = names.bucket_name(prefix=prefix, cluster_id=identity, purpose=purpose).rpartition("-")
        assert (rest[:-17], rest[-17:], found) == (prefix, identity, purpose)
