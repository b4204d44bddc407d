"""The group commit: up to 256 finished requests in one transaction, with each part's share of them."""

import asyncio
import fcntl
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Protocol

from sqlalchemy import Connection, create_engine, select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from configs.schema import DatabaseSettings
from gateway.record import Settlement
from gateway.recorder import WriteGroup
from gateway.row_insert import RowInsert
from gateway.store import RequestRecord, in_time, json_of, prepare_sqlite

LONGEST_TURN_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.0003


class GroupPart(Protocol):
    """What writes its share of a group of settlements into the group's transaction.

    `write` is called in another thread than the event loop's; after it exactly one of the other two is.
    """

    def write(self, connection: Connection, group: Sequence[Settlement]) -> None:
        """Write; raise to roll the whole group back."""
        ...

    def committed(self) -> None:
        """The group is in the database."""
        ...

    def rolled_back(self) -> None:
        """Nothing of the group is in the database, as far as is known."""
        ...


@contextmanager
def group_writer(
    settings: DatabaseSettings, engine: AsyncEngine, parts: Sequence[GroupPart] = ()
) -> Iterator[WriteGroup]:
    """A function that commits a group of settlements in one transaction: request rows, then each part's share.

    A group that is `uncertain` has been tried before and may be in the database already, which is looked up.

    SQLite is written from one thread of its own: SQLAlchemy's async layer would change threads at every
    statement, which costs more than the insert.
    """
    requests = RowInsert(RequestRecord.__table__)
    if engine.dialect.name != "sqlite":
        yield partial(_write_async, engine, requests, parts)
        return
    plain = create_engine(
        make_url(settings.url).set(drivername="sqlite"),
        execution_options={"sqlite_begin": "BEGIN IMMEDIATE"},
        json_serializer=json_of,
    )
    prepare_sqlite(plain)
    opened: list[Connection] = []  # kept from group to group: taking one from the pool costs as much as a commit

    def write(group: Sequence[Settlement], uncertain: bool) -> None:
        try:
            connection = opened[0] if opened else plain.connect()
            opened[:] = [connection]
            with _in_turn(turn), _told(parts), connection.begin():
                _write_group(connection, requests, parts, group, uncertain)
        except BaseException:
            close()
            raise

    def close() -> None:
        while opened:
            opened.pop().close()

    async def write_in_thread(group: Sequence[Settlement], *, uncertain: bool = False) -> None:
        await asyncio.get_running_loop().run_in_executor(thread, write, group, uncertain)

    with ThreadPoolExecutor(1, "records") as thread, _lock_file(plain.url.database) as turn:
        try:
            yield write_in_thread
        finally:
            thread.submit(close)
    plain.dispose()


@contextmanager
def _lock_file(database: str | None) -> Iterator[int | None]:
    """A file that the writers of one SQLite database lock in turn; none for a database in memory."""
    if not database or database == ":memory:":
        yield None
        return
    with Path(f"{database}-turn").open("wb") as file:
        yield file.fileno()


@contextmanager
def _in_turn(lock: int | None) -> Iterator[None]:
    """Wait for the other workers' groups. SQLite itself would sleep and look again, for up to a tenth of a second.

    The lock is for speed only: a worker that was stopped while it has it holds up the others for no more than a moment.
    """
    if lock is None or not _locked(lock):
        yield
        return
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _locked(lock: int) -> bool:
    until = monotonic() + LONGEST_TURN_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > until:
                return False
            sleep(LOOK_AGAIN_SECONDS)
        else:
            return True


async def _write_async(
    engine: AsyncEngine,
    requests: RowInsert,
    parts: Sequence[GroupPart],
    group: Sequence[Settlement],
    *,
    uncertain: bool = False,
) -> None:
    with _told(parts):
        async with in_time(engine), engine.begin() as connection:
            await connection.run_sync(_write_group, requests, parts, group, uncertain)


def _write_group(
    connection: Connection,
    requests: RowInsert,
    parts: Sequence[GroupPart],
    group: Sequence[Settlement],
    uncertain: bool,
) -> None:
    if uncertain:
        ids = [one.row["id"] for one in group]
        there = set(connection.execute(select(RequestRecord.id).where(RequestRecord.id.in_(ids))).scalars())
        group = [one for one in group if one.row["id"] not in there]
    requests.run(connection, [one.row for one in group])
    for one in group:
        for statement in one.statements:
            connection.execute(statement)
    for part in parts:
        part.write(connection, group)


@contextmanager
def _told(parts: Sequence[GroupPart]) -> Iterator[None]:
    """Tell every part how the transaction ended."""
    try:
        yield
    except BaseException:
        for part in parts:
            part.rolled_back()
        raise
    for part in parts:
        part.committed()
