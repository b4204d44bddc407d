"""Records go when their time is over, not before, by one worker at a time, and the chain still verifies."""

import asyncio
import time

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from configs.sections.audit import AuditSettings
from gateway.audit.acts import Act, ActRow, record_act
from gateway.audit.leases import take_lease
from gateway.audit.retention import ACTION, Retention, add_range, delete_batch, due
from gateway.audit.tables import TextRow
from gateway.audit.text_keys import load_text_keys
from gateway.audit.texts import seal_text
from gateway.record import Settlement
from gateway.store import RequestRecord, writing
from tests.gateway.audit.conftest import Log

DAY = 86_400


def test_less_than_180_days_is_refused() -> None:
    with pytest.raises(ValidationError):
        AuditSettings(retention_days=179)
    assert AuditSettings(retention_days=180).retention_days == 180


async def two_ages(log: Log) -> None:
    """Requests 1 to 30 are 200 days old (number 1 with a text), 31 to 40 are 100 days old."""
    now = time.time()
    text = seal_text(load_text_keys(log.settings), "req_00000001", "prompt", b"{}")
    async with log.worker("wrk_a") as (recorder, _, _):
        log.now[0] = now - 200 * DAY
        first = log.settlement(1, prompt_text_digest=text.digest).row
        await recorder.settle(Settlement(first, None, (text,)))
        await asyncio.gather(*(recorder.settle(log.settlement(number)) for number in range(2, 31)))
        log.now[0] = now - 100 * DAY
        await asyncio.gather(*(recorder.settle(log.settlement(number)) for number in range(31, 41)))
    log.now[0] = now


async def test_old_records_and_texts_are_deleted_in_batches_and_the_log_verifies(log: Log) -> None:
    await two_ages(log)
    checkpoint = await log.checkpoint()
    settings = log.settings.model_copy(update={"retention_batch": 7})
    assert (await due(log.engine, settings, log.clock())).records == 30
    assert await Retention(log.engine, settings, "wrk_a", log.clock).retain() == 30
    assert (await due(log.engine, settings, log.clock())).records == 0
    async with log.engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(RequestRecord))).scalar_one() == 10
        assert (await connection.execute(select(func.count()).select_from(TextRow))).scalar_one() == 0
        acts = select(func.count()).where(ActRow.action == ACTION)
        assert (await connection.execute(acts)).scalar_one() == 5
    found, run = await log.verify(checkpoint)
    assert found == []
    assert run.seen.deleted == 30


async def test_deletion_without_its_act_is_found(log: Log, tamper: object) -> None:
    await two_ages(log)
    await Retention(log.engine, log.settings, "wrk_a", log.clock).retain()
    async with log.engine.begin() as connection:
        await connection.execute(
            RequestRecord.__table__.delete().where(RequestRecord.id == "req_00000035")  # type: ignore[attr-defined]
        )
    found, _ = await log.verify()
    assert [(one.what, one.seq, one.record) for one in found] == [("deleted", 35, "req_00000035")]


async def test_an_act_that_deletes_too_early_explains_nothing(log: Log) -> None:
    await two_ages(log)
    async with writing(log.engine) as connection:
        await connection.execute(
            RequestRecord.__table__.delete().where(RequestRecord.id == "req_00000035")  # type: ignore[attr-defined]
        )
        detail = {"records": 1, "cutoff_us": int((time.time() - 90 * DAY) * 1e6), "links": {"wrk_a": [[35, 35]]}}
        await record_act(connection, Act("cli:x", ACTION, "requests", detail))
    found, _ = await log.verify()
    assert {(one.what, one.writer) for one in found} == {("deleted", "control"), ("deleted", "wrk_a")}


async def test_an_old_cutoff_does_not_explain_a_young_links_missing_record(log: Log) -> None:
    await two_ages(log)
    async with writing(log.engine) as connection:
        await connection.execute(
            RequestRecord.__table__.delete().where(RequestRecord.id == "req_00000035")  # type: ignore[attr-defined]
        )
        detail = {"records": 1, "cutoff_us": int((time.time() - 190 * DAY) * 1e6), "links": {"wrk_a": [[35, 35]]}}
        await record_act(connection, Act("cli:x", ACTION, "requests", detail))
    found, _ = await log.verify()
    assert [(one.what, one.writer, one.seq) for one in found] == [("deleted", "wrk_a", 35)]


async def test_one_worker_at_a_time_holds_a_lease(log: Log) -> None:
    now = log.clock()
    assert await take_lease(log.engine, "retention", "wrk_a", 60, now)
    assert not await take_lease(log.engine, "retention", "wrk_b", 60, now + 59)
    assert await take_lease(log.engine, "retention", "wrk_a", 60, now + 59)
    assert await take_lease(log.engine, "retention", "wrk_b", 60, now + 120)
    taken = await asyncio.gather(*(take_lease(log.engine, "other", f"wrk_{n}", 60, now) for n in range(8)))
    assert sum(taken) == 1


async def test_a_batch_that_fails_deletes_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await two_ages(log)

    async def broken(*_: object) -> str:
        raise RuntimeError("no act, no deletion")

    monkeypatch.setattr("gateway.audit.retention.record_act", broken)
    with pytest.raises(RuntimeError):
        await delete_batch(log.engine, log.settings, "wrk_a", log.clock())
    assert (await due(log.engine, log.settings, log.clock())).records == 30


def test_ranges_that_touch_become_one() -> None:
    ranges: dict[str, list[list[int]]] = {}
    for low, high in ((5, 6), (1, 2), (3, 4), (9, 9), (8, 8)):
        add_range(ranges, "w", low, high)
    assert ranges == {"w": [[1, 6], [8, 9]]}
