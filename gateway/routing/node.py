"""One engine node and what this worker knows of it now."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from configs.sections.routing import NodeSettings
from gateway.routing.breaker import Breaker
from gateway.routing.load import Load

Wish = Literal["active", "cordoned", "draining", "drained"]
"""What an operator wants of a node. A cordoned node gets no new request; a draining one is drained once it is empty."""

ADAPTERS_KEPT = 16


@dataclass(slots=True)
class Node:
    """A node. `ready` holds the served names that it really answers for; `open` and `tokens` are this worker's.

    `others` is how many requests it has from elsewhere, other workers included: what it reports, less what this
    worker had open when it did.
    """

    settings: NodeSettings
    breaker: Breaker
    wish: Wish = "active"
    added: bool = False
    problem: str = ""
    ready: frozenset[str] = frozenset()
    open: int = 0
    tokens: int = 0
    others: int = 0
    waiting: int = 0
    turn: int = 0
    events: int = 0
    load: Load | None = None
    removed: bool = False
    warm: OrderedDict[str, None] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        """The node's name in the settings."""
        return self.settings.name

    @property
    def region(self) -> str:
        """Where it stands; empty when nobody said."""
        return self.settings.region

    @property
    def capacity(self) -> int:
        """How many requests it takes at once."""
        return self.settings.capacity

    @property
    def cost_weight(self) -> float:
        """How much busier it is made to look."""
        return self.settings.cost_weight

    @property
    def adapters(self) -> Collection[str]:
        """Served names of the adapters that it holds ready, as far as is known."""
        return self.warm

    @property
    def state(self) -> str:
        """`active`, `cordoned`, `draining`, `drained`, or `down` for an active one that doesn't answer."""
        return "down" if self.wish == "active" and (self.breaker.state != "closed" or not self.ready) else self.wish

    def serves(self, served_name: str) -> bool:
        """Whether a new request for the model may go there now, if there is room."""
        return self.wish == "active" and self.breaker.state == "closed" and served_name in self.ready

    def hold_adapter(self, served_name: str) -> None:
        """The node has just been asked for this adapter, so it has it at hand."""
        self.warm[served_name] = None
        self.warm.move_to_end(served_name)
        if len(self.warm) > ADAPTERS_KEPT:
            self.warm.popitem(last=False)

    def report(self, load: Load | None) -> None:
        """Take what the node says of its load; None when it says nothing."""
        self.load = load
        self.others = 0 if load is None else max(0, load.running + load.waiting - self.open)
        self.waiting = 0 if load is None else load.waiting
        for name in load.adapters if load else ():
            self.hold_adapter(name)


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as health, metrics and the control API show it. `open` is this worker's; the rest of the numbers its own.

    `ready`: it answers for all its models and takes requests. None where the node says nothing.
    """

    name: str
    url: str
    region: str
    state: str
    ready: bool
    ready_models: tuple[str, ...]
    breaker: str
    open: int
    capacity: int
    others: int
    running: int | None
    waiting: int | None
    kv_usage: float | None
    problem: str
