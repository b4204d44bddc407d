"""Who is next when every node that could serve a request is full."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Protocol

from configs.sections.routing import RoutingSettings
from gateway.errors import GatewayError, Overloaded
from gateway.record import RequestEntry
from gateway.routing.places import Place
from gateway.tenants.keys import Caller
from models.catalog import ServedModel

Take = Callable[[], Place | None]
"""Takes a place on a node at once; None when all are full. Raises NodeUnavailable when no node is left to wait for."""

OBSERVED = 64


class Turns(Protocol):
    """The queue before the nodes. A place that gets free is given to who waits, before anyone who comes later."""

    def waiting(self, model: ServedModel) -> bool:
        """Whether a newcomer has somebody before it."""
        ...

    async def wait(self, model: ServedModel, caller: Caller, entry: RequestEntry, take: Take) -> Place:
        """A place, once it is this request's turn. Raises Overloaded, and what `take` raises."""
        ...

    def freed(self) -> None:
        """A place may have become free, or a node gone: see who can go on."""
        ...

    def finished(self, served_name: str) -> None:
        """A request for this model has left its node; how often this happens says how long waiting takes."""
        ...

    def stop(self, error: GatewayError) -> None:
        """Nobody waits any more: everyone is told `error`."""
        ...


class FifoTurns:
    """First come, first served, for each model; bounded in length and in time."""

    def __init__(self, settings: RoutingSettings, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._settings = settings
        self._clock = clock
        self._queues: dict[str, deque[_Waiting]] = {}
        self._ends: dict[str, deque[float]] = {}

    def waiting(self, model: ServedModel) -> bool:
        return bool(self._queues.get(model.served_name))

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    async def wait(self, model: ServedModel, caller: Caller, entry: RequestEntry, take: Take) -> Place:
        if len(self) >= self._settings.queue_length:
            raise self._overloaded("The nodes are full, and so is the queue before them", model)
        queue = self._queues.setdefault(model.served_name, deque())
        mine = _Waiting(take, asyncio.get_running_loop().create_future())
        queue.append(mine)
        try:
            async with asyncio.timeout(self._settings.queue_seconds):
                return await mine.place
        except TimeoutError:
            mine.give_back()
            raise self._overloaded("The nodes stayed full for too long", model) from None
        except BaseException:
            mine.give_back()  # the client may leave in the very moment in which its turn comes
            raise
        finally:
            if mine in queue:
                queue.remove(mine)
            if not queue and self._queues.get(model.served_name) is queue:
                del self._queues[model.served_name]

    def freed(self) -> None:
        for queue in list(self._queues.values()):
            while queue and self._goes_on(queue[0]):
                queue.popleft()

    def _goes_on(self, first: "_Waiting") -> bool:
        """Whether this one waits no more: it has a place, an error, or has left."""
        if first.place.done():
            return True
        try:
            place = first.take()
        except GatewayError as error:
            first.place.set_exception(error)
            return True
        if place is None:
            return False
        first.place.set_result(place)
        return True

    def finished(self, served_name: str) -> None:
        self._ends.setdefault(served_name, deque(maxlen=OBSERVED)).append(self._clock())

    def stop(self, error: GatewayError) -> None:
        for queue in self._queues.values():
            for one in queue:
                if not one.place.done():
                    one.place.set_exception(error)

    def _overloaded(self, why: str, model: ServedModel) -> Overloaded:
        seconds = self.retry_after(model.served_name)
        return Overloaded(
            f"{why}; try again in {seconds} s. 推理节点已满，请 {seconds} 秒后重试。", retry_after=seconds
        )

    def retry_after(self, served_name: str) -> int:
        """How long those who wait now will take at the rate at which requests have ended lately, 1 to 60 seconds."""
        ahead = len(self._queues.get(served_name, ())) + 1
        ends = self._ends.get(served_name)
        if ends is None or len(ends) < 2:
            return min(60, math.ceil(self._settings.queue_seconds))
        rate = len(ends) / max(self._clock() - ends[0], 0.001)
        return min(60, max(1, math.ceil(ahead / rate)))


class _Waiting:
    """One request in the queue."""

    def __init__(self, take: Take, place: "asyncio.Future[Place]") -> None:
        self.take = take
        self.place = place

    def give_back(self) -> None:
        """Leave the queue; a place that was given in the same moment is free again."""
        if self.place.done() and not self.place.cancelled() and self.place.exception() is None:
            self.place.result().release()
        self.place.cancel()
