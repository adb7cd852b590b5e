"""Tags: our mark of ownership, and what a bill is split by. Tags that others set stay."""

from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.adapters.aws.errors import code, http_status
from zilliz_operator.adapters.aws.shapes import Bucket

NAME = "tags"


def desired(bucket: Bucket) -> dict[str, str]:
    return dict(bucket.tag_map())


def observe(s3: Any, name: str) -> dict[str, str] | None:
    """All tags, empty when there are none; None when there is no such bucket."""
    try:
        found = s3.get_bucket_tagging(Bucket=name)["TagSet"]
    except ClientError as error:
        if code(error) == "NoSuchTagSet":
            return {}
        if code(error) == "NoSuchBucket" or (http_status(error) == 404 and not code(error)):
            return None
        raise
    return {tag["Key"]: tag["Value"] for tag in found}


def apply(s3: Any, name: str, desired: dict[str, str]) -> None:
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_set(desired)})


def tag_set(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as the API takes them."""
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


def missing(*, wanted: dict[str, str], found: dict[str, str]) -> bool:
    return any(found.get(key) != value for key, value in wanted.items())


def merged(*, wanted: dict[str, str], found: dict[str, str]) -> dict[str, str]:
    """What to write: the call replaces all tags, and AWS' own (aws:) may not be sent."""
    return {key: value for key, value in found.items() if not key.startswith("aws:")} | wanted
