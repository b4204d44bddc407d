"""Movements of the double-entry ledger. Every balance changes together with the transfer that says so.

All functions work on a synchronous connection inside somebody's transaction: the group commit has one, and
`AsyncConnection.run_sync` gives one. Locks are taken leases first, then grants, each in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, insert, select, update

from compliance.labels.ids import new_content_id
from gateway.ledger.tables import Grant, Transfer

Account = Literal["issuer", "available", "reserved", "spent", "expired", "withdrawn"]
Unit = Literal["voucher", "tokens", "requests"]
GRANTS = Grant.__table__.c


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A grant to be made. `amount` in millionths of a unit (or tokens, or requests); `models` None is all."""

    tenant: str
    issuer: str
    number: str
    amount: int
    valid_from: datetime
    valid_until: datetime
    models: tuple[str, ...] | None = None
    region: str | None = None
    unit: Unit = "voucher"

    def values(self) -> dict[str, Any]:
        """What of it is stored as it is."""
        return {
            "tenant": self.tenant,
            "issuer": self.issuer,
            "number": self.number,
            "amount": self.amount,
            "valid_from": self.valid_from,
            "valid_until": self.valid_until,
            "models": None if self.models is None else list(self.models),
            "region": self.region,
            "unit": self.unit,
        }


def create_grant(connection: Connection, now: datetime, grant: NewGrant, by: str) -> str:
    """Store a grant with its first transfer, from the issuer; returns its id. The number must be new."""
    grant_id = "grt_" + new_content_id(now.timestamp())
    empty = {"reserved": 0, "spent": 0, "expired": 0, "withdrawn": 0}
    row = grant.values() | empty | {"id": grant_id, "available": grant.amount, "state": "active"}
    connection.execute(insert(Grant).values(row | {"created_at": now, "created_by": by}))
    post(connection, [transfer(now, grant_id, "issuer", "available", grant.amount)])
    return grant_id


def transfer(
    at: datetime,
    grant_id: str,
    debit: Account,
    credit: Account,
    amount: int,
    *,
    lease_id: str | None = None,
    request_id: str | None = None,
    model: str | None = None,
) -> dict[str, Any]:
    """One transfer as a row."""
    return {
        "at": at,
        "grant_id": grant_id,
        "debit": debit,
        "credit": credit,
        "amount": amount,
        "lease_id": lease_id,
        "request_id": request_id,
        "model": model,
    }


def post(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write transfers."""
    if rows:
        connection.execute(insert(Transfer), rows)


def change_balances(
    connection: Connection, grant_id: str, debit: Account, credit: Account, amount: int, *only_if: ColumnElement[bool]
) -> bool:
    """Move an amount between two accounts of a grant, if the first has it; False: nothing was changed.

    The caller writes the transfers that add up to it.
    """
    changed = (
        update(Grant)
        .where(Grant.id == grant_id, GRANTS[debit] >= amount, *only_if)
        .values({debit: GRANTS[debit] - amount, credit: GRANTS[credit] + amount})
    )
    return bool(connection.execute(changed).rowcount)


def move(
    connection: Connection,
    at: datetime,
    grant_id: str,
    debit: Account,
    credit: Account,
    amount: int,
    *only_if: ColumnElement[bool],
    lease_id: str | None = None,
    request_id: str | None = None,
    model: str | None = None,
) -> bool:
    """Move an amount between two accounts of a grant and post it; False: the first doesn't have it."""
    if not change_balances(connection, grant_id, debit, credit, amount, *only_if):
        return False
    post(
        connection,
        [transfer(at, grant_id, debit, credit, amount, lease_id=lease_id, request_id=request_id, model=model)],
    )
    return True


def withdraw_grant(connection: Connection, now: datetime, grant_id: str) -> int | None:
    """Give what is available back to the issuer and let nothing more be leased; None: no active grant.

    What workers have set aside follows when they return it. Returns the amount withdrawn at once.
    """
    closed = update(Grant).where(Grant.id == grant_id, Grant.state == "active").values(state="withdrawn")
    if not connection.execute(closed).rowcount:
        return None
    return empty_grant(connection, now, grant_id)


def expire_grants(connection: Connection, now: datetime, limit: int = 100) -> int:
    """Give back what is available of grants that are past their time; how many were looked at."""
    due = (
        select(Grant.id)
        .where(Grant.valid_until <= now, (Grant.available > 0) | (Grant.state == "active"))
        .order_by(Grant.id)
        .limit(limit)
    )
    grants = list(connection.execute(due).scalars())
    for grant_id in grants:
        ended = update(Grant).where(Grant.id == grant_id, Grant.state == "active").values(state="expired")
        connection.execute(ended)
        empty_grant(connection, now, grant_id)
    return len(grants)


def empty_grant(connection: Connection, now: datetime, grant_id: str) -> int:
    """Move what is available of a grant that has ended to where it ended; the amount."""
    query = select(Grant.available, Grant.state).where(Grant.id == grant_id).with_for_update()
    available, state = connection.execute(query).one()
    if not available or state == "active":
        return 0
    credit: Account = "withdrawn" if state == "withdrawn" else "expired"
    move(connection, now, grant_id, "available", credit, available)
    return int(available)
