"""How long settings in the cloud that somebody broke stay broken: until the next sweep of the cloud."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

EVERY_SECONDS = 1.0
CLUSTER_TAG = "byoc.zilliz.com/cluster"
"""Says which cluster a thing belongs to; the mark of ownership is another tag, without which nothing is touched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One thing in the cloud: how it is read, and how it is broken."""

    name: str
    read: Callable[[], Any]
    spoil: Callable[[], object]


def bucket_settings(s3: Any, bucket: str) -> tuple[Setting, ...]:
    """What every S3 store keeps of a bucket."""
    suspended = {"Status": "Suspended"}
    return (
        Setting(
            name="encryption",
            read=lambda: s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"],
            spoil=lambda: s3.delete_bucket_encryption(Bucket=bucket),
        ),
        Setting(
            name="versioning",
            read=lambda: s3.get_bucket_versioning(Bucket=bucket).get("Status"),
            spoil=lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=suspended),
        ),
        Setting(
            name="lifecycle",
            read=lambda: s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"],
            spoil=lambda: s3.delete_bucket_lifecycle(Bucket=bucket),
        ),
        Setting(
            name="policy",
            read=lambda: s3.get_bucket_policy(Bucket=bucket)["Policy"],
            spoil=lambda: s3.delete_bucket_policy(Bucket=bucket),
        ),
        Setting(
            name="tags",
            read=lambda: _named(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]),
            spoil=lambda: _retag(s3, bucket),
        ),
    )


def aws_bucket_settings(s3: Any, bucket: str) -> tuple[Setting, ...]:
    """What AWS keeps of a bucket beyond that."""
    writer = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    return (
        *bucket_settings(s3, bucket),
        Setting(
            name="public access block",
            read=lambda: s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
            spoil=lambda: s3.delete_public_access_block(Bucket=bucket),
        ),
        Setting(
            name="ownership",
            read=lambda: s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"],
            spoil=lambda: s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=writer),
        ),
    )


def object_lock_setting(s3: Any, bucket: str) -> Setting:
    """How long nobody can remove an audit object."""

    def read() -> Any:
        return s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]

    def spoil() -> object:
        day = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
        return s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=day)

    return Setting(name="object lock (audit)", read=read, spoil=spoil)


def role_settings(iam: Any, role: str) -> tuple[Setting, ...]:
    """Who may become a role, and what it may do then."""
    anybody = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

    def described() -> Any:
        return iam.get_role(RoleName=role)["Role"]

    def attached() -> list[str]:
        return [each["PolicyArn"] for each in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]]

    tag = {"Key": CLUSTER_TAG, "Value": "somebody-elses"}
    return (
        Setting(
            name="role: trust",
            read=lambda: described()["AssumeRolePolicyDocument"],
            spoil=lambda: iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(anybody)),
        ),
        Setting(
            name="role: its policy detached",
            read=attached,
            spoil=lambda: iam.detach_role_policy(RoleName=role, PolicyArn=attached()[0]),
        ),
        Setting(
            name="role: a policy added",
            read=lambda: iam.list_role_policies(RoleName=role)["PolicyNames"],
            spoil=lambda: iam.put_role_policy(
                RoleName=role, PolicyName="anything", PolicyDocument=json.dumps(anything)
            ),
        ),
        Setting(
            name="role: tags",
            read=lambda: _named(described()["Tags"]),
            spoil=lambda: iam.tag_role(RoleName=role, Tags=[tag]),
        ),
    )


class Spoiled:
    """Settings, every one broken, watched from a thread until each is as it was."""

    def __init__(self, settings: Sequence[Setting]) -> None:
        self._settings = tuple(settings)
        self._wanted = {setting.name: setting.read() for setting in self._settings}
        self._over = threading.Event()
        self.took: dict[str, float] = {}
        """Setting → seconds until it was as before."""
        for setting in self._settings:
            setting.spoil()
        kept = [setting.name for setting in self._settings if self._whole(setting)]
        if kept:
            raise ValueError(f"could not be broken, so no repair can be seen: {', '.join(kept)}")
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether everything is repaired, after `seconds` more at most."""
        self._thread.join(max(0.0, seconds))
        self._over.set()
        self._thread.join()
        return len(self.took) == len(self._settings)

    def _watch(self) -> None:
        while len(self.took) < len(self._settings) and not self._over.wait(EVERY_SECONDS):
            for setting in self._settings:
                if setting.name not in self.took and self._whole(setting):
                    self.took[setting.name] = time.monotonic() - self._began

    def _whole(self, setting: Setting) -> bool:
        try:
            return bool(setting.read() == self._wanted[setting.name])
        except ClientError:  # it is not there
            return False


def _named(tags: Sequence[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _retag(s3: Any, bucket: str) -> object:
    tags = _named(s3.get_bucket_tagging(Bucket=bucket)["TagSet"]) | {CLUSTER_TAG: "somebody-elses"}
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    return s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": listed})
