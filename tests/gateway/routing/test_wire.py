"""The wire itself against a node that misbehaves: every request ends in bounded time, and none stays on the node."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest

from configs.sections.routing import UpstreamSettings
from gateway.errors import GatewayError, NodeFailed, NodeTimeout, NodeUnavailable
from gateway.upstream import Event, HttpTransport, ModelNotThere, NodeRefused, ShuttingDown
from loadtests.fake_engine import FakeEngine, Script, running

DELTAS = [{"content": word} for word in ("轻便", "耐用", "好看")]
BODY = orjson.dumps({"model": "m", "messages": []})


@pytest.fixture(scope="module", params=["127.0.0.1", "localhost"])
def engine(request: pytest.FixtureRequest) -> Iterator[tuple[FakeEngine, str]]:
    """A node by its address, then by its name, which another client asks."""
    fake = FakeEngine(("m",))
    with running(fake) as url:
        yield fake, url.replace("127.0.0.1", request.param)


@pytest.fixture
async def wire(engine: tuple[FakeEngine, str]) -> AsyncIterator[HttpTransport]:
    settings = UpstreamSettings(idle_seconds=0.3, whole_answer_seconds=0.4, event_bytes=100_000, answer_bytes=100_000)
    transport = HttpTransport.open(settings)
    yield transport
    await transport.close()
    await until(lambda: engine[0].seen.open == 0)


async def until(true: Any) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "it did not happen in 5 s"
        await asyncio.sleep(0.01)


async def events(wire: HttpTransport, url: str, body: bytes = BODY, *, stream: bool = True) -> list[Event]:
    asked = orjson.dumps(orjson.loads(body) | {"stream": stream})
    async with aclosing(wire.events(f"{url}/v1/chat/completions", asked, stream=stream)) as answer:
        return [one async for one in answer]


@pytest.mark.parametrize(
    ("script", "stream", "error"),
    [
        (Script(DELTAS, fault="drip"), True, NodeTimeout),
        (Script(DELTAS, fault="huge_event"), True, NodeFailed),
        (Script(DELTAS, fault="wrong_type"), True, NodeFailed),
        (Script(DELTAS, fault="html"), True, NodeFailed),
        (Script(DELTAS, fault="half_event"), True, NodeFailed),
        (Script(DELTAS, fault="hang_midway"), True, NodeTimeout),
        (Script(DELTAS, fault="hang_before"), True, NodeTimeout),
        (Script(DELTAS, fault="hang_before"), False, NodeTimeout),
        (Script(DELTAS, start_seconds=0.6), True, NodeTimeout),
        (Script([{"content": "字" * 60_000}]), False, NodeFailed),
        (Script(DELTAS, fault="status_404"), True, ModelNotThere),
        (Script(DELTAS, fault="status_429"), False, NodeRefused),
        (Script(DELTAS, fault="status_500"), True, NodeRefused),
        (Script(DELTAS, fault="die_before"), False, NodeFailed),
    ],
    ids=lambda value: value.fault + ("-slow" if value.start_seconds else "") if isinstance(value, Script) else None,
)
async def test_fault(
    script: Script, stream: bool, error: type[GatewayError], wire: HttpTransport, engine: tuple[FakeEngine, str]
) -> None:
    engine[0].script = script
    with pytest.raises(GatewayError) as raised:
        await events(wire, engine[1], stream=stream)
    assert type(raised.value) is error


async def test_streams_and_whole_answers_use_a_connection_again(
    wire: HttpTransport, engine: tuple[FakeEngine, str]
) -> None:
    engine[0].script = Script(DELTAS)
    engine[0].seen.peers.clear()
    for number in range(6):
        await events(wire, engine[1], stream=bool(number % 2))
    assert len(engine[0].seen.peers) <= 2, "a connection for each answer would be a handshake for each answer"


async def test_a_stream_without_done_may_end_with_its_last_event(wire: HttpTransport) -> None:
    class Responses(FakeEngine):
        async def _answer(self, request: Any, body: Any, script: Any) -> Any:
            from aiohttp import web

            response = web.StreamResponse(headers={"content-type": "text/event-stream"})
            await response.prepare(request)
            last = "response.completed" if body["model"] == "good" else "response.output_text.delta"
            await response.write(b'event: x\ndata: {"type": "response.created"}\n\n')
            await response.write(b"event: y\ndata: " + orjson.dumps({"type": last}) + b"\n\n")
            return response

    with running(Responses(("m",))) as url:
        assert len(await events(wire, url, b'{"model": "good"}')) == 2
        with pytest.raises(NodeFailed):
            await events(wire, url, b'{"model": "broken"}')


async def test_leaving_aborts_on_the_node(wire: HttpTransport, engine: tuple[FakeEngine, str]) -> None:
    fake, url = engine
    fake.script = Script([{"content": "字"}] * 1000, pause_seconds=0.02)
    before = fake.seen.aborted
    answers = [wire.events(f"{url}/v1/chat/completions", b'{"model": "m", "stream": true}', stream=True) for _ in "123"]
    for one in answers:
        await anext(one)
    assert fake.seen.open == 3
    for one in answers:
        await one.aclose()
    await until(lambda: fake.seen.aborted == before + 3 and fake.seen.open == 0)


async def test_stopping_tells_every_reader(wire: HttpTransport, engine: tuple[FakeEngine, str]) -> None:
    fake, url = engine
    fake.script = Script([{"content": "字"}] * 1000, pause_seconds=0.02, fault="hang_midway", fault_after=3)
    reading = [asyncio.create_task(events(wire, url, stream=stream)) for stream in (True, True, False)]
    await until(lambda: fake.seen.open == 3)
    await asyncio.sleep(0.1)
    await wire.stop()
    ends = await asyncio.gather(*reading, return_exceptions=True)
    assert [type(one) for one in ends] == [ShuttingDown] * 3
    with pytest.raises(ShuttingDown):
        await events(wire, url)


async def test_small_documents(wire: HttpTransport, engine: tuple[FakeEngine, str]) -> None:
    fake, url = engine
    assert b"vllm:num_requests_running" in await wire.fetch(f"{url}/metrics", seconds=1, most_bytes=10_000)
    for path, most in (("/metrics", 10), ("/nothing", 10_000)):
        with pytest.raises(GatewayError):
            await wire.fetch(url + path, seconds=1, most_bytes=most)
    with pytest.raises(NodeUnavailable):
        await wire.fetch("http://127.0.0.1:9/metrics", seconds=1, most_bytes=10)
    fake.up = True


async def test_headers_reach_the_node(wire: HttpTransport) -> None:
    heard: list[bytes] = []

    async def node(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(node, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"
        async with aclosing(wire.events(url, BODY, stream=False, headers={"traceparent": "00-a-b-01"})) as answer:
            assert [one async for one in answer] == [{}]
    assert b"\r\ntraceparent: 00-a-b-01\r\n" in heard[0]
