"""Control routes of the audit log: records, a checkpoint, an export, kept texts."""

import asyncio
import shutil
import tempfile
from datetime import datetime
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field
from sqlalchemy import ColumnElement, select, true
from starlette.background import BackgroundTask

from configs.strict import Strict
from gateway.audit.access import MAX_REASON, Reader, read_texts
from gateway.audit.acts import Act, record_act
from gateway.audit.canonical import microseconds, moment_of
from gateway.audit.chain import Link
from gateway.audit.checkpoint import take_checkpoint
from gateway.audit.export import Wanted, export, link_line
from gateway.audit.source import LINK_COLUMNS, snapshot
from gateway.audit.tables import LinkRow
from gateway.audit.text_keys import TextDamaged, UnknownTextKey, load_text_keys
from gateway.audit.writer import REQUESTS
from gateway.control.access import Actor, gateway_of, nothing_here, require
from gateway.control.paging import After, Limit, page
from gateway.errors import GatewayError, InvalidRequest
from gateway.moments import utc
from gateway.store import RequestRecord, writing

router = APIRouter(prefix="/audit", tags=["audit"])
AnyRole = Annotated[Actor, Depends(require())]
Operator = Annotated[Actor, Depends(require("operator"))]
Reviewer = Annotated[Actor, Depends(require("reviewer", "operator"))]
PLAIN = r"^[^\x00]*$"
RecordId = Annotated[str, Path(max_length=40, pattern=PLAIN)]
COLUMNS = tuple(RequestRecord.__table__.columns)


class TextUnreadable(GatewayError):
    """A kept text can't be decrypted."""

    status = 500
    code = "text_unreadable"


@router.get("/records", summary="List request records / 请求记录")
async def list_records(
    request: Request,
    actor: AnyRole,
    tenant: Annotated[str | None, Query(max_length=60, pattern=PLAIN)] = None,
    since: Annotated[datetime | None, Query(alias="from")] = None,
    until: Annotated[datetime | None, Query(alias="to")] = None,
    outcome: Annotated[str | None, Query(max_length=30, pattern=PLAIN)] = None,
    limit: Limit = 100,
    after: After = None,
) -> dict[str, Any]:
    """Records in the order of their ids, which is that of time.

    Operators and reviewers see all, an owner those of its organisation, any other key its own.
    """
    query = select(*COLUMNS).where(_visible(actor))
    if tenant is not None:
        query = query.where(RequestRecord.tenant == tenant)
    if since is not None:
        query = query.where(RequestRecord.started_at >= _asked(since))
    if until is not None:
        query = query.where(RequestRecord.started_at < _asked(until))
    if outcome is not None:
        query = query.where(RequestRecord.outcome == outcome)
    async with gateway_of(request).database.connect() as connection:
        rows, more = await page(connection, query, (RequestRecord.id,), limit, after)
    return {"object": "list", "data": [_shown(row._mapping, actor) for row in rows], "has_more": more}


@router.get("/records/{record_id}", summary="One record with its link / 单条记录及其链接")
async def read_record(request: Request, actor: AnyRole, record_id: RecordId) -> dict[str, Any]:
    """The record and the link that holds its hash; 404 for one that the caller may not see."""
    query = select(*COLUMNS).where(RequestRecord.id == record_id, _visible(actor))
    link = select(*LINK_COLUMNS).where(LinkRow.subject == record_id)
    async with gateway_of(request).database.connect() as connection:
        row = (await connection.execute(query)).mappings().first()
        if row is None:
            raise nothing_here()
        links = [_link(one) for one in await connection.execute(link)]
    return _shown(row, actor) | {"links": links}


@router.get("/checkpoint", summary="All heads, signed / 签名检查点")
async def checkpoint(request: Request, actor: Operator) -> Response:
    """The same file as `opcgate audit checkpoint` writes."""
    gateway = gateway_of(request)
    async with writing(gateway.database) as connection:
        await record_act(connection, Act(actor.name, "audit.checkpoint", "control API"), "checkpoint")
    async with gateway.database.connect() as connection:
        body = (await take_checkpoint(connection, gateway.clock())).signed(gateway.audit.key)
    return Response(body, media_type="application/json")


class ExportRequest(Strict):
    """What to export."""

    since: datetime = Field(alias="from")
    until: datetime = Field(alias="to")
    tenant: str | None = Field(None, max_length=60, pattern=PLAIN)


@router.post(
    "/export",
    summary="Export for an inspector, as a ZIP file / 导出（ZIP）",
    response_class=FileResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
async def make_export(request: Request, actor: Operator, wanted: ExportRequest) -> FileResponse:
    """The folder that `opcgate audit export` writes, zipped."""
    gateway = gateway_of(request)
    span = Wanted(microseconds(_asked(wanted.since)), microseconds(_asked(wanted.until)), wanted.tenant)
    if span.from_us >= span.to_us:
        raise InvalidRequest("Field 'from' must be before 'to'. from 须早于 to。", param="from")
    async with writing(gateway.database) as connection:
        detail = {"from_us": span.from_us, "to_us": span.to_us, "tenant": span.tenant}
        await record_act(connection, Act(actor.name, "audit.export", "control API", detail))
    work = FilePath(await asyncio.to_thread(tempfile.mkdtemp, prefix="opcgate-export-"))
    try:
        async with snapshot(gateway.database) as connection:
            await export(connection, gateway.audit.key, span, work / "export", gateway.clock())
        await asyncio.to_thread(shutil.make_archive, str(work / "export"), "zip", work, "export")
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, work)
        raise
    return FileResponse(
        work / "export.zip",
        media_type="application/zip",
        filename="opcgate-audit-export.zip",
        background=BackgroundTask(shutil.rmtree, work),
    )


class TextRequest(Strict):
    """Why a text is read."""

    reason: str = Field(min_length=1, max_length=MAX_REASON, pattern=PLAIN)


@router.post("/records/{record_id}/text", summary="Read kept text; goes on record / 查阅留存文本（留痕）")
async def read_text(request: Request, actor: Reviewer, record_id: RecordId, why: TextRequest) -> dict[str, Any]:
    """The kept prompt and answer. The reading is recorded with its reason before anything is shown."""
    gateway = gateway_of(request)
    keys = load_text_keys(gateway.settings.audit)
    try:
        texts = await read_texts(gateway.database, keys, record_id, Reader(actor.name, why.reason))
    except (TextDamaged, UnknownTextKey) as error:
        raise TextUnreadable(str(error)) from None
    if texts is None:
        raise nothing_here()
    return {"object": "audit.text", "id": record_id, "texts": texts}


def _visible(actor: Actor) -> ColumnElement[bool]:
    if _sees_all(actor):
        return true()
    mine = RequestRecord.key_id == actor.caller.key_id
    return RequestRecord.tenant == actor.caller.tenant if actor.caller.owner else mine


def _sees_all(actor: Actor) -> bool:
    return actor.caller.role in ("reviewer", "operator")


def _shown(row: Any, actor: Actor) -> dict[str, Any]:
    """A record; of other keys' findings an owner sees the risk and what was done, not where and by which rule."""
    shown = {"object": "audit.record"} | REQUESTS.record(dict(row))
    if not _sees_all(actor) and shown.get("key_id") != actor.caller.key_id:
        shown["findings"] = [{"risk": one["risk"], "action": one["action"]} for one in shown["findings"]]
    return shown | {"started_at": moment_of(shown["started_at"]).isoformat()}


def _link(row: Any) -> dict[str, Any]:
    return link_line(Link(*row))


def _asked(moment: datetime) -> datetime:
    """The moment in UTC, as SQLite compares it: it keeps no time zone. Raises InvalidRequest beyond the calendar."""
    try:
        return utc(moment)
    except OverflowError:
        raise InvalidRequest("Write a moment between the years 1 and 9999. 时间超出范围。", param="from") from None
