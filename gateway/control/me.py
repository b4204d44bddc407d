"""`/api/v1/me` and `/api/v1/acts`: who the caller is, and what was done."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Row, or_, select

from gateway.audit.acts import ActRow
from gateway.control.access import Actor, caller_of, gateway_of, require
from gateway.control.paging import After, Limit, Page, page, page_of
from gateway.errors import Forbidden
from gateway.store import ApiKey
from gateway.tenants.caller import ALL_SCOPES, Caller
from gateway.tenants.shapes import Me, ShownAct
from gateway.tenants.tables import MemberRow

router = APIRouter(tags=["account"])


@router.get("/me", summary="Who am I: role, scopes, models, organisation. / 当前密钥的身份与权限。")
async def me(caller: Annotated[Caller, Depends(caller_of)]) -> Me:
    return Me(
        key=caller.key_id,
        key_version=caller.key_version,
        organisation=caller.tenant,
        member=caller.member,
        role=caller.role,
        owner=caller.owner,
        scopes=[one for one in ALL_SCOPES if caller.scopes is None or one in caller.scopes],
        models=None if caller.models is None else sorted(caller.models),
        expires_at=None if caller.expires_at is None else datetime.fromtimestamp(caller.expires_at, UTC),
        policy=caller.policy or caller.tenant_policy,
        label_position=caller.label_position,
    )


@router.get(
    "/acts", summary="Administrative acts: all for operators, one's organisation's for owners. / 管理操作记录。"
)
async def list_acts(
    request: Request,
    actor: Annotated[Actor, Depends(require())],
    limit: Limit = 100,
    after: After = None,
) -> Page[ShownAct]:
    query = select(*ActRow.__table__.columns)
    if not actor.is_operator:
        if not actor.caller.owner:
            raise Forbidden("Only owners and operators read acts. 仅企业所有者与平台运营人员可查看操作记录。")
        own = actor.caller.tenant
        query = query.where(
            or_(
                ActRow.subject == own,
                ActRow.subject.in_(select(ApiKey.id).where(ApiKey.tenant == own)),
                ActRow.subject.in_(select(MemberRow.id).where(MemberRow.organisation == own)),
            )
        )
    async with gateway_of(request).database.connect() as connection:
        return page_of(_shown, *await page(connection, query, (ActRow.at, ActRow.id), limit, after))


def _shown(row: Row[Any]) -> ShownAct:
    return ShownAct.model_validate({name: row._mapping[name] for name in ShownAct.model_fields if name != "object"})
