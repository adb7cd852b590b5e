"""When we may restart Milvus on our own account: a certificate that was renewed, a key that was rotated. What you change in the
spec is yours and never waits."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.zillizcluster import MaintenanceWindow

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def is_open(window: MaintenanceWindow | None, now: datetime) -> bool:
    """Whether `now` lies in the window; without a window any time will do. Raises InvalidSpec for a zone that nobody knows."""
    if window is None:
        return True
    local = now.astimezone(_zone(window.time_zone))
    hour, minute = (int(part) for part in window.start.split(":"))
    today = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    # A window may reach over midnight, so yesterday's counts too.
    return any(
        str(DAYS[start.weekday()]) in {str(day) for day in window.days}
        and start <= local < start + timedelta(hours=window.hours)
        for start in (today, today - timedelta(days=1))
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        message = f"{name!r} is no time zone that the operator knows: write an IANA name such as Europe/Berlin"
        raise InvalidSpec("spec.maintenanceWindow.timeZone", message) from None
