"""`opcgate vouchers verify`: everything recomputed from the transfers, and every row that disagrees named."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from gateway.ledger.leases import LEASES, LEFT
from gateway.ledger.postings import GRANTS
from gateway.ledger.tables import BALANCES, Grant, Lease, Transfer
from gateway.store import RequestRecord

TRANSFERS = Transfer.__table__.c
REQUESTS = RequestRecord.__table__.c


@dataclass(frozen=True, slots=True)
class Problem:
    """One row that does not agree with the transfers: its table, its id, and what is wrong."""

    table: str
    id: str
    what: str


def verify(connection: Connection) -> list[Problem]:
    """Every disagreement; empty when the ledger adds up. Reads everything: minutes for many millions of transfers."""
    return [*_grants(connection), *_leases(connection), *_reserved(connection), *_requests(connection)]


def _grants(connection: Connection) -> Iterator[Problem]:
    """Balances of grants are the sums of their transfers."""
    sums: dict[str, dict[str, int]] = {}
    for side, sign in ((TRANSFERS.debit, -1), (TRANSFERS.credit, 1)):
        query = select(TRANSFERS.grant_id, side, func.sum(TRANSFERS.amount)).group_by(TRANSFERS.grant_id, side)
        for grant_id, account, total in connection.execute(query):
            accounts = sums.setdefault(grant_id, {})
            accounts[account] = accounts.get(account, 0) + sign * int(total)
    for row in connection.execute(select(*GRANTS)):
        posted = sums.pop(row.id, {})
        if -posted.pop("issuer", 0) != row.amount:
            yield Problem("voucher_grants", row.id, f"amount is {row.amount}, the issuer gave another one")
        for name in BALANCES:
            booked = getattr(row, name)
            if posted.pop(name, 0) != booked:
                yield Problem("voucher_grants", row.id, f"{name} is {booked}, its transfers say otherwise")
            if booked < 0:
                yield Problem("voucher_grants", row.id, f"{name} is negative")
        for account in posted:
            yield Problem("voucher_transfers", row.id, f"there is no account '{account}'")
    for grant_id in sums:
        yield Problem("voucher_transfers", grant_id, "transfers without a grant")


def _leases(connection: Connection) -> Iterator[Problem]:
    """What a lease took, returned and paid are the sums of its transfers."""
    query = select(TRANSFERS.lease_id, TRANSFERS.credit, func.sum(TRANSFERS.amount)).where(
        TRANSFERS.lease_id.is_not(None)
    )
    sums: dict[str, dict[str, int]] = {}
    for lease_id, account, total in connection.execute(query.group_by(TRANSFERS.lease_id, TRANSFERS.credit)):
        sums.setdefault(lease_id, {})[account] = int(total)
    for row in connection.execute(select(*LEASES)):
        posted = sums.pop(row.id, {})
        for name, account in (("amount", "reserved"), ("spent", "spent"), ("returned", "available")):
            if posted.get(account, 0) != getattr(row, name):
                yield Problem("voucher_leases", row.id, f"{name} is not the sum of its transfers")
        if row.state != "open" and row.amount != row.spent + row.returned:
            yield Problem("voucher_leases", row.id, "closed, and not all of it was spent or returned")
    for lease_id in sums:
        yield Problem("voucher_transfers", lease_id, "transfers without a lease")


def _reserved(connection: Connection) -> Iterator[Problem]:
    """What is reserved of a grant is what its open leases have left: nothing is set aside for nobody."""
    left = dict(
        _rows(connection, select(LEASES.grant_id, func.sum(LEFT)).where(Lease.state == "open"), LEASES.grant_id)
    )
    for grant_id, reserved in connection.execute(select(Grant.id, Grant.reserved)):
        if int(left.get(grant_id, 0)) != reserved:
            yield Problem(
                "voucher_grants", grant_id, f"{reserved} is reserved, its open leases have another amount left"
            )


def _rows(connection: Connection, query: Select[Any], by: Any) -> list[tuple[str, int]]:
    return [(key, int(total)) for key, total in connection.execute(query.group_by(by))]


def _requests(connection: Connection) -> Iterator[Problem]:
    """Every request's cost is posted, and nothing is posted for a request that isn't recorded.

    Requests are deleted when their retention ends, so postings older than the oldest request are left alone.
    """
    posted = dict(
        _rows(
            connection,
            select(TRANSFERS.request_id, func.sum(TRANSFERS.amount)).where(
                TRANSFERS.request_id.is_not(None), TRANSFERS.credit == "spent"
            ),
            TRANSFERS.request_id,
        )
    )
    for request_id, cost in connection.execute(select(REQUESTS.id, REQUESTS.cost)):
        paid = posted.pop(request_id, 0)
        if paid != (cost or 0):
            yield Problem("requests", request_id, f"cost is {cost or 0}, its transfers add up to {paid}")
    oldest = connection.execute(select(func.min(REQUESTS.started_at))).scalar()
    if posted and oldest is not None:
        unknown = select(TRANSFERS.request_id).where(TRANSFERS.request_id.is_not(None), TRANSFERS.at >= oldest)
        for request_id in sorted(set(posted) & set(connection.execute(unknown).scalars())):
            yield Problem("voucher_transfers", request_id, "spent for a request that isn't recorded")
    elif posted:
        for request_id in sorted(posted):
            yield Problem("voucher_transfers", request_id, "spent, and there are no requests at all")
