"""Free daily allowances: grants in tokens or requests that make themselves, one a day for a holder and a model."""

from datetime import UTC, datetime, time, timedelta, timezone

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from compliance.labels.ids import new_content_id
from gateway.ledger.leases import Wish
from gateway.ledger.postings import NewGrant, post, transfer
from gateway.ledger.tables import Grant

ISSUER = "free"


def ensure_allowance(connection: Connection, now: datetime, wish: Wish, limit: int, offset_hours: int) -> None:
    """Make today's allowance of a holder and a model unless it is there; two workers at once make one."""
    begins, ends = day_of(now, offset_hours)
    number = f"{wish.unit}/{begins.astimezone(_zone(offset_hours)):%Y-%m-%d}/{wish.holder}/{wish.model}"
    known = select(Grant.id).where(Grant.issuer == ISSUER, Grant.number == number)
    if connection.execute(known).first() is not None:
        return
    grant = NewGrant(wish.holder, ISSUER, number, limit, begins, ends, models=(wish.model,), unit=wish.unit)
    row = grant.values() | {
        "id": "grt_" + new_content_id(now.timestamp()),
        "available": limit,
        "reserved": 0,
        "spent": 0,
        "expired": 0,
        "withdrawn": 0,
        "state": "active",
        "created_at": now,
        "created_by": "daily",
    }
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    made = connection.execute(dialect.insert(Grant).values(row).on_conflict_do_nothing())
    if made.rowcount:
        post(connection, [transfer(now, row["id"], "issuer", "available", limit)])


def day_of(moment: datetime, offset_hours: int) -> tuple[datetime, datetime]:
    """The day around a moment where clocks are so many hours ahead of UTC: its beginning and its end."""
    zone = _zone(offset_hours)
    begins = datetime.combine(moment.astimezone(zone).date(), time(), zone)
    return begins.astimezone(UTC), (begins + timedelta(days=1)).astimezone(UTC)


def _zone(offset_hours: int) -> timezone:
    return timezone(timedelta(hours=offset_hours))
