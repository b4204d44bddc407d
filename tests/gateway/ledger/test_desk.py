"""Lists, codes and statements, on both databases."""

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.verdict import RulesError
from gateway.errors import RateLimited
from gateway.ledger.amounts import UNIT, format_amount, parse_amount
from gateway.ledger.codes import Batch
from gateway.ledger.desk import give_list, print_codes, redeem_code
from gateway.ledger.postings import withdraw_grant
from gateway.ledger.statement import Statement, as_csv, as_json, balance_of, make_statement
from gateway.ledger.tables import Code, Grant
from gateway.ledger.vouchers_csv import read_vouchers
from gateway.store import ApiKey, writing
from tests.conftest import read_cases
from tests.gateway.ledger.bench import Clock, grant, offices, problems

CASES = read_cases("voucher_lists.jsonl")


async def known_tenant(engine: AsyncEngine) -> None:
    key = {"id": "key_1", "name": "k", "digest": "d" * 64, "created_at": datetime.now(UTC), "tenant": "t1"}
    async with writing(engine) as connection:
        await connection.execute(insert(ApiKey).values(key))


async def numbers(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(Grant.number).order_by(Grant.number))).scalars())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_lists(engine_: AsyncEngine, case: dict) -> None:
    await known_tenant(engine_)
    text = "\n".join(case["lines"])
    now = datetime(2026, 3, 1, tzinfo=UTC)

    async def bring() -> tuple[int, int]:
        grants = read_vouchers(text, "list.csv", 8)
        async with writing(engine_) as connection:
            done = await give_list(connection, now, grants, "list.csv", "test")
        return done.new, done.known

    if "error" in case:
        with pytest.raises(RulesError) as refused:
            await bring()
        assert case["error"] in str(refused.value)
        assert await numbers(engine_) == []
        return
    new, _ = await bring()
    assert new == len(await numbers(engine_)) > 0
    assert await bring() == (0, new)
    assert await problems(engine_) == []


async def test_a_number_of_other_content_is_refused_whole(engine_: AsyncEngine) -> None:
    await known_tenant(engine_)
    head = "issuer,number,tenant,amount,valid_from,valid_until\n"
    now = datetime(2026, 3, 1, tzinfo=UTC)
    async with writing(engine_) as connection:
        first = read_vouchers(head + "p,1,t1,5,2026-01-01,2026-12-31", "a.csv", 8)
        await give_list(connection, now, first, "a.csv", "test")
    other = read_vouchers(head + "p,0,t1,5,2026-01-01,2026-12-31\np,1,t1,6,2026-01-01,2026-12-31", "b.csv", 8)
    with pytest.raises(RulesError, match="voucher 1 of p is stored with another amount"):
        async with writing(engine_) as connection:
            await give_list(connection, now, other, "b.csv", "test")
    assert await numbers(engine_) == ["1"]


def test_a_last_day_is_valid_to_its_end() -> None:
    (one,) = read_vouchers(
        "issuer,number,tenant,amount,valid_from,valid_until\np,1,t,1,2026-01-01,2026-01-31", "a.csv", 8
    )
    assert one.valid_from.isoformat() == "2025-12-31T16:00:00+00:00"
    assert one.valid_until.isoformat() == "2026-01-31T16:00:00+00:00"


async def _codes(engine: AsyncEngine, now: datetime, count: int = 1) -> list[str]:
    batch = Batch(count, "park", 5 * UNIT, now + timedelta(days=9), models=("paid",))
    async with writing(engine) as connection:
        return (await print_codes(connection, now, batch, "op"))[1]


async def test_a_code_is_redeemed_once_even_by_many_at_once(engine_: AsyncEngine, clock: Clock) -> None:
    now = datetime.fromtimestamp(clock.wall, UTC)
    (code,) = await _codes(engine_, now)

    async def bring(holder: str) -> str | None:
        async with writing(engine_) as connection:
            return await redeem_code(connection, now, holder, code, "key", 5)

    got = await asyncio.gather(*(bring(f"t{number}") for number in range(8)))
    assert len([one for one in got if one]) == 1
    winner = f"t{next(number for number, one in enumerate(got) if one)}"
    again = await bring(winner)
    assert again == next(one for one in got if one)  # the same voucher: a repeated request loses nothing
    assert len(await numbers(engine_)) == 1
    assert await problems(engine_) == []


async def test_codes_are_written_as_they_are_read(engine_: AsyncEngine, clock: Clock) -> None:
    now = datetime.fromtimestamp(clock.wall, UTC)
    codes = await _codes(engine_, now, 50)
    assert len(set(codes)) == 50
    assert all(len(code.replace("-", "").removeprefix("OPCV")) == 32 for code in codes)  # 160 bits
    async with engine_.connect() as connection:
        stored = (await connection.execute(select(Code.digest))).scalars().all()
    assert not any(code[5:13] in digest.upper() for code in codes for digest in stored)
    async with writing(engine_) as connection:
        spoken = codes[0].lower().replace("-", " ")
        assert await redeem_code(connection, now, "t1", spoken, "key", 5)


async def test_wrong_codes_are_few_a_minute_and_all_look_alike(engine_: AsyncEngine, clock: Clock) -> None:
    now = datetime.fromtimestamp(clock.wall, UTC)
    used, late, good = await _codes(engine_, now, 3)
    async with writing(engine_) as connection:
        assert await redeem_code(connection, now, "t2", used, "key", 5)

    async def bring(code: str, at: datetime) -> str | None:
        async with writing(engine_) as connection:
            return await redeem_code(connection, at, "t1", code, "key", 3)

    assert await bring("OPCV-NOTHING", now) is None
    assert await bring(used, now) is None
    assert await bring(late, now + timedelta(days=9)) is None  # a new minute, at the second of its end
    assert await bring(used, now + timedelta(days=9)) is None
    assert await bring(used, now + timedelta(days=9)) is None
    with pytest.raises(RateLimited):
        await bring(good, now + timedelta(days=9))
    assert await bring(good, now) is not None
    assert await problems(engine_) == []


async def test_statements_add_up_and_follow_each_other(engine_: AsyncEngine, clock: Clock) -> None:
    start = datetime.fromtimestamp(clock.wall, UTC)
    short = await grant(engine_, clock, 2 * UNIT, valid_until=start + timedelta(days=2))
    clock.pass_(10)
    long = await grant(engine_, clock, 7 * UNIT)
    async with offices(engine_, clock, 1) as (office,):
        for day in range(4):
            for output in (100, 200):
                await office.settle(await office.hold(10, output), 10, output)
            clock.pass_(86400)
            await office.live()
            if day == 3:
                now = datetime.fromtimestamp(clock.wall, UTC)
                await office.ledger.transaction(lambda db, at=now: withdraw_grant(db, at, long))
        await office.upkeep.close()
        await office.live()
    end = datetime.fromtimestamp(clock.wall + 1, UTC)
    middle = start + timedelta(days=2, hours=1)

    async def make(begins: datetime, ends: datetime) -> Statement:
        async with engine_.connect() as connection:
            return await connection.run_sync(make_statement, "t1", begins, ends, 8)

    whole, first, second = await make(start, end), await make(start, middle), await make(middle, end)
    assert (whole.opening, first.closing, second.closing) == (0, second.opening, whole.closing)
    for one in (whole, first, second):
        assert one.opening + sum(line.amount for line in one.lines) == one.closing
    for kind in ("grant", "spend", "expire", "withdraw"):
        assert whole.total(kind) == first.total(kind) + second.total(kind)
    assert whole.total("grant") == 9 * UNIT
    async with engine_.connect() as connection:
        left = await connection.run_sync(balance_of, "t1", end)
        rows = (await connection.execute(select(Grant.spent, Grant.expired, Grant.withdrawn))).all()
    assert whole.closing == left.available + left.reserved
    assert -whole.total("spend") == sum(row.spent for row in rows) > 0
    assert -whole.total("expire") == sum(row.expired for row in rows) > 0
    assert -whole.total("withdraw") == sum(row.withdrawn for row in rows) > 0
    assert {line.model for line in whole.lines if line.kind == "spend"} == {"paid"}
    assert short != long

    table = list(csv.reader(io.StringIO(as_csv(whole))))
    assert table[0][0] == "day"
    assert sum(parse_signed(row[5]) for row in table[3:-1]) == parse_signed(table[-1][6]) - parse_signed(table[2][6])
    assert as_json(whole)["closing"] == {"amount": whole.closing, "units": format_amount(whole.closing)}


def parse_signed(text: str) -> int:
    return -parse_amount(text[1:]) if text.startswith("-") else parse_amount(text) if text != "0" else 0


@pytest.mark.parametrize(
    ("micros", "text"), [(0, "0"), (1, "0.000001"), (12_500_000, "12.5"), (-1, "-0.000001"), (10**15, "1000000000")]
)
def test_amounts_are_written_exactly(micros: int, text: str) -> None:
    assert format_amount(micros) == text
    if micros > 0:
        assert parse_amount(text) == micros
