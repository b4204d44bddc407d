"""What nodes do wrong: who was told of an error has paid for what came, and nothing stays set aside."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loadtests.fake_engine import FakeEngine, Script, running
from tests.conftest import free_port, read_cases
from tests.gateway.faults.client import Client
from tests.gateway.faults.site import Site, assert_all_adds_up, open_site, price, until, write_settings

CASES = read_cases("node_faults_paid.jsonl")
WORDS = [{"role": "assistant", "content": ""}] + [{"content": word} for word in ("轻便", "耐用", "好看")]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Site, FakeEngine]]:
    engine = FakeEngine(("opc-starter",))
    engine.script = Script(WORDS)
    with running(engine) as upstream:
        async with open_site(write_settings(tmp_path, upstream), engine.seen) as opened:
            yield opened, engine


async def test_what_a_faulty_node_costs(site: tuple[Site, FakeEngine]) -> None:
    """One site for the whole table: after each row an answer comes whole again, and at the end all adds up."""
    opened, engine = site
    for case in CASES:
        engine.script = Script(WORDS, fault=case.get("fault", "none"), fault_after=2, usage=case.get("usage"))
        client = await Client.of(opened, stream=case.get("stream", True)).ask()
        row = await opened.row(client.headers["x-request-id"])
        assert [row.outcome, client.error] == [case["outcome"], case["error"]], case["id"]
        assert row.cost == case["cost"], case["id"]
        client.note(opened)
        engine.script = Script(WORDS)
        await until_whole(opened)
    await assert_all_adds_up(opened)


async def until_whole(site: Site) -> None:
    """The node is asked again, if not at once then when its breaker lets a probe through."""
    client = Client.of(site)
    for _ in range(200):
        client = await Client.of(site).ask()
        if client.whole:
            break
        await asyncio.sleep(0.05)
    assert client.whole, client.received
    client.note(site, len(WORDS))


async def test_a_node_killed_under_load_is_found_again(tmp_path: Path) -> None:
    """All streams break at once; each is told, pays for what had come, and the next node on this address serves."""
    engine = FakeEngine(("opc-starter",))
    engine.script = Script([{"content": "字"}] * 200, pause_seconds=0.02)
    port = free_port()
    node = running(engine, port)
    upstream = node.__enter__()
    async with open_site(write_settings(tmp_path, upstream), engine.seen) as opened:
        clients = [Client.of(opened, max_tokens=300) for _ in range(16)]
        asked = [asyncio.create_task(one.ask()) for one in clients]
        await until(lambda: all(one.received.count(b"\n\n") > 3 for one in clients), "the streams do not run")
        node.__exit__(None, None, None)
        await asyncio.gather(*asked)
        assert {one.error for one in clients} == {"node_failed"}
        rows = await opened.rows()
        for one in clients:
            row = rows[one.headers["x-request-id"]]
            assert row.outcome == "failed"
            assert row.cost == price(row.completion_tokens)
            assert 3 <= row.completion_tokens < 200
        refused = await Client.of(opened).ask()
        assert (refused.status, refused.headers["retry-after"].isdigit()) == (503, True)
        engine.script = Script(WORDS)
        with running(engine, port):
            await until_whole(opened)
            await assert_all_adds_up(opened)
