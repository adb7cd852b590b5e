"""Default encryption: every new object is encrypted with AES-256, by the store's key or by the customer's KMS key."""

from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.adapters.aws.errors import absent
from zilliz_operator.adapters.aws.shapes import Bucket

NAME = "encryption"


def desired(bucket: Bucket) -> Any:
    return _normal(bucket.encryption.configuration())


def observe(s3: Any, name: str) -> Any:
    try:
        return _normal(s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"])
    except ClientError as error:
        if absent(error):
            return None
        raise


def apply(s3: Any, name: str, desired: Any) -> None:
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration=desired)


def _normal(configuration: Any) -> Any:
    """Only what we decide: stores add further fields, and leave out a bucket key that is off."""
    rules = []
    for rule in configuration["Rules"]:
        default = rule.get("ApplyServerSideEncryptionByDefault") or {}
        chosen = {key: default[key] for key in ("SSEAlgorithm", "KMSMasterKeyID") if default.get(key)}
        bucket_key = bool(rule.get("BucketKeyEnabled")) and chosen.get("SSEAlgorithm") != "AES256"
        rules.append({"ApplyServerSideEncryptionByDefault": chosen, "BucketKeyEnabled": bucket_key})
    return {"Rules": rules}
