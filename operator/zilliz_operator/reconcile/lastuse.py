"""When each credential was last let in, as the gateways told: kept in the process between the clusters' passes, which ask the
gateways, and the policies', which say it in their status.

Lost with the process, and told again by the gateways within a sweep. A status keeps the latest that was ever known, by the hour: so
a credential in constant use costs one write an hour, and one at rest none.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from zilliz_operator.api.accesspolicy import SubjectKind

_KINDS = {SubjectKind.API_KEY: "api_key", SubjectKind.CLUSTER_USER: "password"}
AHEAD = timedelta(hours=1)
"""A gateway whose clock is ahead by more than this is not believed."""


class LastUses:
    """Credential → the latest use that any gateway told of."""

    def __init__(self) -> None:
        self._used: dict[str, datetime] = {}

    def told(self, used: Mapping[str, datetime], *, now: datetime) -> None:
        """What one gateway has seen."""
        for name, at in used.items():
            if at <= now + AHEAD and at > self._used.get(name, datetime.min.replace(tzinfo=at.tzinfo)):
                self._used[name] = at

    def of(self, kind: SubjectKind, key_id: str) -> datetime | None:
        """The hour of the last use that is known of here."""
        found = self._used.get(f"{_KINDS[kind]}:{key_id}")
        return found.replace(minute=0, second=0, microsecond=0) if found else None

    def forget(self, namespace: str, policy: str) -> None:
        """The policy is gone, and its credentials with it."""
        for name in [name for name in self._used if name.partition(":")[2].startswith(f"{namespace}/{policy}/")]:
            del self._used[name]
