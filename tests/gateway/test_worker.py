"""Workers know how many of them live."""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.sections.workers import WorkerSettings
from gateway.workers.worker import Worker, WorkerRow


async def test_a_worker_counts_the_living_and_leaves_out_the_ended_and_the_silent(database: AsyncEngine) -> None:
    now = datetime.now(UTC).timestamp()
    moment = [now]
    settings = WorkerSettings(heartbeat_seconds=1000, dead_after_seconds=15)
    first, second, third = (Worker(database, settings, lambda: moment[0]) for _ in range(3))
    for one in (first, second, third):
        await one.start()
    assert third.alive == 3
    await second.close()
    await first.beat()
    assert first.alive == 2, "an ended worker doesn't live"
    moment[0] = now + 16
    await first.beat()
    assert first.alive == 1, "a silent worker counts as dead"
    async with database.connect() as connection:
        ended = (await connection.execute(select(WorkerRow.id).where(WorkerRow.ended_at.is_not(None)))).scalars().all()
    assert second.id in ended
    for one in (first, third):
        await one.close()
