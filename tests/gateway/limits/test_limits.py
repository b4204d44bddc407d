"""Limits per minute and at once: exact over workers, truthful in headers, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import ModelSettings
from configs.sections.limits import LimitSettings, RateSettings
from gateway.errors import RateLimited
from gateway.limits.headers import duration, written
from gateway.limits.limits import Limits
from gateway.limits.shares import Shares
from gateway.limits.subjects import LimitBook
from gateway.limits.tables import LimitRow, PlacesRow, WindowRow
from gateway.record import RequestEntry
from gateway.tenants.caller import Caller
from gateway.tokens import TokenEstimate
from gateway.workers.worker import WorkerRow
from models.catalog import ServedModel

MODEL = ServedModel(
    "m", "m", "0" * 64, ModelSettings.model_validate({"id": "m", "source": {"path": "x"}, "context_tokens": 64})
)


class Clock:
    def __init__(self) -> None:
        self.now = float(int(datetime.now(UTC).timestamp()) // 60 * 60 + 3)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def clock(database: AsyncEngine) -> Clock:
    async with database.begin() as connection:
        for table in (LimitRow, WindowRow, PlacesRow, WorkerRow):
            await connection.execute(delete(table))
    return Clock()


Make = Callable[..., Limits]


@pytest.fixture
async def make(database: AsyncEngine, clock: Clock) -> AsyncIterator[Make]:
    made: list[Limits] = []

    def limits(worker: str = "w1", alive: int = 1, **fields: object) -> Limits:
        chosen = LimitSettings.model_validate({"refresh_seconds": 1000} | fields)
        shares = Shares(database, worker, lambda: alive, 15.0)
        made.append(Limits(chosen, LimitBook(chosen, database), shares, lambda: alive, clock))
        return made[-1]

    yield limits
    for one in made:
        await one.close()


def caller(key: str = "key_a", tenant: str = "opc") -> Caller:
    return Caller(key, None, tenant=tenant)


def entry() -> RequestEntry:
    return RequestEntry(id="req_1", endpoint="chat.completions", started_at=0.0, rules_version="r")


async def ask(limits: Limits, tokens: int = 10, used: int | None = None, who: Caller | None = None) -> RequestEntry:
    """One whole request that may take `tokens` and takes `used`."""
    made = entry()
    async with limits.admitted(who or caller(), MODEL, TokenEstimate(tokens, 0), made):
        made.prompt_tokens, made.completion_tokens = tokens if used is None else used, 0
    return made


async def refused(limits: Limits, tokens: int = 10, who: Caller | None = None) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await ask(limits, tokens, who=who)
    return caught.value


async def test_the_last_request_of_a_minute_passes_and_the_next_is_told_how_long_to_wait(
    make: Make, clock: Clock
) -> None:
    limits = make(key={"requests_per_minute": 5})
    lefts = []
    for _ in range(5):
        headers = dict(written((await ask(limits)).limit_headers))
        assert headers[b"x-ratelimit-limit-requests"] == b"5"
        lefts.append(int(headers[b"x-ratelimit-remaining-requests"]))
        assert headers[b"x-ratelimit-reset-requests"] == b"57s"
    assert lefts == [4, 3, 2, 1, 0]
    error = await refused(limits)
    assert "5 requests per minute" in error.message
    assert dict(error.headers()) == {b"retry-after": b"57"}
    assert (await ask(limits, who=caller("key_b"))).limit_headers["requests"][1] == 4, "another key has its own"
    clock.now += 57
    await ask(limits)


async def test_tokens_are_reserved_and_what_was_not_used_is_given_back(make: Make) -> None:
    limits = make(key={"tokens_per_minute": 100})
    assert (await ask(limits, 80, used=20)).limit_headers["tokens"][:2] == (100, 20), "held while it runs"
    assert (await ask(limits, 80, used=80)).limit_headers["tokens"][:2] == (100, 0)
    error = await refused(limits, 1)
    assert "leaves 0" in error.message
    assert "max_tokens" in error.message


async def test_a_refused_request_takes_nothing(make: Make) -> None:
    limits = make(key={"requests_per_minute": 10}, tenant={"tokens_per_minute": 50})
    for _ in range(3):
        await refused(limits, 60)
    headers = (await ask(limits, 50)).limit_headers
    assert headers["requests"][:2] == (10, 9)


async def test_the_tightest_limit_is_shown_and_named(make: Make) -> None:
    limits = make(
        key={"requests_per_minute": 100},
        tenant={"requests_per_minute": 3},
        models={"m": {"requests_per_minute": 50}},
        tenants={"vip": {"requests_per_minute": 60}},
    )
    assert (await ask(limits)).limit_headers["requests"][:2] == (3, 2)
    for _ in range(2):
        await ask(limits)
    assert "your organisation" in (await refused(limits, who=caller("key_other"))).message
    assert (await ask(limits, who=caller("key_v", "vip"))).limit_headers["requests"][0] == 50


async def test_places_are_given_back_however_a_request_ends(make: Make) -> None:
    limits = make(key={"concurrent_requests": 2})
    async with AsyncExitStack() as open_ones:
        for _ in range(2):
            await open_ones.enter_async_context(limits.admitted(caller(), MODEL, TokenEstimate(1, 1), entry()))
        assert "2 requests at once" in (await refused(limits)).message
    with pytest.raises(asyncio.CancelledError):
        async with limits.admitted(caller(), MODEL, TokenEstimate(1, 1), entry()):
            raise asyncio.CancelledError
    await ask(limits)


async def test_what_an_operator_sets_goes_before_the_settings(make: Make, database: AsyncEngine) -> None:
    limits = make(key={"requests_per_minute": 1})
    await ask(limits)
    await refused(limits)
    async with database.begin() as connection:
        await connection.execute(insert(LimitRow).values(kind="key", subject="key_a", requests_per_minute=3))
    await limits.start()
    await ask(limits)
    await ask(limits)
    await refused(limits)


async def test_several_workers_together_stay_within_the_limit_and_use_nearly_all_of_it(make: Make) -> None:
    workers = [make(f"w{number}", alive=4, key={"requests_per_minute": 100}) for number in range(4)]
    passed = 0

    async def flood(limits: Limits) -> None:
        nonlocal passed
        for _ in range(60):
            try:
                await ask(limits)
            except RateLimited:
                continue
            passed += 1
            await asyncio.sleep(0)

    await asyncio.gather(*map(flood, workers))
    assert passed == 100


async def test_an_idle_worker_gives_its_part_back(make: Make, clock: Clock) -> None:
    idle, busy = (make(f"w{number}", alive=2, key={"requests_per_minute": 40}) for number in range(2))
    await ask(idle)
    clock.now += 5
    await idle._give_back(2.0)
    for _ in range(39):
        await ask(busy)
    await refused(busy)


async def test_places_hold_over_workers_and_those_of_a_dead_one_are_free_again(
    make: Make, database: AsyncEngine, clock: Clock
) -> None:
    now = datetime.fromtimestamp(clock(), UTC)
    async with database.begin() as connection:
        rows = [{"id": one, "host": "h", "pid": 1, "started_at": now, "seen_at": now} for one in ("w1", "w2")]
        await connection.execute(insert(WorkerRow), rows)
    one, two = (make(worker, alive=2, key={"concurrent_requests": 3}) for worker in ("w1", "w2"))
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(one.admitted(caller(), MODEL, TokenEstimate(1, 1), entry()))
        async with two.admitted(caller(), MODEL, TokenEstimate(1, 1), entry()):
            await refused(two)
            await refused(one)
        async with database.begin() as connection:
            dead = update(WorkerRow).where(WorkerRow.id == "w1").values(seen_at=datetime.fromtimestamp(0, UTC))
            await connection.execute(dead)
        async with AsyncExitStack() as more:
            for _ in range(3):
                await more.enter_async_context(two.admitted(caller(), MODEL, TokenEstimate(1, 1), entry()))
            await refused(two)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40), st.integers(0, 40), st.integers(0, 20)), max_size=40))
async def test_the_database_never_gives_out_more_than_the_limit(
    make: Make, database: AsyncEngine, clock: Clock, steps: list[tuple[int, int, int, int]]
) -> None:
    async with database.begin() as connection:
        await connection.execute(delete(WindowRow))
    limit = RateSettings(requests_per_minute=12, tokens_per_minute=150)
    workers = [make(f"w{number}", alive=3, key=limit) for number in range(3)]
    passed: dict[int, list[int]] = {}
    for number, tokens, used, seconds in steps:
        clock.now += seconds
        minute = int(clock.now // 60)
        try:
            await ask(workers[number], tokens, used=min(tokens, used))
        except RateLimited:
            continue
        passed.setdefault(minute, []).append(min(tokens, used))
    for used_tokens in passed.values():
        assert len(used_tokens) <= 12
        assert sum(used_tokens) <= 150
    async with database.connect() as connection:
        most = (await connection.execute(select(func.max(WindowRow.requests), func.max(WindowRow.tokens)))).one()
    assert (most[0] or 0) <= 12
    assert (most[1] or 0) <= 150


@pytest.mark.parametrize(("seconds", "said"), [(1, "1s"), (59, "59s"), (60, "1m0s"), (360, "6m0s")])
def test_durations_are_written_as_clients_read_them(seconds: int, said: str) -> None:
    assert duration(seconds) == said
