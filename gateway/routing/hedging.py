"""Hedging: when a node's first event takes longer than most, a second node is asked, and the faster one answers.

The slower one is aborted, and only the faster one's tokens are counted: a request is billed once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from gateway.errors import GatewayError, NodeFailed
from gateway.record import RequestEntry
from gateway.routing.asked import Asked
from gateway.routing.places import Place
from gateway.upstream import Event

KEPT = 200
ENOUGH = 20

Ask = Callable[[Place], AsyncGenerator[Event]]


class Hedging:
    """Knows how long first events take, for each model; streams only, since a whole answer's time is its length."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._first: dict[str, deque[float]] = {}

    def patience(self, served_name: str) -> float | None:
        """The time within which 95 of 100 first events came, in seconds; None while too few are known."""
        known = self._first.get(served_name, ())
        return sorted(known)[int(0.95 * len(known))] if len(known) >= ENOUGH else None

    def note(self, served_name: str, seconds: float) -> None:
        """A first event came after so many seconds."""
        self._first.setdefault(served_name, deque(maxlen=KEPT)).append(seconds)

    async def events(
        self, place: Place, second: Callable[[], Place | None], ask: Ask, asked: Asked, entry: RequestEntry
    ) -> AsyncGenerator[Event]:
        """The events of the place's node, or of a second one that was faster."""
        began = self._clock()
        name = asked.model.served_name
        patience = self.patience(name) if asked.request.stream else None
        if patience is None:
            noted = not asked.request.stream
            async with aclosing(ask(place)) as only:
                async for event in only:
                    if not noted:
                        self.note(name, self._clock() - began)
                        noted = True
                    yield event
            return
        async with aclosing(_Race(place, ask, entry)) as race:
            first = await race.first(patience, second)
            self.note(name, self._clock() - began)
            yield first
            async for event in race.rest():
                yield event


class _Race:
    """One or two nodes on the way to their first event."""

    def __init__(self, place: Place, ask: Ask, entry: RequestEntry) -> None:
        self._ask = ask
        self._entry = entry
        self._runners: dict[asyncio.Task[Event], tuple[AsyncGenerator[Event], Place]] = {}
        self._winner: AsyncGenerator[Event] | None = None
        self._run(place)

    def _run(self, place: Place) -> None:
        events = self._ask(place)
        self._runners[asyncio.create_task(_next(events))] = (events, place)

    async def first(self, patience: float, second: Callable[[], Place | None]) -> Event:
        """The first event of the fastest node. Raises what the last one that fails raised."""
        await asyncio.wait(self._runners, timeout=patience)
        if not any(one.done() for one in self._runners):
            place = second()
            if place is not None:
                self._run(place)
        failure: BaseException | None = None
        while self._runners:
            done, _ = await asyncio.wait(self._runners, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                events, place = self._runners.pop(task)
                failure = task.exception()
                if failure is None:
                    self._winner = events
                    self._entry.node = place.node.name
                    self._entry.region = place.node.region or None
                    await self._abort_the_others()
                    return task.result()
                await events.aclose()
                if not isinstance(failure, GatewayError):
                    raise failure
        assert failure is not None  # noqa: S101 - there was at least one runner
        raise failure

    async def rest(self) -> AsyncGenerator[Event]:
        """What the winner says after its first event."""
        assert self._winner is not None  # noqa: S101 - `first` came before
        async for event in self._winner:
            yield event

    async def _abort_the_others(self) -> None:
        """Places first: a caller that leaves twice may interrupt the rest, which then goes on by itself."""
        others = list(self._runners.items())
        self._runners.clear()
        for task, (_, place) in others:
            task.cancel()
            place.release()
        if others:
            await asyncio.shield(_closed([(task, events) for task, (events, _) in others]))

    async def aclose(self) -> None:
        """Abort whatever is under way."""
        await self._abort_the_others()
        if self._winner is not None:
            await self._winner.aclose()


async def _closed(runners: list[tuple[asyncio.Task[Event], AsyncGenerator[Event]]]) -> None:
    for task, events in runners:
        await asyncio.wait((task,))
        await events.aclose()


async def _next(events: AsyncGenerator[Event]) -> Event:
    try:
        return await anext(events)
    except StopAsyncIteration:
        raise NodeFailed("The model's node answered nothing; try again.") from None
