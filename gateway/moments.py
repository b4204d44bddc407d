"""Moments as the database gives them back: SQLite keeps no time zone, and everything here is written in UTC."""

from datetime import UTC, datetime


def utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a time zone is in UTC already. Raises OverflowError beyond the calendar."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def unix(moment: datetime) -> float:
    """Unix seconds."""
    return utc(moment).timestamp()
