"""Aspects in one form: what stores fold, reorder or add is no drift; what matters is."""

import pytest

from zilliz_operator.adapters.aws.aspects import encryption, lifecycle, object_lock, tags
from zilliz_operator.adapters.aws.aspects.policy import normal
from zilliz_operator.adapters.aws.caller import principals


def policy(**changes: object) -> dict[str, object]:
    statement = {"Sid": "S", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["b", "a"]} | changes
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.mark.parametrize(
    "same",
    [
        policy(Action=["s3:*"]),
        policy(Resource=["a", "b"]),
        policy(Principal={"AWS": "*"}),
        policy(Principal={"AWS": ["*"]}),
        {"Version": "2012-10-17", "Statement": policy()["Statement"][0]},  # type: ignore[index]
    ],
)
def test_spellings_of_one_policy_are_equal(same: dict[str, object]) -> None:
    assert normal(same) == normal(policy())


@pytest.mark.parametrize(
    "other",
    [
        policy(Effect="Allow"),
        policy(Action="s3:GetObject"),
        policy(Principal={"AWS": "arn:aws:iam::1:root"}),
        policy(Condition={"Bool": {"aws:SecureTransport": "false"}}),
        {"Version": "2012-10-17", "Statement": [*policy()["Statement"], *policy(Sid="T")["Statement"]]},  # type: ignore[misc]
    ],
)
def test_policies_that_differ_are_not(other: dict[str, object]) -> None:
    assert normal(other) != normal(policy())


def test_a_condition_is_the_same_as_text_list_or_boolean() -> None:
    spellings = [policy(Condition={"Bool": {"aws:SecureTransport": value}}) for value in ("false", ["false"], False)]
    assert normal(spellings[0]) == normal(spellings[1]) == normal(spellings[2])


def test_statements_in_another_order_are_the_same() -> None:
    first, second = policy()["Statement"][0], policy(Sid="T")["Statement"][0]  # type: ignore[index]
    assert normal({"Statement": [first, second]}) == normal({"Statement": [second, first]})


def test_what_a_store_adds_to_encryption_is_no_drift() -> None:
    wanted = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]}
    found = {
        "Rules": [
            {
                "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": ""},
                "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
            }
        ]
    }
    assert encryption._normal(found) == encryption._normal(wanted)


def test_another_kms_key_or_a_bucket_key_off_is_drift() -> None:
    def kms(key: str, *, bucket_key: bool) -> object:
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}
        return encryption._normal({"Rules": [rule]})

    assert kms("a", bucket_key=True) != kms("b", bucket_key=True)
    assert kms("a", bucket_key=True) != kms("a", bucket_key=False)


def test_lifecycle_rules_for_every_object_are_equal_however_spelled() -> None:
    rule = {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1}}
    spelled = [rule | {"Filter": {"Prefix": ""}}, rule | {"Filter": {}}, rule | {"Prefix": ""}, rule]
    assert len({str(lifecycle._normal([one])) for one in spelled}) == 1
    assert lifecycle._normal([rule | {"Filter": {"Prefix": "logs/"}}]) != lifecycle._normal([rule])


def test_tags_of_others_stay_and_those_of_aws_are_not_sent() -> None:
    wanted, found = {"ours": "new"}, {"ours": "old", "cost-center": "42", "aws:cloudformation:stack": "s"}
    assert tags.missing(wanted=wanted, found=found)
    assert not tags.missing(wanted=wanted, found=found | wanted)
    assert tags.merged(wanted=wanted, found=found) == {"ours": "new", "cost-center": "42"}


class Answers:
    """A store that answers one question about locks."""

    def __init__(self, configuration: dict[str, object]) -> None:
        self._configuration = configuration

    def get_object_lock_configuration(self, **_: str) -> dict[str, object]:
        return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"} | self._configuration}


def test_a_lock_without_a_retention_locks_nothing_and_a_unit_of_zero_is_none() -> None:
    def rule(**retention: object) -> dict[str, object]:
        return {"Rule": {"DefaultRetention": retention}}

    assert object_lock.observe(Answers({}), "b") is None
    assert object_lock.observe(Answers(rule(Mode="GOVERNANCE", Days=3, Years=0)), "b") == {
        "Mode": "GOVERNANCE",
        "Days": 3,
    }
    assert object_lock.observe(Answers(rule(Mode="COMPLIANCE", Years=1)), "b") == {"Mode": "COMPLIANCE", "Years": 1}


@pytest.mark.parametrize(
    ("arn", "patterns"),
    [
        (
            "arn:aws:sts::111122223333:assumed-role/zilliz-operator/botocore-session-1",
            ("arn:aws:iam::111122223333:role/zilliz-operator", "arn:aws:iam::111122223333:role/*/zilliz-operator"),
        ),
        ("arn:aws-cn:iam::111122223333:user/ops/zilliz", ("arn:aws-cn:iam::111122223333:user/ops/zilliz",)),
        ("arn:aws:iam::111122223333:root", ("arn:aws:iam::111122223333:root",)),
        ("arn:aws:sts::111122223333:federated-user/zilliz", ("arn:aws:sts::111122223333:federated-user/zilliz",)),
    ],
)
def test_a_session_is_known_to_policies_as_its_role(arn: str, patterns: tuple[str, ...]) -> None:
    assert principals(arn) == patterns
