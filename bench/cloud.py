"""How long a bucket's settings that somebody broke stay broken: until the next sweep of the cloud."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

EVERY_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Aspect:
    """A setting of a bucket: how it is read, and how it is broken."""

    name: str
    read: Callable[[Any, str], Any]
    spoil: Callable[[Any, str], Any]


ASPECTS = (
    Aspect(
        name="encryption",
        read=lambda s3, bucket: s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"],
        spoil=lambda s3, bucket: s3.delete_bucket_encryption(Bucket=bucket),
    ),
    Aspect(
        name="versioning",
        read=lambda s3, bucket: s3.get_bucket_versioning(Bucket=bucket).get("Status"),
        spoil=lambda s3, bucket: s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
    ),
    Aspect(
        name="lifecycle",
        read=lambda s3, bucket: s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"],
        spoil=lambda s3, bucket: s3.delete_bucket_lifecycle(Bucket=bucket),
    ),
    Aspect(
        name="policy",
        read=lambda s3, bucket: s3.get_bucket_policy(Bucket=bucket)["Policy"],
        spoil=lambda s3, bucket: s3.delete_bucket_policy(Bucket=bucket),
    ),
)


class Spoiled:
    """A bucket with every aspect broken, watched from a thread until each is as it was."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._wanted = {aspect.name: aspect.read(s3, bucket) for aspect in ASPECTS}
        self._over = threading.Event()
        self.took: dict[str, float] = {}
        """Aspect → seconds until it was as before."""
        for aspect in ASPECTS:
            aspect.spoil(s3, bucket)
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether everything is repaired, after `seconds` more at most."""
        self._thread.join(max(0.0, seconds))
        self._over.set()
        self._thread.join()
        return len(self.took) == len(ASPECTS)

    def _watch(self) -> None:
        while len(self.took) < len(ASPECTS) and not self._over.wait(EVERY_SECONDS):
            for aspect in ASPECTS:
                if aspect.name not in self.took and self._read(aspect) == self._wanted[aspect.name]:
                    self.took[aspect.name] = time.monotonic() - self._began

    def _read(self, aspect: Aspect) -> Any:
        try:
            return aspect.read(self._s3, self._bucket)
        except ClientError:  # it is not there
            return None
