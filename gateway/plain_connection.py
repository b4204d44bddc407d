"""One connection of `gateway/plain_http.py` to a node, and the answer that is being read from it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import httptools

MOST_SILENT_BYTES = 64 * 1024
"""More bytes that bring nothing of a body (heads, trailers, marks of chunks) are no answer."""

PAUSED_AT_BYTES = 256 * 1024
"""With so much of a body unread, no more is taken from the node."""


class Connection(asyncio.Protocol):
    """One connection, and the answer that is being read from it: `status`, its type and length, and its body."""

    def __init__(self, register: set["Connection"]) -> None:
        self._register = register
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._complete = True
        self._keeps = True
        self._error: Exception | None = None
        self.content_type = ""
        self.content_length: int | None = None
        self._framed = False
        self.heard_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._register.add(self)

    @property
    def reusable(self) -> bool:
        """Whether the last answer was read to its end, and another request may be sent."""
        return self._complete and self._keeps and self._error is None

    def send(self, head: bytes, body: bytes, wait_seconds: float) -> None:
        """Begin a request; nothing of the answer may be read before `head`."""
        if self._transport is None:
            raise ConnectionResetError("closed by the node")
        self.status = 0
        self._complete = False
        self._parts: list[bytes] = []
        self._unread = 0
        self._silent = 0
        self._paused = False
        self._parser = httptools.HttpResponseParser(self)
        self._wait = wait_seconds
        self.heard_at = self._loop.time()
        self._timer = self._loop.call_later(wait_seconds, self._look_at_the_time)
        self._transport.writelines((head, body))

    async def head(self) -> None:
        """Wait for the status and the headers."""
        while not self.status:
            await self._more()

    @property
    def content(self) -> "Connection":
        """The body, to be read with `iter_any`."""
        return self

    async def iter_any(self) -> AsyncGenerator[bytes]:
        """The body as it comes."""
        while True:
            if self._parts:
                parts, self._parts, self._unread = self._parts, [], 0
                if self._paused and self._transport is not None:
                    self._paused = False
                    self.heard_at = self._loop.time()
                    self._transport.resume_reading()
                yield parts[0] if len(parts) == 1 else b"".join(parts)
            elif self._complete:
                return
            else:
                await self._more()

    async def _more(self) -> None:
        """Wait until something has changed. Raises what ended the connection."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._error is not None and not self._parts and not self._complete:
            raise self._error

    def leave(self) -> bool:
        """End the request; whether the connection may serve another one. If not, it is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.reusable and not self._paused:
            return True
        self.give_up(None)
        return False

    def give_up(self, error: Exception | None) -> None:
        """Close the connection now, whatever is under way; a reader is told the error."""
        self._error = self._error or error or ConnectionResetError("closed")
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look_at_the_time(self) -> None:
        """Give up where the node has sent nothing for too long, while somebody waits for it."""
        if self._parts:
            self.heard_at = self._loop.time()
        left = self.heard_at + self._wait - self._loop.time()
        if left <= 0:
            self.give_up(TimeoutError())
        else:
            self._timer = self._loop.call_later(left, self._look_at_the_time)

    def data_received(self, data: bytes) -> None:
        if self._complete:  # nobody asked
            self.give_up(None)
            return
        self.heard_at = self._loop.time()
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.give_up(ConnectionError("no HTTP"))
            return
        if self._silent > MOST_SILENT_BYTES:
            self.give_up(ConnectionError("no end of headers"))
            return
        if self._unread > PAUSED_AT_BYTES and not self._paused and not self._complete and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._register.discard(self)
        if not self._complete and self.status and not self._framed and exc is None and self._error is None:
            self._complete = True  # a body without a length ends with the connection
        self._keeps = False
        self._error = self._error or ConnectionResetError("closed by the node")
        self._transport = None
        self._wake()

    def on_message_begin(self) -> None:
        if self._complete:
            self._keeps = False  # more than one answer came
        else:
            self.content_type, self.content_length, self._framed = "", None, False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:  # behind the body
            return
        match name.lower():
            case b"content-type":
                self.content_type = value.decode("latin-1").partition(";")[0].strip().lower()
            case b"content-length":
                self.content_length = int(value)
                self._framed = True
            case b"transfer-encoding":
                self._framed = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 and not self._complete:  # an interim answer says nothing
            self.status = status

    def on_body(self, body: bytes) -> None:
        if self._complete:
            return
        self._parts.append(body)
        self._unread += len(body)
        self._silent = 0

    def on_message_complete(self) -> None:
        if self.status and not self._complete:
            self._complete = True
            self._keeps = self._parser.should_keep_alive()
