"""Migration 0005: up, down and up again on both databases, with keys from before it."""

import asyncio
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from configs.schema import DatabaseSettings
from gateway.store import _alembic

OLD_KEY = (
    "INSERT INTO api_keys (id, name, digest, created_at, tenant) VALUES (:id, :id, :id, '2026-01-01 00:00:00', :tenant)"
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_up_down_and_up_again(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/opcgate.db" if kind == "sqlite" else await fresh_database(request)
    config = _alembic(DatabaseSettings(url=url))
    engine = create_async_engine(url)

    async def to(revision: str) -> None:
        step = command.downgrade if revision == "0004-" else command.upgrade
        await asyncio.to_thread(step, config, revision.removesuffix("-"))

    async def ask(statement: str) -> list[tuple[object, ...]]:
        async with engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]

    await to("0004")
    async with engine.begin() as connection:
        for name, tenant in (("a", None), ("b", "acme"), ("c", "acme"), ("d", "上海某某")):
            await insert(connection, name, tenant)
    for _ in range(2):
        await to("0005")
        assert sorted(await ask("SELECT id, status FROM organisations")) == [
            ("acme", "active"),
            ("default", "active"),
            ("上海某某", "active"),
        ]
        keys = await ask("SELECT id, tenant, version, scopes FROM api_keys ORDER BY id")
        assert keys == [
            (one, of, 1, None) for one, of in zip("abcd", ("default", "acme", "acme", "上海某某"), strict=True)
        ]
        assert await ask("SELECT count(*) FROM members") == [(0,)]
        await to("0004-")
        assert await ask("SELECT id, tenant FROM api_keys ORDER BY id") == [
            ("a", None),
            ("b", "acme"),
            ("c", "acme"),
            ("d", "上海某某"),
        ]
    await engine.dispose()


async def insert(connection: AsyncConnection, name: str, tenant: str | None) -> None:
    await connection.execute(text(OLD_KEY), {"id": name, "tenant": tenant})


async def fresh_database(request: pytest.FixtureRequest) -> str:
    """A database of its own on the run's PostgreSQL server, since the tests beside use the newest tables."""
    url: str = request.getfixturevalue("postgres")
    admin = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text("DROP DATABASE IF EXISTS tenants_migration"))
        await connection.execute(text("CREATE DATABASE tenants_migration"))
    await admin.dispose()
    return make_url(url).set(database="tenants_migration").render_as_string(hide_password=False)
