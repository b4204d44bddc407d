"""The database away under load: stopped, frozen, or locked by another process. docs/operator.md states the promise.

Who asks meanwhile is answered from what the worker holds or refused with 503 and `retry-after`; an answer without a
record never comes to its end; afterwards everything goes on by itself.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from configs.schema import DatabaseSettings
from gateway.store import migrate, open_engine, writing
from gateway.workers.worker import WorkerRow
from tests.gateway.faults.client import Client
from tests.gateway.faults.load import Load
from tests.gateway.faults.node import EVENTS, Node
from tests.gateway.faults.site import Site, assert_all_adds_up, open_site, until, write_settings

WAIT_SECONDS = 2.0
AWAY_SECONDS = 30.0
SHORTER_SECONDS = 8.0
STREAMS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A PostgreSQL of these tests' own."""
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    import pgserver  # it looks for the runtime folder when imported, and warns without one

    server = pgserver.get_server(tmp_path_factory.mktemp("pg-away"), cleanup_mode="stop")
    yield server
    server.cleanup()


@asynccontextmanager
async def stopped(server: Any) -> AsyncIterator[None]:
    """Stopped as by a power cut: connections break, and on its return it first recovers."""
    from pgserver._commands import pg_ctl

    stop = ["-w", "-m", "immediate", "stop"]
    await asyncio.to_thread(pg_ctl, stop, pgdata=server.pgdata, user=server.system_user)
    yield
    await asyncio.to_thread(server.ensure_postgres_running)


@asynccontextmanager
async def frozen(server: Any) -> AsyncIterator[None]:
    """No answer, and no broken connection either: as when a machine or a network hangs."""
    main = psutil.Process(server.get_pid())
    processes = [main, *main.children()]
    for one in processes:
        one.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in processes:
            one.send_signal(signal.SIGCONT)


LOCKER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Another process holds the write lock."""
    command = [sys.executable, "-c", LOCKER, str(path)]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"locked\n"
    try:
        yield
    finally:
        await process.communicate(b"")


async def through(site: Site, away: Any, seconds: float) -> Load:
    """Load before, while and after the database is away; everything works again without a hand."""
    load = Load(site, EVENTS)
    load.start()
    await until(lambda: load.said["whole"] > 30, "no answers before the fault")
    async with away:
        await asyncio.sleep(seconds)
        before = load.said.copy()
    whole = load.said["whole"]
    await until(lambda: load.said["whole"] > whole + 30, f"no answers after the fault: {load.said}", 30)
    await load.stop()
    back = datetime.now(UTC)
    await until(lambda: site.read(partial(beats_since, back)), "no heartbeat comes any more")
    assert not load.others, load.others[:3]
    assert not load.without_retry_after
    assert sum(before.values()) - before["whole"] > 0, "the fault was not felt"
    assert (await Client.of(site).ask()).whole
    await assert_all_adds_up(site)
    return load


async def beats_since(moment: datetime, connection: AsyncConnection) -> bool:
    return bool((await connection.execute(select(WorkerRow.id).where(WorkerRow.seen_at > moment))).first())


def settings(folder: Path, url: str | None = None, last_byte_seconds: float = 1.0) -> Path:
    sections = {"database": {"wait_seconds": WAIT_SECONDS}, "audit": {"last_byte_seconds": last_byte_seconds}}
    return write_settings(folder, "http://127.0.0.1:9", url, **sections)


def address(server: Any) -> str:
    return str(server.get_uri()).replace("postgresql://", "postgresql+asyncpg://")


@pytest.mark.parametrize(("away", "seconds"), [(stopped, AWAY_SECONDS), (frozen, SHORTER_SECONDS)])
async def test_postgresql_away(server: Any, tmp_path: Path, away: Callable[..., Any], seconds: float) -> None:
    node = Node()
    async with open_site(settings(tmp_path, address(server)), node.seen, transport=node) as site:
        load = await through(site, away(server), seconds)
        assert load.longest_seconds < 5 * WAIT_SECONDS, "nobody waits for the database's return"


async def test_sqlite_locked(tmp_path: Path) -> None:
    node = Node()
    async with open_site(settings(tmp_path), node.seen, transport=node) as site:
        await through(site, locked(tmp_path / "opcgate.db"), SHORTER_SECONDS)


@dataclass
class Across:
    """Streams and one whole answer that begin before the database goes away, and end once `gate` is opened."""

    site: Site
    streams: list[Client]
    whole: Client
    asked: list["asyncio.Task[Client]"]
    gate: asyncio.Event

    @classmethod
    async def begin(cls, site: Site, node: Node) -> "Across":
        gate, events = asyncio.Event(), Counter[object]()

        async def pause() -> None:
            task = asyncio.current_task()
            events[task] += 1
            if events[task] > EVENTS // 2:
                await gate.wait()

        node.pause = pause
        streams, whole = [Client.of(site) for _ in range(STREAMS)], Client.of(site, stream=False)
        asked = [asyncio.create_task(one.ask()) for one in streams]
        await until(lambda: all(b"data:" in one.received for one in streams), "the streams have not begun")
        node.pause = gate.wait
        asked.append(asyncio.create_task(whole.ask()))
        await until(lambda: node.seen.open == STREAMS + 1, "the whole answer has not begun")
        return cls(site, streams, whole, asked, gate)

    async def end(self) -> None:
        self.gate.set()
        await asyncio.gather(*self.asked)

    async def check(self) -> None:
        """Everything that was given is on record and paid for."""
        for one in self.streams:
            assert one.received.decode().count("好") == EVENTS
            one.note(self.site, EVENTS)
        assert len(self.site.received) >= STREAMS

        async def there() -> bool:
            return set(self.site.received) <= set(await self.site.rows())

        await until(there, "streams that were given are not on record")
        await assert_all_adds_up(self.site)


PLACES = [("postgresql", stopped), ("postgresql", frozen), ("sqlite", locked)]


@pytest.mark.parametrize(("kind", "away"), PLACES)
async def test_streams_that_end_while_it_is_away(
    kind: str, away: Callable[..., Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """They are told that their record waits; it is written, and paid, when the database is back. None is begun."""
    server = request.getfixturevalue("server") if kind == "postgresql" else None
    node = Node()
    path = settings(tmp_path, address(server) if server else None)
    async with open_site(path, node.seen, transport=node) as site:
        across = await Across.begin(site, node)
        async with away(server or tmp_path / "opcgate.db"):
            await across.end()
            assert {one.error for one in across.streams} == {"record_pending"}
            assert (across.whole.status, across.whole.error) == (503, "record_failed")
            await until(lambda: site.gateways[0].recorder.away, "the database is not known to be away")
            completed = node.seen.completed
            late = await Client.of(site).ask()
            assert (late.status, late.error) == (503, "record_failed")
            assert node.seen.completed == completed, "an answer was made that can't be recorded"
        await across.check()
        assert (await Client.of(site).ask()).whole


async def test_streams_whose_end_waits_for_its_return(server: Any, tmp_path: Path) -> None:
    node = Node()
    async with open_site(settings(tmp_path, address(server), 20.0), node.seen, transport=node) as site:
        across = await Across.begin(site, node)
        async with stopped(server):
            across.gate.set()
            await until(lambda: site.gateways[0].recorder.away, "the database is not known to be away")
            assert not any(one.whole for one in across.streams)
        await across.end()
        assert all(one.whole for one in (*across.streams, across.whole))
        across.whole.note(site, EVENTS)
        await across.check()


async def test_who_leaves_while_a_transaction_begins_locks_nobody_out(tmp_path: Path) -> None:
    """A beginning that nobody waits for any more still ends in its thread, and then held SQLite's lock for ever."""
    path = tmp_path / "opcgate.db"
    settings = DatabaseSettings(url=f"sqlite+aiosqlite:///{path}")
    await migrate(settings)
    engine = open_engine(settings)

    async def change() -> None:
        async with writing(engine) as connection:
            await connection.execute(delete(WorkerRow))

    async with locked(path):
        waiting = [asyncio.create_task(change()) for _ in range(20)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.05)
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)
    async with locked(path):
        pass
    await change()
    # The transactions that were left end beside this; with the loop gone they would leave connections behind.
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    await engine.dispose()
