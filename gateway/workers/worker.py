"""One worker process: its name, and the table that says which workers live.

Leases of vouchers and shares of limits belong to workers; what a dead one held is taken back by the living.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import DateTime, Integer, String, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Mapped, mapped_column

from compliance.labels.ids import new_content_id
from configs.sections.workers import WorkerSettings
from gateway.background import Background
from gateway.store import Base, writing

log = logging.getLogger("opcgate.worker")


class WorkerRow(Base):
    """A worker process and when it last said that it lives."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    host: Mapped[str] = mapped_column(String(100))
    pid: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    seen_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Worker:
    """This process among the others. `alive` is how many live, this one included, as of the last heartbeat."""

    def __init__(self, engine: AsyncEngine, settings: WorkerSettings, clock: Callable[[], float]) -> None:
        self.id = "wrk_" + new_content_id(clock())
        self.alive = 1
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._background = Background()

    async def start(self) -> None:
        """Register, then say every few seconds that this worker lives."""
        now = self._now()
        row = {"id": self.id, "host": socket.gethostname()[:100], "pid": os.getpid(), "started_at": now, "seen_at": now}
        async with writing(self._engine) as connection:
            await connection.execute(insert(WorkerRow).values(row))
        await self.beat()
        self._background.start(self._beat_for_ever(), "heartbeat")

    async def close(self) -> None:
        """Say that this worker has ended."""
        if not await self._background.close():
            return
        with contextlib.suppress(SQLAlchemyError):
            async with writing(self._engine) as connection:
                ended = update(WorkerRow).where(WorkerRow.id == self.id).values(ended_at=self._now())
                await connection.execute(ended)

    async def beat(self) -> None:
        """Say once that this worker lives, and count who else does."""
        now = self._now()
        since = now - timedelta(seconds=self._settings.dead_after_seconds)
        lives = select(func.count()).where(WorkerRow.ended_at.is_(None), WorkerRow.seen_at > since)
        async with writing(self._engine) as connection:
            await connection.execute(update(WorkerRow).where(WorkerRow.id == self.id).values(seen_at=now))
            self.alive = max(1, (await connection.execute(lives)).scalar_one())

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_seconds)
            try:
                await self.beat()
            except (SQLAlchemyError, OSError) as error:
                log.warning("no heartbeat could be written: %s", type(error).__name__)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
