"""Object lock: until its day, nobody takes a line of the audit trail away.

What is held is the default retention, which every new object gets. A lock that was once switched on stays on for ever;
without a default retention it locks nothing.
"""

from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.adapters.aws.errors import absent
from zilliz_operator.adapters.aws.shapes import Bucket

NAME = "object_lock"


def desired(bucket: Bucket) -> Any:
    return bucket.object_lock.configuration()


def observe(s3: Any, name: str) -> Any:
    try:
        found = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
    except ClientError as error:
        if absent(error):
            return None
        raise
    retention = (found.get("Rule") or {}).get("DefaultRetention") or {}
    # Some stores report the unit that was not chosen as 0.
    return {key: retention[key] for key in ("Mode", "Days", "Years") if retention.get(key)} or None


def apply(s3: Any, name: str, desired: Any) -> None:
    rule = {"Rule": {"DefaultRetention": desired}} if desired else {}
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"} | rule)
