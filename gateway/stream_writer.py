"""Sends a stream's events as soon as whoever writes them waits for something; those written meanwhile leave together.

An engine's event goes out at once, while a burst of events, as they come when the machine is busy, costs one send.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType

MOST_HELD_BYTES = 64 * 1024
"""With so much unsent, writing waits for the client."""


class StreamWriter:
    """`async with` it: leaving sends what is held, unless the leaving is a cancellation."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._held: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "StreamWriter":
        return self

    async def write(self, event: bytes) -> None:
        """Take an event to be sent. Raises what sending raised."""
        self._held.append(event)
        self._size += len(event)
        self._wake.set()
        if self._task is None:
            self._task = asyncio.create_task(self._send_for_ever(), name="stream writer")
        while self._size > MOST_HELD_BYTES:
            await self._until_sent()

    async def _send_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            events, self._held = self._held, []
            await self._send(events[0] if len(events) == 1 else b"".join(events))
            self._size -= sum(map(len, events))
            self._sent.set()

    async def _until_sent(self) -> None:
        """Wait until a send is over, or has failed."""
        assert self._task is not None  # noqa: S101 - something was written
        self._sent.clear()
        waiting = asyncio.ensure_future(self._sent.wait())
        try:
            await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._task.done():
            self._task.result()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._task is None:
            return
        try:
            while self._size and (kind is None or issubclass(kind, Exception)):
                await self._until_sent()
        finally:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._task
