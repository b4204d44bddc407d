"""Requests to an engine, streamed: what it said, when the first token came, and how many tokens there were."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from quantize.evaluate.rows import Chat

REQUEST_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. Times are seconds; `error` is None when it was answered with at least one token."""

    text: str = ""
    tokens: int = 0
    first_token_seconds: float | None = None
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask, for which model, for how many tokens. `pinned` makes every answer exactly that long."""

    url: str
    model: str
    tokens: int
    pinned: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def ask_all(target: Target, chats: Sequence[Chat], concurrent: int, report: Callable[[int, int], None]) -> list[Asked]:
    """Ask everything, never more than `concurrent` at once; results in the order of the chats."""
    return asyncio.run(_ask_all(target, chats, concurrent, report))


async def _ask_all(
    target: Target, chats: Sequence[Chat], concurrent: int, report: Callable[[int, int], None]
) -> list[Asked]:
    places = asyncio.Semaphore(concurrent)
    done = 0

    async def one(session: aiohttp.ClientSession, chat: Chat) -> Asked:
        nonlocal done
        async with places:
            asked = await _ask(session, target, chat)
        done += 1
        report(done, len(chats))
        return asked

    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    # Before the engine closes an idle connection, which it does after 5 s: a request on one that is closing is lost.
    connector = aiohttp.TCPConnector(limit=concurrent, keepalive_timeout=2)
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False) as session,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(one(session, chat)) for chat in chats]
    return [task.result() for task in tasks]


async def _ask(session: aiohttp.ClientSession, target: Target, chat: Chat) -> Asked:
    """A failed request is a result too; what else goes wrong is raised."""
    body: dict[str, Any] = {
        "model": target.model,
        "messages": [dict(message) for message in chat],
        "temperature": 0,
        "max_tokens": target.tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if target.pinned:
        body |= {"ignore_eos": True, "min_tokens": target.tokens}
    started = time.perf_counter()
    first: float | None = None
    text, tokens = "", 0
    try:
        async with session.post(f"{target.url}/v1/chat/completions", json=body, headers=target.headers) as answer:
            if answer.status != 200:
                return Asked(error=f"status {answer.status}: {(await answer.text())[:200]}")
            async for line in answer.content:
                if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                    continue
                event = json.loads(line[6:])
                tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
                piece = "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
                if piece and first is None:
                    first = time.perf_counter() - started
                text += piece
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
        return Asked(error=f"{type(error).__name__}: {error}"[:200])
    if tokens == 0:
        return Asked(error="an answer without tokens")
    return Asked(text.strip(), tokens, first, time.perf_counter() - started)
