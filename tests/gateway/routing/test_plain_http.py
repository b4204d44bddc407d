"""The plain client against raw sockets: what a node may send, in any pieces, and what becomes of the connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from gateway.plain_connection import PAUSED_AT_BYTES
from gateway.plain_http import PlainHttp, Target, Unreachable, target_of
from tests.conftest import read_cases

CASES = read_cases("plain_http.jsonl")
WAIT_SECONDS = 0.3
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def node(talk: Talk) -> AsyncIterator[Target]:
    """A node that reads a request's head and then does what `talk` does."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield Target("127.0.0.1", server.sockets[0].getsockname()[1], "/v1/x", "node")
    finally:
        server.close()


@pytest.fixture
async def http() -> AsyncIterator[PlainHttp]:
    client = PlainHttp(1.0, 8)
    yield client
    client.stop()
    await asyncio.sleep(0.01)


async def ask(http: PlainHttp, target: Target, body: bytes = b"{}") -> tuple[int, bytes]:
    async with http.post(target, body, WAIT_SECONDS, {"x-a": "b"}) as answer:
        return answer.status, b"".join([part async for part in answer.iter_any()])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
async def test_what_a_node_sends(case: dict[str, Any], http: PlainHttp) -> None:
    connections = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n{}"):
            for piece in case["sent"]:
                writer.write(piece.encode())
                await writer.drain()
                await asyncio.sleep(0.005)
            while "repeat" in case:
                writer.write(case["repeat"].encode() * 100)
                await writer.drain()
            if case["then"] == "close":
                return

    async with node(talk) as target:
        if "error" in case:
            with pytest.raises((ConnectionError, TimeoutError)) as raised:
                await ask(http, target)
            assert isinstance(
                raised.value, {"ConnectionError": ConnectionError, "TimeoutError": TimeoutError}[case["error"]]
            )
            return
        for _ in range(2):
            assert await ask(http, target) == (case.get("status", 200), case["body"].encode())
        assert connections == (1 if case["kept"] else 2)


async def test_the_request_as_a_node_reads_it(http: PlainHttp) -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        heard.append(await reader.readexactly(6))
        writer.write(GOOD)

    async with node(talk) as target:
        await ask(http, target, "你好".encode())
    lines = heard[0].decode().split("\r\n")
    assert lines[0] == "POST /v1/x HTTP/1.1"
    assert {"host: node", "content-length: 6", "x-a: b"} <= set(lines)
    assert heard[1].decode() == "你好"
    with pytest.raises(ValueError, match="line break"):
        async with http.post(target, b"", 1, {"x-a": "b\r\nx-c: d"}):
            pass


async def test_leaving_early_or_being_cancelled_hangs_up(http: PlainHttp) -> None:
    hung_up = asyncio.Queue[None]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}")
        try:
            await reader.read()
        finally:
            hung_up.put_nowait(None)

    async with node(talk) as target:
        async with http.post(target, b"{}", 9, {}) as answer:
            assert answer.status == 200
        await asyncio.wait_for(hung_up.get(), 5)
        reading = asyncio.create_task(ask(http, target))
        await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.wait_for(hung_up.get(), 5)


async def test_a_slow_reader_stops_the_node(http: PlainHttp) -> None:
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 64000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 64_000)
            await writer.drain()
            sent += 64_000

    async with node(talk) as target, http.post(target, b"{}", WAIT_SECONDS, {}) as answer:
        await asyncio.sleep(2 * WAIT_SECONDS)  # who reads late is not told that the node is slow
        waiting = sent
        assert PAUSED_AT_BYTES < waiting < 32_000_000
        size = 0
        async for part in answer.iter_any():
            size += len(part)
        assert size == 64_000_000


async def test_a_connection_that_the_node_has_closed_is_not_used(http: PlainHttp) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(GOOD)

    async with node(talk) as target:
        for _ in range(3):
            assert await ask(http, target) == (200, b"{}")
            await asyncio.sleep(0.05)


async def test_a_connection_that_nobody_uses_is_closed(http: PlainHttp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.plain_http.KEPT_SECONDS", 0.05)
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(GOOD)
        await reader.read()
        closed.set()

    async with node(talk) as target:
        assert await ask(http, target) == (200, b"{}")
        await asyncio.wait_for(closed.wait(), 5)


async def test_stopping_and_no_node(http: PlainHttp) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with node(talk) as target:
        reading = asyncio.create_task(ask(http, target))
        await asyncio.sleep(0.05)
        http.stop()
        with pytest.raises(ConnectionError):
            await reading
    with pytest.raises(Unreachable):
        await ask(PlainHttp(1.0, 8), target)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1:8001/v1/x", Target("127.0.0.1", 8001, "/v1/x", "127.0.0.1:8001")),
        ("http://[::1]:8001/v1/x", Target("::1", 8001, "/v1/x", "[::1]:8001")),
        ("http://10.0.0.7", Target("10.0.0.7", 80, "/", "10.0.0.7")),
        ("http://node:8001/v1/x", None),
        ("https://127.0.0.1/v1/x", None),
        ("http://127.0.0.1/v1/x?y=1", None),
        ("http://127.0.0.1/v1/ x", None),
        ("http://127.0.0.1/v1/好", None),
        ("http://a@127.0.0.1/v1/x", None),
        ("http://127.0.0.1:x/v1", None),
    ],
)
def test_where_a_url_leads(url: str, target: Target | None) -> None:
    assert target_of(url) == target


def test_all_of_it_on_the_loop_that_serves() -> None:
    async def alone(story: Callable[..., Awaitable[None]], *given: object) -> None:
        client = PlainHttp(1.0, 8)
        await story(*given, client)
        client.stop()
        await asyncio.sleep(0.01)

    async def all_of_it() -> None:
        stories = (
            test_the_request_as_a_node_reads_it,
            test_leaving_early_or_being_cancelled_hangs_up,
            test_a_slow_reader_stops_the_node,
            test_a_connection_that_the_node_has_closed_is_not_used,
            test_stopping_and_no_node,
        )
        for story in stories:
            await alone(story)
        for case in CASES:
            await alone(test_what_a_node_sends, case)

    uvloop.run(all_of_it())
