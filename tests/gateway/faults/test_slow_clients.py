"""Clients that read nothing or send nothing, over real sockets: bounded memory, and an end after a stated time."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from configs.loader import load_settings
from loadtests.fake_engine import FakeEngine, Script, running
from tests.gateway.conftest import serving
from tests.gateway.faults.client import BODY
from tests.gateway.faults.site import Site, assert_all_adds_up, prepared, until, write_settings

STALLED_SECONDS = 1.5
CLIENTS = 5
EVENT = "字" * 4_000
EVENTS = 2000
"""Of 12 kB each: an answer of 24 MB, and 120 MB for all the clients together."""


class SmallBuffers(serving):
    """A server whose kernel buffers are small, so that little is scanned before nothing more can be sent."""

    def sockets(self) -> list[socket.socket]:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        made.bind(("127.0.0.1", self._port))
        return [made]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Site, FakeEngine]]:
    engine = FakeEngine(("opc-starter",))
    with running(engine) as upstream:
        path = write_settings(
            tmp_path, upstream, listen={"stalled_seconds": STALLED_SECONDS}, upstream={"idle_seconds": 60.0}
        )
        settings = load_settings(path)
        tenant, key = await prepared(settings)
        server = SmallBuffers(settings)
        with server as url:
            # It runs in another thread: what it holds is only read from here.
            gateway = server.app.state.gateway
            await until(lambda: gateway.nodes.all_ready, "the node never became ready")
            yield Site(settings, tenant, key, lambda: engine.seen.open, [gateway], url=url), engine


def connect(site: Site, body: dict, *, send: float = 1.0) -> socket.socket:
    """A client with a small window that has sent this part of its request."""
    host, port = site.url.removeprefix("http://").split(":")
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((host, int(port)))
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {site.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    made.sendall(head.encode() + content[: int(len(content) * send)])
    return made


@contextmanager
def clients(site: Site, **given: float) -> Iterator[list[socket.socket]]:
    made = [connect(site, BODY | {"max_tokens": 1000}, **given) for _ in range(CLIENTS)]
    try:
        yield made
    finally:
        for one in made:
            one.close()


async def test_clients_that_read_nothing(site: tuple[Site, FakeEngine]) -> None:
    opened, engine = site
    engine.script = Script([{"content": EVENT}] * EVENTS)
    before = psutil.Process().memory_info().rss
    with clients(opened) as sockets:
        most, began = 0, time.monotonic()
        await until(lambda: len(engine.seen.bodies) == CLIENTS, "the node is not asked")
        while engine.seen.open:
            most = max(most, psutil.Process().memory_info().rss - before)
            assert time.monotonic() - began < 60, "they are never hung up on"
            await asyncio.sleep(0.05)
        assert engine.seen.aborted == CLIENTS, "the node goes on for nobody"
        await until(lambda: len_open(opened) == 0, "a connection stays open")
        rows = (await opened.rows()).values()
        assert [row.outcome for row in rows] == ["client_gone"] * CLIENTS
        assert all(0 < row.completion_tokens < EVENTS for row in rows)
        for one in sockets:
            one.settimeout(5)
            assert b"[DONE]" not in read_to_the_end(one)
    assert most < 60 * 1024 * 1024, "what nobody reads is kept"
    await assert_all_adds_up(opened)


async def test_clients_that_send_half_a_body(site: tuple[Site, FakeEngine]) -> None:
    opened, engine = site
    with clients(opened, send=0.5):
        await until(lambda: opened.gateways[0].places.open == CLIENTS, "the bodies are not read")
        await until(lambda: opened.gateways[0].places.open == 0, "they are never hung up on")
    assert [row.outcome for row in (await opened.rows()).values()] == ["client_gone"] * CLIENTS
    assert engine.seen.bodies == []
    await assert_all_adds_up(opened)


def read_to_the_end(one: socket.socket) -> bytes:
    """What the kernel still had for the client."""
    read = b""
    while more := one.recv(1 << 20):
        read += more
    return read


def len_open(site: Site) -> int:
    """The server's connections on this port that are established."""
    port = int(site.url.rpartition(":")[2])
    connections = psutil.Process().net_connections("tcp")
    return sum(1 for one in connections if one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED)
