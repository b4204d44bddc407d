"""The way of one request to a node and of its events back."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.record import RequestEntry
from gateway.request import CheckedRequest
from gateway.routing.nodes import Nodes
from gateway.tenants.keys import Caller
from gateway.upstream import Event, Transport
from models.catalog import ServedModel


class Router:
    """Picks a node for a request and yields the node's events."""

    def __init__(self, nodes: Nodes, transport: Transport) -> None:
        self.nodes = nodes
        self._transport = transport

    async def events(
        self, request: CheckedRequest, model: ServedModel, caller: Caller, entry: RequestEntry
    ) -> AsyncGenerator[Event]:
        """The engine's events, unscanned. Closing it aborts the request on the node. Raises GatewayError."""
        with self.nodes.pick(model) as node:
            entry.node = node.name
            url = node.settings.url + request.engine_path
            body = request.upstream_body(model.served_name)
            async with aclosing(self._transport.events(url, body, stream=request.stream)) as events:
                async for event in events:
                    yield event
