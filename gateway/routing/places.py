"""A place for one request on a node."""

from collections.abc import Callable

from gateway.routing.node import Node


class Place:
    """Counts one request as open on a node until it is released."""

    __slots__ = ("_freed", "_tokens", "node")

    def __init__(self, node: Node, tokens: int, freed: Callable[[], None]) -> None:
        """`tokens` is what the request may use; `freed` is called when the place is free again."""
        node.open += 1
        node.tokens += tokens
        self.node = node
        self._tokens = tokens
        self._freed: Callable[[], None] | None = freed

    def release(self) -> None:
        """Free the place; a second time does nothing."""
        freed, self._freed = self._freed, None
        if freed is not None:
            self.node.open -= 1
            self.node.tokens -= self._tokens
            freed()
