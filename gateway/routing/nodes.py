"""The engine nodes of this worker: which models they serve, which one takes a request, what one that fails loses."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from configs.sections.routing import NodeSettings, RoutingSettings, UpstreamSettings
from gateway.errors import GatewayError, NodeUnavailable, UnknownModel
from gateway.routing.breaker import Breaker
from gateway.routing.choice import Wanted, choose
from gateway.routing.node import Node, NodeState, Wish
from gateway.routing.places import Place
from gateway.routing.watch import Watch
from gateway.upstream import ModelNotThere, NodeRefused, Transport
from models.catalog import Catalog, CatalogError, ServedModel

log = logging.getLogger("opcgate.nodes")


class Nodes:
    """Knows the nodes, watches them in the background, and gives out places on them."""

    def __init__(
        self,
        nodes: tuple[NodeSettings, ...],
        served: dict[str, ServedModel],
        transport: Transport,
        upstream: UpstreamSettings,
        routing: RoutingSettings | None = None,
        *,
        catalog: Catalog | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`catalog` resolves models of nodes that are added at run time; `clock` is monotonic, in seconds."""
        self.settings = routing or RoutingSettings()
        self.closing = False
        self._configured = nodes
        self._served = dict(served)
        self._catalog = catalog
        self._clock = clock
        self._turn = 0
        self._freed: list[Callable[[], None]] = []
        self._watch = Watch(transport, upstream, self.settings, self._served, self.on_change)
        self._nodes: dict[str, Node] = {one.name: self._new(one) for one in nodes}

    def start(self) -> None:
        """Start watching; call once, inside the event loop."""
        self._watch.start()
        for node in self._nodes.values():
            self._watch.add(node)

    async def close(self) -> None:
        """Stop watching."""
        await self._watch.close()

    def when_freed(self, told: Callable[[], None]) -> None:
        """Have `told` called whenever a place may have become free, or a node gone."""
        self._freed.append(told)

    def on_change(self) -> None:
        """Something about a node has changed: who waits looks again."""
        for told in self._freed:
            told()

    def resolve(self, model_id: str) -> ServedModel:
        """The served model that a caller names. Raises UnknownModel."""
        model = self._served.get(model_id)
        if model is None:
            raise UnknownModel.named(model_id)
        return model

    def available(self) -> list[ServedModel]:
        """The models that at least one node serves now."""
        nodes = self._nodes.values()
        return [model for model in self._served.values() if any(one.serves(model.served_name) for one in nodes)]

    def states(self) -> Iterator[NodeState]:
        """Every node as it is seen now."""
        for node in self._nodes.values():
            wanted = self.names_of(node.settings.models)
            load = node.load
            yield NodeState(
                name=node.name,
                url=node.settings.url,
                region=node.region,
                state=node.state,
                ready=len(wanted) == len(node.settings.models) and all(node.serves(one) for one in wanted),
                ready_models=tuple(sorted(node.ready)),
                breaker=node.breaker.state,
                open=node.open,
                capacity=node.capacity,
                others=node.others,
                running=load.running if load else None,
                waiting=load.waiting if load else None,
                kv_usage=load.kv_usage if load else None,
                problem=node.problem,
            )

    @property
    def all_ready(self) -> bool:
        """True while every model of the settings has a node that answers, or only nodes that operators closed.

        Nodes added at run time don't count: one that can't be reached must not take the whole gateway out.
        """
        if self.closing:
            return False
        for model_id in dict.fromkeys(one for node in self._configured for one in node.models):
            name = self._served[model_id].served_name
            holders = [one for one in self._nodes.values() if model_id in one.settings.models]
            closed = all(one.wish != "active" for one in holders)
            if not closed and not any(one.serves(name) for one in holders):
                return False
        return True

    def names_of(self, models: Sequence[str]) -> list[str]:
        """The engine's names of those of the models that are known."""
        return [self._served[one].served_name for one in models if one in self._served]

    def holders(self, model: ServedModel, tried: Collection[str] = ()) -> list[Node]:
        """The nodes that could serve the model now, less those that were tried. Raises NodeUnavailable for none."""
        name = model.served_name
        holders = [one for one in self._nodes.values() if one.serves(name) and one.name not in tried]
        if not holders:
            raise NodeUnavailable(f"No node is ready for '{model.id}' now; try again. 模型暂不可用，请稍后重试。")
        return holders

    def take(self, holders: Sequence[Node], model: ServedModel, wanted: Wanted, tokens: int) -> Place | None:
        """A place on the best of the nodes, None when all are full."""
        node = choose(holders, wanted, self.settings)
        if node is None:
            return None
        self._turn += 1
        node.turn = self._turn
        if model.adapter is not None:
            node.hold_adapter(model.served_name)
        return Place(node, tokens, self.on_change)

    def failed(self, node: Node, model: ServedModel, error: GatewayError, *, first: bool) -> None:
        """A request failed on the node. `first`: it had not failed on another one, so that it may be the node's fault.

        A node that can't be reached is left alone at once; one without the model only loses the model.
        """
        if isinstance(error, ModelNotThere):
            node.ready -= {model.served_name}
        elif isinstance(error, NodeUnavailable) and not isinstance(error, NodeRefused):
            node.breaker.failed(at_once=True)
        elif first:
            node.breaker.failed()
        self._watch.wake(node)
        self.on_change()

    async def merge(self, added: Sequence[NodeSettings], wishes: dict[str, Wish]) -> None:
        """Take over the nodes added at run time and what operators want of all; requests under way go on."""
        wanted = {one.name: one for one in added} | {one.name: one for one in self._configured}
        for name in self._nodes.keys() - wanted.keys():
            self._forget(name)
        for name, settings in wanted.items():
            node = self._nodes.get(name)
            if node is None or node.settings.url != settings.url:
                if node is not None:
                    self._forget(name)
                node = self._nodes[name] = self._new(settings)
                node.added = settings not in self._configured
                await self._learn(node)
                self._watch.add(node)
            elif node.settings != settings:
                node.settings = settings
                await self._learn(node)
                self._watch.wake(node)
            node.wish = wishes.get(name, "active")
        self.on_change()

    @property
    def configured(self) -> tuple[NodeSettings, ...]:
        """The nodes of the settings."""
        return self._configured

    def wish_of(self, name: str) -> Wish:
        """What operators want of a node, as this worker knows it."""
        return self._nodes[name].wish

    def configure(self, nodes: tuple[NodeSettings, ...]) -> None:
        """Take other nodes from the settings; they are in force after the next `merge`."""
        self._configured = nodes

    def _new(self, settings: NodeSettings) -> Node:
        return Node(settings, Breaker(self.settings, self._clock, random.random))

    def _forget(self, name: str) -> None:
        node = self._nodes.pop(name)
        node.wish = "drained"
        self._watch.remove(node)

    async def _learn(self, node: Node) -> None:
        """Make the node's models known, as far as the catalog has them."""
        node.problem = ""
        for one in node.settings.models:
            if one in self._served:
                continue
            try:
                if self._catalog is None:
                    raise CatalogError(f"not in the catalog: {one}.", "模型目录中没有该模型。")
                self._served |= await asyncio.to_thread(self._catalog.served, (one,))
            except CatalogError as error:
                node.problem = f"{one}: {error}"[:200]
                log.warning("node %s: %s", node.name, error)
