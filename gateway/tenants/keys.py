"""API keys: made here once, shown once, stored as a digest, and looked up through a short-lived cache."""

import hashlib
import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import LabelPosition
from gateway.errors import KeySuspended, Unauthorized
from gateway.store import ApiKey, writing
from gateway.tenants.agreements import Agreement, agreement_of
from gateway.tenants.suspension import suspended_until

Role = Literal["caller", "author", "reviewer", "operator"]
PREFIX = "opc-"
MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key's id (never the key) and until when it is valid (Unix seconds, None is for ever).

    `suspended_until` is infinite until an operator lifts it.
    """

    key_id: str
    expires_at: float | None
    label_position: LabelPosition | None = None
    agreement: Agreement | None = None
    policy: str | None = None
    tenant: str | None = None
    suspended_until: float | None = None
    role: Role = "caller"


@dataclass(frozen=True, slots=True)
class _Cached:
    caller: Caller | None
    until: float


async def create_key(
    engine: AsyncEngine,
    name: str,
    *,
    days: float | None = None,
    label_position: LabelPosition | None = None,
    policy: str | None = None,
    tenant: str | None = None,
) -> tuple[str, str]:
    """Store a new key and return (id, key). The key itself can't be had again."""
    key = PREFIX + secrets.token_urlsafe(32)
    key_id = "key_" + secrets.token_hex(8)
    now = datetime.now(UTC)
    async with writing(engine) as connection:
        await connection.execute(
            insert(ApiKey).values(
                id=key_id,
                name=name,
                digest=digest_of(key),
                created_at=now,
                expires_at=None if days is None else now + timedelta(days=days),
                label_position=label_position,
                policy=policy,
                tenant=tenant,
            )
        )
    return key_id, key


async def revoke_key(engine: AsyncEngine, key_id: str) -> bool:
    """Revoke a key by id; False when there is no such key. Workers notice within the cache's time."""
    async with writing(engine) as connection:
        done = await connection.execute(
            update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
        )
    return bool(done.rowcount)


async def place_label(engine: AsyncEngine, key_id: str, position: LabelPosition | None) -> bool:
    """Set where a key's answers show their label, None for the deployment's default; False for an unknown key."""
    async with writing(engine) as connection:
        done = await connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(label_position=position))
    return bool(done.rowcount)


async def set_policy(engine: AsyncEngine, key_id: str, policy: str | None) -> bool:
    """Give a key a policy of its own, or none; False when there is no such key."""
    async with writing(engine) as connection:
        done = await connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(policy=policy))
    return bool(done.rowcount)


async def list_keys(engine: AsyncEngine) -> list[ApiKey]:
    """Every key's row, oldest first."""
    async with engine.connect() as connection:
        rows = await connection.execute(select(*ApiKey.__table__.columns).order_by(ApiKey.created_at))
        return [ApiKey(**row._mapping) for row in rows]


def digest_of(key: str) -> str:
    """SHA-256 of a key, the only form in which it is stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class KeyRing:
    """Authenticates requests. A lookup is cached for `cache_seconds`, misses too, so the hot path does no query."""

    def __init__(self, engine: AsyncEngine, cache_seconds: float, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._cache: dict[str, _Cached] = {}

    async def authenticate(self, authorization: bytes | None, address: str | None = None) -> Caller:
        """The caller behind an Authorization header. Raises Unauthorized, with one message for every cause."""
        key = _bearer(authorization)
        if key is None:
            raise Unauthorized("Send a valid API key: 'Authorization: Bearer opc-…'. 请提供有效的 API 密钥。")
        digest, now = digest_of(key), self._clock()
        cached = self._cache.get(digest)
        if cached is None or cached.until <= now:
            cached = _Cached(await self._look_up(digest), now + self._cache_seconds)
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[digest] = cached
        caller = cached.caller
        if caller is None or (caller.expires_at is not None and caller.expires_at <= now):
            raise Unauthorized("This API key isn't valid (any more). API 密钥无效或已过期。")
        if caller.suspended_until is not None and caller.suspended_until > now:
            raise KeySuspended(_suspension(caller.suspended_until), key_id=caller.key_id)
        return caller

    def forget(self, key_id: str) -> None:
        """Look this key up again at its next request: something about it has changed."""
        for digest, cached in list(self._cache.items()):
            if cached.caller is not None and cached.caller.key_id == key_id:
                del self._cache[digest]

    async def _look_up(self, digest: str) -> Caller | None:
        query = select(*ApiKey.__table__.columns).where(ApiKey.digest == digest, ApiKey.revoked_at.is_(None))
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            agreement = await agreement_of(connection, row.id)
        expires: datetime | None = row.expires_at
        if expires is not None and expires.tzinfo is None:
            expires = expires.replace(tzinfo=UTC)  # SQLite keeps no time zone; we write UTC
        return Caller(
            row.id,
            expires.timestamp() if expires else None,
            label_position=row.label_position,
            agreement=agreement,
            policy=row.policy,
            tenant=row.tenant,
            suspended_until=suspended_until(row.suspended_at, row.suspended_until, row.restored_at),
        )


def _suspension(until: float) -> str:
    """What a suspended caller is told."""
    if until == math.inf:
        return (
            "This API key is suspended for breaking the content policy; only the operator can restore it. "
            "该密钥因违反内容安全策略已暂停使用，须由运营方恢复。"
        )
    moment = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
    return (
        f"This API key is suspended until {moment} for breaking the content policy; ask the operator if that is wrong. "
        f"该密钥因违反内容安全策略暂停使用至 {moment}，如有异议请联系运营方。"
    )


def _bearer(authorization: bytes | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, key = authorization.decode("latin-1").partition(" ")
    key = key.strip()
    return key if scheme.lower() == "bearer" and key.startswith(PREFIX) and len(key) < 200 else None
