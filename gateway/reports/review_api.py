"""Control routes for reviewers: the queue of reports and its steps."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import or_

from gateway.audit.api import TextUnreadable
from gateway.audit.text_keys import TextDamaged, UnknownTextKey, load_text_keys
from gateway.control.access import Actor, gateway_of, require
from gateway.control.paging import After, Limit, Page, page
from gateway.reports.queue import assign, case, cases, decide, read_report_texts, report_row
from gateway.reports.shapes import WITHOUT_NUL, Assignment, Case, State, Verdict, WhyRead
from gateway.reports.tables import ReportRow

router = APIRouter(prefix="/report-cases", tags=["reports"])
Reviewer = Annotated[Actor, Depends(require("reviewer", "operator"))]


@router.get("", summary="List reports, the most urgent first / 举报列表（按期限排序）")
async def list_cases(
    request: Request,
    actor: Reviewer,
    state: State | None = None,
    overdue: bool | None = None,
    assigned_to: Annotated[str | None, Query(max_length=100, pattern=WITHOUT_NUL)] = None,
    limit: Limit = 100,
    after: After = None,
) -> Page[Case]:
    """In the order of their deadlines."""
    now = _now(request)
    query = cases()
    if state is not None:
        query = query.where(ReportRow.state == state)
    if assigned_to is not None:
        query = query.where(ReportRow.assigned_to == assigned_to)
    if overdue is not None:
        late = or_(ReportRow.decided_at > ReportRow.due_at, ReportRow.decided_at.is_(None) & (ReportRow.due_at < now))
        query = query.where(late if overdue else ~late)
    async with gateway_of(request).database.connect() as connection:
        rows, more = await page(connection, query, (ReportRow.due_at, ReportRow.number), limit, after)
    return Page(data=[case(row, now) for row in rows], has_more=more)


@router.get("/{number}", summary="One report / 单件举报")
async def read_case(request: Request, actor: Reviewer, number: str) -> Case:
    """The report without what the reporter wrote."""
    async with gateway_of(request).database.connect() as connection:
        return case(await report_row(connection, number), _now(request))


@router.post("/{number}/assign", summary="Give a report to somebody / 分派")
async def assign_case(request: Request, actor: Reviewer, number: str, body: Assignment) -> Case:
    """To the one named, else to whoever sends this."""
    await assign(gateway_of(request).database, number, body.to or actor.name, actor.name)
    return await read_case(request, actor, number)


@router.post("/{number}/decide", summary="Decide a report, once / 作出处理决定")
async def decide_case(request: Request, actor: Reviewer, number: str, body: Verdict) -> Case:
    """Upheld, rejected or duplicate, with the answer to the reporter and what follows."""
    gateway = gateway_of(request)
    await decide(gateway.database, number, body, actor.name, _now(request))
    shown = await read_case(request, actor, number)
    if body.suspend_key is not None and shown.key_id is not None:
        gateway.keys.forget(shown.key_id)
    return shown


@router.post("/{number}/text", summary="Read what the reporter wrote; goes on record / 查阅举报内容（留痕）")
async def read_text(request: Request, actor: Reviewer, number: str, why: WhyRead) -> dict[str, str]:
    """Text, detail and contact, as far as there are any."""
    gateway = gateway_of(request)
    keys = load_text_keys(gateway.settings.audit)
    try:
        return await read_report_texts(gateway.database, keys, number, actor.name, why.reason)
    except (TextDamaged, UnknownTextKey) as error:
        raise TextUnreadable(str(error)) from None


def _now(request: Request) -> datetime:
    return datetime.fromtimestamp(gateway_of(request).clock(), UTC)
