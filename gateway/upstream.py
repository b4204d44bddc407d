"""The wire to an engine node: one request out, JSON events in; every foreign error becomes ours here."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any, Protocol
from weakref import WeakSet

import aiohttp
import orjson

from configs.sections.routing import UpstreamSettings
from gateway.errors import (
    ContextTooLong,
    GatewayError,
    InvalidRequest,
    NodeFailed,
    NodeTimeout,
    NodeUnavailable,
)
from gateway.plain_connection import Connection
from gateway.plain_http import PlainHttp, Unreachable, target_of
from gateway.sse import SSEDecoder

Event = dict[str, Any]
NO_HEADERS: Mapping[str, str] = MappingProxyType({})

LAST_TYPES = frozenset(("response.completed", "response.incomplete", "response.failed", "message_stop"))
"""Types of the last event of streams that end without `[DONE]`: Responses and Anthropic messages."""


class ModelNotThere(NodeUnavailable):
    """The node doesn't serve this model (any more); it may well serve others."""


class NodeRefused(NodeUnavailable):
    """The node answered, and with a status that says that it doesn't take requests now."""


class ShuttingDown(NodeUnavailable):
    """This gateway is being stopped, and the time for open answers is over."""

    code = "shutting_down"


class Transport(Protocol):
    """What the gateway needs of a node; tests and load tests may bring their own."""

    def events(
        self, url: str, body: bytes, *, stream: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Event]:
        """Post `body`; yield each event of a stream, or the one JSON answer. Closing it aborts the request."""
        ...

    async def fetch(self, url: str, *, seconds: float, most_bytes: int) -> bytes:
        """Get a small document within `seconds`. Raises GatewayError."""
        ...

    async def stop(self) -> None:
        """End every open request at once: whoever reads one is told that the gateway shuts down."""
        ...

    async def close(self) -> None:
        """Release every connection."""
        ...


class HttpTransport:
    """Transport over one connection pool: aiohttp's, and a plainer one for nodes that are named by their address.

    Construct it inside a running event loop.
    """

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        self._stopped = False
        self._plain = PlainHttp(settings.connect_seconds, settings.connections_per_node)
        self._sockets: WeakSet[socket.socket] = WeakSet()
        connector = aiohttp.TCPConnector(
            limit=0, limit_per_host=settings.connections_per_node, keepalive_timeout=4, socket_factory=self._new_socket
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_seconds)
        self.session = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False, trust_env=False
        )

    @classmethod
    def open(cls, settings: UpstreamSettings) -> "HttpTransport":
        """With a pool of its own."""
        return cls(settings)

    def _new_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made

    async def close(self) -> None:
        self._plain.stop()
        await self.session.close()
        await asyncio.sleep(0)  # connections are given up in the loop's next turn
        for one in list(self._sockets):
            one.close()  # one that was still being connected when its request was cancelled is nobody's else

    async def stop(self) -> None:
        self._stopped = True
        self._plain.stop()
        for one in list(self._sockets):
            # Closing aiohttp's session would leave its readers waiting for ever.
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    async def events(
        self, url: str, body: bytes, *, stream: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Event]:
        wait = self.settings.idle_seconds if stream else self.settings.whole_answer_seconds
        async with self._post(url, body, wait, headers) as response:
            if response.status != 200:
                raise _refusal(response.status, await _limited(response, self.settings.answer_bytes, wait))
            if not stream:
                yield _event(await _limited(response, self.settings.answer_bytes, wait))
                return
            if response.content_type != "text/event-stream":
                raise NodeFailed("The model's node answered something that isn't a stream of events; try again.")
            async for event in _stream_events(response, self.settings.event_bytes, wait):
                yield event

    async def fetch(self, url: str, *, seconds: float, most_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(seconds), self.session.get(url, allow_redirects=False) as response:
                if response.status != 200:
                    raise NodeUnavailable("The node has no such document.")
                return await _limited(response, most_bytes, seconds)
        except (aiohttp.ClientError, OSError, EOFError, RuntimeError):
            raise NodeUnavailable("The node can't be reached.") from None

    @asynccontextmanager
    async def _post(
        self, url: str, body: bytes, wait_seconds: float, more: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse | Connection]:
        """One POST whose foreign errors, also those while the body is read, leave as GatewayError."""
        if self._stopped:
            raise _shutting_down()
        headers = {"content-type": "application/json", **more}
        target = target_of(url)
        try:
            if target is not None:
                async with self._plain.post(target, body, wait_seconds, headers) as answer:
                    yield answer
            else:
                async with self.session.post(
                    url, data=body, headers=headers, timeout=self._timeout(wait_seconds), allow_redirects=False
                ) as response:
                    yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, Unreachable):
            if self._stopped:
                raise _shutting_down() from None
            raise NodeUnavailable("The model's node can't be reached; try again.") from None
        except TimeoutError:
            raise _too_long() from None
        except (aiohttp.ClientError, ConnectionError, EOFError, NodeFailed) as error:
            if isinstance(error, NodeFailed) and not self._stopped:
                raise
            if self._stopped:
                raise _shutting_down() from None
            raise _broke_off() from None

    def _timeout(self, wait_seconds: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=None, sock_connect=self.settings.connect_seconds, sock_read=wait_seconds)


async def _limited(response: aiohttp.ClientResponse | Connection, most_bytes: int, seconds: float) -> bytes:
    """A body in one piece, of a bounded size and in bounded time: a node may drip a byte a minute."""
    if response.content_length is not None and response.content_length > most_bytes:
        raise NodeFailed("The model's node answered more than the gateway takes.")
    parts: list[bytes] = []
    size = 0
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > most_bytes:
            raise NodeFailed("The model's node answered more than the gateway takes.")
        if loop.time() - started_at > seconds:
            raise _too_long()
    return b"".join(parts)


async def _stream_events(
    response: aiohttp.ClientResponse | Connection, most_bytes: int, idle_seconds: float
) -> AsyncGenerator[Event]:
    """The events of a stream. Bytes that never become an event don't count as a sign of life."""
    decoder = SSEDecoder(most_bytes)
    now = asyncio.get_running_loop().time
    event: Event = {}
    event_at = now()
    async for chunk in response.content.iter_any():
        try:
            payloads = list(decoder.feed(chunk))
        except ValueError:
            raise NodeFailed("The model's node sent an event without end.") from None
        if not payloads:
            if now() - event_at > idle_seconds:
                raise _too_long()
            continue
        event_at = now()
        for payload in payloads:
            if payload == b"[DONE]":
                return
            event = _event(payload)
            yield event
    if event.get("type") not in LAST_TYPES:
        raise _broke_off()


def _event(payload: bytes) -> Event:
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise NodeFailed("The model's node answered something that isn't JSON; try again.") from None
    if not isinstance(event, dict):
        raise NodeFailed("The model's node answered something that isn't an object; try again.")
    # Some objects carry `"error": null` beside their answer.
    if event.get("error") is not None and "choices" not in event:
        raise NodeFailed("The model's node reported an error while answering; try again.")
    return event


def _broke_off() -> NodeFailed:
    return NodeFailed("The model's node broke off before the answer was complete; try again.")


def _too_long() -> NodeTimeout:
    return NodeTimeout("The model's node sent nothing for too long; try again.")


def _shutting_down() -> ShuttingDown:
    return ShuttingDown("This gateway is being restarted, and the answer ends here; try again. 网关正在重启，请重试。")


def _refusal(status: int, payload: bytes) -> GatewayError:
    """What a node's non-200 answer means for the caller. A 4xx is the caller's to mend, with vLLM's reason."""
    if status == 404:
        return ModelNotThere("The model's node doesn't serve it now; try again.")
    if status < 400 or status >= 500 or status in (401, 403, 408, 429):
        return NodeRefused("The model's node can't take the request now; try again.")
    try:
        error = orjson.loads(payload)["error"]
        message, param = str(error["message"]), error.get("param")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return InvalidRequest("The model's node refused the request without saying why.")
    if _is_about_context(message):
        return ContextTooLong(message, param=param if param in ("max_tokens", "max_completion_tokens") else None)
    return InvalidRequest(message, param=str(param).removeprefix("body.") if param else None)


def _is_about_context(message: str) -> bool:
    return any(mark in message for mark in ("maximum context length", "max_model_len", "maximum model length"))
