"""Public access block: no policy and no list can make the bucket public, whoever writes it."""

from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.adapters.aws.errors import absent
from zilliz_operator.adapters.aws.shapes import Bucket

NAME = "public_access"


def desired(bucket: Bucket) -> Any:
    return bucket.public_access_block.configuration()


def observe(s3: Any, name: str) -> Any:
    try:
        found = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if absent(error):
            return None
        raise
    return {key: bool(value) for key, value in found.items()}


def apply(s3: Any, name: str, desired: Any) -> None:
    s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=desired)
