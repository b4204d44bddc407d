"""Suspended keys: the repeated-violation rule over the request records, and an operator's own word.

The rule is applied to a key, or to all keys of its organisation together (`tenants.violations_suspend`).

What counts is read from the committed records, so restarts, crashes and other workers lose nothing: of two workers that
count at the same time the later one sees both violations.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, Row, and_, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.policies.policy import RepeatedViolationRule
from gateway.audit.acts import Act, record_act
from gateway.control.terminal import cli_actor
from gateway.moments import utc
from gateway.record import RequestEntry
from gateway.store import ApiKey, RequestRecord, writing

DAY = timedelta(days=1)
CLOSE_SECONDS = 10.0
NO_ORGANISATION = "default"
OF_ORGANISATION = "organisation: "
"""Stands before why the rule suspended all keys of an organisation."""

Whom = Literal["key", "organisation"]
log = logging.getLogger("opcgate.suspension")


class Suspensions:
    """Applies the rule when a violation has been recorded. Requests without one cost nothing here."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], float], whom: Whom = "key") -> None:
        self._whom = whom
        self._engine = engine
        self._clock = clock
        self._open: set[asyncio.Task[None]] = set()

    def uncut(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Work that goes on even if the caller leaves: nobody escapes the count by hanging up."""
        task = asyncio.create_task(work)
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return task

    async def close(self) -> None:
        """Wait for what is under way, though not for ever for a database that is away."""
        if self._open:
            await asyncio.wait(self._open, timeout=CLOSE_SECONDS)

    async def count(self, entry: RequestEntry) -> str | None:
        """Suspend the key, or its organisation's, if this violation is one too many; returns why, or None.

        Its record must be committed.
        """
        rule = entry.repeated_violations
        if entry.key_id is None or rule is None or entry.violation is None:
            return None
        async with writing(self._engine) as connection:
            keys = await self._keys_of(connection, entry, entry.key_id)
            why = "policy" if entry.violation == "suspend" else await _why(connection, entry, rule, keys)
            if why is None:
                return None
            why = why if len(keys) == 1 else f"{OF_ORGANISATION}{why}"
            now = datetime.fromtimestamp(self._clock(), UTC)
            for key_id in keys:
                await _suspend(connection, key_id, now, rule.suspend_hours, why, "policy")
        log.warning("%d keys are suspended with %s: %s", len(keys), entry.key_id, why)
        return why

    async def _keys_of(self, connection: AsyncConnection, entry: RequestEntry, key_id: str) -> list[str]:
        """The keys that answer for a violation. Those that name no organisation have nothing to do with each other."""
        if self._whom == "key" or entry.tenant in (None, NO_ORGANISATION):
            return [key_id]
        query = select(ApiKey.id).where(ApiKey.tenant == entry.tenant, ApiKey.revoked_at.is_(None)).order_by(ApiKey.id)
        return list((await connection.execute(query)).scalars()) or [key_id]


async def _why(
    connection: AsyncConnection, entry: RequestEntry, rule: RepeatedViolationRule, keys: Sequence[str]
) -> str | None:
    """The count that is reached by these keys together, or None. What led to a suspension is not counted again."""
    times_of_keys = select(ApiKey.suspended_at, ApiKey.restored_at).where(ApiKey.id.in_(keys))
    since = max(
        (utc(one) for row in await connection.execute(times_of_keys) for one in row if one is not None),
        default=datetime.fromtimestamp(0, UTC),
    )
    most = max(rule.in_a_row, rule.in_a_day)
    broken = (
        select(RequestRecord.started_at)
        .where(
            RequestRecord.key_id.in_(keys),
            RequestRecord.violation.is_not(None),
            RequestRecord.started_at > since,
        )
        .order_by(RequestRecord.started_at.desc())
        .limit(most)
    )
    times = [utc(one) for (one,) in await connection.execute(broken)]
    day_ago = datetime.fromtimestamp(entry.started_at, UTC) - DAY
    if rule.in_a_day and len([one for one in times if one > day_ago]) >= rule.in_a_day:
        return f"{rule.in_a_day} in a day"
    if rule.in_a_row and len(times) >= rule.in_a_row:
        between = exists().where(
            RequestRecord.key_id.in_(keys),
            RequestRecord.started_at > times[rule.in_a_row - 1],
            RequestRecord.violation.is_(None),
            RequestRecord.outcome == "completed",
            RequestRecord.node.is_not(None),  # a free check is no good deed
        )
        if not (await connection.execute(select(between))).scalar_one():
            return f"{rule.in_a_row} in a row"
    return None


async def suspend_key(engine: AsyncEngine, key_id: str, hours: float | None, why: str = "operator") -> bool:
    """Suspend a key for so many hours, or until it is restored; False when there is no such key or it is suspended."""
    async with writing(engine) as connection:
        return await suspend(connection, key_id, hours, cli_actor(), why)


async def restore_key(engine: AsyncEngine, key_id: str, now: datetime | None = None) -> bool:
    """Lift a suspension; earlier violations no longer count. False when there is none to lift."""
    async with writing(engine) as connection:
        return await restore(connection, key_id, cli_actor(), now)


async def suspend(
    connection: AsyncConnection, key_id: str, hours: float | None, actor: str, why: str = "operator"
) -> bool:
    """`suspend_key` inside a transaction, with its act."""
    return await _suspend(connection, key_id, datetime.now(UTC), hours, why, actor)


async def restore(connection: AsyncConnection, key_id: str, actor: str, now: datetime | None = None) -> bool:
    """`restore_key` inside a transaction, with its act."""
    now = now or datetime.now(UTC)
    lift = update(ApiKey).where(ApiKey.id == key_id, ~_free(now)).values(restored_at=now)
    lifted = bool((await connection.execute(lift)).rowcount)
    if lifted:
        await record_act(connection, Act(actor, "keys.restore", key_id))
    return lifted


async def restore_organisations_keys(
    connection: AsyncConnection, organisation: str, actor: str, now: datetime | None = None
) -> int:
    """Restore the keys that the rule suspended together; how many those were."""
    now = now or datetime.now(UTC)
    together = ApiKey.suspended_why.startswith(OF_ORGANISATION, autoescape=True)
    query = select(ApiKey.id).where(ApiKey.tenant == organisation, together, ~_free(now)).order_by(ApiKey.id)
    keys = list((await connection.execute(query)).scalars())
    for key_id in keys:
        await restore(connection, key_id, actor, now)
    return len(keys)


async def last_violations(engine: AsyncEngine, key_id: str, limit: int = 10) -> Sequence[Row[tuple[datetime, str]]]:
    """When a key broke the rules lately, and the id of each request, newest first."""
    query = (
        select(RequestRecord.started_at, RequestRecord.id)
        .where(RequestRecord.key_id == key_id, RequestRecord.violation.is_not(None))
        .order_by(RequestRecord.started_at.desc())
        .limit(limit)
    )
    async with engine.connect() as connection:
        return (await connection.execute(query)).all()


def suspended_until(
    suspended_at: datetime | None, until: datetime | None, restored_at: datetime | None
) -> float | None:
    """Until when a key is suspended, in Unix seconds, infinity for until it is restored; None when it is not."""
    if suspended_at is None or restored_at is not None:
        return None
    return float("inf") if until is None else utc(until).timestamp()


async def _suspend(
    connection: AsyncConnection, key_id: str, now: datetime, hours: float | None, why: str, actor: str
) -> bool:
    """One statement, so that of several workers one suspends and the others find it done."""
    until = None if hours is None else now + timedelta(hours=hours)
    done = await connection.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, _free(now))
        .values(suspended_at=now, suspended_until=until, suspended_why=why, restored_at=None)
    )
    if done.rowcount:
        await record_act(connection, Act(actor, "keys.suspend", key_id, {"why": why, "hours": hours}))
    return bool(done.rowcount)


def _free(now: datetime) -> ColumnElement[bool]:
    """That a key is not suspended now."""
    over = and_(ApiKey.suspended_until.is_not(None), ApiKey.suspended_until <= now)
    return or_(ApiKey.suspended_at.is_(None), ApiKey.restored_at.is_not(None), over)
