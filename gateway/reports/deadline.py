"""By when a report is to be decided, in working time."""

from datetime import UTC, date, datetime, time, timedelta, timezone

from configs.sections.reports import ReportSettings

MAX_DAYS = 3660


def due_at(received: datetime, settings: ReportSettings) -> datetime:
    """The moment (UTC) at which so many working hours have passed since `received`."""
    zone = timezone(timedelta(hours=settings.utc_offset_hours))
    at = received.astimezone(zone)
    left = timedelta(hours=settings.decide_working_hours)
    for _ in range(MAX_DAYS):
        if _is_working_day(at.date(), settings):
            begins, ends = _working_time(at.date(), settings, zone)
            at = max(at, begins)
            if at + left <= ends:
                return (at + left).astimezone(UTC)
            left -= max(ends - at, timedelta())
        at = datetime.combine(at.date() + timedelta(days=1), time(), zone)
    raise ValueError("no working day in ten years; see reports.working_days and reports.holidays")


def _is_working_day(day: date, settings: ReportSettings) -> bool:
    if day in settings.extra_working_days:
        return True
    return day.weekday() in settings.working_days and day not in settings.holidays


def _working_time(day: date, settings: ReportSettings, zone: timezone) -> tuple[datetime, datetime]:
    midnight = datetime.combine(day, time(), zone)
    return midnight + timedelta(hours=settings.work_begins_hour), midnight + timedelta(hours=settings.work_ends_hour)
