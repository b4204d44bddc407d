"""A database, a clock that tests move, and several workers with a ledger each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import DatabaseSettings, ModelSettings, SourceSettings
from configs.sections.ledger import LedgerSettings
from configs.sections.workers import WorkerSettings
from gateway.group_commit import group_writer
from gateway.ledger.hold import Hold
from gateway.ledger.ledger import Ledger
from gateway.ledger.postings import NewGrant, create_grant
from gateway.ledger.tables import Grant, Transfer
from gateway.ledger.upkeep import Upkeep
from gateway.ledger.verify import Problem, verify
from gateway.record import RequestEntry, Settlement
from gateway.store import writing
from gateway.tenants.keys import Caller
from gateway.tokens import TokenCounter, TokenEstimate
from gateway.workers.worker import Worker, WorkerRow
from models.catalog import ServedModel

START = datetime(2026, 3, 1, 4, 0, tzinfo=UTC).timestamp()
PRICES = {"paid": {"prompt": "0.5", "cached": "0.1", "output": "1"}}
NUMBERS = count(1)


def served(model: str = "paid", context: int = 4096) -> ServedModel:
    base = ModelSettings(id=model, source=SourceSettings(path=Path("nowhere")), context_tokens=context)
    return ServedModel(model, model, "0" * 64, base)


def caller(tenant: str | None = "t1") -> Caller:
    return Caller("key_1", None, tenant=tenant)


def ledger_settings(**changes: object) -> LedgerSettings:
    return LedgerSettings.model_validate({"prices": PRICES, "wait_for_others_seconds": 0} | changes)


class Clock:
    """Wall time and monotonic time, which a clock jump tears apart."""

    def __init__(self) -> None:
        self.wall = START
        self.steady = 1000.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def jump(self, seconds: float) -> None:
        self.wall += seconds


class Office:
    """One worker: its row, ledger and upkeep, and what commits its groups."""

    def __init__(self, engine: AsyncEngine, clock: Clock, settings: LedgerSettings) -> None:
        self.engine, self.clock = engine, clock
        workers = WorkerSettings()
        self.worker = Worker(engine, workers, lambda: clock.wall)
        self.ledger = Ledger(engine, settings, self.worker, TokenCounter(), lambda: clock.wall, lambda: clock.steady)
        self.upkeep = Upkeep(self.ledger, self.worker, workers, lambda: clock.wall, lambda: clock.steady)

    async def register(self) -> None:
        now = datetime.fromtimestamp(self.clock.wall, UTC)
        row = {"id": self.worker.id, "host": "h", "pid": 1, "started_at": now, "seen_at": now}
        async with writing(self.engine) as connection:
            await connection.execute(insert(WorkerRow).values(row))

    async def live(self) -> None:
        """One round of heartbeat and upkeep."""
        await self.worker.beat()
        await self.upkeep.own_leases()
        await self.upkeep.others()

    async def hold(self, prompt: int, output: int, tenant: str = "t1", model: str = "paid") -> Hold:
        return await self.ledger.hold(caller(tenant), served(model), TokenEstimate(prompt, output, exact=True))

    async def settle(self, hold: Hold, prompt: int | None, output: int, **fields: object) -> RequestEntry:
        """Commit one request as the recorder does."""
        entry = finished(self.clock, self.worker.id, prompt, output, **fields)
        await self.commit([(hold, entry)])
        return entry

    async def commit(self, finished: list[tuple[Hold, RequestEntry]]) -> None:
        settlements = [Settlement(_row(entry, hold), entry_charge) for hold, entry in finished
                       for entry_charge in (hold.charge(entry),)]  # fmt: skip
        for settlement, (_, entry) in zip(settlements, finished, strict=True):
            settlement.row["cost"] = entry.cost
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for hold, _ in finished:
            written.add_done_callback(hold.settled)
        try:
            with group_writer(DatabaseSettings(url=str_url(self.engine)), self.engine, [self.ledger.part]) as write:
                await write(settlements)
            written.set_result(None)
        except Exception as error:
            written.set_exception(error)
            raise
        finally:
            await asyncio.sleep(0)


def str_url(engine: AsyncEngine) -> str:
    return engine.url.render_as_string(hide_password=False)


def finished(clock: Clock, worker: str, prompt: int | None, output: int, **fields: object) -> RequestEntry:
    entry = RequestEntry(
        id=f"req_{next(NUMBERS)}_{worker[-8:]}", endpoint="chat.completions", started_at=clock.wall, rules_version="v"
    )
    entry.key_id, entry.worker, entry.outcome, entry.first_byte_at = "key_1", worker, "completed", clock.wall
    entry.prompt_tokens, entry.completion_tokens = prompt, output
    for name, value in fields.items():
        setattr(entry, name, value)
    return entry


def _row(entry: RequestEntry, hold: Hold) -> dict:
    return entry.row(entry.started_at + 1) | {"tenant": hold.holder}


async def grant(engine: AsyncEngine, clock: Clock, amount: int, tenant: str = "t1", **fields: object) -> str:
    now = datetime.fromtimestamp(clock.wall, UTC)
    values = {
        "tenant": tenant,
        "issuer": "park",
        "number": f"N{next(NUMBERS)}",
        "amount": amount,
        "valid_from": now - timedelta(days=1),
        "valid_until": now + timedelta(days=30),
    }
    new = NewGrant(**(values | fields))
    async with writing(engine) as connection:
        return await connection.run_sync(lambda db: create_grant(db, now, new, "test"))


async def balances(engine: AsyncEngine, grant_id: str) -> dict[str, int]:
    names = ("amount", "available", "reserved", "spent", "expired", "withdrawn")
    query = select(*(getattr(Grant, name) for name in names)).where(Grant.id == grant_id)
    async with engine.connect() as connection:
        return dict(zip(names, (await connection.execute(query)).one(), strict=True))


async def problems(engine: AsyncEngine) -> list[Problem]:
    async with engine.connect() as connection:
        return await connection.run_sync(verify)


async def transfers(engine: AsyncEngine) -> list[tuple]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(Transfer.debit, Transfer.credit, Transfer.amount).order_by(Transfer.id))
        return [tuple(row) for row in rows]


async def kill(office: Office) -> None:
    """The worker says nothing more: its heartbeat is from long ago."""
    async with writing(office.engine) as connection:
        await connection.execute(
            update(WorkerRow)
            .where(WorkerRow.id == office.worker.id)
            .values(seen_at=datetime.fromtimestamp(office.clock.wall - 3600, UTC))
        )


async def empty(engine: AsyncEngine) -> None:
    """PostgreSQL is shared by the run's tests; only TRUNCATE passes the guard of transfers."""
    tables = "voucher_grants, voucher_leases, voucher_transfers, voucher_codes, voucher_redeem_tries, workers, requests"
    async with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text(f"TRUNCATE {tables}"))


@asynccontextmanager
async def offices(engine: AsyncEngine, clock: Clock, number: int, **changes: object) -> AsyncIterator[list[Office]]:
    made = [Office(engine, clock, ledger_settings(**changes)) for _ in range(number)]
    for one in made:
        await one.register()
    for one in made:
        await one.worker.beat()
    yield made
