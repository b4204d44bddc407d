"""Who is next when every node that could serve a request is full."""

from collections.abc import Callable
from typing import Protocol

from gateway.errors import GatewayError
from gateway.record import RequestEntry
from gateway.routing.places import Place
from gateway.tenants.caller import Caller
from models.catalog import ServedModel

Take = Callable[[], Place | None]
"""Takes a place on a node at once; None when all are full. Raises NodeUnavailable when no node is left to wait for."""


class Turns(Protocol):
    """The queue before the nodes. A place that gets free is given to who waits, before anyone who comes later."""

    def waiting(self, model: ServedModel) -> bool:
        """Whether a newcomer has somebody before it."""
        ...

    async def wait(
        self, model: ServedModel, caller: Caller, entry: RequestEntry, take: Take, answers: int = 1
    ) -> Place:
        """A place, once it is this request's turn, which costs `answers`. Raises Overloaded, and what `take` raises."""
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
