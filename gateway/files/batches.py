"""Batches in the database: made, listed, cancelled; their lines claimed by workers, settled, gathered into files."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Select, Update, case, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance.labels.ids import new_content_id
from configs.sections.files import FileSettings
from gateway.errors import InvalidRequest, NotFound, RateLimited
from gateway.files.batch_input import Checked
from gateway.files.content import Content
from gateway.files.files import Owner
from gateway.files.tables import BatchLine, BatchRow
from gateway.store import writing
from gateway.workers.worker import WorkerRow

OPEN = ("in_progress", "finalizing", "cancelling")
WINDOW = timedelta(hours=24)
PAGE = 200


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of a batch's lines there are, are done, and have failed."""

    total: int
    completed: int
    failed: int


@dataclass(frozen=True, slots=True)
class ClaimedLine:
    """A line that this worker is to run."""

    id: int
    batch_id: str
    key_id: str
    endpoint: str
    custom_id: str
    body: bytes
    attempts: int


class Batches:
    """The batches of every organisation, as one worker sees and serves them."""

    def __init__(
        self,
        engine: AsyncEngine,
        content: Content,
        settings: FileSettings,
        worker: str,
        dead_after_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._content = content
        self._settings = settings
        self._worker = worker
        self._dead_after = timedelta(seconds=dead_after_seconds)
        self._clock = clock

    async def add(self, owner: Owner, endpoint: str, input_file: str, checked: Checked, note: dict[str, str]) -> str:
        """Store a batch with its lines; one whose input is wrong is stored as failed. Raises RateLimited."""
        now = self._now()
        batch_id = "batch_" + new_content_id(now.timestamp())
        async with writing(self._engine) as connection:
            await self._check_room(connection, owner)
            await connection.execute(
                insert(BatchRow).values(
                    id=batch_id,
                    tenant=owner.tenant,
                    key_id=owner.key_id,
                    endpoint=endpoint,
                    input_file=input_file,
                    status="failed" if checked.errors else "in_progress",
                    total=0 if checked.errors else len(checked.requests),
                    errors=checked.errors,
                    note=note,
                    created_at=now,
                    expires_at=now + WINDOW,
                    ended_at=now if checked.errors else None,
                )
            )
            if not checked.errors:
                await self._add_lines(connection, batch_id, checked, now)
        return batch_id

    async def _check_room(self, connection: AsyncConnection, owner: Owner) -> None:
        count = select(func.count()).where(BatchRow.tenant == owner.tenant, BatchRow.status.in_(OPEN))
        most = self._settings.open_batches_per_tenant
        if (await connection.execute(count)).scalar_one() >= most:
            raise RateLimited(f"Your organisation already has {most} batches open; wait for one. 进行中的批次过多。")

    async def _add_lines(self, connection: AsyncConnection, batch_id: str, checked: Checked, now: datetime) -> None:
        for start in range(0, len(checked.requests), PAGE):
            rows = [
                {
                    "batch_id": batch_id,
                    "number": one.number,
                    "custom_id": one.custom_id,
                    "request": self._content.seal(one.body, f"{batch_id}/{one.custom_id}/request"),
                    "state": "waiting",
                    "attempts": 0,
                    "not_before": now,
                }
                for one in checked.requests[start : start + PAGE]
            ]
            await connection.execute(insert(BatchLine), rows)

    async def get(self, tenant: str, batch_id: str) -> tuple[BatchRow, Counts]:
        """One batch of an organisation. Raises NotFound."""
        found = await self._described(BatchRow.id == batch_id, BatchRow.tenant == tenant, limit=1)
        if not found:
            raise NotFound(f"No such batch: '{batch_id[:60]}'. 批次不存在。", param="batch_id")
        return found[0]

    async def listed(self, tenant: str, *, after: str | None, limit: int) -> list[tuple[BatchRow, Counts]]:
        """An organisation's batches, newest first."""
        where = [BatchRow.tenant == tenant]
        if after is not None:
            where.append(BatchRow.id < after)
        return await self._described(*where, limit=limit)

    async def _described(self, *where: ColumnElement[bool], limit: int) -> list[tuple[BatchRow, Counts]]:
        batches = select(*BatchRow.__table__.columns).where(*where).order_by(BatchRow.id.desc()).limit(limit)
        async with self._engine.connect() as connection:
            rows = [BatchRow(**row._mapping) for row in await connection.execute(batches)]
            counts = {
                batch_id: (done, failed)
                for batch_id, done, failed in await connection.execute(_count_states([row.id for row in rows]))
            }
        return [(row, Counts(row.total, *counts.get(row.id, (0, 0)))) for row in rows]

    async def cancel(self, tenant: str, batch_id: str) -> None:
        """Stop a batch: lines that wait are given up, those that run are finished. Raises NotFound, InvalidRequest."""
        row, _ = await self.get(tenant, batch_id)
        async with writing(self._engine) as connection:
            stop = update(BatchRow).where(BatchRow.id == batch_id, BatchRow.status == "in_progress")
            if (await connection.execute(stop.values(status="cancelling"))).rowcount:
                return
        if row.status not in ("cancelling", "cancelled"):
            raise InvalidRequest(f"The batch is {row.status} and can't be cancelled. 批次已结束，无法取消。")

    async def any_open(self) -> bool:
        """Whether there is a batch to work on; a read, so that idle workers don't take the lock of writers."""
        async with self._engine.connect() as connection:
            found = await connection.execute(select(BatchRow.id).where(BatchRow.status.in_(OPEN)).limit(1))
            return found.first() is not None

    async def claim(self, most: int) -> list[ClaimedLine]:
        """Take up to so many waiting lines, oldest batch first."""
        now = self._now()
        waiting = (
            select(BatchLine.id, BatchLine.batch_id, BatchRow.key_id, BatchRow.endpoint)
            .add_columns(BatchLine.custom_id, BatchLine.request, BatchLine.attempts)
            .join(BatchRow, BatchRow.id == BatchLine.batch_id)
            .where(BatchLine.state == "waiting", BatchLine.not_before <= now)
            .where(BatchRow.status == "in_progress", BatchRow.expires_at > now)
            .order_by(BatchLine.id)
            .limit(most)
            .with_for_update(of=BatchLine, skip_locked=True)
        )
        async with writing(self._engine) as connection:
            rows = (await connection.execute(waiting)).all()
            if not rows:
                return []
            taken = update(BatchLine).where(BatchLine.id.in_([row.id for row in rows]))
            await connection.execute(
                taken.values(state="running", worker=self._worker, attempts=BatchLine.attempts + 1)
            )
        return [
            ClaimedLine(
                row.id,
                row.batch_id,
                row.key_id,
                row.endpoint,
                row.custom_id,
                self._content.open(row.request, f"{row.batch_id}/{row.custom_id}/request"),
                row.attempts + 1,
            )
            for row in rows
        ]

    def ended(self, line: ClaimedLine, result: bytes, *, failed: bool) -> Update:
        """The statement that stores a line's result, for the transaction that settles its request."""
        sealed = self._content.seal(result, f"{line.batch_id}/{line.custom_id}/result")
        state = "failed" if failed else "done"
        return update(BatchLine).where(BatchLine.id == line.id).values(state=state, result=sealed, worker=None)

    def given_up(self, line: ClaimedLine, number: int, result: bytes) -> Update:
        """The statement that stores why a line was never run."""
        sealed = self._content.seal(result, f"{line.batch_id}/{line.custom_id}/result")
        mine = update(BatchLine).where(BatchLine.batch_id == line.batch_id, BatchLine.number == number)
        return mine.where(BatchLine.state == "waiting").values(state="failed", result=sealed)

    async def store(self, statement: Update) -> None:
        """Run such a statement by itself."""
        async with writing(self._engine) as connection:
            await connection.execute(statement)

    async def postpone(self, line: ClaimedLine, seconds: float) -> None:
        """Put a line back, to be run again after some time."""
        later = self._now() + timedelta(seconds=seconds)
        back = update(BatchLine).where(BatchLine.id == line.id, BatchLine.state == "running")
        await self.store(back.values(state="waiting", worker=None, not_before=later))

    async def take_back(self) -> int:
        """Put back what dead workers had claimed; how many lines that were."""
        now = self._now()
        living = select(WorkerRow.id).where(WorkerRow.ended_at.is_(None), WorkerRow.seen_at > now - self._dead_after)
        async with writing(self._engine) as connection:
            lost = update(BatchLine).where(BatchLine.state == "running", BatchLine.worker.not_in(living))
            count = (await connection.execute(lost.values(state="waiting", worker=None))).rowcount
            stuck = update(BatchRow).where(BatchRow.status == "finalizing", BatchRow.worker.not_in(living))
            await connection.execute(stuck.values(status="in_progress", worker=None))
        return int(count)

    async def finalizable(self) -> BatchRow | None:
        """A batch that is over, now this worker's to finish: all lines ended, or time is up, or it was cancelled."""
        now = self._now()
        running = select(BatchLine.id).where(BatchLine.batch_id == BatchRow.id, BatchLine.state == "running").exists()
        waiting = select(BatchLine.id).where(BatchLine.batch_id == BatchRow.id, BatchLine.state == "waiting").exists()
        over = or_(~waiting, BatchRow.expires_at <= now, BatchRow.status == "cancelling")
        query = (
            select(*BatchRow.__table__.columns)
            .where(BatchRow.status.in_(("in_progress", "cancelling")), ~running, over)
            .order_by(BatchRow.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        async with writing(self._engine) as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                return None
            mine = update(BatchRow).where(BatchRow.id == row.id)
            await connection.execute(mine.values(status="finalizing", worker=self._worker, finalizing_at=now))
        return BatchRow(**row._mapping)

    async def results(self, batch_id: str, state: str) -> AsyncIterator[bytes]:
        """The results of a batch's lines in this state, in the order of the input."""
        after = -1
        while True:
            query = (
                select(BatchLine.number, BatchLine.custom_id, BatchLine.result)
                .where(BatchLine.batch_id == batch_id, BatchLine.state == state, BatchLine.number > after)
                .order_by(BatchLine.number)
                .limit(PAGE)
            )
            async with self._engine.connect() as connection:
                rows = (await connection.execute(query)).all()
            for row in rows:
                yield self._content.open(row.result, f"{batch_id}/{row.custom_id}/result") + b"\n"
            if len(rows) < PAGE:
                return
            after = rows[-1].number

    async def left(self, batch_id: str) -> list[tuple[int, str]]:
        """Number and custom id of the lines that were never run."""
        query = select(BatchLine.number, BatchLine.custom_id).where(
            BatchLine.batch_id == batch_id, BatchLine.state == "waiting"
        )
        async with self._engine.connect() as connection:
            return [(number, custom_id) for number, custom_id in await connection.execute(query)]

    async def finish(self, row: BatchRow, status: str, output_file: str | None, error_file: str | None) -> None:
        """The batch is over; the texts of its requests are no longer kept, its files are."""
        async with writing(self._engine) as connection:
            done = update(BatchRow).where(BatchRow.id == row.id, BatchRow.worker == self._worker)
            await connection.execute(
                done.values(
                    status=status, output_file=output_file, error_file=error_file, ended_at=self._now(), worker=None
                )
            )
            texts = update(BatchLine).where(BatchLine.batch_id == row.id)
            await connection.execute(texts.values(request=b"", result=None))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _count_states(ids: Sequence[str]) -> Select[tuple[str, int, int]]:
    def count(state: str) -> ColumnElement[int]:
        return func.sum(case((BatchLine.state == state, 1), else_=0))

    return (
        select(BatchLine.batch_id, count("done"), count("failed"))
        .where(BatchLine.batch_id.in_(ids))
        .group_by(BatchLine.batch_id)
    )
