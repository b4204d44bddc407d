"""Keys and request records, the same tests on SQLite and on a real PostgreSQL."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import DatabaseSettings
from gateway.errors import Unauthorized
from gateway.group_commit import group_writer
from gateway.record import RequestEntry, Settlement
from gateway.recorder import Recorder
from gateway.store import ApiKey, RequestRecord, migrate, open_engine
from gateway.tenants.agreements import agree, list_agreements, withdraw
from gateway.tenants.keys import KeyRing, create_key, list_keys, place_label, revoke_key


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC).timestamp()

    def __call__(self) -> float:
        return self.now


def bearer(key: str) -> bytes:
    return f"Bearer {key}".encode()


async def test_a_key_is_stored_as_a_digest_only(database: AsyncEngine) -> None:
    key_id, key = await create_key(database, "shop")
    async with database.connect() as connection:
        (row,) = (await connection.execute(select(*ApiKey.__table__.columns))).mappings()
    assert row["id"] == key_id
    assert key.removeprefix("opc-") not in str(dict(row))
    assert [one.name for one in await list_keys(database)] == ["shop"]


async def test_a_valid_key_authenticates_and_a_revoked_one_stops_within_the_cache_time(database: AsyncEngine) -> None:
    clock = Clock()
    ring = KeyRing(database, 5.0, clock)
    key_id, key = await create_key(database, "shop")
    assert (await ring.authenticate(bearer(key))).key_id == key_id
    assert await revoke_key(database, key_id)
    assert not await revoke_key(database, key_id), "revoking twice says that there is nothing to revoke"
    clock.now += 5.1
    with pytest.raises(Unauthorized):
        await ring.authenticate(bearer(key))


async def test_a_key_expires_to_the_second_even_when_cached(database: AsyncEngine) -> None:
    clock = Clock()
    ring = KeyRing(database, 1e9, clock)
    _, key = await create_key(database, "shop", days=1)
    await ring.authenticate(bearer(key))
    clock.now += 86_400 + 5
    with pytest.raises(Unauthorized):
        await ring.authenticate(bearer(key))


async def test_the_hot_path_asks_the_database_once(database: AsyncEngine) -> None:
    ring = KeyRing(database, 60, Clock())
    _, key = await create_key(database, "shop")
    await ring.authenticate(bearer(key))
    await database.dispose()
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM api_keys"))
    assert await ring.authenticate(bearer(key))


async def test_agreements_are_kept_and_the_one_in_force_comes_with_the_key(database: AsyncEngine) -> None:
    clock = Clock()
    ring = KeyRing(database, 0, clock)
    key_id, key = await create_key(database, "shop", label_position="start")
    caller = await ring.authenticate(bearer(key))
    assert (caller.label_position, caller.agreement) == ("start", None)
    assert await agree(database, key_id, "1", "张三")
    assert await agree(database, key_id, "2", "李四")
    clock.now += 1
    in_force = (await ring.authenticate(bearer(key))).agreement
    assert in_force is not None
    assert in_force.version == "2"
    assert await place_label(database, key_id, None)
    assert await withdraw(database, key_id)
    assert not await withdraw(database, key_id)
    clock.now += 1
    caller = await ring.authenticate(bearer(key))
    assert (caller.label_position, caller.agreement) == (None, None)
    kept = [
        (one.version, one.agreed_by, answers)
        for one, answers in await list_agreements(database)
        if one.key_id == key_id
    ]
    assert kept == [("1", "张三", 0), ("2", "李四", 0)]
    assert await revoke_key(database, key_id)
    assert not await agree(database, key_id, "2", "李四"), "a revoked key agrees to nothing"
    assert not await place_label(database, "key_none", None)


def entry(number: int) -> RequestEntry:
    return RequestEntry(id=f"req_{number}", endpoint="chat.completions", started_at=1.0, rules_version="r")


@pytest.fixture
async def recorder(database: AsyncEngine) -> AsyncIterator[Recorder]:
    url = database.url.render_as_string(hide_password=False)
    with group_writer(DatabaseSettings(url=url), database) as write_group:
        recorder = Recorder(write_group)
        recorder.start()
        yield recorder
        await recorder.close()


async def test_records_are_committed_when_settle_returns(database: AsyncEngine, recorder: Recorder) -> None:
    await asyncio.gather(*(recorder.settle(Settlement(entry(number).row(2.0))) for number in range(500)))
    async with database.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(RequestRecord))).scalar_one() == 500


async def test_a_cancelled_request_is_recorded_all_the_same(database: AsyncEngine, recorder: Recorder) -> None:
    tasks = [asyncio.create_task(recorder.settle(Settlement(entry(number).row(2.0)))) for number in range(50)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await recorder.close()
    async with database.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(RequestRecord))).scalar_one() == 50


async def test_a_record_that_can_not_be_written_is_an_error_for_its_request_only(recorder: Recorder) -> None:
    await recorder.settle(Settlement(entry(1).row(2.0)))
    with pytest.raises(SQLAlchemyError):
        await recorder.settle(Settlement(entry(1).row(2.0)))
    await recorder.settle(Settlement(entry(2).row(2.0)))


async def test_a_worker_that_was_stopped_in_its_turn_holds_up_nobody_for_long(tmp_path: Path) -> None:
    settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path}/opcgate.db")
    await migrate(settings)
    engine = open_engine(settings)
    with (tmp_path / "opcgate.db-turn").open("wb") as file, group_writer(settings, engine) as write:
        fcntl.flock(file, fcntl.LOCK_EX)
        await write([Settlement(entry(1).row(2.0))])
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(RequestRecord))).scalar_one() == 1
    await engine.dispose()
