"""Control routes of limits: what an operator sets for a key, an organisation or a model."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel
from sqlalchemy import Row, select

from configs.sections.limits import RateSettings
from gateway.control.access import Actor, gateway_of, nothing_here, require
from gateway.control.paging import Limit, Page, page, page_of
from gateway.limits.overrides import remove_limit, set_limit
from gateway.limits.subjects import Kind, LimitBook, Subject
from gateway.limits.tables import LimitRow

router = APIRouter(prefix="/limits", tags=["limits"])
Operator = Annotated[Actor, Depends(require("operator"))]
Id = Annotated[
    str, Path(max_length=100, description="Id of the key, organisation or model. / 密钥、企业或模型的标识。")
]
AfterSubject = Annotated[
    str | None, Query(max_length=120, description="`id` of the last one of the page before. / 上一页最后一条的 id。")
]


class SubjectLimits(BaseModel):
    """The limits of a subject, and where they come from. `id` is `kind/subject`, as lists are paged by."""

    id: str
    kind: Kind
    subject: str
    source: Literal["operator", "settings"]
    limits: RateSettings


@router.get("", summary="List the limits that operators have set. / 列出运营方设置的限制。")
async def list_limits(
    request: Request, _actor: Operator, limit: Limit = 100, after: AfterSubject = None
) -> Page[SubjectLimits]:
    query = select(*LimitRow.__table__.columns)
    order = (LimitRow.kind, LimitRow.subject, LimitRow.kind + "/" + LimitRow.subject)
    async with gateway_of(request).database.connect() as connection:
        return page_of(_shown, *await page(connection, query, order, limit, after))


def _shown(row: Row[Any]) -> SubjectLimits:
    limits = RateSettings(
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        concurrent_requests=row.concurrent_requests,
    )
    id_ = f"{row.kind}/{row.subject}"
    return SubjectLimits(id=id_, kind=row.kind, subject=row.subject, source="operator", limits=limits)


@router.get("/{kind}/{subject:path}", summary="Read the limits of a subject. / 查看限制。")
async def read_limits(request: Request, _actor: Operator, kind: Kind, subject: Id) -> SubjectLimits:
    return await _described(request, Subject(kind, subject))


@router.put("/{kind}/{subject:path}", summary="Set limits; workers follow within seconds. / 设置限制。")
async def put_limits(request: Request, actor: Operator, kind: Kind, subject: Id, body: RateSettings) -> SubjectLimits:
    await set_limit(gateway_of(request).database, Subject(kind, subject), body, actor.name)
    return await _described(request, Subject(kind, subject))


@router.delete("/{kind}/{subject:path}", status_code=204, summary="Go back to the settings' limits. / 恢复默认限制。")
async def delete_limits(request: Request, actor: Operator, kind: Kind, subject: Id) -> None:
    if not await remove_limit(gateway_of(request).database, Subject(kind, subject), actor.name):
        raise nothing_here()


async def _described(request: Request, subject: Subject) -> SubjectLimits:
    gateway = gateway_of(request)
    book = LimitBook(gateway.settings.limits, gateway.database)
    await book.refresh()
    source: Literal["operator", "settings"] = "operator" if book.is_set(subject) else "settings"
    id_ = f"{subject.kind}/{subject.id}"
    return SubjectLimits(id=id_, kind=subject.kind, subject=subject.id, source=source, limits=book.of(subject))
