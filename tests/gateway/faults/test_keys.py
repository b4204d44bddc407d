"""Keys that expire or are revoked during a stream: what was generated until then is paid, and nothing else."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.store import ApiKey, writing
from gateway.tenants.keys import KeySpec, add_key, revoke
from tests.gateway.faults.client import BODY, Client
from tests.gateway.faults.node import EVENTS, Node
from tests.gateway.faults.site import Site, assert_all_adds_up, open_site, price, until, write_settings

CACHE_SECONDS = 0.1
BEFORE = EVENTS // 2


async def end_key(site: Site, key_id: str, how: str) -> None:
    async with writing(site.gateways[0].database) as connection:
        if how == "revoke":
            assert await revoke(connection, key_id, "test")
        else:
            await connection.execute(update(ApiKey).where(ApiKey.id == key_id).values(expires_at=datetime.now(UTC)))
    await asyncio.sleep(2 * CACHE_SECONDS)


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "goes-on"])
async def test_keys_that_end_during_a_stream(tmp_path: Path, cut: bool) -> None:
    node = Node()
    path = write_settings(
        tmp_path,
        "http://127.0.0.1:9",
        tenants={"cut_streams_on_revoke": cut},
        database={"key_cache_seconds": CACHE_SECONDS},
    )
    async with open_site(path, node.seen, transport=node) as site:
        for how in ("revoke", "expire"):
            gate, events = asyncio.Event(), Counter[object]()

            async def pause(gate: asyncio.Event = gate, events: Counter[object] = events) -> None:
                events[asyncio.current_task()] += 1
                if events[asyncio.current_task()] > BEFORE:
                    await gate.wait()

            node.pause = pause
            async with writing(site.gateways[0].database) as connection:
                key_id, key = await add_key(connection, KeySpec(how, site.tenant), "test")
            assert site.app is not None
            client = Client(site.app, key, dict(BODY))
            asked = asyncio.create_task(client.ask())
            await until(lambda client=client: b"data:" in client.received, "the stream has not begun")
            await end_key(site, key_id, how)
            gate.set()
            await asked
            row = await site.row(client.headers["x-request-id"])
            assert row.cost == price(row.completion_tokens)
            if cut:
                assert (client.error, row.outcome) == ("invalid_api_key", "rejected")
                assert BEFORE <= row.completion_tokens <= BEFORE + 1
            else:
                assert client.whole
                assert (row.outcome, row.completion_tokens) == ("completed", EVENTS)
            client.note(site)
            again = await Client(site.app, key, dict(BODY)).ask()
            assert (again.status, again.error) == (401, "invalid_api_key")
        await assert_all_adds_up(site)
