"""Watching the nodes in the background: real answers for health, vLLM's metrics for load."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

import orjson

from configs.sections.routing import RoutingSettings, UpstreamSettings
from gateway.errors import GatewayError
from gateway.routing.load import MOST_BYTES, read_load
from gateway.routing.node import Node
from gateway.upstream import Transport
from models.catalog import ServedModel

LONGEST_LOAD_WAIT_SECONDS = 30.0
LOAD_TIMEOUT_SECONDS = 2.0


class Watch:
    """Two tasks for each node: one probes it, one asks for its load."""

    def __init__(
        self,
        transport: Transport,
        upstream: UpstreamSettings,
        routing: RoutingSettings,
        served: Mapping[str, ServedModel],
        changed: Callable[[], None],
    ) -> None:
        """`served` is looked at anew for every probe; `changed` is told when a node may take more than before."""
        self._transport = transport
        self._upstream = upstream
        self._routing = routing
        self._served = served
        self._changed = changed
        self._started = False
        self._tasks: dict[int, tuple[asyncio.Task[None], ...]] = {}
        self._wake: dict[int, asyncio.Event] = {}
        self._events_at_probe: dict[int, int] = {}

    def start(self) -> None:
        """From now on added nodes are watched; call inside the event loop."""
        self._started = True

    def add(self, node: Node) -> None:
        """Watch this node too."""
        if self._started:
            self._wake[id(node)] = asyncio.Event()
            self._tasks[id(node)] = (
                asyncio.create_task(self._probe_for_ever(node), name=f"probe-{node.name}"),
                asyncio.create_task(self._ask_load_for_ever(node), name=f"load-{node.name}"),
            )

    def remove(self, node: Node) -> None:
        """Watch it no more."""
        for task in self._tasks.pop(id(node), ()):
            task.cancel()
        self._wake.pop(id(node), None)
        self._events_at_probe.pop(id(node), None)

    def wake(self, node: Node) -> None:
        """Probe this node as soon as its breaker lets us, not only when its next probe is due."""
        event = self._wake.get(id(node))
        if event is not None:
            event.set()

    async def close(self) -> None:
        """Stop watching."""
        tasks = [task for pair in self._tasks.values() for task in pair]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe_for_ever(self, node: Node) -> None:
        wake = self._wake[id(node)]
        while True:
            if node.breaker.begin_probe():
                await self.probe(node)
                self._changed()
            wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds(node)):
                    await wake.wait()

    def _pause_seconds(self, node: Node) -> float:
        interval = self._upstream.probe_interval_seconds
        if node.breaker.state != "closed":
            return node.breaker.wait_seconds
        return interval if self._wanted(node) <= node.ready else min(interval, 1.0)

    def _wanted(self, node: Node) -> set[str]:
        return {self._served[one].served_name for one in node.settings.models if one in self._served}

    async def probe(self, node: Node) -> None:
        """Ask the node once which of its models it answers for."""
        models = [self._served[one] for one in node.settings.models if one in self._served]
        before = self._events_at_probe.get(id(node))
        self._events_at_probe[id(node)] = node.events
        if node.breaker.state == "closed" and self._wanted(node) <= node.ready and before not in (None, node.events):
            return  # it has answered since the last probe, and another one would only add load
        ready = [one.served_name for one in models if await self._answers(node, one)]
        node.ready = frozenset(ready)
        node.breaker.probed(good=bool(ready))

    async def _answers(self, node: Node, model: ServedModel) -> bool:
        """vLLM reports healthy before it can answer, so only an answer counts."""
        body: dict[str, object]
        if model.base.kind == "embed":
            path, body, key = "/v1/embeddings", {"model": model.served_name, "input": "1"}, "data"
        else:
            body = {"model": model.served_name, "prompt": "1", "max_tokens": 1, "temperature": 0}
            path, key = "/v1/completions", "choices"
        try:
            async with asyncio.timeout(self._upstream.probe_timeout_seconds):
                url = node.settings.url + path
                async with contextlib.aclosing(self._transport.events(url, orjson.dumps(body), stream=False)) as events:
                    return [bool(event.get(key)) async for event in events] == [True]
        except (GatewayError, TimeoutError):
            return False

    async def _ask_load_for_ever(self, node: Node) -> None:
        """A node without metrics is asked ever less often; its load is then what this worker has open there."""
        interval = self._routing.load_interval_seconds
        pause = interval
        while True:
            await asyncio.sleep(pause)
            known = await self.ask_load(node)
            pause = interval if known else min(2 * pause, LONGEST_LOAD_WAIT_SECONDS)

    async def ask_load(self, node: Node) -> bool:
        """Ask the node once for its load; False when it doesn't say."""
        try:
            text = await self._transport.fetch(
                node.settings.url + "/metrics", seconds=LOAD_TIMEOUT_SECONDS, most_bytes=MOST_BYTES
            )
        except (GatewayError, TimeoutError):
            load = None
        else:
            load = read_load(text)
        before = node.others
        node.report(load)
        if node.others < before:
            self._changed()
        return load is not None
