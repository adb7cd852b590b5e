"""Ownership: the bucket's owner owns every object, and access control lists give nothing to anybody."""

from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.adapters.aws.errors import absent
from zilliz_operator.adapters.aws.shapes import Bucket

NAME = "ownership"


def desired(bucket: Bucket) -> Any:
    return bucket.ownership.configuration()


def observe(s3: Any, name: str) -> Any:
    try:
        rules = s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"]
    except ClientError as error:
        if absent(error):
            return None
        raise
    return {"Rules": [{"ObjectOwnership": rule.get("ObjectOwnership")} for rule in rules]}


def apply(s3: Any, name: str, desired: Any) -> None:
    s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=desired)
