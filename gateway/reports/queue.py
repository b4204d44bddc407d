"""Working through reports: who decides, what is decided, and what follows from it. Each step leaves an act."""

import re
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from configs.sections.reports import ReportSettings
from gateway.audit.access import COLUMNS
from gateway.audit.acts import Act, record_act
from gateway.audit.canonical import moment_of
from gateway.audit.tables import TextRow
from gateway.audit.text_keys import TextKeys
from gateway.audit.texts import SealedText, open_text
from gateway.errors import InvalidRequest, NotFound
from gateway.moments import utc
from gateway.reports.shapes import NUMBER, Case, Progress, Verdict
from gateway.reports.tables import ReportRow
from gateway.store import RequestRecord, writing
from gateway.tenants.suspension import suspend

ANSWERS = {
    ("upheld", "zh"): "经核查，您的举报成立，我们已依规处理。感谢您的监督。",
    ("upheld", "en"): "We checked your report and it is upheld; we have acted on it. Thank you.",
    ("rejected", "zh"): "经核查，未发现您举报的内容违反规定。如有新的证据，欢迎再次举报。",
    ("rejected", "en"): "We checked your report and found no breach of the rules. With new evidence, report again.",
    ("duplicate", "zh"): "该内容已有举报在处理或已处理完毕，本次举报与之合并。",
    ("duplicate", "en"): "This content was reported before; your report is handled together with that one.",
}


def cases() -> Select[Any]:
    """The query for reports with what the record of their content says of whom it was for."""
    return select(*ReportRow.__table__.columns, RequestRecord.tenant, RequestRecord.key_id).outerjoin(
        RequestRecord, RequestRecord.id == ReportRow.request
    )


async def report_row(connection: AsyncConnection, number: str) -> Row[Any]:
    """A report. Raises NotFound."""
    row = None
    if re.fullmatch(NUMBER, number):
        row = (await connection.execute(cases().where(ReportRow.number == number))).first()
    if row is None:
        raise NotFound("No report has this number. 没有此编号的举报。")
    return row


async def assign(engine: AsyncEngine, number: str, to: str, actor: str) -> None:
    """Give an open report to somebody. Raises NotFound, InvalidRequest."""
    async with writing(engine) as connection:
        row = await report_row(connection, number)
        _must_be_open(row)
        await _change(connection, number, state="assigned", assigned_to=to)
        await record_act(connection, Act(actor, "reports.assign", number, {"from": row.assigned_to, "to": to}))


async def decide(engine: AsyncEngine, number: str, verdict: Verdict, actor: str, now: datetime) -> None:
    """Decide an open report, once, with its consequences. Raises NotFound, InvalidRequest."""
    async with writing(engine) as connection:
        row = await report_row(connection, number)
        _must_be_open(row)
        if verdict.duplicate_of is not None:
            if verdict.duplicate_of == number:
                raise InvalidRequest("A report can't be its own duplicate. 不能与自身重复。", param="duplicate_of")
            await report_row(connection, verdict.duplicate_of)
        answer = verdict.answer or ANSWERS[verdict.decision, row.language]
        changed = await _change(
            connection,
            number,
            state="decided",
            decision=verdict.decision,
            decided_at=now,
            decided_by=actor,
            why=verdict.why,
            answer=answer,
            duplicate_of=verdict.duplicate_of,
        )
        if not changed:
            raise _decided()  # another reviewer was faster by a hair
        consequences = []
        if verdict.suspend_key is not None:
            consequences.append(await _suspend(connection, row, verdict.suspend_key.hours, actor))
            followed = update(ReportRow).where(ReportRow.number == number).values(consequences=consequences)
            await connection.execute(followed)
        detail = {
            "decision": verdict.decision,
            "duplicate_of": verdict.duplicate_of,
            "consequences": consequences,
            "late": now > utc(row.due_at),
        }
        await record_act(connection, Act(actor, "reports.decide", number, detail))


async def _suspend(connection: AsyncConnection, row: Row[Any], hours: float | None, actor: str) -> dict[str, Any]:
    if row.key_id is None:
        raise InvalidRequest(
            "The reported content is none of ours, so there is no key to suspend. 该内容非本服务生成，无密钥可暂停。",
            param="suspend_key",
        )
    done = await suspend(connection, row.key_id, hours, actor, f"report {row.number}")
    return {"action": "suspend_key", "key": row.key_id, "hours": hours, "was_suspended": not done}


async def _change(connection: AsyncConnection, number: str, **values: Any) -> bool:
    change = update(ReportRow).where(ReportRow.number == number, ReportRow.state != "decided").values(values)
    return bool((await connection.execute(change)).rowcount)


def _must_be_open(row: Row[Any]) -> None:
    if row.state == "decided":
        raise _decided()


def _decided() -> InvalidRequest:
    return InvalidRequest("This report is decided; a decision is not changed. 该举报已处理完毕，不可更改。")


async def read_report_texts(
    engine: AsyncEngine, keys: TextKeys, number: str, actor: str, reason: str
) -> dict[str, str]:
    """What the reporter wrote; the reading goes on record first. Raises NotFound, UnknownTextKey, TextDamaged."""
    async with writing(engine) as connection:
        await report_row(connection, number)
        query = select(*COLUMNS).where(TextRow.owner == number)
        texts = [SealedText(*row) for row in await connection.execute(query)]
        detail = {"reason": reason, "parts": sorted(one.part for one in texts)}
        await record_act(connection, Act(actor, "reports.text.read", number, detail), "access")
    return {one.part: open_text(keys, one).decode() for one in texts}


async def retain_reports(engine: AsyncEngine, settings: ReportSettings, actor: str, now: float) -> int:
    """Delete reports whose retention is over as of `now` (Unix seconds)."""
    before = moment_of(int(now * 1_000_000)) - timedelta(days=settings.retention_days)
    return await delete_old_reports(engine, before, actor)


async def delete_old_reports(engine: AsyncEngine, before: datetime, actor: str, batch: int = 200) -> int:
    """Delete reports that were decided before a moment, with their texts; how many."""
    deleted = 0
    while True:
        old = select(ReportRow.number).where(ReportRow.decided_at < before).order_by(ReportRow.decided_at).limit(batch)
        async with writing(engine) as connection:
            numbers = list((await connection.execute(old)).scalars())
            if not numbers:
                return deleted
            await connection.execute(delete(TextRow).where(TextRow.owner.in_(numbers)))
            await connection.execute(delete(ReportRow).where(ReportRow.number.in_(numbers)))
            await record_act(connection, Act(actor, "reports.retain", "reports", {"numbers": numbers}))
        deleted += len(numbers)


def progress(row: Row[Any], now: datetime) -> Progress:
    """What the reporter is told: nothing of whose content it is."""
    return Progress(
        number=row.number,
        state=row.state,
        received_at=utc(row.received_at),
        due_at=utc(row.due_at),
        overdue=_overdue(row, now),
        decision=row.decision,
        decided_at=None if row.decided_at is None else utc(row.decided_at),
        answer=row.answer,
    )


def case(row: Row[Any], now: datetime) -> Case:
    """What reviewers see."""
    return Case(
        number=row.number,
        state=row.state,
        reason=row.reason,
        language=row.language,
        received_at=utc(row.received_at),
        due_at=utc(row.due_at),
        overdue=_overdue(row, now),
        content_id=row.content,
        request_id=row.request,
        tenant=row.tenant,
        key_id=row.key_id,
        parts=row.parts,
        findings=row.findings,
        assigned_to=row.assigned_to,
        decision=row.decision,
        decided_at=None if row.decided_at is None else utc(row.decided_at),
        decided_by=row.decided_by,
        why=row.why,
        answer=row.answer,
        duplicate_of=row.duplicate_of,
        consequences=row.consequences or [],
    )


def _overdue(row: Row[Any], now: datetime) -> bool:
    return bool(utc(row.decided_at or now) > utc(row.due_at))
