"""Long scans in threads, a slice at a time: organisations take turns, so that nobody's big bodies hold up the others'.

Scanning is work for the processor under one lock, so that more threads would only take more from the event loop.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[int, None, T]
"""Work that yields, after each step, about how many characters it took to scan; it returns what came of it."""

SLICE = 20_000
"""Characters of one turn: a few milliseconds for most texts. One text that is longer is one step all the same."""


class ScanTurns:
    """So many threads for a worker's long scans, and who is next: one slice of each organisation after the other."""

    def __init__(self, threads: int) -> None:
        self._free = threads
        self._pool = ThreadPoolExecutor(threads, "scans")
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(self, who: str, steps: Steps[T]) -> T:
        """Do all steps and return their result. Raises what they raise. Who leaves gives its turn back."""
        while True:
            await self._turn(who)
            slice_ = asyncio.get_running_loop().run_in_executor(self._pool, _slice, steps)
            slice_.add_done_callback(self._end_turn)  # not before the thread is done, whoever waits for it
            result = await asyncio.shield(slice_)
            if result is not None:
                return result[0]

    async def _turn(self, who: str) -> None:
        if self._free:
            self._free -= 1
            return
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(who, deque()).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._give_turn()
            raise

    def _end_turn(self, ended: "asyncio.Future[tuple[T] | None]") -> None:
        ended.cancelled() or ended.exception()  # looked at: whoever waited may have left
        self._give_turn()

    def _give_turn(self) -> None:
        """To the first of the organisation that waits longest; it stands behind the others then."""
        while self._waiting:
            who, queue = self._waiting.popitem(last=False)
            first = queue.popleft()
            if queue:
                self._waiting[who] = queue
            if not first.done():
                first.set_result(None)
                return
        self._free += 1

    def close(self) -> None:
        """End the threads once what they do is done."""
        self._pool.shutdown(cancel_futures=True)


def _slice(steps: Steps[T]) -> tuple[T] | None:
    """Go on for a slice; the result in a tuple when that was the last."""
    size = 0
    try:
        while size < SLICE:
            size += next(steps)
    except StopIteration as ended:
        return (ended.value,)
    return None


def all_of(steps: Steps[T]) -> T:
    """Do all steps here and now."""
    while (result := _slice(steps)) is None:
        pass
    return result[0]
