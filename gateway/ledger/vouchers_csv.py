"""A list of vouchers as CSV: checked whole before anything is stored; a second import of it changes nothing."""

import csv
import io
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone

from sqlalchemy import Connection, select

from compliance.verdict import RulesError
from gateway.ledger.amounts import parse_amount
from gateway.ledger.postings import GRANTS, NewGrant, create_grant
from gateway.ledger.tables import Grant

COLUMNS = ("issuer", "number", "tenant", "amount", "valid_from", "valid_until", "models", "region")
NEEDED = COLUMNS[:6]
NAME = re.compile(r"^[^\s\x00-\x1f].{0,99}$")
MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Imported:
    """How many vouchers of a list are new, and how many were there already."""

    new: int
    known: int


def read_vouchers(text: str, name: str, offset_hours: int) -> list[NewGrant]:
    """Every voucher of a list. Raises RulesError that names file, line and field of the first wrong one.

    A date without time begins at midnight; in `valid_until` it holds to the end of that day.
    """
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        header = [one.strip() for one in next(rows, [])]
        _check_header(header, name)
        grants: list[NewGrant] = []
        seen: dict[tuple[str, str], int] = {}
        for values in rows:
            line = rows.line_num
            if not any(one.strip() for one in values):
                continue
            if len(values) != len(header):
                raise _error(name, line, "row", f"has {len(values)} fields, the header {len(header)}", "列数与表头不符")
            grant = _grant(dict(zip(header, (one.strip() for one in values), strict=True)), name, line, offset_hours)
            first = seen.setdefault((grant.issuer, grant.number), line)
            if first != line:
                raise _error(name, line, "number", f"is on line {first} already", f"与第 {first} 行重复")
            if len(grants) >= MAX_ROWS:
                raise _error(name, line, "row", f"a list has at most {MAX_ROWS} vouchers", "券数过多")
            grants.append(grant)
    except csv.Error as error:
        raise _error(name, rows.line_num, "row", f"is not CSV ({error})", "不是合法的 CSV") from None
    return grants


def import_vouchers(connection: Connection, now: datetime, grants: list[NewGrant], name: str, by: str) -> Imported:
    """Store those that aren't there yet. Raises RulesError when a number is known with other content."""
    new = 0
    for grant in grants:
        query = select(*GRANTS).where(Grant.issuer == grant.issuer, Grant.number == grant.number)
        known = connection.execute(query).first()
        if known is None:
            create_grant(connection, now, grant, by)
            new += 1
            continue
        different = [field for field, value in grant.values().items() if getattr(known, field) != value]
        if different:
            fields = ", ".join(different)
            raise RulesError(
                f"{name}: voucher {grant.number} of {grant.issuer} is stored with another {fields}; "
                "correct the list, or give the voucher a new number.",
                f"{name}：{grant.issuer} 的券 {grant.number} 已存在且 {fields} 不同，请更正名单或换用新编号。",
            )
    return Imported(new, len(grants) - new)


def _check_header(header: list[str], name: str) -> None:
    unknown = [one for one in header if one not in COLUMNS]
    missing = [one for one in NEEDED if one not in header]
    if unknown or missing or len(set(header)) != len(header):
        what = f"unknown: {', '.join(unknown)}" if unknown else f"missing: {', '.join(missing)}"
        raise _error(name, 1, "header", f"needs the columns {', '.join(COLUMNS)} ({what})", "表头不正确")


def _grant(row: dict[str, str], name: str, line: int, offset_hours: int) -> NewGrant:
    for field, most in (("issuer", 100), ("number", 100), ("tenant", 60)):
        if not NAME.match(row[field]) or len(row[field]) > most:
            raise _error(name, line, field, f"must have 1 to {most} characters", f"须为 1 至 {most} 个字符")
    try:
        amount = parse_amount(row["amount"])
    except ValueError as error:
        raise _error(name, line, "amount", str(error), "金额不正确") from None
    begins = _moment(row, "valid_from", name, line, offset_hours)
    ends = _moment(row, "valid_until", name, line, offset_hours)
    if ends <= begins:
        raise _error(name, line, "valid_until", "must be after valid_from", "须晚于生效时间")
    models = tuple(row.get("models", "").split())
    region = row.get("region") or None
    if region is not None and len(region) > 40:
        raise _error(name, line, "region", "has at most 40 characters", "最多 40 个字符")
    return NewGrant(row["tenant"], row["issuer"], row["number"], amount, begins, ends, models or None, region)


def _moment(row: dict[str, str], field: str, name: str, line: int, offset_hours: int) -> datetime:
    try:
        return parse_moment(row[field], offset_hours, end=field == "valid_until")
    except (ValueError, OverflowError):
        raise _error(
            name,
            line,
            field,
            "write a date like 2026-12-31, or a time like 2026-12-31T18:00:00+08:00",
            "日期格式不正确",
        ) from None


def parse_moment(text: str, offset_hours: int, *, end: bool = False) -> datetime:
    """A date or a time in ISO 8601; a date is the beginning of that day, or its end. Raises ValueError."""
    zone = timezone(timedelta(hours=offset_hours))
    if len(text) == 10:
        day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
        return datetime.combine(day, time(), zone).astimezone(UTC)
    moment = datetime.fromisoformat(text)
    return (moment.replace(tzinfo=zone) if moment.tzinfo is None else moment).astimezone(UTC)


def _error(name: str, line: int, field: str, en: str, zh: str) -> RulesError:
    return RulesError(f"{name}:{line}: {field}: {en}. Nothing was imported.", f"{name}:{line}：{field}：{zh}，未导入。")
