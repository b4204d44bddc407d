"""API keys: made here once, shown once, stored as a digest, and looked up through a short-lived cache."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import LabelPosition
from gateway.agreements import Agreement, agreement_of
from gateway.errors import Unauthorized
from gateway.store import ApiKey

PREFIX = "opc-"
MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key's id (never the key) and until when it is valid (Unix seconds, None is for ever)."""

    key_id: str
    expires_at: float | None
    label_position: LabelPosition | None = None
    agreement: Agreement | None = None


@dataclass(frozen=True, slots=True)
class _Cached:
    caller: Caller | None
    until: float


async def create_key(
    engine: AsyncEngine, name: str, *, days: float | None = None, label_position: LabelPosition | None = None
) -> tuple[str, str]:
    """Store a new key and return (id, key). The key itself can't be had again."""
    key = PREFIX + secrets.token_urlsafe(32)
    key_id = "key_" + secrets.token_hex(8)
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        await connection.execute(
            insert(ApiKey).values(
                id=key_id,
                name=name,
                digest=digest_of(key),
                created_at=now,
                expires_at=None if days is None else now + timedelta(days=days),
                label_position=label_position,
            )
        )
    return key_id, key


async def revoke_key(engine: AsyncEngine, key_id: str) -> bool:
    """Revoke a key by id; False when there is no such key. Workers notice within the cache's time."""
    async with engine.begin() as connection:
        done = await connection.execute(
            update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)).values(revoked_at=datetime.now(UTC))
        )
    return bool(done.rowcount)


async def place_label(engine: AsyncEngine, key_id: str, position: LabelPosition | None) -> bool:
    """Set where a key's answers show their label, None for the deployment's default; False for an unknown key."""
    async with engine.begin() as connection:
        done = await connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(label_position=position))
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

    async def authenticate(self, authorization: bytes | None) -> Caller:
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
        return caller

    async def _look_up(self, digest: str) -> Caller | None:
        query = select(ApiKey.id, ApiKey.expires_at, ApiKey.label_position).where(
            ApiKey.digest == digest, ApiKey.revoked_at.is_(None)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            agreement = await agreement_of(connection, row.id)
        expires: datetime | None = row.expires_at
        if expires is not None and expires.tzinfo is None:
            expires = expires.replace(tzinfo=UTC)  # SQLite keeps no time zone; we write UTC
        return Caller(row.id, expires.timestamp() if expires else None, row.label_position, agreement)


def _bearer(authorization: bytes | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, key = authorization.decode("latin-1").partition(" ")
    key = key.strip()
    return key if scheme.lower() == "bearer" and key.startswith(PREFIX) and len(key) < 200 else None
