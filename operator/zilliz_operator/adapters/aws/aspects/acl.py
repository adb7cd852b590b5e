"""Access control list: the owner alone.

AWS ignores lists under `BucketOwnerEnforced`; other stores still honour a public one, so there we look and take it
back.
"""

from typing import Any

from zilliz_operator.adapters.aws.shapes import Bucket

NAME = "acl"
PRIVATE = "private"


def desired(_: Bucket) -> Any:
    return PRIVATE


def observe(s3: Any, name: str) -> Any:
    acl = s3.get_bucket_acl(Bucket=name)
    owner = (acl.get("Owner") or {}).get("ID")
    foreign = [grant for grant in acl.get("Grants") or () if not _is(grant.get("Grantee") or {}, owner)]
    return foreign or PRIVATE


def apply(s3: Any, name: str, desired: Any) -> None:
    s3.put_bucket_acl(Bucket=name, ACL=desired)


def _is(grantee: dict[str, Any], owner: str | None) -> bool:
    return grantee.get("Type") == "CanonicalUser" and grantee.get("ID") == owner
