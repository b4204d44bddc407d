"""The engine nodes: which are ready (by a real one-token completion), and which one takes a request."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from configs.sections.routing import NodeSettings, UpstreamSettings
from gateway.errors import GatewayError, NodeUnavailable, UnknownModel
from gateway.upstream import Transport
from models.catalog import ServedModel


@dataclass(slots=True)
class Node:
    """A node and what is known of it now. `ready` holds the served names that it really answers for."""

    settings: NodeSettings
    ready: frozenset[str] = frozenset()
    open_requests: int = 0

    @property
    def name(self) -> str:
        """The node's name in the settings."""
        return self.settings.name


class Nodes:
    """Probes nodes in the background and picks one per request: the ready one with the fewest open requests."""

    def __init__(
        self,
        nodes: tuple[NodeSettings, ...],
        served: dict[str, ServedModel],
        transport: Transport,
        settings: UpstreamSettings,
    ) -> None:
        self._nodes = [Node(one) for one in nodes]
        self._served = served
        self._transport = transport
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start probing; call once, inside the event loop."""
        self._task = asyncio.create_task(self._probe_for_ever(), name="probe-nodes")

    async def close(self) -> None:
        """Stop probing."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def resolve(self, model_id: str) -> ServedModel:
        """The served model that a caller names. Raises UnknownModel."""
        model = self._served.get(model_id)
        if model is None:
            raise UnknownModel(
                f"The model '{model_id[:100]}' does not exist here; GET /v1/models lists what does. 模型不存在。",
                param="model",
            )
        return model

    def available(self) -> list[ServedModel]:
        """The models that at least one node is ready for."""
        ready: set[str] = set().union(*(node.ready for node in self._nodes))
        return [model for model in self._served.values() if model.served_name in ready]

    def states(self) -> Iterator[tuple[str, bool, int]]:
        """(name, ready for all its models, open requests) of each node."""
        for node in self._nodes:
            wanted = {self._served[one].served_name for one in node.settings.models}
            yield node.name, wanted <= node.ready, node.open_requests

    @property
    def all_ready(self) -> bool:
        """True when every configured model has a node that answers for it."""
        return len(self.available()) == len(self._served)

    @contextlib.contextmanager
    def pick(self, model: ServedModel) -> Iterator[Node]:
        """The node for a request, counted as open while the block runs. Raises NodeUnavailable.

        A node that fails is taken out at once; the next good probe brings it back.
        """
        holders = [node for node in self._nodes if model.served_name in node.ready]
        if not holders:
            raise NodeUnavailable(f"No node is ready for '{model.id}' now; try again. 模型暂不可用，请稍后重试。")
        node = min(holders, key=lambda one: one.open_requests)
        node.open_requests += 1
        try:
            yield node
        except NodeUnavailable:
            node.ready = frozenset()
            raise
        finally:
            node.open_requests -= 1

    async def probe(self) -> None:
        """Ask every node once which models it answers for."""
        await asyncio.gather(*(self._probe(node) for node in self._nodes))

    async def _probe_for_ever(self) -> None:
        while True:
            await self.probe()
            interval = self._settings.probe_interval_seconds
            await asyncio.sleep(interval if self.all_ready else min(interval, 1.0))

    async def _probe(self, node: Node) -> None:
        models = [self._served[one] for one in node.settings.models]
        names = {model.served_name for model in models}
        if names <= node.ready and node.open_requests:
            return  # it is answering right now; a probe would only add load
        answers = [name for name in sorted(names) if await self._completes_one_token(node, name)]
        node.ready = frozenset(answers)

    async def _completes_one_token(self, node: Node, name: str) -> bool:
        """vLLM reports healthy before it can answer, so only an answer counts."""
        body = orjson.dumps({"model": name, "prompt": "1", "max_tokens": 1, "temperature": 0})
        try:
            async with asyncio.timeout(self._settings.probe_timeout_seconds):
                url = f"{node.settings.url}/v1/completions"
                async with contextlib.aclosing(self._transport.events(url, body, stream=False)) as events:
                    return [bool(event.get("choices")) async for event in events] == [True]
        except (GatewayError, TimeoutError):
            return False
