"""Routing over the real vLLM node: its readiness, its metrics, its adapters, its 404."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import orjson
import pytest

from configs.loader import load_catalog
from configs.sections.routing import NodeSettings, RoutingSettings, UpstreamSettings
from gateway.errors import NodeUnavailable
from gateway.request import CHAT, parse_request
from gateway.routing.nodes import Nodes
from gateway.routing.router import Router
from gateway.tenants.caller import Caller
from gateway.upstream import HttpTransport
from models.catalog import Catalog
from tests.conftest import ROOT
from tests.gateway.routing.site import new_entry

MODELS = ("opc-starter", "opc-starter-short-drama")


@pytest.mark.engine
async def test_requests_and_load_of_a_real_node(engine: str) -> None:
    served = Catalog(load_catalog(ROOT / "configs" / "models.yaml")).served(MODELS)
    upstream = UpstreamSettings(probe_timeout_seconds=60)
    wire = HttpTransport.open(upstream)
    real = NodeSettings(name="real", url=engine, models=MODELS, capacity=4)
    gone = NodeSettings(name="gone", url="http://127.0.0.1:9", models=MODELS)
    nodes = Nodes((gone, real), served, wire, upstream, RoutingSettings())
    router = Router(nodes, wire)
    try:
        for node in nodes._nodes.values():
            assert node.breaker.begin_probe()
            await nodes._watch.probe(node)
        states = {one.name: one for one in nodes.states()}
        assert states["real"].ready
        assert states["gone"].state == "down"
        drama = served["opc-starter-short-drama"]
        body = {
            "model": "x",
            "stream": True,
            "max_tokens": 200,
            "messages": [{"role": "user", "content": "写一段短剧"}],
        }
        request = parse_request(CHAT, orjson.dumps(body | {"ignore_eos": True}), max_choices=8)
        entry = new_entry()
        async with aclosing(router.events(request, drama, Caller("k", None), entry)) as events:
            first = await anext(events)
            assert first["choices"]
            for _ in range(100):  # its gauges follow its scheduler's steps
                assert await nodes._watch.ask_load(nodes._nodes["real"])
                load = nodes._nodes["real"].load
                if load and load.running == 1 and load.adapters:
                    break
                await anext(events)
            assert load is not None
            assert load.running == 1
            assert load.kv_usage is not None
            assert load.adapters == {drama.served_name}
            assert nodes._nodes["real"].others == 0, "its one request is ours"
        assert (entry.node, entry.attempts) == ("real", 1)
        for _ in range(100):
            await nodes._watch.ask_load(nodes._nodes["real"])
            load = nodes._nodes["real"].load
            if load and not load.running:
                break
            await asyncio.sleep(0.1)
        assert load is not None
        assert load.running == 0, "leaving has aborted the request on the node"
        unloaded = replace(drama, served_name="opc-starter-short-drama@000000000000")
        nodes._nodes["real"].ready |= {unloaded.served_name}
        with pytest.raises(NodeUnavailable):
            async for _ in router.events(request, unloaded, Caller("k", None), new_entry()):
                pass
        assert unloaded.served_name not in nodes._nodes["real"].ready
        assert drama.served_name in nodes._nodes["real"].ready
    finally:
        await wire.close()
