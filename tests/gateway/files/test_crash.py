"""What a dead worker leaves of a batch, on both databases: claimed lines are run again, and none twice."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.sections.files import FileSettings
from gateway.audit.text_keys import TextDamaged, TextKeys, UnknownTextKey
from gateway.errors import InvalidRequest
from gateway.files.batch_input import BatchRequest, Checked
from gateway.files.batches import Batches
from gateway.files.content import Content
from gateway.files.files import Files, Owner, cut
from gateway.files.tables import BatchLine, BatchRow, FileChunk, FileRow
from gateway.workers.worker import WorkerRow

OWNER = Owner("opc", "key_1")
CONTENT = Content(TextKeys({"txt1": b"k" * 32}))


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC).timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def clock(database: AsyncEngine) -> Clock:
    async with database.begin() as connection:
        for table in (BatchLine, BatchRow, FileChunk, FileRow, WorkerRow):
            await connection.execute(delete(table))
    return Clock()


def batches(database: AsyncEngine, clock: Clock, worker: str) -> Batches:
    return Batches(database, CONTENT, FileSettings(), worker, 15.0, clock)


async def register(database: AsyncEngine, clock: Clock, worker: str) -> None:
    now = datetime.fromtimestamp(clock(), UTC)
    async with database.begin() as connection:
        row = {"id": worker, "host": "h", "pid": 1, "started_at": now, "seen_at": now}
        await connection.execute(insert(WorkerRow).values(row))


async def test_lines_of_a_dead_worker_are_claimed_by_a_living_one(database: AsyncEngine, clock: Clock) -> None:
    first, second = batches(database, clock, "w1"), batches(database, clock, "w2")
    for worker in ("w1", "w2"):
        await register(database, clock, worker)
    checked = Checked([BatchRequest(number, f"c{number}", b'{"a": 1}') for number in range(10)])
    batch_id = await first.add(OWNER, "/v1/chat/completions", "file-1", checked, {})
    mine = await first.claim(6)
    assert [one.custom_id for one in mine] == [f"c{number}" for number in range(6)]
    assert mine[0].body == b'{"a": 1}'
    await first.store(first.ended(mine[0], b"{}", failed=False))
    theirs = await second.claim(10)
    assert [one.custom_id for one in theirs] == [f"c{number}" for number in range(6, 10)], "no line has two workers"
    for one in theirs:
        await second.store(second.ended(one, b"{}", failed=False))
    assert await second.take_back() == 0, "nobody has died"
    assert await second.finalizable() is None, "lines are still running"
    async with database.begin() as connection:
        dead = update(WorkerRow).where(WorkerRow.id == "w1")
        await connection.execute(dead.values(seen_at=datetime.fromtimestamp(clock() - 60, UTC)))
    assert await second.take_back() == 5
    again = await second.claim(10)
    assert [one.custom_id for one in again] == [f"c{number}" for number in range(1, 6)]
    assert {one.attempts for one in again} == {2}
    for one in again:
        await second.store(second.ended(one, b"{}", failed=True))
    row = await second.finalizable()
    assert row is not None
    assert await first.finalizable() is None, "one worker finishes a batch"
    await second.finish(row, "completed", "file-2", None)
    described, counts = await second.get("opc", batch_id)
    assert (described.status, counts.completed, counts.failed) == ("completed", 5, 5)
    async with database.connect() as connection:
        kept = (await connection.execute(select(BatchLine.request, BatchLine.result))).all()
    assert set(kept) == {(b"", None)}, "the texts of a finished batch are in its files only"


async def test_a_batch_that_runs_out_of_time_is_finished_with_what_it_has(database: AsyncEngine, clock: Clock) -> None:
    one = batches(database, clock, "w1")
    await register(database, clock, "w1")
    batch_id = await one.add(OWNER, "/v1/chat/completions", "f", Checked([BatchRequest(1, "c", b"{}")]), {})
    clock.now += 86_400 + 1
    assert await one.claim(10) == []
    row = await one.finalizable()
    assert row is not None
    assert row.id == batch_id
    assert await one.left(batch_id) == [(1, "c")]


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_file_is_stored_whole_or_not_at_all(database: AsyncEngine, clock: Clock) -> None:
    files = Files(database, CONTENT, FileSettings(max_bytes=1024), clock)

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 100
        raise OSError("the client has left")

    with pytest.raises(OSError, match="left"):
        await files.add(OWNER, "a", "batch", broken())
    with pytest.raises(InvalidRequest, match="1024"):
        await files.add(OWNER, "a", "batch", pieces(b"x" * 1000, b"y" * 1000))
    async with database.connect() as connection:
        assert (await connection.execute(select(FileChunk.number))).all() == []
    row = await files.add(OWNER, "a", "batch", cut(pieces(b"ab", b"cd", b"e"), 2))
    assert b"|".join([piece async for piece in files.content(row)]) == b"ab|cd|e"


async def test_what_has_expired_is_swept_with_its_content(database: AsyncEngine, clock: Clock) -> None:
    files = Files(database, CONTENT, FileSettings(keep_days=1), clock)
    await files.add(OWNER, "a", "batch", pieces(b"old"))
    clock.now += 86_400 + 1
    young = await files.add(OWNER, "b", "batch", pieces(b"young"))
    assert await files.sweep() == 1
    async with database.connect() as connection:
        assert (await connection.execute(select(FileChunk.file_id))).scalars().all() == [young.id]


def test_a_piece_belongs_to_its_place_and_its_key() -> None:
    stored = CONTENT.seal(b"text", "file-1/0")
    assert CONTENT.open(stored, "file-1/0") == b"text"
    with pytest.raises(TextDamaged):
        CONTENT.open(stored, "file-1/1")
    rotated = Content(TextKeys({"txt1": b"k" * 32, "txt2": b"n" * 32}))
    assert rotated.open(stored, "file-1/0") == b"text"
    assert rotated.seal(b"text", "p").startswith(b"txt2:")
    with pytest.raises(UnknownTextKey):
        Content(TextKeys({"txt2": b"n" * 32})).open(stored, "file-1/0")
