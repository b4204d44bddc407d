"""Leases: blocks of grants that workers set aside, each taken, renewed and returned in one transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, or_, select, update

from compliance.labels.ids import new_content_id
from gateway.ledger.postings import GRANTS, Unit, empty_grant, move
from gateway.ledger.tables import Grant, Lease
from gateway.workers.worker import WorkerRow

LEASES = Lease.__table__.c
LEFT = LEASES.amount - LEASES.spent - LEASES.returned
RETRIES = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What a worker wants to set aside: at least `need` of `holder`'s grants that fit, at best `block`."""

    holder: str
    unit: Unit
    model: str
    region: str | None
    need: int
    block: int
    worker: str
    workers: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """A new lease and what the worker must know of its grant. Times are Unix seconds."""

    lease_id: str
    grant_id: str
    amount: int
    models: frozenset[str] | None
    valid_from: float
    valid_until: float
    order: tuple[float, float, str]


def take_lease(connection: Connection, now: datetime, wish: Wish) -> Taken | None:
    """Set a block of the fitting grant that expires first aside; None when none has anything available.

    Blocks shrink as a grant gets empty, so that its last units aren't all in one worker's hands.
    """
    for _ in range(RETRIES):
        grant = next(iter(fitting(connection, now, wish)), None)
        if grant is None:
            return None
        share = grant.available // (2 * max(1, wish.workers))
        amount = min(grant.available, max(wish.need, min(wish.block, share)))
        lease_id = "lse_" + new_content_id(now.timestamp())
        if move(
            connection, now, grant.id, "available", "reserved", amount,
            Grant.state == "active", Grant.valid_until > now, lease_id=lease_id,
        ):  # fmt: skip
            row = {"id": lease_id, "grant_id": grant.id, "worker": wish.worker, "amount": amount, "state": "open"}
            connection.execute(
                insert(Lease).values(row | {"spent": 0, "returned": 0, "taken_at": now, "until": wish.until})
            )
            models = None if grant.models is None else frozenset(grant.models)
            ends = grant.valid_until.timestamp()
            order = (ends, grant.created_at.timestamp(), grant.id)
            return Taken(lease_id, grant.id, amount, models, grant.valid_from.timestamp(), ends, order)
    return None


def fitting(connection: Connection, now: datetime, wish: Wish, *, available: bool = True) -> list[Grant]:
    """The holder's grants that may pay for the model in this region now, earliest expiry first.

    `available` false: those with nothing available are among them.
    """
    query = (
        select(*GRANTS)
        .where(
            Grant.tenant == wish.holder,
            Grant.unit == wish.unit,
            Grant.state == "active",
            Grant.valid_from <= now,
            Grant.valid_until > now,
            or_(Grant.region.is_(None), Grant.region == wish.region),
            Grant.available + (0 if available else Grant.reserved) > 0,
        )
        .order_by(Grant.valid_until, Grant.created_at, Grant.id)
    )
    rows = [Grant(**row._mapping) for row in connection.execute(query)]
    return [one for one in rows if one.models is None or wish.model in one.models]


def return_part(connection: Connection, now: datetime, lease_id: str, amount: int) -> bool:
    """Give a part of an open lease back; False when it isn't open or doesn't have so much left."""
    cut = (
        update(Lease)
        .where(Lease.id == lease_id, Lease.state == "open", amount <= LEFT)
        .values(returned=LEASES.returned + amount)
        .returning(LEASES.grant_id)
    )
    grant_id = connection.execute(cut).scalar()
    if grant_id is None:
        return False
    _back(connection, now, grant_id, lease_id, amount)
    return True


def close_lease(connection: Connection, now: datetime, lease_id: str) -> int:
    """End a lease and give what the database says is left of it back to the grant; the amount."""
    query = select(LEASES.grant_id, LEFT).where(Lease.id == lease_id, Lease.state == "open").with_for_update()
    row = connection.execute(query).first()
    if row is None:
        return 0
    grant_id, left = row
    connection.execute(
        update(Lease).where(Lease.id == lease_id).values(state="closed", returned=LEASES.returned + left)
    )
    if left:
        _back(connection, now, grant_id, lease_id, left)
    return int(left)


def _back(connection: Connection, now: datetime, grant_id: str, lease_id: str, amount: int) -> None:
    move(connection, now, grant_id, "reserved", "available", amount, lease_id=lease_id)
    empty_grant(connection, now, grant_id)


@dataclass(frozen=True, slots=True)
class Standing:
    """An open lease as the database knows it, and whether its grant may still be used or is wanted by others."""

    lease_id: str
    until: datetime
    usable: bool
    wanted: bool


def standing(connection: Connection, now: datetime, worker: str, wanted_for: timedelta) -> list[Standing]:
    """All open leases of a worker."""
    query = (
        select(LEASES.id, LEASES.until, GRANTS.state, GRANTS.wanted_at)
        .join(Grant, Grant.id == Lease.grant_id)
        .where(Lease.worker == worker, Lease.state == "open")
    )
    return [
        Standing(lease_id, until, state == "active", wanted_at is not None and abs(now - wanted_at) < wanted_for)
        for lease_id, until, state, wanted_at in connection.execute(query)
    ]


def renew(connection: Connection, lease_ids: list[str], until: datetime) -> None:
    """Keep leases for longer."""
    for start in range(0, len(lease_ids), 500):
        some = lease_ids[start : start + 500]
        connection.execute(update(Lease).where(Lease.id.in_(some), Lease.state == "open").values(until=until))


def want(connection: Connection, now: datetime, grant_ids: list[str]) -> None:
    """Ask other workers to return what they don't need of these grants."""
    for grant_id in sorted(grant_ids):
        connection.execute(update(Grant).where(Grant.id == grant_id).values(wanted_at=now))


def left_elsewhere(connection: Connection, worker: str, grant_ids: list[str]) -> int:
    """What other workers have set aside of these grants and not spent."""
    query = select(LEFT).where(Lease.grant_id.in_(grant_ids), Lease.state == "open", Lease.worker != worker)
    return sum(connection.execute(query).scalars())


def of_dead_workers(connection: Connection, now: datetime, dead_after: timedelta) -> list[str]:
    """Open leases whose time is over and whose worker has ended or said nothing for `dead_after`."""
    late = now - dead_after
    query = (
        select(LEASES.id)
        .outerjoin(WorkerRow, WorkerRow.id == Lease.worker)
        .where(
            Lease.state == "open",
            or_(
                WorkerRow.ended_at.is_not(None),
                (Lease.until < late) & or_(WorkerRow.id.is_(None), WorkerRow.seen_at < late),
            ),
        )
        .order_by(LEASES.id)
    )
    return list(connection.execute(query).scalars())
