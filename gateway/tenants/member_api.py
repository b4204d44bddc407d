"""Control routes of an organisation's members. An owner reaches authors, or as far as its own role."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.control.access import Actor, gateway_of, nothing_here, require
from gateway.control.paging import After, Limit, Page, page, page_of
from gateway.errors import Forbidden, InvalidRequest
from gateway.store import writing
from gateway.tenants.changes import sent
from gateway.tenants.members import add_member, change_member, masked, member_row, remove_member
from gateway.tenants.organisations import organisation_row
from gateway.tenants.shapes import Member, MemberChange, NewMember
from gateway.tenants.tables import MemberRow

router = APIRouter(prefix="/organisations/{organisation}/members", tags=["members"])
Anyone = Annotated[Actor, Depends(require())]


@router.get("", summary="List an organisation's members. / 列出成员。")
async def list_members(
    request: Request, actor: Anyone, organisation: str, limit: Limit = 100, after: After = None
) -> Page[Member]:
    actor.must_see(organisation)
    query = select(*MemberRow.__table__.columns).where(MemberRow.organisation == organisation)
    async with gateway_of(request).database.connect() as connection:
        await _must_exist(connection, organisation)
        rows, more = await page(connection, query, (MemberRow.created_at, MemberRow.id), limit, after)
    return page_of(lambda row: shown(row, actor), rows, more)


@router.post("", status_code=201, summary="Add a member. / 添加成员。")
async def create_member(request: Request, actor: Anyone, organisation: str, body: NewMember) -> Member:
    actor.must_manage(organisation)
    _must_reach(actor, body.role)
    async with writing(gateway_of(request).database) as connection:
        await _must_exist(connection, organisation)
        member = await add_member(
            connection, organisation, body.name, body.email, body.role, actor.name, owner=body.owner
        )
        return shown(await member_row(connection, member), actor)


@router.get("/{member}", summary="Read a member. / 查看成员。")
async def read_member(request: Request, actor: Anyone, organisation: str, member: str) -> Member:
    actor.must_see(organisation)
    async with gateway_of(request).database.connect() as connection:
        return shown(await _member_of(connection, organisation, member), actor)


@router.patch("/{member}", summary="Change a member's name, e-mail, role, ownership or status. / 修改成员。")
async def update_member(request: Request, actor: Anyone, organisation: str, member: str, body: MemberChange) -> Member:
    actor.must_manage(organisation)
    changes = sent(body)
    async with writing(gateway_of(request).database) as connection:
        row = await _member_of(connection, organisation, member)
        _must_reach(actor, row.role, changes.get("role", row.role))
        if row.status == "removed":
            raise InvalidRequest("This member was removed; add a new one. 该成员已移除，请新增。", param="member")
        await change_member(connection, row, changes, actor.name)
        changed = shown(await member_row(connection, member), actor)
    gateway_of(request).keys.forget_member(member)
    return changed


@router.delete("/{member}", summary="Remove a member and revoke its keys. / 移除成员并吊销其密钥。")
async def delete_member(request: Request, actor: Anyone, organisation: str, member: str) -> Member:
    actor.must_manage(organisation)
    async with writing(gateway_of(request).database) as connection:
        row = await _member_of(connection, organisation, member)
        _must_reach(actor, row.role)
        if row.status == "removed":
            raise nothing_here()
        await remove_member(connection, row, actor.name)
        removed = shown(await member_row(connection, member), actor)
    gateway_of(request).keys.forget_member(member)
    return removed


async def _must_exist(connection: AsyncConnection, organisation: str) -> None:
    if await organisation_row(connection, organisation) is None:
        raise nothing_here()


async def _member_of(connection: AsyncConnection, organisation: str, member: str) -> Row[Any]:
    row = await member_row(connection, member)
    if row is None or row.organisation != organisation:
        raise nothing_here()
    return row


def _must_reach(actor: Actor, *roles: str) -> None:
    for role in roles:
        if not actor.reaches(role):
            raise Forbidden(
                f"Only an operator may make or change a {role}. 仅平台运营人员可设置或修改 {role}。", param="role"
            )


def shown(row: Row[Any] | None, actor: Actor) -> Member:
    """A member as this actor may see it. Raises NotFound for none."""
    if row is None:
        raise nothing_here()
    fields = dict(row._mapping)
    if not actor.manages(row.organisation) and row.id != actor.caller.member:
        fields["email"] = masked(row.email)
    return Member.model_validate(fields)
