"""API keys as they are administered: made once, shown once, stored as a digest, rotated with an overlap, revoked.

Every change writes its act in the same transaction.
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from configs.schema import LabelPosition
from gateway.audit.acts import Act, record_act
from gateway.control.terminal import cli_actor
from gateway.store import ApiKey, writing
from gateway.tenants.caller import Caller, Role
from gateway.tenants.organisations import DEFAULT, ensure_organisation
from gateway.tenants.ring import PREFIX, KeyRing, digest_of

__all__ = [
    "Caller",
    "KeyRing",
    "KeySpec",
    "Role",
    "add_key",
    "create_key",
    "digest_of",
    "list_keys",
    "place_label",
    "revoke",
    "revoke_key",
    "rotate",
    "set_policy",
]


@dataclass(frozen=True, slots=True)
class KeySpec:
    """What a key is made with. None stands for: no end, the member's role, all scopes, all models, from anywhere."""

    name: str
    tenant: str = DEFAULT
    member: str | None = None
    role: Role | None = None
    scopes: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    policy: str | None = None
    label_position: LabelPosition | None = None
    notes: str | None = None


async def add_key(connection: AsyncConnection, spec: KeySpec, actor: str) -> tuple[str, str]:
    """Store a new key and return (id, key). The key itself can't be had again."""
    key = PREFIX + secrets.token_urlsafe(32)
    key_id = "key_" + secrets.token_hex(8)
    row = asdict(spec) | {name: _listed(getattr(spec, name)) for name in ("scopes", "models", "addresses")}
    now = datetime.now(UTC)
    await connection.execute(insert(ApiKey).values(id=key_id, digest=digest_of(key), created_at=now, version=1, **row))
    await record_act(connection, Act(actor, "keys.create", key_id, told(row)))
    return key_id, key


async def rotate(
    connection: AsyncConnection, row: Row[Any], overlap_hours: float, actor: str, now: datetime | None = None
) -> tuple[str, datetime]:
    """Give a key a new secret; the old one stays valid beside it for so many hours, an older one not at all.

    Returns (key, until when the old one is valid). The id stays, and with it agreements and violations.
    """
    now = now or datetime.now(UTC)
    until = now + timedelta(hours=overlap_hours)
    key = PREFIX + secrets.token_urlsafe(32)
    new = {"digest": digest_of(key), "previous_digest": row.digest, "previous_until": until, "version": row.version + 1}
    await connection.execute(update(ApiKey).where(ApiKey.id == row.id).values(new))
    detail = {"version": row.version + 1, "previous_until": until.isoformat()}
    await record_act(connection, Act(actor, "keys.rotate", row.id, detail))
    return key, until


async def revoke(connection: AsyncConnection, key_id: str, actor: str) -> bool:
    """Revoke a key, both its secrets; False when there is no such key that is valid."""
    done = await connection.execute(
        update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
    )
    if done.rowcount:
        await record_act(connection, Act(actor, "keys.revoke", key_id))
    return bool(done.rowcount)


async def change_key(connection: AsyncConnection, key_id: str, changes: Mapping[str, Any], actor: str) -> bool:
    """Set columns of a key; False when there is no such key."""
    done = await connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(dict(changes)))
    if done.rowcount:
        await record_act(connection, Act(actor, "keys.update", key_id, told(changes)))
    return bool(done.rowcount)


async def key_row(connection: AsyncConnection, key_id: str, *, locked: bool = False) -> Row[Any] | None:
    """A key's row, kept from other writers until the transaction ends when `locked`."""
    query = select(*ApiKey.__table__.columns).where(ApiKey.id == key_id)
    return (await connection.execute(query.with_for_update() if locked else query)).first()


async def create_key(
    engine: AsyncEngine,
    name: str,
    *,
    days: float | None = None,
    label_position: LabelPosition | None = None,
    policy: str | None = None,
    tenant: str | None = None,
) -> tuple[str, str]:
    """Store a key without a member, as the command line does, and its organisation when there is none of this id."""
    spec = KeySpec(
        name, tenant or DEFAULT, expires_at=days_from_now(days), policy=policy, label_position=label_position
    )
    async with writing(engine) as connection:
        await ensure_organisation(connection, spec.tenant, cli_actor())
        return await add_key(connection, spec, cli_actor())


async def revoke_key(engine: AsyncEngine, key_id: str) -> bool:
    """Revoke a key by id; False when there is no such key. Workers notice within the cache's time."""
    async with writing(engine) as connection:
        return await revoke(connection, key_id, cli_actor())


async def place_label(engine: AsyncEngine, key_id: str, position: LabelPosition | None) -> bool:
    """Set where a key's answers show their label, None for the deployment's default; False for an unknown key."""
    async with writing(engine) as connection:
        return await change_key(connection, key_id, {"label_position": position}, cli_actor())


async def set_policy(engine: AsyncEngine, key_id: str, policy: str | None) -> bool:
    """Give a key a policy of its own, or none; False when there is no such key."""
    async with writing(engine) as connection:
        return await change_key(connection, key_id, {"policy": policy}, cli_actor())


async def list_keys(engine: AsyncEngine) -> list[ApiKey]:
    """Every key's row, oldest first."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(*ApiKey.__table__.columns).order_by(ApiKey.created_at))
        return [ApiKey(**row._mapping) for row in rows]


def days_from_now(days: float | None) -> datetime | None:
    """The end of so many days from now; None for no end."""
    return None if days is None else datetime.now(UTC) + timedelta(days=days)


def told(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes as an act tells them: what is set, moments as text."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in changes.items()
        if value is not None or len(changes) == 1
    }


def _listed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)
