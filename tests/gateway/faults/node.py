"""A node in this process, for tests that are about everything else."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.upstream import NO_HEADERS, Event
from loadtests.fake_engine import Seen

EVENTS = 6


@dataclass
class Node:
    """A transport to a node that says six events, each after `pause` has been awaited."""

    pause: Callable[[], Any] = lambda: asyncio.sleep(0)
    seen: Seen = field(default_factory=Seen)

    async def events(
        self, url: str, body: bytes, *, stream: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Event]:
        if b'"prompt":"1"' in body.replace(b" ", b""):
            yield {"choices": [{"index": 0, "text": "1", "finish_reason": "length"}]}
            return
        self.seen.open += 1
        self.seen.most_open = max(self.seen.most_open, self.seen.open)
        try:
            async for event in self._streamed() if stream else self._whole():
                yield event
            self.seen.completed += 1
        finally:
            self.seen.open -= 1

    async def _streamed(self) -> AsyncGenerator[Event]:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "opc-starter"}
        for number in range(1, EVENTS + 1):
            await self.pause()
            reason = "stop" if number == EVENTS else None
            choice = {"index": 0, "delta": {"content": "好"}, "finish_reason": reason}
            yield head | {"choices": [choice], "usage": _usage(number)}

    async def _whole(self) -> AsyncGenerator[Event]:
        await self.pause()
        message = {"role": "assistant", "content": "好" * EVENTS}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": "opc-starter"}
        yield head | {"choices": [choice], "usage": _usage(EVENTS)}

    async def fetch(self, url: str, *, seconds: float, most_bytes: int) -> bytes:
        return b""

    async def stop(self) -> None: ...

    async def close(self) -> None: ...


def _usage(output: int) -> dict[str, int]:
    return {"prompt_tokens": 7, "completion_tokens": output, "total_tokens": 7 + output}
