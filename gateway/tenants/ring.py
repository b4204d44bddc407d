"""The key ring: who is behind a request's key, from a short-lived cache that one look-up per key fills."""

import asyncio
import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from configs.sections.tenants import TenantSettings
from gateway.errors import DirectoryUnavailable, KeySuspended, Unauthorized
from gateway.tenants.addresses import Proxies, within
from gateway.tenants.caller import Caller
from gateway.tenants.last_used import LastUsed
from gateway.tenants.lookup import digest_of_key, look_up

log = logging.getLogger("opcgate.keys")
PREFIX = "opc-"
INVALID = "This API key isn't valid (any more). API 密钥无效或已过期。"
AWAY = "Keys can't be checked just now; try again in a moment. 暂时无法校验密钥，请稍后重试。"
AWAY_SECONDS = 1.0
"""How long nobody asks again after the database did not answer."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look-up gave, None for no valid key, and when it was begun."""

    caller: Caller | None
    at: float


class KeyRing:
    """Authenticates requests. A look-up is cached for `cache_seconds`, misses too, so the hot path does no query."""

    def __init__(
        self,
        engine: AsyncEngine,
        cache_seconds: float,
        clock: Callable[[], float],
        settings: TenantSettings | None = None,
    ) -> None:
        self._engine = engine
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._settings = settings or TenantSettings()
        # Apart, so that a flood of made-up keys can't push out those that are in use.
        self._valid: OrderedDict[str, _Found] = OrderedDict()
        self._invalid: OrderedDict[str, _Found] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[_Found | None]] = {}
        self._away_at = -math.inf
        self.proxies = Proxies(self._settings.trusted_proxies)
        self.last_used = LastUsed(engine, self._settings.last_used_interval_seconds, clock)

    def start(self) -> None:
        """Begin the work in the background; call once, inside the event loop."""
        self.last_used.start()

    async def close(self) -> None:
        """End the look-ups under way, and write when keys were last used."""
        if self._under_way:
            await asyncio.wait(list(self._under_way.values()))
        await self.last_used.close()

    async def authenticate(self, authorization: bytes | None, address: str | None = None) -> Caller:
        """The caller behind an Authorization header.

        Raises Unauthorized, with one message for every cause; KeySuspended; DirectoryUnavailable when the database is
        away and the key is not known here.
        """
        key = _bearer(authorization)
        if key is None:
            raise Unauthorized("Send a valid API key: 'Authorization: Bearer opc-…'. 请提供有效的 API 密钥。")
        digest, now = digest_of(key), self._clock()
        found = self._cached(digest, now)
        if found is None:
            found = await self._shared_look_up(digest)
            now = self._clock()
        caller = found.caller
        # Before anything else is said of the key: from a wrong address nothing is learnt about it.
        if caller is not None and caller.networks and not within(address, caller.networks):
            raise Unauthorized(INVALID)
        caller = _valid(caller, now)
        self.last_used.note(caller.key_id, now)
        return caller

    async def by_id(self, key_id: str) -> Caller:
        """The caller of a key that doesn't come with a request, as for a batch it has begun; from any address.

        Raises what `authenticate` raises.
        """
        try:
            async with asyncio.timeout(self._settings.look_up_seconds):
                digest = await digest_of_key(self._engine, key_id)
        except Exception:  # noqa: BLE001 - what a driver raises when it can't connect has no common root
            raise DirectoryUnavailable(AWAY) from None
        if digest is None:
            raise Unauthorized(INVALID)
        found = self._cached(digest, self._clock()) or await self._shared_look_up(digest)
        return _valid(found.caller, self._clock())

    def forget(self, key_id: str) -> None:
        """Look this key up again at its next request: something about it has changed."""
        self._forget(lambda caller: caller.key_id == key_id)

    def forget_member(self, member: str) -> None:
        """The same for all keys of a member."""
        self._forget(lambda caller: caller.member == member)

    def forget_tenant(self, tenant: str) -> None:
        """The same for all keys of an organisation."""
        self._forget(lambda caller: caller.tenant == tenant)

    def _forget(self, changed: Callable[[Caller], bool]) -> None:
        for digest, found in list(self._valid.items()):
            if found.caller is not None and changed(found.caller):
                del self._valid[digest]

    def _cached(self, digest: str, now: float) -> _Found | None:
        """What is known and still fresh; a clock that went back makes nothing fresh."""
        for known in (self._valid, self._invalid):
            found = known.get(digest)
            if found is not None and found.at <= now < found.at + self._cache_seconds:
                known.move_to_end(digest)
                return found
        return None

    async def _shared_look_up(self, digest: str) -> _Found:
        """One look-up for all that wait for the same key; who leaves does not end it for the others."""
        task = self._under_way.get(digest)
        if task is None:
            task = asyncio.create_task(self._look_up(digest), name="look-up")
            self._under_way[digest] = task
            task.add_done_callback(lambda _: self._under_way.pop(digest, None))
        found = await asyncio.shield(task)
        if found is None:
            raise DirectoryUnavailable(AWAY)
        return found

    async def _look_up(self, digest: str) -> _Found | None:
        """Ask the database; while it is away, go on for a while with what was known. None: nothing is known."""
        now = self._clock()
        if 0 <= now - self._away_at < AWAY_SECONDS:
            return self._stale(digest, now)
        try:
            async with asyncio.timeout(self._settings.look_up_seconds):
                found = _Found(await look_up(self._engine, digest), now)
        except Exception as error:  # noqa: BLE001 - what a driver raises when it can't connect has no common root
            log.warning("keys can't be looked up: %s", type(error).__name__)
            self._away_at = self._clock()
            return self._stale(digest, now)
        self._keep(digest, found)
        return found

    def _stale(self, digest: str, now: float) -> _Found | None:
        found = self._valid.get(digest)
        until = self._cache_seconds + self._settings.stale_keys_seconds
        return found if found is not None and found.at <= now < found.at + until else None

    def _keep(self, digest: str, found: _Found) -> None:
        self._valid.pop(digest, None)
        self._invalid.pop(digest, None)
        known = self._invalid if found.caller is None else self._valid
        known[digest] = found
        if len(known) > self._settings.cached_keys:
            known.popitem(last=False)


def _valid(caller: Caller | None, now: float) -> Caller:
    """The caller, if its key may be used now. Raises Unauthorized, KeySuspended."""
    if caller is None or (caller.expires_at is not None and caller.expires_at <= now):
        raise Unauthorized(INVALID)
    if caller.tenant_suspended:
        raise KeySuspended(
            "This key's organisation is suspended; ask the operator. 该密钥所属企业已被暂停服务，请联系运营方。",
            key_id=caller.key_id,
        )
    if caller.suspended_until is not None and caller.suspended_until > now:
        raise KeySuspended(_suspension(caller.suspended_until), key_id=caller.key_id)
    return caller


def digest_of(key: str) -> str:
    """SHA-256 of a key, the only form in which it is stored."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


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
