"""Lifecycle: old versions and the pieces of unfinished uploads leave by themselves."""

from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.adapters.aws.errors import absent
from zilliz_operator.adapters.aws.shapes import Bucket

NAME = "lifecycle"


def desired(bucket: Bucket) -> Any:
    return _normal(bucket.lifecycle.configuration()["Rules"])


def observe(s3: Any, name: str) -> Any:
    try:
        return _normal(s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"])
    except ClientError as error:
        if absent(error):
            return None
        raise


def apply(s3: Any, name: str, desired: Any) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": desired})


def _normal(rules: Any) -> Any:
    """Rules by name; an empty prefix, an empty filter and the old place of a prefix all mean every object."""
    return sorted((_rule(rule) for rule in rules), key=lambda rule: str(rule.get("ID")))


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in rule.items() if key not in ("Prefix", "Filter")}
    found["Filter"] = rule.get("Filter") or {"Prefix": rule.get("Prefix") or ""}
    return found
