"""Bucket policy: what is denied to everybody, whatever their own rights are."""

import json
from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.adapters.aws.errors import absent
from zilliz_operator.adapters.aws.shapes import Bucket
from zilliz_operator.api.names import policy_mark

NAME = "policy"


def desired(bucket: Bucket) -> Any:
    return normal(bucket.policy.document())


def observe(s3: Any, name: str) -> Any:
    try:
        return normal(json.loads(s3.get_bucket_policy(Bucket=name)["Policy"]))
    except ClientError as error:
        if absent(error):
            return None
        raise


def apply(s3: Any, name: str, desired: Any) -> None:
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(desired))


def marked(s3: Any, name: str, *, uid: str) -> bool:
    """Whether the policy that is there is this cluster's."""
    found = observe(s3, name) or {"Statement": []}
    return any(statement.get("Sid") == policy_mark(uid) for statement in found["Statement"])


def normal(document: Any) -> Any:
    """A policy document in one form: stores fold lists of one, reorder lists and statements, and spell principals
    twice."""
    statements = document["Statement"]
    rules = [_statement(rule) for rule in (statements if isinstance(statements, list) else [statements])]
    return {
        "Version": document.get("Version", "2012-10-17"),
        "Statement": sorted(rules, key=lambda rule: json.dumps(rule, sort_keys=True)),
    }


def _statement(rule: dict[str, Any]) -> dict[str, Any]:
    found = dict(rule)
    for key in ("Action", "NotAction", "Resource", "NotResource"):
        if key in found:
            found[key] = _listed(found[key])
    if found.get("Principal") == {"AWS": "*"} or found.get("Principal") == {"AWS": ["*"]}:
        found["Principal"] = "*"
    if "Condition" in found:
        found["Condition"] = {
            operator: {key: _listed(value) for key, value in keys.items()}
            for operator, keys in found["Condition"].items()
        }
    return found


def _listed(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return sorted(str(one).lower() if isinstance(one, bool) else str(one) for one in values)
