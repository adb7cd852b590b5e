"""What recycling rightly keeps in the object store and a bench must not leave there: buckets and their users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tools.devcluster import layout as at
from tools.devcluster import store as devstore
from tools.devcluster.layout import Layout

PURPOSES = ("data", "audit", "backup")


def purge(layout: Layout, buckets: Sequence[str]) -> None:
    """Remove clusters' buckets with every version in them, and their users. `buckets`: the data bucket of each."""
    s3, iam = client(layout, "s3"), client(layout, "iam")
    for bucket in buckets:
        cluster = bucket.removesuffix("-data")
        for purpose in PURPOSES:
            _empty(s3, f"{cluster}-{purpose}", bypass=purpose == "audit")
            _ignore_missing(s3.delete_bucket, Bucket=f"{cluster}-{purpose}")
        _remove_user(iam, f"{cluster}-milvus")


def client(layout: Layout, service: str) -> Any:
    """boto3's client, as the store's administrator."""
    key, secret = devstore.admin_keys(layout)
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=f"https://{layout.address}:{at.STORE_ADMIN_PORT}",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        verify=str(layout.pki / "store.crt"),
        config=Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}),
    )


def _empty(s3: Any, bucket: str, *, bypass: bool) -> None:
    """`bypass`: the administrator's right to remove what a Governance lock holds; only a bucket with a lock takes the word."""
    right = {"BypassGovernanceRetention": True} if bypass else {}
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                s3.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"], **right)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise


def _remove_user(iam: Any, name: str) -> None:
    for key in _ignore_missing(iam.list_access_keys, UserName=name).get("AccessKeyMetadata", ()):
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for policy in _ignore_missing(iam.list_attached_user_policies, UserName=name).get("AttachedPolicies", ()):
        iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
        _ignore_missing(iam.delete_policy, PolicyArn=policy["PolicyArn"])
    _ignore_missing(iam.delete_user, UserName=name)


def _ignore_missing(call: Any, **arguments: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = call(**arguments)
        return answer
    except ClientError as error:
        if error.response["Error"]["Code"] in {"NoSuchEntity", "NoSuchBucket"}:
            return {}
        raise
