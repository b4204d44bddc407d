"""A fake engine that says a word at a steady pace: `python paced_upstream.py PORT EVENTS_PER_SECOND EVENTS`.

For load only. It speaks just enough HTTP to be asked by a gateway, and one timer serves all of its streams, so that
thousands of them cost it little.
"""

import asyncio
import sys
from typing import cast

import uvloop

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE = (
    '{"id":"p","object":"text_completion","created":1,"model":"m",'
    '"choices":[{"index":0,"text":"1","finish_reason":"length"}]}'
)
WORDS = ("商品", "介绍", "轻巧", "耐摔", "清洗", "保温", "出差", "露营")
HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def event(number: int, last: bool) -> bytes:
    """One chat event as a chunk of HTTP."""
    finish = '"stop"' if last else "null"
    text = (
        f'data: {{"id":"p","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,'
        f'"delta":{{"content":"{WORDS[number % len(WORDS)]}"}},"finish_reason":{finish}}}],'
        f'"usage":{{"prompt_tokens":150,"completion_tokens":{number + 1},"total_tokens":{number + 151}}}}}\n\n'
    ).encode()
    return chunk(text)


def chunk(data: bytes) -> bytes:
    """HTTP's chunked form."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Engine:
    """All streams, and the timer that moves them on; each has its own phase, as an engine's have."""

    def __init__(self, per_second: float, count: int) -> None:
        self.events = [event(number, number == count - 1) for number in range(count)]
        self.ending = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        self.slots: list[set[Connection]] = [set() for _ in range(50)]
        self.pause = 1 / per_second / len(self.slots)
        self.next_slot = 0

    def add(self, connection: "Connection") -> None:
        """Begin a stream, in the slot that comes last."""
        self.slots[self.next_slot].add(connection)

    async def run(self) -> None:
        """One slot after the other, for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self.pause
            await asyncio.sleep(max(0.0, due - loop.time()))
            slot = self.slots[self.next_slot]
            self.next_slot = (self.next_slot + 1) % len(self.slots)
            for one in list(slot):
                if not one.say(self):
                    slot.discard(one)


class Connection(asyncio.Protocol):
    """One connection of the gateway's."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.held = b""
        self.said = 0
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True

    def data_received(self, data: bytes) -> None:
        self.held += data
        head, found, body = self.held.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(
            (int(one.split(b":")[1]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length")), 0
        )
        if len(body) < length:
            return
        self.held = b""
        if b'"stream":true' in body:
            self.said = 0
            self.transport.write(HEAD)
            self.engine.add(self)
        elif head.startswith(b"GET"):
            self.transport.write(HEALTHY)
        else:
            answer = WHOLE.encode()
            self.transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(answer), answer)
            )

    def say(self, engine: Engine) -> bool:
        """The next event; False when the stream is over."""
        if self.gone:
            return False
        self.transport.write(engine.events[self.said])
        self.said += 1
        if self.said < len(engine.events):
            return True
        self.transport.write(engine.ending)
        return False


async def serve(port: int, per_second: float, count: int) -> None:
    """Serve until the process is stopped."""
    engine = Engine(per_second, count)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(engine), "127.0.0.1", port, backlog=4096)
    async with server:
        await engine.run()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
