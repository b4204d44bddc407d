"""The fair queue before full nodes: organisations take turns, whatever one of them sends.

Start-time fair queueing (Goyal, Vin, Cheng 1996): each waiting request has a tag, the virtual time at which its
organisation has had its share of what went before; the smallest tag is next. Batches come after all that is live.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from configs.sections.routing import RoutingSettings
from gateway.errors import GatewayError, Overloaded
from gateway.record import RequestEntry
from gateway.routing.places import Place
from gateway.routing.turns import Take
from gateway.tenants.caller import Caller
from models.catalog import ServedModel

OBSERVED = 64


@dataclass(slots=True, eq=False)
class Waiting:
    """One request in the queue. `tag` is its virtual start; smaller is sooner."""

    tenant: str
    batch: bool
    tag: float
    take: Take
    place: "asyncio.Future[Place]"

    @property
    def rank(self) -> tuple[bool, float]:
        """Who is smaller is sooner."""
        return (self.batch, self.tag)

    def give_back(self) -> None:
        """Leave the queue; a place that was given in the same moment is free again."""
        if self.place.done() and not self.place.cancelled() and self.place.exception() is None:
            self.place.result().release()
        self.place.cancel()


@dataclass(slots=True)
class Queue:
    """Who waits for one model. `virtual` is the tag of who went last, `tags` where each organisation's next begins."""

    waiting: list[Waiting] = field(default_factory=list)
    virtual: float = 0.0
    tags: dict[tuple[str, bool], float] = field(default_factory=dict)
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=OBSERVED))

    def add(self, one: Waiting, share: float) -> None:
        """Queue a request behind what its organisation has waiting; `share` is what its turn costs it."""
        lane = (one.tenant, one.batch)
        one.tag = max(self.virtual, self.tags.get(lane, 0.0))
        self.tags[lane] = one.tag + share
        self.waiting.append(one)

    def remove(self, one: Waiting) -> None:
        """Take a request out. An organisation with nothing left to wait for starts anew."""
        if one in self.waiting:
            self.waiting.remove(one)
        if not self.waiting:
            self.tags.clear()
            self.virtual = 0.0

    def first(self) -> Waiting:
        """Who is next."""
        return min(self.waiting, key=lambda one: one.rank)


class FairTurns:
    """Turns by organisation, bounded in length and in time. A full queue refuses those who have the most in it."""

    def __init__(self, settings: RoutingSettings, weights: Mapping[str, float], clock: Callable[[], float]) -> None:
        """`weights` are organisations' shares, 1 for the others; `clock` is monotonic, in seconds."""
        self._settings = settings
        self._weights = weights
        self._clock = clock
        self._queues: dict[str, Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def waiting(self, model: ServedModel) -> bool:
        """Whether a newcomer has somebody before it."""
        queue = self._queues.get(model.served_name)
        return queue is not None and bool(queue.waiting)

    async def wait(
        self, model: ServedModel, caller: Caller, entry: RequestEntry, take: Take, answers: int = 1
    ) -> Place:
        """A place, once it is this request's turn. Raises Overloaded, and what `take` raises.

        A request for several `answers` costs its organisation as many turns: the node writes them all.
        """
        queue = self._queues.setdefault(model.served_name, Queue())
        tenant = caller.holder
        mine = Waiting(tenant, entry.priority == "batch", 0.0, take, asyncio.get_running_loop().create_future())
        if len(self) >= self._settings.queue_length:
            self._make_room(mine, model)
        queue.add(mine, answers / self._weights.get(tenant, 1.0))
        try:
            async with asyncio.timeout(self._settings.queue_seconds):
                return await mine.place
        except TimeoutError:
            mine.give_back()
            raise self._overloaded("The nodes stayed full for too long", model, tenant) from None
        except BaseException:
            mine.give_back()  # the client may leave in the very moment in which its turn comes
            raise
        finally:
            queue.remove(mine)

    def _make_room(self, newcomer: Waiting, model: ServedModel) -> None:
        """Refuse the newest request of who has the most waiting, be it the newcomer. Raises Overloaded for it."""
        everyone = [one for queue in self._queues.values() for one in queue.waiting if not one.place.done()]
        counts: dict[tuple[bool, str], int] = {}
        for one in everyone:
            lane = (one.batch, one.tenant)
            counts[lane] = counts.get(lane, 0) + 1
        error = self._overloaded("The nodes are full, and so is the queue before them", model, newcomer.tenant)
        if not counts:
            raise error
        most = max(counts, key=lambda lane: (lane[0], counts[lane]))
        mine = (newcomer.batch, newcomer.tenant)
        if (mine[0], counts.get(mine, 0) + 1) > (most[0], counts[most] - 1):
            raise error
        last = [one for one in everyone if (one.batch, one.tenant) == most][-1]
        last.place.set_exception(error)

    def freed(self) -> None:
        """A place may have become free, or a node gone: see who can go on."""
        for queue in list(self._queues.values()):
            while queue.waiting and self._goes_on(queue):
                pass

    def _goes_on(self, queue: Queue) -> bool:
        """Whether the next one waits no more: it has a place, an error, or has left."""
        first = queue.first()
        if not first.place.done():
            try:
                place = first.take()
            except GatewayError as error:
                first.place.set_exception(error)
            else:
                if place is None:
                    return False
                first.place.set_result(place)
                queue.virtual = max(queue.virtual, first.tag)
        queue.waiting.remove(first)
        return True

    def finished(self, served_name: str) -> None:
        """A request for this model has left its node; how often this happens says how long waiting takes."""
        self._queues.setdefault(served_name, Queue()).ends.append(self._clock())

    def stop(self, error: GatewayError) -> None:
        """Nobody waits any more: everyone is told `error`."""
        for queue in self._queues.values():
            for one in queue.waiting:
                if not one.place.done():
                    one.place.set_exception(error)

    def _overloaded(self, why: str, model: ServedModel, tenant: str) -> Overloaded:
        seconds = self.retry_after(model.served_name, tenant)
        return Overloaded(
            f"{why}; try again in {seconds} s. 推理节点已满，请 {seconds} 秒后重试。", retry_after=seconds
        )

    def retry_after(self, served_name: str, tenant: str) -> int:
        """How long a further request of this organisation would wait at the present rate, 1 to 60 seconds."""
        queue = self._queues.setdefault(served_name, Queue())
        own = sum(1 for one in queue.waiting if one.tenant == tenant) + 1
        others: dict[str, int] = {}
        for one in queue.waiting:
            if one.tenant != tenant:
                others[one.tenant] = others.get(one.tenant, 0) + 1
        ahead = own + sum(min(own, count) for count in others.values())
        if len(queue.ends) < 2:
            return min(60, math.ceil(self._settings.queue_seconds))
        rate = len(queue.ends) / max(self._clock() - queue.ends[0], 0.001)
        return min(60, max(1, math.ceil(ahead / rate)))
