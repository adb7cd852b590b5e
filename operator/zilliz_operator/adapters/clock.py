"""The machine's clock, behind a port, so that tests can set it."""

from datetime import UTC, datetime


class SystemClock:
    def now(self) -> datetime:
        """The current time, timezone-aware UTC."""
        return datetime.now(UTC)
