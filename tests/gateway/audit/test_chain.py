"""Chains grow with the rows, survive rollbacks and unknown outcomes, and acts never fork theirs."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import SQLAlchemyError

from gateway.audit.acts import CONTROL, Act, record_act
from gateway.audit.chain import Head
from gateway.audit.tables import LinkRow, SignatureRow
from gateway.store import writing
from gateway.workers.worker import WorkerRow
from tests.gateway.audit.conftest import Log


async def test_a_group_that_is_rolled_back_leaves_no_link_and_the_chain_goes_on(log: Log) -> None:
    async with log.worker("wrk_a") as (recorder, chain, _):
        await recorder.settle(log.settlement(1))
        with pytest.raises(SQLAlchemyError):
            await recorder.settle(log.settlement(1))
        assert chain.head.seq == 1
        await recorder.settle(log.settlement(2))
        assert chain.head.seq == 2
    found, run = await log.verify()
    assert found == []
    assert run.seen.heads["wrk_a"].seq == 2


async def test_after_an_unknown_outcome_the_head_is_read_again(log: Log) -> None:
    async with log.worker("wrk_a") as (recorder, chain, _):
        await recorder.settle(log.settlement(1))
        chain.head = Head()  # as if the commit had gone through and its answer had been lost
        chain.rolled_back()
        await recorder.settle(log.settlement(2))
    found, run = await log.verify()
    assert found == []
    assert run.seen.heads["wrk_a"].seq == 2


async def test_settlements_at_once_are_chained_without_gaps(log: Log) -> None:
    async with log.worker("wrk_a") as (recorder, _, _), log.worker("wrk_b") as (other, _, _):
        await asyncio.gather(
            *(recorder.settle(log.settlement(number)) for number in range(600)),
            *(other.settle(log.settlement(number)) for number in range(600, 900)),
        )
    found, run = await log.verify()
    assert found == []
    assert (run.seen.heads["wrk_a"].seq, run.seen.heads["wrk_b"].seq) == (600, 300)


async def test_acts_at_once_do_not_fork_their_chain(log: Log) -> None:
    async def act(number: int) -> None:
        async with writing(log.engine) as connection:
            await record_act(connection, Act("cli:someone", "keys.create", f"key_{number}", {"n": number}))

    await asyncio.gather(*(act(number) for number in range(40)))
    async with log.engine.connect() as connection:
        count = select(func.count(), func.max(LinkRow.seq)).where(LinkRow.writer == CONTROL)
        assert tuple((await connection.execute(count)).one()) == (40, 40)
    assert (await log.verify())[0] == []


async def test_an_act_that_is_rolled_back_leaves_nothing(log: Log) -> None:
    async def fails() -> None:
        async with writing(log.engine) as connection:
            await record_act(connection, Act("cli:someone", "keys.create", "key_1"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    async with writing(log.engine) as connection:
        await record_act(connection, Act("cli:someone", "keys.create", "key_2"))
    found, run = await log.verify()
    assert found == []
    assert run.seen.heads[CONTROL].seq == 1


async def test_a_killed_workers_head_is_signed_by_the_next_one(log: Log) -> None:
    now = datetime.fromtimestamp(log.clock(), UTC)
    async with log.worker("wrk_a") as (recorder, chain, _):
        await recorder.settle(log.settlement(1))
        await recorder.settle(log.settlement(2))
        chain.head = Head()  # so that closing signs nothing, as after kill -9
        async with writing(log.engine) as connection:
            await connection.execute(insert(WorkerRow).values(id="wrk_a", host="h", pid=1, started_at=now, seen_at=now))
        async with log.worker("wrk_b"):
            pass
        async with log.engine.connect() as connection:
            signed = await connection.execute(select(SignatureRow.writer, SignatureRow.seq))
            assert ("wrk_a", 2) in [tuple(row) for row in signed]
    assert (await log.verify())[0] == []
