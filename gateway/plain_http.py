"""HTTP/1.1 without encryption to a node that is named by its IP address: kept connections, one request at a time each.

A general client costs several times as much for each request. What it can't do (names, https) stays with that one.
"""

import asyncio
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from gateway.plain_connection import Connection

KEPT_SECONDS = 4.0
"""An unused connection is not used again after so long: vLLM closes its own after 5."""


class Unreachable(ConnectionError):
    """There is no connection to the node."""


class Target(NamedTuple):
    """Where a request goes."""

    host: str
    port: int
    path: str
    authority: str


@lru_cache(4096)
def target_of(url: str) -> Target | None:
    """Where a URL leads; None for what this client is not for."""
    try:
        parts = urlsplit(url)
        address, port = ip_address(parts.hostname or ""), parts.port or 80
    except ValueError:
        return None
    if parts.scheme != "http" or "@" in parts.netloc or any(not "!" <= one <= "~" or one in "?#%" for one in url):
        return None
    return Target(str(address), port, parts.path or "/", parts.netloc)


class PlainHttp:
    """Posts over a pool of connections. Use it inside one running event loop."""

    def __init__(self, connect_seconds: float, connections_per_node: int) -> None:
        self._connect_seconds = connect_seconds
        self._idle: defaultdict[tuple[str, int], deque[Connection]] = defaultdict(deque)
        self._rooms: defaultdict[tuple[str, int], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(connections_per_node)
        )
        self._open: set[Connection] = set()
        self._tidying: asyncio.TimerHandle | None = None
        self._stopped = False

    def stop(self) -> None:
        """End every connection at once: who reads from one is told."""
        self._stopped = True
        if self._tidying is not None:
            self._tidying.cancel()
        for one in list(self._open):
            one.give_up(ConnectionAbortedError("stopped"))

    @asynccontextmanager
    async def post(
        self, target: Target, body: bytes, wait_seconds: float, headers: Mapping[str, str]
    ) -> AsyncIterator[Connection]:
        """An answer whose head has come. Leaving it before its end closes the connection.

        Raises Unreachable, TimeoutError after `wait_seconds` without a byte, and ConnectionError.
        """
        node = target.host, target.port
        async with self._rooms[node]:
            connection = self._kept(node) or await self._connect(*node)
            try:
                connection.send(_head(target, len(body), headers), body, wait_seconds)
                await connection.head()
                yield connection
            finally:
                if connection.leave() and not self._stopped:
                    self._idle[node].append(connection)
                    if self._tidying is None:
                        self._tidying = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._tidy)

    def _kept(self, node: tuple[str, int]) -> Connection | None:
        """The connection that was used last, if it still serves."""
        idle = self._idle[node]
        _close_old(idle)
        while idle:
            connection = idle.pop()
            if connection.reusable:
                return connection
        return None

    def _tidy(self) -> None:
        """Close the connections of nodes that nobody asks any more."""
        for idle in self._idle.values():
            _close_old(idle)
        waits = any(self._idle.values())
        self._tidying = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._tidy) if waits else None

    async def _connect(self, host: str, port: int) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        except OSError:  # no more files may be open
            raise Unreachable(host) from None
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._connect_seconds):
                await loop.sock_connect(made, (host, port))
            _, connection = await loop.create_connection(lambda: Connection(self._open), sock=made)
        except OSError:
            made.close()
            raise Unreachable(host) from None
        except BaseException:
            made.close()
            raise
        if self._stopped:
            connection.give_up(None)
            raise ConnectionAbortedError("stopped")
        return connection


def _close_old(idle: deque[Connection]) -> None:
    """Close those that were not used for too long; the deque has the oldest first."""
    oldest = asyncio.get_running_loop().time() - KEPT_SECONDS
    while idle and idle[0].heard_at < oldest:
        idle.popleft().give_up(None)


def _head(target: Target, size: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise ValueError("a header holds a line break")
    own = (f"POST {target.path} HTTP/1.1", f"host: {target.authority}", "accept: */*", f"content-length: {size}")
    return "\r\n".join((*own, *lines, "", "")).encode()
