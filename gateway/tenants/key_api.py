"""Control routes of API keys. Who is no owner sees its own member's keys and changes none."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy import Row, false, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.chat import Gateway
from gateway.control.access import Actor, gateway_of, nothing_here, require
from gateway.control.paging import After, Limit, Page, page, page_of
from gateway.errors import Forbidden, InvalidRequest
from gateway.moments import unix
from gateway.store import ApiKey, writing
from gateway.tenants.changes import check_member, check_policy_name, checked_addresses, sent
from gateway.tenants.keys import KeySpec, add_key, change_key, key_row, revoke, rotate
from gateway.tenants.members import member_row
from gateway.tenants.organisations import DEFAULT
from gateway.tenants.shapes import Key, KeyChange, NewKey, NewSecret, Rotation, Suspension
from gateway.tenants.suspension import restore, suspend, suspended_until

router = APIRouter(prefix="/keys", tags=["keys"])
Anyone = Annotated[Actor, Depends(require())]
Operator = Annotated[Actor, Depends(require("operator"))]


@router.get("", summary="List keys: an operator's view, an organisation's, or one's own. / 列出密钥。")
async def list_keys(
    request: Request,
    actor: Anyone,
    organisation: Annotated[str | None, Query(max_length=60)] = None,
    limit: Limit = 100,
    after: After = None,
) -> Page[Key]:
    query = select(*ApiKey.__table__.columns)
    if organisation is not None:
        actor.must_see(organisation)
        query = query.where(ApiKey.tenant == organisation)
    if not actor.is_operator:
        query = query.where(ApiKey.tenant == actor.caller.tenant)
        if not actor.caller.owner:
            query = query.where(ApiKey.member == actor.caller.member if actor.caller.member else false())
    async with gateway_of(request).database.connect() as connection:
        return page_of(shown, *await page(connection, query, (ApiKey.created_at, ApiKey.id), limit, after))


@router.post("", status_code=201, summary="Make a key; its secret is shown this once. / 新建密钥（仅显示一次）。")
async def create_key(request: Request, actor: Anyone, body: NewKey) -> NewSecret:
    gateway = gateway_of(request)
    organisation = body.organisation or actor.caller.tenant or DEFAULT
    actor.must_manage(organisation)
    _check_end(body.expires_at)
    await _check_policy(gateway, actor, body)
    spec = KeySpec(
        name=body.name,
        tenant=organisation,
        member=body.member,
        role=body.role,
        scopes=_tuple(body.scopes),
        models=_tuple(body.models),
        addresses=_tuple(checked_addresses(body.addresses)),
        expires_at=body.expires_at,
        policy=body.policy,
        label_position=body.label_position,
        notes=body.notes,
    )
    async with writing(gateway.database) as connection:
        await check_member(connection, organisation, body.member, body.role)
        await _must_reach(connection, actor, body.member)
        key_id, secret = await add_key(connection, spec, actor.name)
        return NewSecret(key=shown(await key_row(connection, key_id)), secret=secret)


@router.get("/{key}", summary="Read a key. / 查看密钥。")
async def read_key(request: Request, actor: Anyone, key: str) -> Key:
    async with gateway_of(request).database.connect() as connection:
        row = await _key_of(connection, actor, key)
    if not actor.manages(row.tenant) and key != actor.caller.key_id and row.member != actor.caller.member:
        raise nothing_here()
    return shown(row)


@router.patch("/{key}", summary="Change what a key may do. / 修改密钥。")
async def update_key(request: Request, actor: Anyone, key: str, body: KeyChange) -> Key:
    gateway = gateway_of(request)
    changes = sent(body, required=("name",))
    if "addresses" in changes:
        changes["addresses"] = checked_addresses(changes["addresses"])
    _check_end(body.expires_at)
    await _check_policy(gateway, actor, body)
    async with writing(gateway.database) as connection:
        row = await _managed(connection, actor, key)
        if changes.get("role") is not None:
            await check_member(connection, row.tenant, row.member, changes["role"])
        await change_key(connection, key, changes, actor.name)
        changed = shown(await key_row(connection, key))
    gateway.keys.forget(key)
    return changed


@router.post("/{key}/rotate", summary="Give a key a new secret; the old one stays valid for a while. / 轮换密钥。")
async def rotate_key(request: Request, actor: Anyone, key: str, body: Rotation) -> NewSecret:
    gateway = gateway_of(request)
    asked = body.overlap_hours
    overlap = gateway.settings.tenants.rotation_overlap_hours if asked is None else asked
    async with writing(gateway.database) as connection:
        row = await _managed(connection, actor, key)
        secret, _ = await rotate(connection, row, overlap, actor.name)
        changed = shown(await key_row(connection, key))
    gateway.keys.forget(key)
    return NewSecret(key=changed, secret=secret)


@router.post("/{key}/revoke", summary="Revoke a key for good. / 吊销密钥。")
async def revoke_key(request: Request, actor: Anyone, key: str) -> Key:
    gateway = gateway_of(request)
    async with writing(gateway.database) as connection:
        await _managed(connection, actor, key)
        await revoke(connection, key, actor.name)
        changed = shown(await key_row(connection, key))
    gateway.keys.forget(key)
    return changed


@router.post("/{key}/suspend", summary="Suspend a key, for hours or until it is restored. / 暂停密钥。")
async def suspend_key(request: Request, actor: Operator, key: str, body: Suspension) -> Key:
    gateway = gateway_of(request)
    async with writing(gateway.database) as connection:
        await _managed(connection, actor, key)
        if not await suspend(connection, key, body.hours, actor.name):
            raise InvalidRequest("This key is suspended already; restore it first. 该密钥已暂停。", param="key")
        changed = shown(await key_row(connection, key))
    gateway.keys.forget(key)
    return changed


@router.post("/{key}/restore", summary="Lift a key's suspension. / 恢复密钥。")
async def restore_key(request: Request, actor: Operator, key: str) -> Key:
    gateway = gateway_of(request)
    async with writing(gateway.database) as connection:
        await _managed(connection, actor, key)
        if not await restore(connection, key, actor.name):
            raise InvalidRequest("This key isn't suspended. 该密钥未被暂停。", param="key")
        changed = shown(await key_row(connection, key))
    gateway.keys.forget(key)
    return changed


async def _key_of(connection: AsyncConnection, actor: Actor, key: str, *, locked: bool = False) -> Row[Any]:
    row = await key_row(connection, key, locked=locked)
    if row is None or not actor.sees(row.tenant):
        raise nothing_here()
    return row


async def _managed(connection: AsyncConnection, actor: Actor, key: str) -> Row[Any]:
    """The key that this actor is about to change. Raises NotFound, Forbidden, InvalidRequest for a revoked one."""
    row = await _key_of(connection, actor, key, locked=True)
    actor.must_manage(row.tenant)
    await _must_reach(connection, actor, row.member)
    if row.revoked_at is not None:
        raise InvalidRequest("This key is revoked; make a new one. 该密钥已吊销，请新建。", param="key")
    return row


async def _must_reach(connection: AsyncConnection, actor: Actor, member: str | None) -> None:
    """An owner makes and changes no key of somebody whose role reaches further than its own."""
    row = None if member is None else await member_row(connection, member)
    if row is not None and not actor.reaches(row.role):
        raise Forbidden(
            f"Only an operator may touch the keys of a {row.role}. 仅平台运营人员可管理 {row.role} 的密钥。",
            param="member",
        )


async def _check_policy(gateway: Gateway, actor: Actor, body: KeyChange) -> None:
    """A policy decides what is scanned and refused, so only an operator gives a key one of its own."""
    takes_away = body.policy is None and not isinstance(body, NewKey)
    if "policy" in body.model_fields_set and (body.policy or takes_away) and not actor.is_operator:
        raise Forbidden("Only an operator sets a key's policy. 仅平台运营人员可设置密钥策略。", param="policy")
    await check_policy_name(body.policy, gateway.settings.compliance)


def _check_end(expires_at: datetime | None) -> None:
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise InvalidRequest(
            "Field 'expires_at' is in the past; to end a key, revoke it. 到期时间已过，如需停用请吊销。",
            param="expires_at",
        )


def _tuple(values: list[Any] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def shown(row: Row[Any] | None) -> Key:
    """A key as it is shown. Raises NotFound for none."""
    if row is None:
        raise nothing_here()
    now = datetime.now(UTC).timestamp()
    suspended = suspended_until(row.suspended_at, row.suspended_until, row.restored_at)
    status = "active"
    if row.revoked_at is not None:
        status = "revoked"
    elif row.expires_at is not None and unix(row.expires_at) <= now:
        status = "expired"
    elif suspended is not None and suspended > now:
        status = "suspended"
    fields = {name: value for name, value in row._mapping.items() if name in Key.model_fields}
    over = row.previous_until is not None and unix(row.previous_until) <= now
    previous = None if over else row.previous_until
    return Key.model_validate(fields | {"organisation": row.tenant, "status": status, "previous_until": previous})
