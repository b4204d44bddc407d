"""Statements: what a holder had, got, spent and lost in a period. Everything comes from the transfers, and adds up."""

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import Connection, select

from gateway.ledger.amounts import format_amount
from gateway.ledger.tables import Grant, Transfer

KINDS = {
    ("issuer", "available"): ("grant", 1),
    ("reserved", "spent"): ("spend", -1),
    ("available", "spent"): ("spend", -1),
    ("available", "expired"): ("expire", -1),
    ("available", "withdrawn"): ("withdraw", -1),
}
"""Movements that change what a holder has, by (debit, credit). Setting aside and returning don't."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: on which day, what, of which voucher or model; the amount in millionths, spending negative."""

    day: str
    kind: str
    issuer: str
    number: str
    model: str
    amount: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A period of one holder's vouchers. opening + the sum of the lines = closing."""

    tenant: str
    begins: datetime
    ends: datetime
    opening: int
    lines: tuple[Line, ...]
    closing: int

    def total(self, kind: str) -> int:
        """The sum of the lines of one kind."""
        return sum(line.amount for line in self.lines if line.kind == kind)


def make_statement(
    connection: Connection, tenant: str, begins: datetime, ends: datetime, offset_hours: int
) -> Statement:
    """The statement of a holder for a period: `begins` is in it, `ends` is not. Free allowances aren't in it."""
    query = (
        select(
            Transfer.at, Transfer.debit, Transfer.credit, Transfer.amount, Transfer.model, Grant.issuer, Grant.number
        )
        .join(Grant, Grant.id == Transfer.grant_id)
        .where(Grant.tenant == tenant, Grant.unit == "voucher", Transfer.at < ends)
        .order_by(Transfer.at, Transfer.id)
    )
    zone = timezone(timedelta(hours=offset_hours))
    opening, lines = 0, dict[tuple[str, str, str, str, str], int]()
    for at, debit, credit, amount, model, issuer, number in connection.execute(query):
        if (debit, credit) not in KINDS:
            continue
        kind, sign = KINDS[debit, credit]
        if at < begins:
            opening += sign * amount
            continue
        day = f"{at.astimezone(zone):%Y-%m-%d}"
        key = (day, kind, "", "", model or "") if kind == "spend" else (day, kind, issuer, number, "")
        lines[key] = lines.get(key, 0) + sign * amount
    done = tuple(Line(*key, amount=amount) for key, amount in lines.items())
    return Statement(tenant, begins, ends, opening, done, opening + sum(line.amount for line in done))


def as_json(statement: Statement) -> dict[str, Any]:
    """The statement as JSON: every amount in millionths and as a decimal."""
    return {
        "object": "statement",
        "tenant": statement.tenant,
        "from": statement.begins.isoformat(),
        "to": statement.ends.isoformat(),
        "opening": money(statement.opening),
        "totals": {kind: money(statement.total(kind)) for kind in ("grant", "spend", "expire", "withdraw")},
        "lines": [asdict(line) | money(line.amount) for line in statement.lines],
        "closing": money(statement.closing),
    }


def money(micros: int) -> dict[str, Any]:
    """An amount as control routes write it."""
    return {"amount": micros, "units": format_amount(micros)}


HEADER = ("day", "kind", "issuer", "number", "model", "units", "balance")
CHINESE = ("日期", "类别", "发放方", "券号", "模型", "金额", "余额")


def as_csv(statement: Statement) -> str:
    """The statement as CSV with a running balance, to be written as plain UTF-8; headings in English, then Chinese."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerows([HEADER, CHINESE])
    balance = statement.opening
    table.writerow([statement.begins.isoformat(), "opening", "", "", "", "", format_amount(balance)])
    for line in statement.lines:
        balance += line.amount
        named = (_safe(line.issuer), _safe(line.number), _safe(line.model))
        table.writerow([line.day, line.kind, *named, format_amount(line.amount), format_amount(balance)])
    table.writerow([statement.ends.isoformat(), "closing", "", "", "", "", format_amount(statement.closing)])
    return out.getvalue()


def _safe(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


@dataclass(frozen=True, slots=True)
class Balance:
    """What a holder has now, in millionths of a unit; free allowances as they stand today."""

    available: int
    reserved: int
    grants: tuple[Grant, ...]
    allowances: tuple[Grant, ...]


def balance_of(connection: Connection, tenant: str, now: datetime) -> Balance:
    """A holder's grants that may still be spent, earliest expiry first, and their sums."""
    query = (
        select(*Grant.__table__.columns)
        .where(Grant.tenant == tenant, Grant.valid_until > now, Grant.available + Grant.reserved > 0)
        .order_by(Grant.valid_until, Grant.created_at, Grant.id)
    )
    rows: Iterable[Grant] = [Grant(**row._mapping) for row in connection.execute(query)]
    vouchers = tuple(one for one in rows if one.unit == "voucher")
    return Balance(
        sum(one.available for one in vouchers),
        sum(one.reserved for one in vouchers),
        vouchers,
        tuple(one for one in rows if one.unit != "voucher"),
    )
