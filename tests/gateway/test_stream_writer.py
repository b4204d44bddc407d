"""The stream writer: nothing waits for company, a burst leaves together, a slow client slows the writing, no loss."""

import asyncio

import pytest

from gateway.stream_writer import MOST_HELD_BYTES, StreamWriter


class Client:
    """Takes what is sent, when it may."""

    def __init__(self, *, open_: bool = True) -> None:
        self.sent: list[bytes] = []
        self.takes = asyncio.Event()
        if open_:
            self.takes.set()
        self.error: Exception | None = None

    async def send(self, piece: bytes) -> None:
        await self.takes.wait()
        if self.error is not None:
            raise self.error
        self.sent.append(piece)


async def test_an_event_leaves_as_soon_as_the_next_is_waited_for() -> None:
    client = Client()
    async with StreamWriter(client.send) as writer:
        for number in range(3):
            await writer.write(b"%d" % number)
            await asyncio.sleep(0.001)
        assert client.sent == [b"0", b"1", b"2"]


async def test_a_burst_leaves_in_one_piece_and_in_order() -> None:
    client = Client()
    async with StreamWriter(client.send) as writer:
        for number in range(5):
            await writer.write(b"%d" % number)
    assert client.sent == [b"01234"], "leaving sends what is held"


async def test_writing_waits_for_a_client_that_does_not_take() -> None:
    client = Client(open_=False)
    async with StreamWriter(client.send) as writer:
        await writer.write(b"x" * MOST_HELD_BYTES)
        task = asyncio.create_task(writer.write(b"y"))
        await asyncio.sleep(0.01)
        assert not task.done()
        client.takes.set()
        await task
    assert b"".join(client.sent) == b"x" * MOST_HELD_BYTES + b"y"


async def test_a_failed_send_fails_the_writing() -> None:
    client = Client()
    client.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        async with StreamWriter(client.send) as writer:
            await writer.write(b"x")


async def test_an_error_after_events_does_not_overtake_them() -> None:
    client = Client()

    async def fail_late() -> None:
        async with StreamWriter(client.send) as writer:
            await writer.write(b"a")
            raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        await fail_late()
    assert client.sent == [b"a"]


async def test_a_cancelled_writing_does_not_wait_for_its_client() -> None:
    client = Client(open_=False)

    async def write() -> None:
        async with StreamWriter(client.send) as writer:
            await writer.write(b"x")
            await asyncio.sleep(60)

    task = asyncio.create_task(write())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    assert client.sent == []
