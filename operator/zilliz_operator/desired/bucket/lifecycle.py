"""Lifecycle: what nobody needs any more leaves by itself: old versions, their markers, pieces of unfinished uploads.

In the audit bucket the lines leave too, once their retention has passed; a lock on them lasts exactly as long.
"""

from dataclasses import dataclass
from typing import Any

from zilliz_operator.desired.context import ClusterContext

ABORT_MULTIPART_DAYS = 7
EVERYTHING = {"Prefix": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """`expiration_days` None: objects stay until somebody deletes them."""

    noncurrent_days: int
    expiration_days: int | None = None
    abort_multipart_days: int = ABORT_MULTIPART_DAYS

    def configuration(self) -> dict[str, Any]:
        actions: dict[str, dict[str, Any]] = {
            "noncurrent-versions": {"NoncurrentVersionExpiration": {"NoncurrentDays": self.noncurrent_days}},
            "unfinished-uploads": {
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": self.abort_multipart_days}
            },
            "empty-delete-markers": {"Expiration": {"ExpiredObjectDeleteMarker": True}},
        }
        if self.expiration_days is not None:
            actions["retention"] = {"Expiration": {"Days": self.expiration_days}}
        return {
            "Rules": [
                {"ID": name, "Status": "Enabled", "Filter": EVERYTHING, **action} for name, action in actions.items()
            ]
        }


def of_objects(ctx: ClusterContext) -> Lifecycle:
    """Where programs delete what they no longer need: a deleted object stays for the grace the spec gives it."""
    return Lifecycle(noncurrent_days=ctx.spec.storage.noncurrent_version_days)


def of_lines(ctx: ClusterContext) -> Lifecycle:
    """Where time alone deletes: a line goes for good the day after its retention."""
    return Lifecycle(noncurrent_days=1, expiration_days=ctx.spec.audit.retention_days)
