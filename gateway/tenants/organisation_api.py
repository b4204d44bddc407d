"""Control routes of organisations."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Row, select

from gateway.control.access import Actor, gateway_of, nothing_here, require
from gateway.control.paging import After, Limit, Page, page, page_of
from gateway.errors import InvalidRequest
from gateway.store import writing
from gateway.tenants.changes import check_policy_name, checked_organisation, sent
from gateway.tenants.organisations import Status, add_organisation, change_organisation, organisation_row, set_status
from gateway.tenants.shapes import NewOrganisation, Organisation, OrganisationChange
from gateway.tenants.suspension import restore_organisations_keys
from gateway.tenants.tables import OrganisationRow

router = APIRouter(prefix="/organisations", tags=["organisations"])
Anyone = Annotated[Actor, Depends(require())]
Operator = Annotated[Actor, Depends(require("operator"))]


@router.get("", summary="List organisations: an operator sees all, others their own. / 列出企业。")
async def list_organisations(
    request: Request, actor: Anyone, limit: Limit = 100, after: After = None
) -> Page[Organisation]:
    query = select(*OrganisationRow.__table__.columns)
    if not actor.is_operator:
        query = query.where(OrganisationRow.id == actor.caller.tenant)
    order = (OrganisationRow.created_at, OrganisationRow.id)
    async with gateway_of(request).database.connect() as connection:
        return page_of(shown, *await page(connection, query, order, limit, after))


@router.post("", status_code=201, summary="Make an organisation. / 新建企业。")
async def create_organisation(request: Request, actor: Operator, body: NewOrganisation) -> Organisation:
    gateway = gateway_of(request)
    values = checked_organisation(body.model_dump(), gateway.settings.tenants)
    await check_policy_name(body.policy, gateway.settings.compliance)
    async with writing(gateway.database) as connection:
        await add_organisation(connection, values, actor.name)
        return shown(await organisation_row(connection, body.id))


@router.get("/{organisation}", summary="Read an organisation. / 查看企业。")
async def read_organisation(request: Request, actor: Anyone, organisation: str) -> Organisation:
    actor.must_see(organisation)
    async with gateway_of(request).database.connect() as connection:
        return shown(await organisation_row(connection, organisation))


@router.patch("/{organisation}", summary="Change an organisation. / 修改企业信息。")
async def update_organisation(
    request: Request, actor: Operator, organisation: str, body: OrganisationChange
) -> Organisation:
    gateway = gateway_of(request)
    changes = checked_organisation(sent(body, required=("name",)), gateway.settings.tenants)
    await check_policy_name(body.policy, gateway.settings.compliance)
    async with writing(gateway.database) as connection:
        shown(await organisation_row(connection, organisation))
        await change_organisation(connection, organisation, changes, actor.name)
        changed = shown(await organisation_row(connection, organisation))
    gateway.keys.forget_tenant(organisation)
    return changed


@router.post("/{organisation}/suspend", summary="Suspend an organisation: its keys stop. / 暂停企业服务。")
async def suspend_organisation(request: Request, actor: Operator, organisation: str) -> Organisation:
    return await _set(request, actor, organisation, "suspended")


@router.post(
    "/{organisation}/restore",
    summary="Lift the suspension of an organisation or of all its keys. / 恢复企业服务。",
)
async def restore_organisation(request: Request, actor: Operator, organisation: str) -> Organisation:
    return await _set(request, actor, organisation, "active")


@router.post("/{organisation}/close", summary="Close an organisation for good. / 注销企业。")
async def close_organisation(request: Request, actor: Operator, organisation: str) -> Organisation:
    return await _set(request, actor, organisation, "closed")


async def _set(request: Request, actor: Actor, organisation: str, status: Status) -> Organisation:
    gateway = gateway_of(request)
    if status != "active" and organisation == actor.caller.tenant:
        raise InvalidRequest(
            "This is the organisation of the key that asks; its operators would lock themselves out. "
            "不能暂停或注销当前密钥所属企业。",
            param="organisation",
        )
    async with writing(gateway.database) as connection:
        now = shown(await organisation_row(connection, organisation)).status
        lifted = await restore_organisations_keys(connection, organisation, actor.name) if status == "active" else 0
        if not await set_status(connection, organisation, status, actor.name) and not lifted:
            raise InvalidRequest(
                f"The organisation is {now}, so there is nothing to change. 企业状态为 {now}，无需更改。",
                param="organisation",
            )
        changed = shown(await organisation_row(connection, organisation))
    gateway.keys.forget_tenant(organisation)
    return changed


def shown(row: Row[Any] | None) -> Organisation:
    """An organisation as it is shown. Raises NotFound for none."""
    if row is None:
        raise nothing_here()
    return Organisation.model_validate(dict(row._mapping))
