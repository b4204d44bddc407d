"""A fake engine, for load and faults only: it speaks vLLM's protocol and generates nothing.

It says whatever its script says, breaks off, hangs or talks nonsense on demand, and counts what it saw,
so that a test can tell whether an abandoned request was really aborted.
"""

import argparse
import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson
from aiohttp import web

from loadtests import fake_surfaces

Fault = Literal[
    "none", "status_500", "status_400", "html", "die_before", "die_midway", "half_event", "garbage_event",
    "not_object", "error_event", "no_choices", "bad_index", "hang_before", "hang_midway", "no_usage", "status_404",
    "status_429", "huge_event", "drip", "wrong_type", "whole_delta",
]  # fmt: skip


@dataclass(slots=True)
class Script:
    """What the engine does with every generation request until it is given another script.

    `deltas` are chat deltas, one event each; for completions their `content` is the text. `start_seconds` pass before
    anything is said. `usage` is said of tokens instead of what is true.
    """

    deltas: list[dict[str, Any]] = field(default_factory=lambda: [{"content": "好的"}])
    fault: Fault = "none"
    fault_after: int = 1
    pause_seconds: float = 0.0
    finish_reason: str = "stop"
    choices: int = 1
    logprobs: bool = False
    start_seconds: float = 0.0
    usage: Any = None


@dataclass(slots=True)
class Seen:
    """What reached the engine. `peers` are the addresses of the connections on which requests came."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    open: int = 0
    completed: int = 0
    aborted: int = 0
    most_open: int = 0
    probes: int = 0
    peers: set[tuple[str, int]] = field(default_factory=set)


class FakeEngine:
    """The fake's state and its web application.

    A model of `scripts` follows its own script. `metrics` is what /metrics says of load; None: the fake's own open
    requests, as vLLM would.
    """

    def __init__(self, served: tuple[str, ...]) -> None:
        self.served = served
        self.script = Script()
        self.scripts: dict[str, Script] = {}
        self.seen = Seen()
        self.up = True
        self.metrics: str | None = None

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_post("/v1/chat/completions", self._generate)
        app.router.add_post("/v1/completions", self._generate)
        for path in (fake_surfaces.PATH, *fake_surfaces.ANSWERS):
            app.router.add_post(path, self._generate)
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if self.up else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        """vLLM's exposition, as far as a gateway reads it."""
        if not self.up:
            return web.Response(status=503)
        return web.Response(text=vllm_metrics(self.seen.open, 0, 0.0) if self.metrics is None else self.metrics)

    async def _embed(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        if not self.up or body["model"] not in self.served:
            return web.json_response({"error": {"message": "no"}}, status=404 if self.up else 503)
        if body["input"] == "1":
            self.seen.probes += 1
        else:
            self.seen.bodies.append(body)
        return web.json_response(fake_surfaces.embeddings(body))

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if body.get("prompt") == "1" and body.get("max_tokens") == 1:
            return self._probe(body)
        script = self.scripts.get(body["model"], self.script)
        self.seen.bodies.append(body)
        if request.transport is not None:
            self.seen.peers.add(request.transport.get_extra_info("peername")[:2])
        self.seen.open += 1
        self.seen.most_open = max(self.seen.most_open, self.seen.open)
        finished = False
        try:
            response = await self._answer(request, body, script)
            finished = True
            return response
        finally:
            self.seen.open -= 1
            if finished:
                self.seen.completed += 1
            else:
                self.seen.aborted += 1

    def _probe(self, body: dict[str, Any]) -> web.Response:
        if not self.up or body["model"] not in self.served:
            return web.json_response({"error": {"message": "no"}}, status=404 if self.up else 503)
        self.seen.probes += 1
        return web.json_response({"choices": [{"index": 0, "text": "1", "finish_reason": "length"}]})

    async def _answer(self, request: web.Request, body: dict[str, Any], script: Script) -> web.StreamResponse:
        await asyncio.sleep(script.start_seconds)
        refusal = await self._fault_before(request, script)
        if refusal is not None:
            return refusal
        if request.path in fake_surfaces.ANSWERS:
            return web.json_response(fake_surfaces.ANSWERS[request.path](body))
        if not body.get("stream"):
            return await self._whole(request, script)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        count = 0
        async for event in self._events(request, script):
            if count == script.fault_after and await self._fault_midway(request, response, script):
                return response
            await response.write(b"data: " + orjson.dumps(event) + b"\n\n")
            count += 1
        if request.path != fake_surfaces.PATH:
            await response.write(b"data: [DONE]\n\n")
        return response

    async def _fault_before(self, request: web.Request, script: Script) -> web.Response | None:
        if script.fault == "status_500":
            return web.json_response({"error": {"message": "Traceback: secret path /srv/x"}}, status=500)
        if script.fault == "status_400":
            message = {"message": "temperature must be below 2", "param": "body.temperature", "code": 400}
            return web.json_response({"error": message}, status=400)
        if script.fault in ("status_404", "status_429"):
            return web.json_response({"error": {"message": "not now"}}, status=int(script.fault[-3:]))
        if script.fault == "wrong_type":
            return web.Response(text='data: {"choices": []}\n\ndata: [DONE]\n\n', content_type="text/plain")
        if script.fault == "whole_delta":
            return web.json_response({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]})
        if script.fault == "html":
            return web.Response(text="<html>oops</html>", content_type="text/html")
        if script.fault == "die_before":
            cut_connection(request)
        if script.fault == "hang_before":
            await asyncio.sleep(3600)
        return None

    async def _fault_midway(self, request: web.Request, response: web.StreamResponse, script: Script) -> bool:
        """Do the script's fault; True when the answer is over."""
        raw = {
            "half_event": b'data: {"choices": [{"index": 0, "del',
            "garbage_event": b"data: not json at all\n\n",
            "not_object": b"data: [1, 2]\n\n",
            "error_event": b'data: {"error": {"message": "CUDA out of memory at /srv/x"}}\n\n',
            "no_choices": b'data: {"object": "chat.completion.chunk"}\n\n',
            "bad_index": b'data: {"choices": [{"index": 7, "delta": {"content": "x"}, "finish_reason": null}]}\n\n',
        }.get(script.fault)
        if raw is not None:
            await response.write(raw)
            return True
        if script.fault == "huge_event":
            for _ in range(64):
                await response.write(b"data: " + b"x" * 65536)
            return True
        if script.fault == "drip":
            while True:  # signs of life that never become an event
                await response.write(b": still here\n")
                await asyncio.sleep(0.05)
        if script.fault == "die_midway":
            cut_connection(request)
            return True
        if script.fault == "hang_midway":
            await asyncio.sleep(3600)
        return False

    async def _whole(self, request: web.Request, script: Script) -> web.Response:
        await asyncio.sleep(script.pause_seconds * len(script.deltas))
        merged = [_merged(script.deltas) for _ in range(script.choices)]
        if request.path == fake_surfaces.PATH:
            return web.json_response(fake_surfaces.message(merged[0], script.finish_reason, len(script.deltas)))
        chat = request.path.endswith("/chat/completions")
        choices = [
            {
                "index": index,
                "finish_reason": script.finish_reason,
                "logprobs": _logprobs(script, [one["content"]]),
            }
            | ({"message": {"role": "assistant"} | one} if chat else {"text": one["content"]})
            for index, one in enumerate(merged)
        ]
        answer = {"id": "fake-1", "object": "chat.completion", "created": 1, "model": "x", "choices": choices}
        usage = _usage(7, len(script.deltas) * script.choices) if script.usage is None else script.usage
        return web.json_response(answer | {"usage": usage})

    async def _events(self, request: web.Request, script: Script) -> AsyncIterator[dict[str, Any]]:
        if request.path == fake_surfaces.PATH:
            for event in fake_surfaces.message_events(script.deltas, script.finish_reason):
                yield event
                if script.pause_seconds:
                    await asyncio.sleep(script.pause_seconds)
            return
        chat = request.path.endswith("/chat/completions")
        head = {"id": "fake-1", "object": "chat.completion.chunk", "created": 1, "model": "x"}
        for position, delta in enumerate(script.deltas):
            for index in range(script.choices):
                last = position == len(script.deltas) - 1
                choice: dict[str, Any] = {
                    "index": index,
                    "finish_reason": script.finish_reason if last else None,
                }
                choice["logprobs"] = _logprobs(script, [delta.get("content") or ""])
                choice |= {"delta": delta} if chat else {"text": delta.get("content") or ""}
                usage: dict[str, Any] = {"usage": script.usage or _usage(7, position + 1)}
                if script.fault == "no_usage":
                    usage = {}
                yield head | {"choices": [choice]} | usage
            if script.pause_seconds:
                await asyncio.sleep(script.pause_seconds)
        if script.fault != "no_usage":
            usage = {"usage": script.usage or _usage(7, len(script.deltas) * script.choices)}
            yield head | {"choices": []} | usage


def vllm_metrics(running: int, waiting: int, kv_usage: float, kv_name: str = "vllm:kv_cache_usage_perc") -> str:
    """What vLLM's /metrics says of load; earlier versions called `kv_name` otherwise."""
    labels = '{engine="0",model_name="fake"}'
    lines = [
        f"vllm:num_requests_running{labels} {running:.1f}",
        f"vllm:num_requests_waiting{labels} {waiting:.1f}",
        f"{kv_name}{labels} {kv_usage}",
    ]
    return "\n".join(lines) + "\n"


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _merged(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole message that a list of deltas adds up to."""
    message: dict[str, Any] = {"content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for delta in deltas:
        for name in ("content", "reasoning", "reasoning_content", "refusal"):
            if delta.get(name):
                message[name] = message.get(name, "") + delta[name]
        for call in delta.get("tool_calls", ()):
            fresh = {
                "id": call.get("id", "call-1"),
                "type": call.get("type", "function"),
                "function": {"arguments": ""},
            }
            known = calls.setdefault(call["index"], fresh)
            function = call["function"]
            known["function"] |= {"name": function["name"]} if "name" in function else {}
            known["function"]["arguments"] += function.get("arguments", "")
    return message | ({"tool_calls": list(calls.values())} if calls else {})


def _logprobs(script: Script, tokens: list[str]) -> dict[str, Any] | None:
    if not script.logprobs:
        return None
    entries: list[dict[str, Any]] = [
        {"token": one, "logprob": -1.0, "bytes": None, "top_logprobs": []} for text in tokens for one in text
    ]
    return {"content": entries}


def cut_connection(request: web.Request) -> None:
    """Break the connection off without an answer."""
    if request.transport is not None:
        request.transport.abort()


class Fake(Protocol):
    """Anything that can be served on loopback."""

    def application(self) -> web.Application: ...


@contextmanager
def running(fake: Fake, port: int = 0) -> Iterator[str]:
    """Serve the fake on loopback in a thread of its own; yields its address, stops it at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake", daemon=True)
    thread.start()

    async def start() -> tuple[web.AppRunner, int]:
        runner = web.AppRunner(fake.application(), access_log=None, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        return runner, int(runner.addresses[0][1])

    runner, bound = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield f"http://127.0.0.1:{bound}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def main() -> None:
    """Serve the fake until Ctrl-C: `python -m loadtests.fake_engine --port 9000 --events 64`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--events", type=int, default=64)
    parser.add_argument("--pause-seconds", type=float, default=0.0)
    parser.add_argument("--served", default="opc-starter")
    options = parser.parse_args()
    engine = FakeEngine((options.served,))
    engine.script = Script([{"content": "商品"}] * options.events, pause_seconds=options.pause_seconds)
    web.run_app(engine.application(), host="127.0.0.1", port=options.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
