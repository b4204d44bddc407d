"""A router over nodes that exist in this process only, and do what they are told."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from configs.schema import ModelSettings, SourceSettings
from configs.sections.routing import NodeSettings, RoutingSettings, UpstreamSettings
from gateway.errors import GatewayError, InvalidRequest, NodeFailed, NodeTimeout, NodeUnavailable
from gateway.record import RequestEntry
from gateway.request import CHAT, CheckedRequest, parse_request
from gateway.routing.nodes import Nodes
from gateway.routing.router import Router
from gateway.tenants.caller import Caller
from gateway.upstream import NO_HEADERS, Event, ModelNotThere, NodeRefused, ShuttingDown
from models.catalog import ServedModel

SETTINGS = ModelSettings(id="m", source=SourceSettings(huggingface="x/x"), context_tokens=100)
MODEL = ServedModel("m", "m", "0" * 64, SETTINGS)
ERRORS: dict[str, GatewayError] = {
    "refused": NodeUnavailable("no"),
    "500": NodeRefused("no"),
    "404": ModelNotThere("no"),
    "broke_off": NodeFailed("no"),
    "timeout": NodeTimeout("no"),
    "400": InvalidRequest("no"),
}


@dataclass
class Wire:
    """A transport. `does` says what each node does; a node that is `held` says nothing until it is let go."""

    does: dict[str, str] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    probed: list[tuple[str, str]] = field(default_factory=list)
    open: Counter[str] = field(default_factory=Counter)
    told: list[dict[str, str]] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=lambda: {"prompt_tokens": 3, "completion_tokens": 2})
    stopped: bool = False
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def hold(self, *names: str) -> None:
        for name in names:
            self.held[name] = asyncio.Event()

    async def events(
        self, url: str, body: bytes, *, stream: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Event]:
        name, path = url.removeprefix("http://").split("/", 1)
        does = self.does.get(name, "ok")
        asked = orjson.loads(body)
        if asked.get("prompt") == "1" or asked.get("input") == "1":
            self.probed.append((name, path))
            if does not in ("ok", "midway"):
                raise ERRORS[does]
            yield {"choices": [{}], "data": [{}]}
            return
        self.asked.append(name)
        self.told.append(dict(headers))
        self.prompts.append(asked["messages"][0]["content"])
        self.arrived.release()
        self.open[name] += 1
        ended = False
        try:
            if name in self.held:
                await self.held[name].wait()
            does = self.does.get(name, "ok")
            if self.stopped:
                raise ShuttingDown("stopped")
            if does in ERRORS:
                ended = True
                raise ERRORS[does]
            yield {"choices": [{"index": 0, "delta": {"content": name}, "finish_reason": None}]}
            if does == "midway":
                ended = True
                raise NodeFailed("no")
            yield {"choices": [], "usage": dict(self.usage)}
            ended = True
        finally:
            self.open[name] -= 1
            if not ended:
                self.aborted.append(name)

    async def fetch(self, url: str, *, seconds: float, most_bytes: int) -> bytes:
        name = url.removeprefix("http://").split("/", 1)[0]
        if name not in self.metrics:
            raise NodeUnavailable("no")
        return self.metrics[name].encode()

    async def stop(self) -> None:
        self.stopped = True
        for one in self.held.values():
            one.set()

    async def close(self) -> None:
        pass


@dataclass
class Site:
    wire: Wire
    nodes: Nodes
    router: Router

    def node(self, name: str) -> Any:
        return self.nodes._nodes[name]

    async def ask(
        self, prompt: str = "hi", entry: RequestEntry | None = None, **given: Any
    ) -> tuple[str, RequestEntry]:
        """The text that came, and the request's record."""
        entry = entry or new_entry()
        text = ""
        caller = given.pop("caller", Caller("key_1", None))
        model = given.pop("model", MODEL)
        async for event in self.router.events(request(prompt, **given), model, caller, entry):
            for choice in event["choices"]:
                text += choice["delta"]["content"]
        return text, entry


def new_entry() -> RequestEntry:
    return RequestEntry("req_1", "chat.completions", 0.0, "v")


def request(prompt: str = "hi", *, stream: bool = True, **fields: Any) -> CheckedRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "stream": stream} | fields
    return parse_request(CHAT, orjson.dumps(body), max_choices=8)


async def site(*nodes: str | NodeSettings, does: dict[str, str] | None = None, **routing: Any) -> Site:
    """Nodes that have all been probed while they were well, and a router before them."""
    wire = Wire()
    settings = tuple(
        one
        if isinstance(one, NodeSettings)
        else NodeSettings(name=one, url=f"http://{one}", models=("m",), capacity=10)
        for one in nodes
    )
    known = Nodes(settings, {"m": MODEL}, wire, UpstreamSettings(), RoutingSettings(**routing))
    for node in known._nodes.values():
        assert node.breaker.begin_probe()
        await known._watch.probe(node)
    wire.does |= does or {}
    return Site(wire, known, Router(known, wire))
