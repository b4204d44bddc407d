"""The way of one request to a node and of its events back: a place, the node's events, another node when it fails.

Nothing is retried once an event has been passed on, and never what was the caller's fault.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from time import monotonic

from gateway.errors import GatewayError, NodeFailed, NodeTimeout, NodeUnavailable, Overloaded
from gateway.guard import choices_asked
from gateway.limits.fair import FairTurns
from gateway.record import RequestEntry
from gateway.request import CheckedRequest
from gateway.routing.asked import Asked, prompts_asked
from gateway.routing.hedging import Hedging
from gateway.routing.nodes import Nodes
from gateway.routing.overflow import Overflow
from gateway.routing.places import Place
from gateway.routing.prefixes import Prefixes
from gateway.routing.turns import Turns
from gateway.routing.usage import UsageCheck
from gateway.tenants.keys import Caller
from gateway.upstream import NO_HEADERS, Event, ShuttingDown, Transport
from models.catalog import ServedModel

TRANSIENT = (NodeUnavailable, NodeFailed, NodeTimeout)
STOPPED = "This gateway is being restarted; try again. 网关正在重启，请重试。"


class Router:
    """Finds a node for a request and yields the node's events."""

    def __init__(
        self,
        nodes: Nodes,
        transport: Transport,
        turns: Turns | None = None,
        overflow: Overflow | None = None,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`turns` decides who is next when all nodes are full; `overflow` are other providers; `clock` is monotonic."""
        self.nodes = nodes
        self.turns = turns or FairTurns(nodes.settings, {}, clock)
        self._settings = nodes.settings
        self._transport = transport
        self._overflow = overflow
        self._clock = clock
        self._prefixes = Prefixes(nodes.settings.prefix_characters, nodes.settings.prefixes_remembered)
        self._hedging = Hedging(clock) if nodes.settings.hedge else None
        nodes.when_freed(self.turns.freed)

    async def stop(self) -> None:
        """End all waiting and every open answer: each caller is told, and each request settles as usual."""
        self.turns.stop(ShuttingDown(STOPPED))
        await self._transport.stop()
        if self._overflow is not None:
            self._overflow.stop()

    async def events(
        self, request: CheckedRequest, model: ServedModel, caller: Caller, entry: RequestEntry
    ) -> AsyncGenerator[Event]:
        """The events of the first node that gives one, unscanned. Closing it aborts the request there.

        Raises GatewayError.
        """
        answers = choices_asked(request.body)
        check = UsageCheck(entry, model.base.context_tokens, prompts_asked(request.body), answers)
        asked = Asked(request, model, caller, self._settings, self._prefixes, check, answers)
        until = self._clock() + self._settings.start_seconds
        while True:
            attempt = await self._attempt(asked, entry)
            started = False
            try:
                async with aclosing(attempt) as events:
                    async for event in events:
                        started = True
                        asked.body = b""  # it has been sent, and won't be again; a long stream is not to keep it
                        yield event
                return
            except TRANSIENT as error:
                if started or not self._may_retry(error, asked, entry, until):
                    raise
                asked.failure = error

    async def _attempt(self, asked: Asked, entry: RequestEntry) -> AsyncGenerator[Event]:
        """What is to answer next: a node, or a provider when no node can. Raises NodeUnavailable, Overloaded."""
        try:
            place = await self._place(asked, entry)
        except (NodeUnavailable, Overloaded) as error:
            provider = self._overflow.provider_for(asked) if self._overflow else None
            if self._overflow is None or provider is None or isinstance(error, ShuttingDown):
                raise asked.failure or error from None
            return self._overflow.events(provider, asked, entry)
        return self._hedged(place, asked, entry) if self._hedging else self._ask(place, asked, entry)

    async def _place(self, asked: Asked, entry: RequestEntry) -> Place:
        """A place on the best node, at once or after waiting for a turn. Raises NodeUnavailable, Overloaded."""
        if not self.turns.waiting(asked.model):
            place = self._take(asked)
            if place is not None:
                return place
        began = self._clock()
        try:
            return await self.turns.wait(asked.model, asked.caller, entry, partial(self._take, asked), asked.answers)
        finally:
            entry.queue_seconds += self._clock() - began

    def _take(self, asked: Asked) -> Place | None:
        holders = self.nodes.holders(asked.model, asked.tried)
        place = self.nodes.take(holders, asked.model, asked.wanted(holders), asked.tokens)
        if place is not None:
            asked.went_to(place.node)
        return place

    async def _ask(self, place: Place, asked: Asked, entry: RequestEntry) -> AsyncGenerator[Event]:
        """One node's events; the place is free again afterwards, however it ends."""
        node = place.node
        entry.node = node.name
        entry.region = node.region or None
        entry.attempts += 1
        asked.tried.add(node.name)
        began = False
        try:
            url = node.settings.url + asked.request.engine_path
            told = {"traceparent": entry.trace.traceparent()} if entry.trace is not None else NO_HEADERS
            stream = self._transport.events(url, asked.body, stream=asked.request.stream, headers=told)
            async with aclosing(stream) as events:
                async for event in events:
                    began = True
                    node.events += 1
                    if "usage" in event:
                        asked.check.apply(event)
                    yield event
            node.breaker.answered()
        except TRANSIENT as error:
            if not isinstance(error, ShuttingDown):
                self.nodes.failed(node, asked.model, error, first=asked.failure is None)
            raise
        finally:
            if began:
                self.turns.finished(asked.model.served_name)
            place.release()

    def _hedged(self, place: Place, asked: Asked, entry: RequestEntry) -> AsyncGenerator[Event]:
        """Like `_ask`, with a second node when the first takes longer than most."""
        assert self._hedging is not None  # noqa: S101 - the caller looked

        def second() -> Place | None:
            try:
                return self._take(asked)
            except NodeUnavailable:
                return None

        return self._hedging.events(place, second, partial(self._ask, asked=asked, entry=entry), asked, entry)

    def _may_retry(self, error: GatewayError, asked: Asked, entry: RequestEntry, until: float) -> bool:
        """Whether another node is asked. A connection that breaks off may mean that the request kills engines."""
        if isinstance(error, ShuttingDown) or (isinstance(error, NodeFailed) and isinstance(asked.failure, NodeFailed)):
            return False
        return entry.attempts < self._settings.attempts and self._clock() < until
