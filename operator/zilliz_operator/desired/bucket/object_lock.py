"""Object lock: whoever may write the audit trail cannot take a line of it back.

A store with a lock wants a checksum with every upload (Content-MD5 or one of its own).
"""

from dataclasses import dataclass
from typing import Any

from zilliz_operator.api.zillizcluster import Lock
from zilliz_operator.desired.context import ClusterContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectLock:
    """The retention that every new object gets. `mode` None: no lock."""

    mode: str | None = None
    days: int = 0

    @property
    def wanted(self) -> bool:
        """Whether the bucket must be born with a lock: not every store can add one later."""
        return self.mode is not None

    def configuration(self) -> dict[str, Any] | None:
        return {"Mode": self.mode, "Days": self.days} if self.mode is not None else None


def of_audit(ctx: ClusterContext) -> ObjectLock:
    audit = ctx.spec.audit
    if audit.lock is Lock.NONE:
        return ObjectLock()
    return ObjectLock(mode=audit.lock.value.upper(), days=audit.retention_days)
