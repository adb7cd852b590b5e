"""Versioning: what a mistake overwrites or deletes stays for the grace that the lifecycle gives it."""

from typing import Any

from zilliz_operator.adapters.aws.shapes import Bucket

NAME = "versioning"


def desired(bucket: Bucket) -> Any:
    return bucket.versioning.configuration()


def observe(s3: Any, name: str) -> Any:
    status = s3.get_bucket_versioning(Bucket=name).get("Status")
    return {"Status": status} if status else None


def apply(s3: Any, name: str, desired: Any) -> None:
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration=desired)
