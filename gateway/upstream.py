"""The wire to an engine node: one request out, JSON events in; every foreign error becomes ours here."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

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
from gateway.sse import SSEDecoder

Event = dict[str, Any]


class Transport(Protocol):
    """What the gateway needs of a node; tests and load tests may bring their own."""

    def events(self, url: str, body: bytes, *, stream: bool) -> AsyncGenerator[Event]:
        """Post `body`; yield each event of a stream, or the one JSON answer. Closing it aborts the request."""
        ...

    async def close(self) -> None:
        """Release every connection."""
        ...


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """Transport over aiohttp with one connection pool. Construct it inside a running event loop."""

    session: aiohttp.ClientSession
    settings: UpstreamSettings

    @classmethod
    def open(cls, settings: UpstreamSettings) -> "HttpTransport":
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=settings.connections_per_node, keepalive_timeout=4)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_seconds)
        return cls(
            aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False, trust_env=False),
            settings,
        )

    async def close(self) -> None:
        await self.session.close()

    async def events(self, url: str, body: bytes, *, stream: bool) -> AsyncGenerator[Event]:
        wait = self.settings.idle_seconds if stream else self.settings.whole_answer_seconds
        async with self._post(url, body, wait) as response:
            if response.status != 200:
                raise _refusal(response.status, await response.read())
            if not stream:
                yield _event(await response.read())
                return
            async for event in _stream_events(response):
                yield event

    @asynccontextmanager
    async def _post(self, url: str, body: bytes, wait_seconds: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """One POST whose foreign errors, also those while the body is read, leave as GatewayError."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.settings.connect_seconds, sock_read=wait_seconds)
        headers = {"content-type": "application/json"}
        try:
            async with self.session.post(url, data=body, headers=headers, timeout=timeout) as response:
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise NodeUnavailable("The model's node can't be reached; try again.") from None
        except TimeoutError:
            raise NodeTimeout("The model's node sent nothing for too long; try again.") from None
        except (aiohttp.ClientError, ConnectionError, EOFError):
            raise NodeFailed("The model's node broke off before the answer was complete; try again.") from None


async def _stream_events(response: aiohttp.ClientResponse) -> AsyncGenerator[Event]:
    decoder = SSEDecoder()
    async for chunk in response.content.iter_any():
        try:
            payloads = list(decoder.feed(chunk))
        except ValueError:
            raise NodeFailed("The model's node sent an event without end.") from None
        for payload in payloads:
            if payload == b"[DONE]":
                return
            event = _event(payload)
            yield event
            if event.get("type") == "message_stop":  # how Anthropic's streams end
                return
    raise NodeFailed("The model's node broke off before the answer was complete; try again.")


def _event(payload: bytes) -> Event:
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise NodeFailed("The model's node answered something that isn't JSON; try again.") from None
    if not isinstance(event, dict):
        raise NodeFailed("The model's node answered something that isn't an object; try again.")
    if "error" in event and "choices" not in event:
        raise NodeFailed("The model's node reported an error while answering; try again.")
    return event


def _refusal(status: int, payload: bytes) -> GatewayError:
    """What a node's non-200 answer means for the caller. A 4xx is the caller's to mend, with vLLM's reason."""
    if status < 400 or status >= 500 or status in (401, 403, 404, 408, 429):
        return NodeUnavailable("The model's node can't take the request now; try again.")
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
