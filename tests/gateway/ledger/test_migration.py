"""Migration 0006 goes up, down and up again, and the tables are what the code says."""

import importlib
from collections.abc import Callable
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.ledger.tables import Code, Grant, Lease, RedeemTries, Transfer

TABLES = {one.__tablename__: one for one in (Grant, Lease, Transfer, Code, RedeemTries)}


def _module() -> Any:
    return importlib.import_module("gateway.migrations.versions.0006_ledger")


def _step(connection: Connection, step: Callable[[], None]) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        step()


async def test_up_down_up(database: AsyncEngine) -> None:
    async with database.begin() as connection:
        await connection.run_sync(_step, _module().downgrade)
        assert not set(TABLES) & set(await connection.run_sync(lambda db: inspect(db).get_table_names()))
        await connection.run_sync(_step, _module().upgrade)
        for name, table in TABLES.items():
            made = await connection.run_sync(lambda db, one=name: inspect(db).get_columns(one))
            assert {one["name"]: one["nullable"] for one in made} == {
                one.name: one.nullable for one in table.__table__.columns
            }
