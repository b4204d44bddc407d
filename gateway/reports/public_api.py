"""The public entry for complaints and reports: no key is needed."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from sqlalchemy import select

from configs.strict import Strict
from gateway.audit.text_keys import load_text_keys
from gateway.control.access import gateway_of
from gateway.errors import BodyTooLarge, NotFound
from gateway.reports.intake import Intake, same_secret
from gateway.reports.queue import progress
from gateway.reports.shapes import NUMBER, NewReport, Progress, Receipt
from gateway.reports.tables import ReportRow
from gateway.request import checked_body

router = APIRouter(prefix="/reports", tags=["reports"])
PUBLIC: dict[str, Any] = {"security": []}
NEW_REPORT = PUBLIC | {
    "requestBody": {"required": True, "content": {"application/json": {"schema": NewReport.model_json_schema()}}}
}


class Reason(Strict):
    """A reason that may be chosen."""

    id: str
    zh: str
    en: str


class Guide(Strict):
    """How reports are handled, as it is published."""

    object: str = "report.guide"
    open: bool
    reasons: list[Reason]
    max_text_characters: int
    decide_working_hours: float
    process_zh: str
    process_en: str


@router.get("/guide", summary="How reports are handled, and the reasons / 投诉举报须知", openapi_extra=PUBLIC)
async def guide(request: Request) -> Guide:
    """The entry, the process and its time limits."""
    settings = gateway_of(request).settings.reports
    hours = f"{settings.decide_working_hours:g}"
    return Guide(
        open=settings.open,
        reasons=[Reason(id=one.id, zh=one.zh, en=one.en) for one in settings.reasons],
        max_text_characters=settings.max_text_characters,
        decide_working_hours=settings.decide_working_hours,
        process_zh=f"提交后即时返回编号与查询码；{hours} 个工作小时内处理并答复；凭编号与查询码查询进展。",
        process_en=f"You get a number and a secret at once, a decision within {hours} working hours, "
        "and can look up how your report stands with both.",
    )


@router.post("", status_code=201, summary="Report content / 提交投诉举报", openapi_extra=NEW_REPORT)
async def report(request: Request) -> Receipt:
    """Take a report in. The answer says nothing of whose content it is, or whether it is ours."""
    gateway = gateway_of(request)
    settings = gateway.settings.reports
    if not settings.open:
        raise NotFound("Reports are not taken here. 此处不受理举报。")
    new, _ = checked_body(NewReport, await _body(request, settings.max_body_bytes))
    intake = Intake(gateway.database, settings, load_text_keys(gateway.settings.audit), gateway.pipeline)
    return await intake.take(new, gateway.keys.proxies.client(request.scope), gateway.clock())


@router.get("/{number}", summary="How a report stands / 查询处理进展", openapi_extra=PUBLIC)
async def read_progress(
    request: Request, number: str, x_report_secret: Annotated[str, Header(max_length=100)] = ""
) -> Progress:
    """With the secret in the header `x-report-secret`; without the right one there is no such report."""
    gateway = gateway_of(request)
    row = None
    if re.fullmatch(NUMBER, number):
        query = select(*ReportRow.__table__.columns).where(ReportRow.number == number)
        async with gateway.database.connect() as connection:
            row = (await connection.execute(query)).first()
    if row is None or not same_secret(x_report_secret, row.secret_digest):
        raise NotFound("No report has this number and secret. 编号或查询码不正确。")
    return progress(row, datetime.fromtimestamp(gateway.clock(), UTC))


async def _body(request: Request, limit: int) -> bytes:
    """The body, never more than the limit of it. Raises BodyTooLarge."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(f"A report has at most {limit} bytes; send less. 内容过大。")
    return body
