"""The tables of audit and reports can be made, taken back and made again; old records are counted, not chained."""

import asyncio
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text

from configs.schema import DatabaseSettings
from gateway.store import _alembic, open_engine

INSERT = (
    "INSERT INTO requests (id, started_at, endpoint, streamed, outcome, rules_version, findings, released,"
    " total_seconds, note) VALUES ('req_1', '2026-01-01 00:00:00', 'chat.completions', {false}, 'completed', 'r',"
    " '[]', '{{}}', 1.0, '')"
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_up_and_down_and_up_again(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/opcgate.db"
    if kind == "postgresql":
        server = request.getfixturevalue("postgres")
        engine = open_engine(DatabaseSettings(url=server))
        async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            await connection.execute(text("DROP DATABASE IF EXISTS migrations"))
            await connection.execute(text("CREATE DATABASE migrations"))
        await engine.dispose()
        url = server.replace("/postgres?", "/migrations?")
    config = _alembic(DatabaseSettings(url=url))
    await asyncio.to_thread(command.upgrade, config, "0006")
    engine = open_engine(DatabaseSettings(url=url))
    async with engine.begin() as connection:
        await connection.execute(text(INSERT.format(false="0" if kind == "sqlite" else "false")))
    await asyncio.to_thread(command.upgrade, config, "0011")
    await asyncio.to_thread(command.downgrade, config, "0006")
    async with engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert not [one for one in tables if one.startswith(("audit_", "reports"))]
    await asyncio.to_thread(command.upgrade, config, "head")
    async with engine.connect() as connection:
        before = await connection.execute(text("SELECT seq FROM audit_heads WHERE writer = 'before'"))
        assert before.scalar_one() == 1
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    assert {"audit_links", "audit_heads", "audit_signatures", "audit_keys", "audit_texts", "reports"} <= set(tables)
    await engine.dispose()
