"""A fake guard model, for load and faults only: it speaks the guard protocols and understands nothing.

It finds keywords in the text that it is to judge, answers slowly or wrongly or not at all on demand, and counts what it
saw. What it says about a text is no judgement, so it must never stand in for a guard anywhere but in a test.
"""

import argparse
import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from aiohttp import web

from loadtests.fake_engine import cut_connection

Protocol = Literal["qwen3guard", "llama_guard"]
Fault = Literal[
    "none", "dead", "hang", "status_500", "redirect", "html", "garbage", "not_object", "chats", "half", "too_long",
    "empty",
]  # fmt: skip


@dataclass(slots=True)
class GuardScript:
    """What the guard does until it is given another script.

    `unsafe` and `controversial` map a keyword to a category of the protocol. The fault strikes texts that hold
    `fault_at`, or all of them.
    """

    protocol: Protocol = "qwen3guard"
    unsafe: dict[str, str] = field(default_factory=dict)
    controversial: dict[str, str] = field(default_factory=dict)
    pause_seconds: float = 0.0
    fault: Fault = "none"
    fault_at: str = ""


@dataclass(slots=True)
class GuardSeen:
    """What reached the guard."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    open: int = 0
    most_open: int = 0


class FakeGuard:
    """The fake's state and its web application."""

    def __init__(self) -> None:
        self.script = GuardScript()
        self.seen = GuardSeen()

    def application(self) -> web.Application:
        """The aiohttp application: `/v1/chat/completions` for guard models, `/v1/moderations` for OpenAI's protocol."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/moderations", self._moderate)
        return app

    async def _chat(self, request: web.Request) -> web.Response:
        script = self.script
        body = orjson.loads(await request.read())
        last = body["messages"][-1]
        hits = _hits(script, last["content"])
        says = _qwen(*hits, output=last["role"] == "assistant") if script.protocol == "qwen3guard" else _llama(*hits)
        message = {"role": "assistant", "content": says}
        answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return await self._answer(request, script, body, last["content"], answer)

    async def _moderate(self, request: web.Request) -> web.Response:
        script = self.script
        body = orjson.loads(await request.read())
        unsafe, controversial = _hits(script, body["input"])
        flags = {"hate": False, "violence": False} | dict.fromkeys(unsafe + controversial, True)
        result = {
            "flagged": any(flags.values()),
            "categories": flags,
            "category_scores": {name: float(flag) for name, flag in flags.items()},
        }
        answer = {"id": "modr-fake", "model": body["model"], "results": [result]}
        return await self._answer(request, script, body, body["input"], answer)

    async def _answer(
        self, request: web.Request, script: GuardScript, body: dict[str, Any], text: str, answer: dict[str, Any]
    ) -> web.Response:
        self.seen.bodies.append(body)
        self.seen.keys.append(request.headers.get("authorization"))
        self.seen.open += 1
        self.seen.most_open = max(self.seen.most_open, self.seen.open)
        try:
            await asyncio.sleep(script.pause_seconds)
            fault = script.fault if script.fault_at in text else "none"
            if fault == "dead":
                cut_connection(request)
            if fault == "hang":
                await asyncio.sleep(3600)
            return _faulty(fault, answer) or web.json_response(answer)
        finally:
            self.seen.open -= 1


def _hits(script: GuardScript, text: str) -> tuple[list[str], list[str]]:
    """(unsafe categories, controversial categories) by the keywords in a text."""
    unsafe = [category for keyword, category in script.unsafe.items() if keyword in text]
    return unsafe, [category for keyword, category in script.controversial.items() if keyword in text]


def _qwen(unsafe: list[str], controversial: list[str], *, output: bool) -> str:
    label = "Unsafe" if unsafe else "Controversial" if controversial else "Safe"
    lines = [f"Safety: {label}", f"Categories: {', '.join(unsafe or controversial) or 'None'}"]
    return "\n".join([*lines, "Refusal: No"] if output else lines)


def _llama(unsafe: list[str], controversial: list[str]) -> str:
    named = unsafe + controversial
    return f"\n\nunsafe\n{','.join(named)}" if named else "\n\nsafe"


def _faulty(fault: Fault, answer: dict[str, Any]) -> web.Response | None:
    """An answer outside the protocol, or None for the right one."""
    if fault == "status_500":
        return web.json_response({"error": {"message": "Traceback: secret path /srv/x"}}, status=500)
    if fault == "redirect":
        return web.Response(status=307, headers={"location": "/v1/moderations"})
    if fault == "html":
        return web.Response(text="<html>oops</html>", content_type="text/html")
    raw = {
        "garbage": b"\x00\xff{",
        "not_object": b"[1, 2]",
        "chats": orjson.dumps(_says("这个问题我来帮您看看。")),
        "half": orjson.dumps(_says("Safety: Sa")),
        "too_long": orjson.dumps(_says("safe" * 100_000)),
        "empty": b"",
    }.get(fault)
    return None if raw is None else web.Response(body=raw, content_type="application/json")


def _says(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}]}


def main() -> None:
    """Serve the fake until Ctrl-C: `python -m loadtests.fake_guard --port 9100 --unsafe 冰毒 --pause-seconds 0.05`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--unsafe", nargs="*", default=[])
    parser.add_argument("--pause-seconds", type=float, default=0.0)
    options = parser.parse_args()
    guard = FakeGuard()
    guard.script = GuardScript(
        unsafe=dict.fromkeys(options.unsafe, "Non-violent Illegal Acts"), pause_seconds=options.pause_seconds
    )
    web.run_app(guard.application(), host="127.0.0.1", port=options.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
