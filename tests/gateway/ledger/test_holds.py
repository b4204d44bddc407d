"""Holding, charging and returning, with one worker and several."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.errors import QuotaSpent
from gateway.ledger.amounts import UNIT
from gateway.ledger.postings import withdraw_grant
from gateway.tokens import TokenEstimate
from tests.gateway.ledger.bench import (
    Clock,
    balances,
    caller,
    grant,
    kill,
    offices,
    problems,
    served,
    transfers,
)

pytestmark = pytest.mark.filterwarnings("error")


async def test_a_request_holds_its_most_and_pays_its_use(engine_: AsyncEngine, clock: Clock) -> None:
    one = await grant(engine_, clock, 20 * UNIT)
    async with offices(engine_, clock, 1) as (office,):
        hold = await office.hold(1000, 1000)
        assert sum(draw.amount for draw in hold.draws) == 1_500_000
        entry = await office.settle(hold, 1000, 10, cached_tokens=600)
        # 400 x 0.5 + 600 x 0.1 + 10 x 1, per 1,000
        assert entry.cost == 200_000 + 60_000 + 10_000
        assert (await balances(engine_, one))["spent"] == entry.cost
        await office.upkeep.close()
    left = await balances(engine_, one)
    assert left["reserved"] == 0
    assert left["available"] == 20 * UNIT - entry.cost
    assert await problems(engine_) == []
    assert ("reserved", "spent", entry.cost) in await transfers(engine_)


async def test_nothing_left_is_refused_and_says_what_is_left(engine_: AsyncEngine, clock: Clock) -> None:
    await grant(engine_, clock, 3 * UNIT)
    async with offices(engine_, clock, 1) as (office,):
        held = await office.hold(0, 2000)
        with pytest.raises(QuotaSpent, match=r"up to 1\.0015 voucher units, and 1 are left"):
            await office.hold(1, 1001)
        last = await office.hold(0, 1000)
        await office.settle(held, 0, 2000)
        await office.settle(last, 0, 1000)
        with pytest.raises(QuotaSpent, match="and 0 are left"):
            await office.hold(0, 1)
    assert await problems(engine_) == []


async def test_earliest_expiry_first_then_the_older_one(engine_: AsyncEngine, clock: Clock) -> None:
    now = datetime.fromtimestamp(clock.wall, UTC)
    late = await grant(engine_, clock, UNIT, valid_until=now + timedelta(days=9))
    clock.pass_(1)
    first = await grant(engine_, clock, UNIT, valid_until=now + timedelta(days=3))
    clock.pass_(1)
    second = await grant(engine_, clock, UNIT, valid_until=now + timedelta(days=3))
    async with offices(engine_, clock, 1) as (office,):
        hold = await office.hold(0, 2500)  # more than any single grant has
        assert [(draw.block.taken.grant_id, draw.amount) for draw in hold.draws] == [
            (first, UNIT), (second, UNIT), (late, UNIT // 2),
        ]  # fmt: skip
        await office.settle(hold, 0, 1200)
        await office.upkeep.close()
    spent = [(await balances(engine_, one))["spent"] for one in (first, second, late)]
    assert spent == [UNIT, 200_000, 0]
    assert await problems(engine_) == []


async def test_only_grants_that_fit_the_model_and_the_region_pay(engine_: AsyncEngine, clock: Clock) -> None:
    await grant(engine_, clock, UNIT, models=("other",))
    await grant(engine_, clock, UNIT, region="cn-north")
    await grant(engine_, clock, UNIT, tenant="t2")
    fits = await grant(engine_, clock, UNIT, models=("paid", "other"), region="cn-east")
    async with offices(engine_, clock, 1, region="cn-east") as (office,):
        hold = await office.hold(0, 1000)
        assert [draw.block.taken.grant_id for draw in hold.draws] == [fits]
        with pytest.raises(QuotaSpent):
            await office.hold(0, 1)
        hold.release(committed=False)
        assert (await office.hold(0, 1000)).draws  # nothing was charged, so nothing is in doubt


async def test_a_grant_ends_at_its_second(engine_: AsyncEngine, clock: Clock) -> None:
    ends = datetime.fromtimestamp(clock.wall + 60, UTC)
    begins = datetime.fromtimestamp(clock.wall + 10, UTC)
    one = await grant(engine_, clock, UNIT, valid_from=begins, valid_until=ends)
    async with offices(engine_, clock, 1) as (office,):
        clock.pass_(9.999)
        with pytest.raises(QuotaSpent):
            await office.hold(0, 1)
        clock.pass_(1.002)  # a refusal is remembered for a second
        held = await office.hold(0, 100)
        clock.pass_(60 - 11.001 - 0.001)
        other = await office.hold(0, 1)
        clock.pass_(0.001)
        with pytest.raises(QuotaSpent):
            await office.hold(0, 1)
        await office.settle(held, 0, 100)  # what was held in time is paid in full
        other.release(committed=True)
        await office.live()
        await office.live()
    assert await balances(engine_, one) == {
        "amount": UNIT, "available": 0, "reserved": 0, "spent": 100_000, "expired": 900_000, "withdrawn": 0,
    }  # fmt: skip
    assert await problems(engine_) == []


async def test_a_withdrawn_grant_pays_what_is_under_way_and_no_more(engine_: AsyncEngine, clock: Clock) -> None:
    one = await grant(engine_, clock, 100 * UNIT)
    now = datetime.fromtimestamp(clock.wall, UTC)
    async with offices(engine_, clock, 1) as (office,):
        held = await office.hold(0, 1000)
        await office.ledger.transaction(lambda db: withdraw_grant(db, now, one))
        await office.live()
        with pytest.raises(QuotaSpent):
            await office.hold(0, 1)
        await office.settle(held, 0, 700)
        await office.live()
    assert await balances(engine_, one) == {
        "amount": 100 * UNIT, "available": 0, "reserved": 0, "spent": 700_000, "expired": 0,
        "withdrawn": 100 * UNIT - 700_000,
    }  # fmt: skip
    assert await problems(engine_) == []


async def test_the_last_units_can_be_used_by_any_worker(engine_: AsyncEngine, clock: Clock) -> None:
    await grant(engine_, clock, 4 * UNIT)
    async with offices(engine_, clock, 2, wait_for_others_seconds=5) as (first, second):
        held = await first.hold(0, 1)
        await first.settle(held, 0, 1)
        kept = sum(block.free for block in first.ledger.purse.all())
        assert kept > 0
        wanted = asyncio.create_task(second.hold(0, 3999))
        while not wanted.done():
            await first.upkeep.own_leases()
            clock.pass_(0.2)
            await asyncio.sleep(0.05)
        assert sum(draw.amount for draw in (await wanted).draws) == 3_999_000
    assert await problems(engine_) == []


async def test_a_dead_workers_lease_is_taken_back(engine_: AsyncEngine, clock: Clock) -> None:
    one = await grant(engine_, clock, 5 * UNIT)
    async with offices(engine_, clock, 2) as (dead, living):
        paid = await dead.hold(0, 1000)
        await dead.settle(paid, 0, 400)
        await dead.hold(0, 2000)
        await kill(dead)
        await living.upkeep.others()
        assert (await balances(engine_, one))["reserved"] > 0  # its time isn't over
        clock.pass_(30 + 15 + 1)
        await living.live()
        assert await balances(engine_, one) == {
            "amount": 5 * UNIT, "available": 4_600_000, "reserved": 0, "spent": 400_000, "expired": 0, "withdrawn": 0,
        }  # fmt: skip
        assert (await living.hold(0, 4600)).draws
    assert await problems(engine_) == []


async def test_a_worker_thought_dead_still_books_what_it_served(engine_: AsyncEngine, clock: Clock) -> None:
    one = await grant(engine_, clock, 5 * UNIT)
    async with offices(engine_, clock, 2) as (slow, living):
        held = await slow.hold(0, 1000)
        clock.jump(3600)  # the clock leaps, and the slow worker has not said that it lives since
        await living.worker.beat()
        await living.upkeep.others()
        assert (await balances(engine_, one))["reserved"] == 0
        entry = await slow.settle(held, 0, 1000)
        assert entry.cost == UNIT
        assert (await balances(engine_, one))["spent"] == UNIT
        clock.jump(-3600)
        await slow.live()
        assert slow.ledger.purse.all() == []
    assert await problems(engine_) == []


async def test_what_nobody_can_pay_any_more_is_not_in_the_rows_cost(engine_: AsyncEngine, clock: Clock) -> None:
    await grant(engine_, clock, UNIT)
    async with offices(engine_, clock, 2) as (slow, living):
        held = await slow.hold(0, 1000)
        clock.jump(3600)
        await living.worker.beat()
        await living.upkeep.others()
        other = await living.hold(0, 700)
        await slow.settle(held, 0, 1000)
        await living.settle(other, 0, 700)
    async with engine_.connect() as connection:
        costs = (await connection.execute(text("SELECT cost FROM requests ORDER BY cost"))).scalars().all()
    assert costs == [300_000, 700_000]
    assert await problems(engine_) == []


async def test_a_commit_that_fails_costs_nothing_and_keeps_the_lease_until_the_database_is_asked(
    engine_: AsyncEngine, clock: Clock
) -> None:
    one = await grant(engine_, clock, UNIT)
    async with offices(engine_, clock, 1) as (office,):
        good = await office.hold(0, 100)
        entry = await office.settle(good, 0, 100)
        bad = await office.hold(0, 500)
        with pytest.raises(DBAPIError):
            await office.settle(bad, 0, 500, id=entry.id)  # a row with this id is there
        assert all(draw.block.closing for draw in bad.draws)
        assert (await balances(engine_, one))["spent"] == 100_000
        await office.live()
        left = await balances(engine_, one)
        assert (left["available"], left["reserved"]) == (900_000, 0)
        assert (await office.hold(0, 900)).draws
    assert await problems(engine_) == []


async def test_a_commit_that_succeeded_without_saying_so_is_paid_once(engine_: AsyncEngine, clock: Clock) -> None:
    one = await grant(engine_, clock, UNIT)
    async with offices(engine_, clock, 1) as (office,):
        entry = await office.settle(await office.hold(0, 500), 0, 500)
        # The same hold as its worker sees it when the answer to COMMIT is lost: the database has it, nobody knows.
        doubtful = await office.hold(0, 100)
        doubtful.draws[0].charged = 100_000
        doubtful.release(committed=False)
        await office.live()
        left = await balances(engine_, one)
        assert (left["spent"], left["reserved"], left["available"]) == (entry.cost, 0, UNIT - entry.cost)
    assert await problems(engine_) == []


async def test_transfers_can_not_be_changed(engine_: AsyncEngine, clock: Clock) -> None:
    await grant(engine_, clock, UNIT)
    for change in ("UPDATE voucher_transfers SET amount = 1", "DELETE FROM voucher_transfers"):
        with pytest.raises(DBAPIError, match="never changed"):
            async with engine_.begin() as connection:
                await connection.execute(text(change))


async def test_verify_names_the_row_that_is_wrong(engine_: AsyncEngine, clock: Clock) -> None:
    one = await grant(engine_, clock, UNIT)
    async with offices(engine_, clock, 1) as (office,):
        entry = await office.settle(await office.hold(0, 500), 0, 500)
    async with engine_.begin() as connection:
        await connection.execute(text("UPDATE voucher_grants SET spent = spent - 1, available = available + 1"))
        await connection.execute(text("UPDATE requests SET cost = 7"))
    found = {(one.table, one.id) for one in await problems(engine_)}
    assert {("voucher_grants", one), ("requests", entry.id)} <= found


async def test_free_models_have_a_daily_allowance(engine_: AsyncEngine, clock: Clock) -> None:
    async with offices(engine_, clock, 2, free_daily_tokens=1000, free_daily_requests=3) as (first, second):
        for office in (first, second):
            await office.settle(await office.hold(100, 100, model="free"), 100, 50)
            await office.upkeep.own_leases()
        third = await first.hold(100, 100, model="free")
        with pytest.raises(QuotaSpent, match="free daily allowance of 'free' has 0 requests left"):
            await second.hold(1, 1, model="free")
        third.release(committed=True)  # it never reached a node
        await second.upkeep.close()
        await first.settle(await first.hold(300, 400, model="free"), 300, 400)
        with pytest.raises(QuotaSpent):
            await first.hold(1, 1, model="free")
        assert (await first.hold(1, 1, model="else")).draws  # each model has its own
        clock.pass_(86400)
        for office in (first, second):
            await office.live()
            await office.live()
        assert (await first.hold(500, 500, model="free")).draws
    assert await problems(engine_) == []


async def test_many_requests_of_one_tenant_never_take_more_than_there_is(engine_: AsyncEngine, clock: Clock) -> None:
    one = await grant(engine_, clock, 10 * UNIT)
    async with offices(engine_, clock, 3, lease_units="1") as made:

        async def ask(number: int) -> int:
            office = made[number % 3]
            try:
                hold = await office.hold(0, 300)
            except QuotaSpent:
                return 0
            entry = await office.settle(hold, 0, 100 + number % 201)
            return entry.cost or 0

        paid = sum(await asyncio.gather(*(ask(number) for number in range(60))))
        for office in made:
            await office.upkeep.close()
    left = await balances(engine_, one)
    assert (left["spent"], left["reserved"], left["available"]) == (paid, 0, 10 * UNIT - paid)
    assert await problems(engine_) == []


async def test_a_longer_use_than_was_held_is_paid_from_what_the_worker_has(engine_: AsyncEngine, clock: Clock) -> None:
    await grant(engine_, clock, 4 * UNIT)
    async with offices(engine_, clock, 1) as (office,):
        spare = await office.hold(0, 1000)
        spare.release(committed=True)
        masked = await office.hold(100, 100)
        entry = await office.settle(masked, 300, 100)  # the prompt got longer when it was masked
        assert entry.cost == 150_000 + 100_000
        lying = await office.hold(100, 100)
        entry = await office.settle(lying, 10**9, 10**9)  # a node that claims anything
        assert entry.cost <= 4096 * 500 + 100_000
    assert await problems(engine_) == []


async def test_the_callers_region_counts(engine_: AsyncEngine, clock: Clock) -> None:
    await grant(engine_, clock, UNIT, region="cn-north")
    async with offices(engine_, clock, 1, region="cn-east") as (office,):
        estimate = TokenEstimate(0, 10, exact=True)
        with pytest.raises(QuotaSpent):
            await office.ledger.hold(caller(), served(), estimate)
        clock.pass_(2)
        northern = replace(caller(), region="cn-north")
        assert (await office.ledger.hold(northern, served(), estimate)).draws
