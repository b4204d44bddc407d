"""Any order of what can happen to the ledger: afterwards, and at every step, it adds up."""

import asyncio
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select

from configs.schema import DatabaseSettings
from gateway.errors import QuotaSpent
from gateway.ledger.postings import withdraw_grant
from gateway.ledger.tables import BALANCES, Grant, Transfer
from gateway.store import migrate, open_engine
from tests.gateway.ledger.bench import Clock, Office, empty, grant, kill, ledger_settings, problems

WORKERS = 3
CHECK_EVERY = 4
SEEN: Counter[str] = Counter()
"""What the runs came across, so that a run in which nothing happens fails."""


class Vouchers(RuleBasedStateMachine):
    """Three workers, of which some die; two tenants; grants that begin, end and are withdrawn; clocks that jump."""

    url: str

    holds = Bundle("holds")

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        Path(self.folder.name, "a.db").write_bytes(TEMPLATE)
        self.runner.run(self._open())

    async def _open(self) -> None:
        sqlite = self.url == "sqlite"
        self.settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{self.folder.name}/a.db" if sqlite else self.url)
        self.engine = open_engine(self.settings)
        await empty(self.engine)
        self.clock = Clock()
        self.grants: list[str] = []
        self.given: dict[str, int] = {"t1": 0, "t2": 0}
        self.paid: dict[str, int] = {"t1": 0, "t2": 0}
        self.offices: list[Office] = []
        for _ in range(WORKERS):
            await self._hire()
        for tenant in self.given:
            await self._give(tenant, 40_000_000, 300, None)
        self.steps = 0

    async def _give(self, tenant: str, amount: int, days: int, models: tuple[str, ...] | None) -> None:
        until = datetime.fromtimestamp(self.clock.wall, UTC) + timedelta(days=days, seconds=40)
        since = until - timedelta(days=900)  # clocks jump back too
        self.grants.append(
            await grant(self.engine, self.clock, amount, tenant, valid_from=since, valid_until=until, models=models)
        )
        self.given[tenant] += amount

    async def _hire(self) -> None:
        office = Office(self.engine, self.clock, ledger_settings(lease_units="1"))
        await office.register()
        await office.worker.beat()
        self.offices.append(office)

    @rule(
        tenant=st.sampled_from(["t1", "t2"]),
        amount=st.integers(1, 3_000_000),
        days=st.integers(0, 3),
        models=st.sampled_from([None, ("paid",), ("other",)]),
    )
    def give(self, tenant: str, amount: int, days: int, models: tuple[str, ...] | None) -> None:
        self.runner.run(self._give(tenant, amount, days, models))

    @rule(
        worker=st.integers(0, WORKERS - 1),
        tenant=st.sampled_from(["t1", "t2"]),
        output=st.integers(1, 900),
        part=st.floats(0, 1),
    )
    def serve(self, worker: int, tenant: str, output: int, part: float) -> None:
        """A request from its beginning to its end."""
        one = self.hold(worker, tenant, 100, output)
        self.settle(one, part, fails=False)

    @rule(
        target=holds,
        worker=st.integers(0, WORKERS - 1),
        tenant=st.sampled_from(["t1", "t2"]),
        prompt=st.integers(0, 500),
        output=st.integers(0, 1500),
    )
    def hold(self, worker: int, tenant: str, prompt: int, output: int) -> tuple:
        office = self.offices[worker]
        try:
            hold = self.runner.run(office.hold(prompt, output, tenant))
        except QuotaSpent:
            return (office, None, tenant, 0, 0)
        return (office, hold, tenant, prompt, output)

    @rule(one=consumes(holds), part=st.floats(0, 1.2), fails=st.booleans())
    def settle(self, one: tuple, part: float, fails: bool) -> None:
        office, hold, _, prompt, output = one
        if hold is None or office not in self.offices:
            return  # it died with its worker
        if fails:
            with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the database says of the same row twice
                self.runner.run(office.commit([(hold, entry) for entry in _twins(self.clock, office, prompt, output)]))
            return
        entry = self.runner.run(office.settle(hold, prompt, int(output * part)))
        SEEN["paid"] += bool(entry.cost)
        assert entry.cost <= -(-(prompt * 500_000_000 + output * 10**9) // 10**6)

    @rule(worker=st.integers(0, WORKERS - 1))
    def upkeep(self, worker: int) -> None:
        self.runner.run(self.offices[worker].live())

    @rule(worker=st.integers(0, WORKERS - 1))
    def die(self, worker: int) -> None:
        office = self.offices.pop(worker)
        SEEN["died with a lease"] += bool(office.ledger.purse.all())
        self.runner.run(kill(office))
        self.runner.run(self._hire())

    @rule(worker=st.integers(0, WORKERS - 1))
    def thought_dead(self, worker: int) -> None:
        """The clock leaps while a worker says nothing; another one takes its leases back, and it goes on."""
        self.runner.run(kill(self.offices[worker]))
        self.clock.jump(3600)
        self.runner.run(self.offices[worker - 1].upkeep.others())
        self.clock.jump(-3600)

    @rule(seconds=st.sampled_from([1, 20, 46, 3600, 86400]))
    def wait(self, seconds: int) -> None:
        self.clock.pass_(seconds)

    @rule(seconds=st.sampled_from([-86400, -60, 60, 86400]))
    def jump(self, seconds: int) -> None:
        self.clock.jump(seconds)

    @precondition(lambda self: self.grants)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.grants))
        now = datetime.fromtimestamp(self.clock.wall, UTC)
        office = self.offices[0]
        self.runner.run(office.ledger.transaction(lambda db: withdraw_grant(db, now, one)))

    @invariant()
    def adds_up(self) -> None:
        if not hasattr(self, "steps"):
            return
        self.steps += 1
        if self.steps % CHECK_EVERY:
            return
        assert self.runner.run(problems(self.engine)) == []
        for tenant, total in self.runner.run(self._sums()).items():
            assert total == self.given[tenant]

    async def _sums(self) -> dict[str, int]:
        async with self.engine.connect() as connection:
            rows = (await connection.execute(select(*Grant.__table__.columns))).all()
        return {
            tenant: sum(getattr(row, name) for row in rows if row.tenant == tenant for name in BALANCES)
            for tenant in self.given
        }

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.steps = -1
        self.adds_up()
        self.runner.run(self._end())
        self.runner.close()
        self.folder.cleanup()

    async def _end(self) -> None:
        """When all workers are gone and their time is over, nothing is reserved any more."""
        for office in self.offices:
            await kill(office)
        self.clock.pass_(10 * 86400)
        last = Office(self.engine, self.clock, ledger_settings())
        await last.register()
        await last.live()
        async with self.engine.connect() as connection:
            without = select(func.count()).where(Transfer.debit == "available", Transfer.credit == "spent")
            SEEN["paid without a lease"] += (await connection.execute(without)).scalar_one()
            reserved = (await connection.execute(select(Grant.reserved))).scalars().all()
        assert set(reserved) <= {0}
        assert await problems(self.engine) == []
        await self.engine.dispose()


def _twins(clock: Clock, office: Office, prompt: int, output: int) -> list:
    from tests.gateway.ledger.bench import finished

    one = finished(clock, office.worker.id, prompt, output)
    return [one, one]


TEMPLATE = b""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_ledger_adds_up_whatever_happens(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    global TEMPLATE
    if kind == "sqlite":
        url = "sqlite"
        asyncio.run(migrate(DatabaseSettings(url=f"sqlite+aiosqlite:///{tmp_path}/t.db")))
        TEMPLATE = (tmp_path / "t.db").read_bytes()
    else:
        url = request.getfixturevalue("postgres")
        asyncio.run(migrate(DatabaseSettings(url=url)))
    SEEN.clear()
    machine = type("Machine", (Vouchers,), {"url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15 if kind == "sqlite" else 6,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert SEEN["paid"] > 0, SEEN
