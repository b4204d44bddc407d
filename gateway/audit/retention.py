"""Retention: records and texts whose time is over are deleted in batches; their links stay.

Each batch is one transaction with an act that names the links whose records it deletes, so that the chain verifies.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from configs.sections.audit import AuditSettings
from gateway.audit.acts import Act, record_act
from gateway.audit.canonical import microseconds, moment_of
from gateway.audit.leases import take_lease
from gateway.audit.tables import LinkRow, TextRow
from gateway.background import Background
from gateway.store import RequestRecord, writing

ACTION = "audit.retain"
LEASE_SECONDS = 300.0
Ranges = dict[str, list[list[int]]]
Job = Callable[[float], Awaitable[int]]
"""Deletes what else is old as of a moment (Unix seconds); how many."""

log = logging.getLogger("opcgate.audit")


@dataclass(frozen=True, slots=True)
class Due:
    """What there is to delete: how many records, and from when the oldest is."""

    records: int
    oldest: datetime | None
    cutoff: datetime


def cutoff_of(settings: AuditSettings, now: float) -> datetime:
    """Records that began before this moment may go."""
    return moment_of(int(now * 1_000_000)) - timedelta(days=settings.retention_days)


async def due(engine: AsyncEngine, settings: AuditSettings, now: float) -> Due:
    """Count what `delete_batch` would delete."""
    cutoff = cutoff_of(settings, now)
    query = select(func.count(), func.min(RequestRecord.started_at)).where(RequestRecord.started_at < cutoff)
    async with engine.connect() as connection:
        count, oldest = (await connection.execute(query)).one()
    return Due(count, oldest, cutoff)


async def delete_batch(engine: AsyncEngine, settings: AuditSettings, actor: str, now: float) -> int:
    """Delete one batch of old records with their texts; how many."""
    cutoff = cutoff_of(settings, now)
    old = (
        select(RequestRecord.id)
        .where(RequestRecord.started_at < cutoff)
        .order_by(RequestRecord.started_at)
        .limit(settings.retention_batch)
    )
    async with writing(engine) as connection:
        ids = list((await connection.execute(old)).scalars())
        if not ids:
            return 0
        detail: dict[str, Any] = {
            "records": len(ids),
            "cutoff_us": microseconds(cutoff),
            "links": await _links_of(connection, ids),
        }
        await connection.execute(delete(TextRow).where(TextRow.owner.in_(ids)))
        await connection.execute(delete(RequestRecord).where(RequestRecord.id.in_(ids)))
        await record_act(connection, Act(actor, ACTION, "requests", detail))
    return len(ids)


async def _links_of(connection: AsyncConnection, ids: list[str]) -> Ranges:
    """The links of these records, by writer, as ranges of numbers."""
    query = (
        select(LinkRow.writer, LinkRow.seq)
        .where(LinkRow.subject.in_(ids), LinkRow.kind == "request")
        .order_by(LinkRow.writer, LinkRow.seq)
    )
    ranges: Ranges = {}
    for writer, seq in await connection.execute(query):
        add_range(ranges, writer, seq, seq)
    return ranges


def add_range(ranges: Ranges, writer: str, first: int, last: int) -> None:
    """Add the links `first` to `last`; ranges that touch become one, so that there are never many."""
    merged: list[list[int]] = []
    for low, high in sorted([*ranges.get(writer, ()), [first, last]]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    ranges[writer] = merged


def holds(ranges: Iterable[list[int]], seq: int) -> bool:
    """Whether a link is in one of the ranges."""
    return any(low <= seq <= high for low, high in ranges)


class Retention:
    """Deletes what is old, in the background; one worker at a time."""

    def __init__(
        self,
        engine: AsyncEngine,
        settings: AuditSettings,
        worker: str,
        clock: Callable[[], float],
        jobs: Sequence[Job] = (),
    ) -> None:
        """`jobs` are run after the records are done with, by the same worker."""
        self._jobs = jobs
        self._engine = engine
        self._settings = settings
        self._worker = worker
        self._clock = clock
        self._background = Background()

    def start(self) -> None:
        """Begin, at once and then every `retention_interval_seconds`."""
        self._background.start(self._retain_for_ever(), "retention")

    async def close(self) -> None:
        """Stop between two batches or in one, which is then rolled back."""
        await self._background.close()

    async def retain(self) -> int:
        """Delete everything that is old, unless another worker is at it; how many records."""
        deleted = 0
        while await take_lease(self._engine, "retention", self._worker, LEASE_SECONDS, self._clock()):
            batch = await delete_batch(self._engine, self._settings, f"worker:{self._worker}", self._clock())
            deleted += batch
            if batch < self._settings.retention_batch:
                return deleted + sum([await job(self._clock()) for job in self._jobs])
            await asyncio.sleep(0)  # between batches others may write
        return deleted

    async def _retain_for_ever(self) -> None:
        while True:
            try:
                deleted = await self.retain()
                if deleted:
                    log.info("%d records were deleted: their retention is over", deleted)
            except (SQLAlchemyError, OSError) as error:
                log.warning("retention failed, and goes on later: %s", type(error).__name__)
            await asyncio.sleep(self._settings.retention_interval_seconds)
