"""A gateway with a priced model and vouchers, and the four checks that follow every fault."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from configs.loader import load_settings
from configs.schema import Settings
from gateway.app import build_app
from gateway.audit.source import DatabaseSource
from gateway.audit.verify import Verification
from gateway.chat import Gateway
from gateway.ledger.leases import LEASES
from gateway.ledger.postings import GRANTS, NewGrant, create_grant
from gateway.ledger.tables import Grant, Lease
from gateway.ledger.verify import verify
from gateway.store import RequestRecord, open_engine, with_database, writing
from gateway.tenants.keys import KeySpec, add_key
from gateway.tenants.organisations import add_organisation
from loadtests.fake_engine import Seen
from tests.conftest import ROOT

MODEL = "opc-starter"
CATALOG = {"models": [{"id": MODEL, "source": {"huggingface": "none/none"}, "context_tokens": 1024}]}
PROMPT, OUTPUT = 1000, 10_000
"""Millionths of a voucher unit for one token."""
PROMPT_TOKENS = 7
UNITS = 1_000_000_000


def price(output_tokens: int) -> int:
    """What an answer of the fake engine costs, which says 7 tokens of prompt and one for each event."""
    return PROMPT_TOKENS * PROMPT + output_tokens * OUTPUT


def write_settings(folder: Path, node: str, url: str | None = None, **sections: dict[str, Any]) -> Path:
    """A settings file: one priced model, limits that are counted, leases that go back soon.

    One term in place of the shipped list, which takes every gateway half a second to compile.
    """
    (folder / "models.yaml").write_text(yaml.safe_dump(CATALOG))
    (folder / "terms.tsv").write_text("出售冰毒\tother_illegal\thigh\n", encoding="utf-8")
    content: dict[str, dict[str, Any]] = {
        "database": {"url": url or f"sqlite+aiosqlite:///{folder}/opcgate.db", "key_cache_seconds": 0.5},
        "limits": {
            "concurrent_requests_per_key": 512,
            "tenant": {"concurrent_requests": 512, "requests_per_minute": 1_000_000, "tokens_per_minute": 10**9},
        },
        "upstream": {
            "idle_seconds": 1.0, "whole_answer_seconds": 1.5, "probe_interval_seconds": 0.2,
            "probe_timeout_seconds": 1.0,
        },
        "compliance": {
            "policy": f"{ROOT}/configs/policies/base.yaml",
            "lexicons": ["terms.tsv"],
            "allow_lists": [],
        },
        "labels": {"key_file": f"{folder}/label-key.pem"},
        "audit": {
            "key_file": f"{folder}/audit-key.pem", "text_key_file": f"{folder}/text-keys.txt", "last_byte_seconds": 1.0,
        },
        "workers": {"heartbeat_seconds": 0.3, "dead_after_seconds": 1.5},
        "ledger": {
            "prices": {MODEL: {"prompt": "1", "output": "10"}},
            "lease_units": "50", "lease_seconds": 2.0, "idle_seconds": 0.3, "upkeep_seconds": 0.1,
        },
    }  # fmt: skip
    for name, section in sections.items():
        content[name] = content.get(name, {}) | section
    nodes = [{"name": "fake", "url": node, "models": [MODEL]}]
    path = folder / "opcgate.yaml"
    path.write_text(yaml.safe_dump({"catalog": "models.yaml", "nodes": nodes, **content}))
    return path


@dataclass
class Site:
    """What a test knows of the gateways and their database.

    `received` are the requests whose last byte a client has got, with what they must cost (None: not known).
    `gateways` are those of this process; `orphans` counts the requests that are open on nodes.
    """

    settings: Settings
    tenant: str
    key: str
    orphans: Callable[[], int]
    gateways: list[Gateway] = field(default_factory=list)
    received: dict[str, int | None] = field(default_factory=dict)
    app: FastAPI | None = None
    url: str = ""

    async def read(self, use: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        """Something looked up in the database, beside the gateways."""
        engine = open_engine(self.settings.database)
        try:
            async with engine.connect() as connection:
                return await use(connection)
        finally:
            await engine.dispose()

    async def rows(self) -> dict[str, Any]:
        """The tenant's request records by id."""
        query = select(*RequestRecord.__table__.columns).where(RequestRecord.tenant == self.tenant)
        return {row.id: row for row in await self.read(lambda connection: _all(connection, query))}

    async def row(self, request_id: str | None = None) -> Any:
        """The record of a request, or the newest one, as soon as it is there."""
        rows: dict[str, Any] = {}

        async def there() -> bool:
            rows.update(await self.rows())
            return request_id in rows if request_id else bool(rows)

        await until(there, "the request was never settled")
        return rows[request_id] if request_id else max(rows.values(), key=lambda row: row.started_at)


async def prepared(settings: Settings) -> tuple[str, str]:
    """A new tenant with two vouchers, and its key."""
    tenant = f"fault-{secrets.token_hex(4)}"

    async def prepare(engine: Any) -> str:
        async with writing(engine) as connection:
            await add_organisation(connection, {"id": tenant, "name": tenant}, "test")
            now = datetime.now(UTC)
            for number in (1, 2):
                begins = now - timedelta(days=30)
                voucher = NewGrant(tenant, "p", f"{tenant}-{number}", UNITS, begins, now + timedelta(days=30 * number))
                await connection.run_sync(create_grant, now, voucher, "test")
            return (await add_key(connection, KeySpec("load", tenant), "test"))[1]

    return tenant, await with_database(settings.database, prepare)


@asynccontextmanager
async def open_site(path: Path, seen: Seen, **seams: Any) -> AsyncIterator[Site]:
    """A gateway in this event loop, called over ASGI; `seams` are those of `build_app`."""
    settings = load_settings(path)
    tenant, key = await prepared(settings)
    app = build_app(settings, **seams)
    async with app.router.lifespan_context(app):
        gateway: Gateway = app.state.gateway
        await until(lambda: gateway.nodes.all_ready, "the node never became ready")
        yield Site(settings, tenant, key, lambda: seen.open, [gateway], {}, app)


async def until(happened: Callable[[], Any], otherwise: str, seconds: float = 20) -> None:
    """Wait for something, and fail when it does not happen."""
    deadline = time.monotonic() + seconds
    while True:
        found = happened()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert time.monotonic() < deadline, otherwise
        await asyncio.sleep(0.02)


async def assert_all_adds_up(site: Site, *, reserved_seconds: float = 20) -> None:
    """The four checks after a fault, and that every answer which came whole is on record.

    Nothing is open on a node, no place is taken and nothing is held in memory; no voucher stays reserved once leases
    have gone back; the ledger adds up; the audit log verifies.
    """
    await until(lambda: site.orphans() == 0, "a request is still open on a node")
    for gateway in site.gateways:
        await until(lambda gateway=gateway: _held(gateway) == NOTHING_HELD, f"still held: {_held(gateway)}")
    await until(lambda: site.read(_is_returned), "something stays reserved", reserved_seconds)
    assert await site.read(lambda connection: connection.run_sync(verify)) == [], "the ledger does not add up"
    rows = await site.rows()
    assert set(site.received) <= set(rows), "an answer came whole, and nobody knows of it"
    for request_id, cost in site.received.items():
        assert cost is None or rows[request_id].cost == cost, f"{request_id} costs {rows[request_id].cost}"
    grants = await site.read(lambda connection: _all(connection, select(*GRANTS).where(Grant.tenant == site.tenant)))
    assert sum(row.cost or 0 for row in rows.values()) == sum(one.spent for one in grants)
    for one in grants:
        assert one.available + one.reserved + one.spent + one.expired + one.withdrawn == one.amount
    assert await site.read(_audit_problems) == []


NOTHING_HELD = {"places": 0, "limits": 0, "nodes": 0, "turns": 0, "vouchers": 0}


def _held(gateway: Gateway) -> dict[str, int]:
    return {
        "places": gateway.places.open,
        "limits": sum(one.open for one in gateway.limits._states.values()),
        "nodes": sum(one.open for one in gateway.nodes.states()),
        "turns": len(gateway.router.turns),  # type: ignore[arg-type]
        "vouchers": sum(one.held for one in gateway.ledger.purse.all()),
    }


async def _all(connection: AsyncConnection, query: Any) -> list[Any]:
    return list(await connection.execute(query))


async def _is_returned(connection: AsyncConnection) -> bool:
    reserved = (await connection.execute(select(func.coalesce(func.sum(Grant.reserved), 0)))).scalar_one()
    leases = (
        await connection.execute(select(func.count()).where(LEASES.state == "open", Lease.spent >= 0))
    ).scalar_one()
    return not reserved and not leases


async def _audit_problems(connection: AsyncConnection) -> list[str]:
    run = Verification(DatabaseSource(connection, None), None, frozenset())
    return [str(one) async for one in run.problems()]
