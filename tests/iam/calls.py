"""The actions of the table as real calls, for every store that is asked."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from tests.iam.world import DELETE, GET, LIST, PUT

UNKNOWN_HERE = {"s3:PutBucketPublicAccessBlock", "s3:BypassGovernanceRetention"}
"""Actions for which SeaweedFS has no call, or none of its own."""


def answers(call: Callable[[], Any]) -> bool:
    """Whether the store did it. Whatever is neither done nor refused is a mistake of the test."""
    try:
        call()
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status == 403, error
        return False
    return True


def attempts(s3: Any, name: str, versions: Mapping[str, str]) -> dict[str, Callable[[], Any]]:
    """One real call an action. Each object's version is its own, so that one caller's deed hides nothing from the next."""
    tags = {"TagSet": [{"Key": "byoc.zilliz.com/cluster-uid", "Value": "mine"}]}
    rule = {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
    plain = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": "2020-01-01T00:00:00Z"}
    return {
        LIST: lambda: s3.list_objects_v2(Bucket=name),
        GET: lambda: s3.get_object(Bucket=name, Key="seen"),
        PUT: lambda: s3.put_object(Bucket=name, Key="added", Body=b"v"),
        DELETE: lambda: s3.delete_object(Bucket=name, Key="removed"),
        "s3:PutBucketPolicy": lambda: s3.put_bucket_policy(Bucket=name, Policy="{}"),
        "s3:DeleteBucketPolicy": lambda: s3.delete_bucket_policy(Bucket=name),
        "s3:DeleteBucket": lambda: s3.delete_bucket(Bucket=name),
        "s3:PutBucketVersioning": lambda: s3.put_bucket_versioning(
            Bucket=name, VersioningConfiguration={"Status": "Suspended"}
        ),
        "s3:PutEncryptionConfiguration": lambda: s3.put_bucket_encryption(
            Bucket=name, ServerSideEncryptionConfiguration=plain
        ),
        "s3:PutLifecycleConfiguration": lambda: s3.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration={"Rules": [rule]}
        ),
        "s3:PutBucketTagging": lambda: s3.put_bucket_tagging(Bucket=name, Tagging=tags),
        "s3:PutBucketObjectLockConfiguration": lambda: s3.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        ),
        "s3:GetObjectVersion": lambda: s3.get_object(Bucket=name, Key="seen", VersionId=versions["seen"]),
        "s3:DeleteObjectVersion": lambda: s3.delete_object(Bucket=name, Key="old", VersionId=versions["old"]),
        "s3:PutObjectAcl": lambda: s3.put_object_acl(Bucket=name, Key="seen", ACL="public-read"),
        "s3:PutObjectRetention": lambda: s3.put_object_retention(Bucket=name, Key="seen", Retention=retention),
    }
