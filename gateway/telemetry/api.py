"""Control routes of statistics: trends and risks by day, sector, region, for operators, reviewers and the regulator."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy import ColumnElement, func, select

from gateway.control.access import Actor, gateway_of, require
from gateway.errors import InvalidRequest
from gateway.store import Base
from gateway.telemetry.statistics_tables import FindingSum, RequestSum
from gateway.tenants.tables import OrganisationRow

router = APIRouter(prefix="/statistics", tags=["statistics"])
Seer = Annotated[Actor, Depends(require("reviewer", "operator"))]
RequestGroup = Literal["day", "sector", "region", "tenant", "model", "endpoint", "outcome"]
RiskGroup = Literal["day", "sector", "region", "tenant", "risk", "direction", "action"]
Day = Annotated[date | None, Query(description="A day like 2026-11-24. / 日期。")]
Format = Annotated[Literal["json", "csv"], Query(description="json or csv. / 输出格式。")]
DEFAULT_DAYS = 30
MOST_DAYS = 3660


class Statistics(BaseModel):
    """Sums over some days, grouped as asked."""

    object: Literal["statistics"] = "statistics"
    first_day: date
    last_day: date
    by: list[str]
    data: list[dict[str, str | int]]


@router.get("/requests", response_model=Statistics, summary="Requests, tokens and vouchers. / 请求、词元与算力券统计。")
async def requests(
    request: Request,
    _actor: Seer,
    by: Annotated[list[RequestGroup] | None, Query()] = None,
    first_day: Day = None,
    last_day: Day = None,
    format: Format = "json",  # noqa: A002 - the parameter's public name
) -> Any:
    """Sums of requests over all organisations, grouped as asked."""
    columns = ("requests", "prompt_tokens", "completion_tokens", "cost")
    return await _answer(request, RequestSum, by or ["day"], columns, first_day, last_day, format)


@router.get("/risks", response_model=Statistics, summary="Findings by risk. / 风险分布统计。")
async def risks(
    request: Request,
    _actor: Seer,
    by: Annotated[list[RiskGroup] | None, Query()] = None,
    first_day: Day = None,
    last_day: Day = None,
    format: Format = "json",  # noqa: A002 - the parameter's public name
) -> Any:
    """Sums of findings over all organisations, grouped as asked."""
    columns = ("findings", "requests")
    return await _answer(request, FindingSum, by or ["risk"], columns, first_day, last_day, format)


async def _answer(
    request: Request,
    table: type[Base],
    by: Sequence[str],
    columns: Sequence[str],
    first: date | None,
    last: date | None,
    form: str,
) -> Any:
    gateway = gateway_of(request)
    zone = timezone(timedelta(hours=gateway.settings.telemetry.statistics_utc_offset_hours))
    last = last or datetime.fromtimestamp(gateway.clock(), zone).date()
    first = first or date.fromordinal(max(1, last.toordinal() - DEFAULT_DAYS + 1))
    if not 0 <= (last - first).days < MOST_DAYS:
        raise InvalidRequest(
            f"first_day must be before last_day, by less than {MOST_DAYS} days. 起始日期须早于结束日期。",
            param="first_day",
        )
    groups = [_column(table, name) for name in by]
    query = (
        select(*groups, *(func.sum(_column(table, name)).label(name) for name in columns))
        .outerjoin(OrganisationRow, OrganisationRow.id == _column(table, "tenant"))
        .where(_column(table, "day").between(first.isoformat(), last.isoformat()))
        .group_by(*groups)
        .order_by(*groups)
    )
    async with gateway.database.connect() as connection:
        rows = (await connection.execute(query)).all()
    data = [
        {name: value or "" for name, value in zip(by, row, strict=False)}
        | {name: int(value) for name, value in zip(columns, row[len(by) :], strict=True)}
        for row in rows
    ]
    if form == "csv":
        return Response(_csv(data, (*by, *columns)), media_type="text/csv; charset=utf-8")
    return Statistics(first_day=first, last_day=last, by=list(by), data=data)


def _column(table: type[Base], name: str) -> ColumnElement[Any]:
    found: ColumnElement[Any] = getattr(OrganisationRow, name) if name in ("sector", "region") else getattr(table, name)
    return found


def _csv(data: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    writer.writerows(data)
    return out.getvalue()
