"""The ledger's share of a group commit: charges become spent, in the transaction that writes the requests' rows."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from gateway.ledger.leases import LEASES, LEFT, Wish, fitting
from gateway.ledger.postings import GRANTS, Unit, move, transfer
from gateway.ledger.tables import Grant, Lease, Transfer
from gateway.record import Settlement
from gateway.row_insert import RowInsert
from gateway.store import RequestRecord

log = logging.getLogger("opcgate.ledger")


@dataclass(frozen=True, slots=True)
class Portion:
    """What one request pays out of one lease."""

    lease_id: str
    grant_id: str
    unit: Unit
    amount: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one settled request pays, who pays it, and where its vouchers must be valid."""

    request_id: str
    tenant: str
    model: str
    region: str | None
    portions: tuple[Portion, ...]


SPEND_LEASE = (
    update(Lease)
    .where(LEASES.id == bindparam("lease"), LEASES.state == "open", bindparam("paid") <= LEFT)
    .values(spent=LEASES.spent + bindparam("paid"))
)
SPEND_GRANT = (
    update(Grant)
    .where(GRANTS.id == bindparam("grant_id"))
    .values(reserved=GRANTS.reserved - bindparam("paid"), spent=GRANTS.spent + bindparam("paid"))
)


class LedgerPart:
    """Books the charges of a group. Free allowances get one transfer per lease, vouchers one per request."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._transfers = RowInsert(Transfer.__table__)

    def write(self, connection: Connection, group: Sequence[Settlement]) -> None:
        """Move every charge from reserved to spent. A lease that is gone is paid from what is available instead."""
        charges = [(one, one.charge) for one in group if one.charge is not None]
        if not charges:
            return
        at = datetime.fromtimestamp(self._clock(), UTC)
        by_lease: Counter[str] = Counter()
        for _, charge in charges:
            for portion in charge.portions:
                by_lease[portion.lease_id] += portion.amount
        lost = {
            lease_id
            for lease_id, paid in sorted(by_lease.items())
            if not connection.execute(SPEND_LEASE, {"lease": lease_id, "paid": paid}).rowcount
        }
        by_grant: Counter[str] = Counter()
        rows: list[dict[str, Any]] = []
        free: dict[tuple[str, str, str], int] = {}
        for _, charge in charges:
            for portion in charge.portions:
                if portion.lease_id in lost:
                    continue
                by_grant[portion.grant_id] += portion.amount
                if portion.unit == "voucher":
                    rows.append(_spent(at, portion, charge))
                else:
                    key = (portion.grant_id, portion.lease_id, charge.model)
                    free[key] = free.get(key, 0) + portion.amount
        rows += [
            transfer(at, grant_id, "reserved", "spent", amount, lease_id=lease_id, model=model)
            for (grant_id, lease_id, model), amount in free.items()
        ]
        for grant_id, paid in sorted(by_grant.items()):
            connection.execute(SPEND_GRANT, {"grant_id": grant_id, "paid": paid})
        if rows:
            self._transfers.run(connection, rows)
        if lost:
            log.warning("%d leases were taken back before what they paid was booked", len(lost))
            for settlement, charge in charges:
                _pay_without_lease(connection, at, settlement, charge, lost)

    def committed(self) -> None:
        """Holds are told one by one, by their requests."""

    def rolled_back(self) -> None:
        """Holds are told one by one, by their requests."""


def _spent(at: datetime, portion: Portion, charge: Charge) -> dict[str, Any]:
    return transfer(
        at, portion.grant_id, "reserved", "spent", portion.amount,
        lease_id=portion.lease_id, request_id=charge.request_id, model=charge.model,
    )  # fmt: skip


def _pay_without_lease(
    connection: Connection, at: datetime, settlement: Settlement, charge: Charge, lost: set[str]
) -> None:
    """Others thought this worker dead and took its lease back: pay from what the holder has available now.

    What nobody can pay any more is the operator's loss, and the request's row says what was really paid.
    """
    unpaid = 0
    for portion in charge.portions:
        if portion.lease_id not in lost:
            continue
        missing = portion.amount
        for grant_id in dict.fromkeys([portion.grant_id, *_fitting(connection, at, charge, portion.unit)]):
            query = select(GRANTS.available).where(Grant.id == grant_id).with_for_update()
            paid = min(missing, connection.execute(query).scalar_one())
            request_id = charge.request_id if portion.unit == "voucher" else None
            if paid:
                move(connection, at, grant_id, "available", "spent", paid, request_id=request_id, model=charge.model)
            missing -= paid
        unpaid += missing if portion.unit == "voucher" else 0
    if unpaid:
        asked = sum(one.amount for one in charge.portions if one.unit == "voucher")
        cost = settlement.row["cost"] = asked - unpaid  # the same when the group is tried again
        connection.execute(update(RequestRecord).where(RequestRecord.id == charge.request_id).values(cost=cost))
        log.error("request %s: %d millionths of a unit could not be charged any more", charge.request_id, unpaid)


def _fitting(connection: Connection, at: datetime, charge: Charge, unit: Unit) -> list[str]:
    wish = Wish(charge.tenant, unit, charge.model, charge.region, 0, 0, "", 1, at)
    return [one.id for one in fitting(connection, at, wish)]
