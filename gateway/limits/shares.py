"""What workers take of a limit from the database: parts of a minute's requests and tokens, and places.

A part is taken by one atomic change, so that all workers together never have more than the limit. Parts get smaller as
less is left, so that the last of it can be used by any worker.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.limits.subjects import Subject
from gateway.limits.tables import PlacesRow, WindowRow
from gateway.store import in_time, writing
from gateway.workers.worker import WorkerRow

KEPT_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Part:
    """What was taken (nothing when it did not suffice), and what was left for everyone before."""

    requests: int
    tokens: int
    requests_left: int | None
    tokens_left: int | None


class Shares:
    """The shared side of limits."""

    def __init__(self, engine: AsyncEngine, worker: str, alive: Callable[[], int], dead_after_seconds: float) -> None:
        """`alive` is how many workers live."""
        self._engine = engine
        self._worker = worker
        self._alive = alive
        self._dead_after = timedelta(seconds=dead_after_seconds)

    def in_time(self) -> AbstractAsyncContextManager[None]:
        """A block that waits for the database, and not longer than it may. Raises SQLAlchemyError."""
        return in_time(self._engine)

    async def take(
        self, subject: Subject, minute: int, requests: int, tokens: int, limits: tuple[int | None, int | None]
    ) -> Part:
        """At least so many requests and tokens of this minute, or nothing of either."""
        async with writing(self._engine) as connection:
            await self._lock(connection, subject)
            query = select(WindowRow.requests, WindowRow.tokens).where(*_of(WindowRow, subject, minute))
            row = (await connection.execute(query)).first()
            used = (row.requests, row.tokens) if row is not None else (0, 0)
            left = [None if limit is None else max(0, limit - taken) for limit, taken in zip(limits, used, strict=True)]
            wanted = (requests, tokens)
            if any(rest is not None and rest < want for rest, want in zip(left, wanted, strict=True)):
                return Part(0, 0, left[0], left[1])
            share = 4 * self._alive() if self._alive() > 1 else 2
            taken = [
                want if rest is None else max(want, min(rest, want + rest // share))
                for rest, want in zip(left, wanted, strict=True)
            ]
            if row is None:
                new = {"kind": subject.kind, "subject": subject.id, "minute": minute}
                await connection.execute(insert(WindowRow).values(new | {"requests": taken[0], "tokens": taken[1]}))
            else:
                more = update(WindowRow).where(*_of(WindowRow, subject, minute))
                await connection.execute(
                    more.values(requests=WindowRow.requests + taken[0], tokens=WindowRow.tokens + taken[1])
                )
        return Part(taken[0], taken[1], left[0], left[1])

    async def give_back(self, subject: Subject, minute: int, requests: int, tokens: int) -> None:
        """Return what this worker doesn't use of a minute."""
        less = update(WindowRow).where(*_of(WindowRow, subject, minute))
        async with writing(self._engine) as connection:
            await connection.execute(
                less.values(requests=WindowRow.requests - requests, tokens=WindowRow.tokens - tokens)
            )

    async def hold_places(self, subject: Subject, least: int, limit: int, now: float) -> int:
        """Hold at least `least` of the subject's places if that is possible; how many this worker holds now."""
        living = select(WorkerRow.id).where(
            WorkerRow.ended_at.is_(None), WorkerRow.seen_at > datetime.fromtimestamp(now, UTC) - self._dead_after
        )
        mine = (PlacesRow.kind == subject.kind, PlacesRow.subject == subject.id)
        others = select(func.coalesce(func.sum(PlacesRow.held), 0)).where(
            *mine, PlacesRow.worker != self._worker, PlacesRow.worker.in_(living)
        )
        async with writing(self._engine) as connection:
            await self._lock(connection, subject)
            free = max(0, limit - (await connection.execute(others)).scalar_one())
            share = free if self._alive() == 1 else max(least, free // self._alive())
            held = min(free, share)
            changed = update(PlacesRow).where(*mine, PlacesRow.worker == self._worker).values(held=held)
            if not (await connection.execute(changed)).rowcount:
                row = {"kind": subject.kind, "subject": subject.id, "worker": self._worker, "held": held}
                await connection.execute(insert(PlacesRow).values(row))
        return held

    async def keep_places(self, subject: Subject, held: int) -> None:
        """Hold only so many places from now on."""
        mine = (PlacesRow.kind == subject.kind, PlacesRow.subject == subject.id, PlacesRow.worker == self._worker)
        async with writing(self._engine) as connection:
            await connection.execute(update(PlacesRow).where(*mine).values(held=held))

    async def sweep(self, minute: int, now: float) -> None:
        """Forget minutes long past and what dead workers held."""
        dead = select(WorkerRow.id).where(WorkerRow.seen_at < datetime.fromtimestamp(now, UTC) - 2 * self._dead_after)
        async with writing(self._engine) as connection:
            await connection.execute(delete(WindowRow).where(WindowRow.minute < minute - KEPT_MINUTES))
            await connection.execute(delete(PlacesRow).where(PlacesRow.worker.in_(dead)))

    async def _lock(self, connection: AsyncConnection, subject: Subject) -> None:
        """One change of a subject at a time: SQLite's transaction is alone already, PostgreSQL takes a lock for it."""
        if self._engine.dialect.name == "postgresql":
            number = func.hashtext(f"limits {subject.kind} {subject.id}")
            await connection.execute(select(func.pg_advisory_xact_lock(literal_column("7"), number)))


def _of(row: type[WindowRow], subject: Subject, minute: int) -> tuple[ColumnElement[bool], ...]:
    return (row.kind == subject.kind, row.subject == subject.id, row.minute == minute)
