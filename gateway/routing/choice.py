"""Which node takes a request: a pure function over what is known of the nodes (tests/cases/routing.jsonl)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from configs.sections.routing import RoutingSettings


class NodeView(Protocol):
    """What the choice looks at. `open` and `tokens` are this worker's, `others` what else the node reports.

    `waiting` are those that the node itself has queued; `turn` grows with every choice of the node.
    """

    @property
    def name(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def capacity(self) -> int: ...
    @property
    def cost_weight(self) -> float: ...
    @property
    def open(self) -> int: ...
    @property
    def tokens(self) -> int: ...
    @property
    def others(self) -> int: ...
    @property
    def waiting(self) -> int: ...
    @property
    def adapters(self) -> Collection[str]: ...
    @property
    def turn(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request would like: a region, the node that has its beginning cached, one that holds its adapter."""

    region: str = ""
    prefix_node: str | None = None
    adapter: str | None = None


View = TypeVar("View", bound=NodeView)


def choose(nodes: Iterable[View], wanted: Wanted, settings: RoutingSettings) -> View | None:
    """The node for a request among those that could serve it; None when all of them are full.

    The region's nodes come first, others only when those are full. Among them the least loaded is taken, unless the
    one with the prefix, or else one with the adapter, is not much more loaded.
    """
    free = [one for one in nodes if one.open + one.others < one.capacity]
    if not free:
        return None
    near = [one for one in free if one.region == wanted.region] if wanted.region else free
    pool = near or free
    least = _least(pool, settings)
    liked = [one for one in pool if one.name == wanted.prefix_node]
    if wanted.adapter is not None and not (liked and _worth_it(liked[0], least, settings)):
        liked = [one for one in pool if wanted.adapter in one.adapters]
    if liked:
        best = _least(liked, settings)
        if _worth_it(best, least, settings):
            return best
    return least


def _least(pool: Sequence[View], settings: RoutingSettings) -> View:
    return min(pool, key=lambda one: (work(one, settings), one.turn, one.name))


def work(node: NodeView, settings: RoutingSettings) -> float:
    """How busy a node would be with one more request, in parts of its capacity, times its cost.

    What the node has queued counts twice: it is work that has not begun.
    """
    requests = node.open + node.others + node.waiting + node.tokens / settings.request_tokens + 1
    return requests / node.capacity * node.cost_weight


def _worth_it(liked: NodeView, least: NodeView, settings: RoutingSettings) -> bool:
    """Whether what the node has cached is worth its longer line."""
    theirs, ours = work(least, settings), work(liked, settings)
    return ours <= theirs * settings.affinity_factor or ours - theirs <= settings.affinity_slack * liked.cost_weight
