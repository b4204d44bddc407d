"""Clients that leave at each stage of a request, and ten thousand that leave at any moment."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway import chat
from gateway.tenants import ring
from tests.gateway.faults.client import Client
from tests.gateway.faults.node import EVENTS, Node
from tests.gateway.faults.site import Site, assert_all_adds_up, open_site, price, until, write_settings


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def site(tmp_path: Path, node: Node) -> AsyncIterator[Site]:
    path = write_settings(tmp_path, "http://127.0.0.1:9")
    async with open_site(path, node.seen, transport=node) as opened:
        yield opened


class Blocked:
    """Puts something that never goes on before an awaited call, and says when it is reached."""

    def __init__(self, really: Callable[..., Any], *, times: int = 1) -> None:
        self.really = really
        self.reached = asyncio.Event()
        self.let = asyncio.Event()
        self._times = times

    async def __call__(self, *given: Any, **named: Any) -> Any:
        if self._times:
            self._times -= 1
            self.reached.set()
            await self.let.wait()
        return await self.really(*given, **named)


async def leave_once(reached: asyncio.Event, client: Client) -> None:
    asked = asyncio.create_task(client.ask())
    await asyncio.wait_for(reached.wait(), 10)
    client.leave()
    await asyncio.wait_for(asked, 10)
    assert not client.whole


async def test_while_the_body_is_sent(site: Site) -> None:
    client = Client.of(site)
    client.half_body = True
    asked = asyncio.create_task(client.ask())
    await until(lambda: site.gateways[0].places.open == 1, "the body is not read")
    client.leave()
    await asyncio.wait_for(asked, 10)
    row = await site.row()
    assert (row.outcome, row.cost) == ("client_gone", None)
    await assert_all_adds_up(site)


async def test_during_authentication(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look-up is shared and ends within `tenants.look_up_seconds`; then it is seen that the client has left."""
    blocked = Blocked(ring.look_up)
    monkeypatch.setattr(ring, "look_up", blocked)
    gone = Client.of(site)
    asked = [asyncio.create_task(one.ask()) for one in (gone, Client.of(site))]
    await asyncio.wait_for(blocked.reached.wait(), 10)
    gone.leave()
    blocked.let.set()
    for one in await asyncio.wait_for(asyncio.gather(*asked), 10):
        one.note(site, EVENTS)
    assert len(site.received) == 1
    outcomes = {row.outcome: row.cost for row in (await site.rows()).values()}
    assert outcomes == {"client_gone": None, "completed": price(EVENTS)}
    await assert_all_adds_up(site)


async def test_while_vouchers_are_leased(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block that was under way is not lost: the next request pays from it."""
    ledger = site.gateways[0].ledger
    blocked = Blocked(ledger._take_block)
    monkeypatch.setattr(ledger, "_take_block", blocked)
    await leave_once(blocked.reached, Client.of(site))
    blocked.let.set()
    row = await site.row()
    assert (row.outcome, row.cost) == ("client_gone", None)
    await until(ledger.purse.all, "the leased block is lost")
    (await Client.of(site).ask()).note(site, EVENTS)
    await assert_all_adds_up(site)


async def test_while_queueing(tmp_path: Path) -> None:
    let = asyncio.Event()
    node = Node(pause=let.wait)
    path = write_settings(tmp_path, "http://127.0.0.1:9")
    path.write_text(path.read_text().replace("name: fake", "name: fake\n  capacity: 1"))
    async with open_site(path, node.seen, transport=node) as site:
        first = asyncio.create_task(Client.of(site).ask())
        await until(lambda: node.seen.open == 1, "the node is not asked")
        waiting = Client.of(site)
        asked = asyncio.create_task(waiting.ask())
        await until(lambda: len(site.gateways[0].router.turns) == 1, "nobody waits")
        waiting.leave()
        await asyncio.wait_for(asked, 10)
        row = await site.row()
        assert (row.outcome, row.cost, row.attempts) == ("client_gone", 0, 0)
        let.set()
        (await first).note(site, EVENTS)
        assert len(site.received) == 1
        await assert_all_adds_up(site)
        assert node.seen.most_open == 1


async def test_while_the_prompt_is_scanned(site: Site, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = Blocked(chat.scan_prompt)
    monkeypatch.setattr(chat, "scan_prompt", blocked)
    await leave_once(blocked.reached, Client.of(site))
    row = await site.row()
    assert (row.outcome, row.cost, node.seen.most_open) == ("client_gone", 0, 0)
    await assert_all_adds_up(site)


@pytest.mark.parametrize("stream", [False, True])
async def test_before_the_first_event(site: Site, node: Node, stream: bool) -> None:
    reached = asyncio.Event()

    async def never() -> None:
        reached.set()
        await asyncio.Event().wait()

    node.pause = never
    await leave_once(reached, Client.of(site, stream=stream))
    row = await site.row()
    assert (row.outcome, row.cost) == ("client_gone", 0)
    await assert_all_adds_up(site)


async def test_mid_stream(site: Site, node: Node) -> None:
    node.pause = lambda: asyncio.sleep(0.02)
    client = Client.of(site)
    client.on_event = lambda number: client.leave() if number == 3 else None
    await client.ask()
    row = await site.row(client.headers["x-request-id"])
    assert row.outcome == "client_gone"
    assert row.cost == price(row.completion_tokens)
    assert 3 <= row.completion_tokens <= EVENTS
    await assert_all_adds_up(site)


async def test_after_the_last_event_before_done(site: Site) -> None:
    """All of it was delivered, so all of it is paid; the record says that the client left before the end was sent."""
    client = Client.of(site)
    client.on_event = lambda number: client.leave() if number == EVENTS else None
    await client.ask()
    row = await site.row(client.headers["x-request-id"])
    assert row.outcome in ("client_gone", "completed")
    assert row.cost == price(EVENTS)
    await assert_all_adds_up(site)


@pytest.mark.parametrize("stream", [False, True])
async def test_while_the_record_is_committed(site: Site, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """The commit can't be called back: the answer is paid once, and recorded as it was."""
    recorder = site.gateways[0].recorder
    blocked = Blocked(recorder._write_group)
    monkeypatch.setattr(recorder, "_write_group", blocked)
    await leave_once(blocked.reached, Client.of(site, stream=stream))
    assert await site.rows() == {}
    blocked.let.set()
    row = await site.row()
    assert (row.outcome, row.cost) == ("completed", price(EVENTS))
    await assert_all_adds_up(site)


CANCELS = 10_000
AT_ONCE = 64


async def test_ten_thousand_cancels(site: Site, node: Node) -> None:
    """Each leaves after a random number of turns of the event loop; a few are patient and get their whole answer."""
    (await Client.of(site).ask()).note(site, EVENTS)
    chance = random.Random(7)
    left = 0
    numbers = iter(range(CANCELS))

    async def some() -> None:
        nonlocal left
        for _ in numbers:
            client = Client.of(site, stream=chance.random() < 0.8)
            asked = asyncio.create_task(client.ask())
            patience = chance.choice((0, 1, 2, 5, 10, 20, 40, 80)) + chance.randrange(10)
            for _ in range(patience):
                if asked.done():
                    break
                await asyncio.sleep(0)
            with suppress(asyncio.CancelledError):
                if not asked.done():
                    client.leave()
                    left += 1
                await asked
            client.note(site, EVENTS)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    assert left > CANCELS / 2, "most must have left before the end"
    assert node.seen.most_open > 1
    assert node.seen.completed < CANCELS
    rows = await site.rows()
    assert {row.outcome for row in rows.values()} <= {"client_gone", "completed"}
    for row in rows.values():
        assert row.cost in (None, 0) or row.cost == price(row.completion_tokens)
    await assert_all_adds_up(site)
    (await Client.of(site).ask()).note(site, EVENTS)
    assert (await Client.of(site).ask()).whole
