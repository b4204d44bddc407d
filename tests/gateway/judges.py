"""Judges for tests: one that a test answers by hand, and one that knows keywords and takes its time."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from compliance.guards.turns import Turns
from compliance.verdict import Action, Direction, Finding
from configs.schema import GuardSettings
from gateway.guard_client import GuardFailed
from gateway.record import RequestEntry
from gateway.request import CHAT, CheckedRequest, parse_request


def settings(**fields: object) -> GuardSettings:
    return GuardSettings.model_validate(
        {"name": "g", "protocol": "qwen3guard", "url": "http://127.0.0.1:1", "model": "m"} | fields
    )


def request(*, stream: bool = True, n: int = 1, usage: bool = False) -> CheckedRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "写一句"}], "stream": stream, "n": n}
    body |= {"stream_options": {"include_usage": True}} if usage else {}
    return parse_request(CHAT, orjson.dumps(body), max_choices=8)


def entry() -> RequestEntry:
    return RequestEntry(id="r", endpoint="chat.completions", started_at=0.0, rules_version="v")


def finding(start: int, end: int, action: Action) -> Finding:
    return Finding(start, end, "guard", "other_illegal", "high", "guard", "guard:g/x", "x", action)


@dataclass
class HandJudge:
    """Answers when and what the test says."""

    settings: GuardSettings
    asked: list[tuple[str, int, int, asyncio.Future]] = field(default_factory=list)

    async def judge(self, turns: Turns, direction: Direction, start: int, end: int) -> tuple[Finding, ...]:
        answer: asyncio.Future = asyncio.get_running_loop().create_future()
        assert direction == "output"
        assert [turn.role for turn in turns] == ["user", "assistant"]
        self.asked.append((turns[-1].text, start, end, answer))
        return await answer

    def say(self, verdict: str, text: str | None = None) -> None:
        """Answer the oldest judgement, or the one about `text`."""
        waiting = next(one for one in self.asked if text is None or one[0] == text)
        self.asked.remove(waiting)
        _, start, end, answer = waiting
        if verdict == "fails":
            answer.set_exception(GuardFailed("g", "can't be reached"))
            return
        actions = {"safe": (), "unsafe": (Action.block,), "controversial": (Action.flag,)}[verdict]
        answer.set_result(tuple(finding(start, end, action) for action in actions))


@dataclass
class KeywordJudge:
    """Blocks what holds a keyword, after a random number of turns of the event loop."""

    settings: GuardSettings
    keywords: Sequence[str]
    chance: random.Random
    safe: set[str] = field(default_factory=set)
    open: int = 0

    async def judge(self, turns: Turns, _direction: Direction, start: int, end: int) -> tuple[Finding, ...]:
        self.open += 1
        try:
            for _ in range(self.chance.randrange(6)):
                await asyncio.sleep(0)
        finally:
            self.open -= 1
        text = turns[-1].text
        if any(keyword in text for keyword in self.keywords):
            return (finding(start, end, Action.block),)
        self.safe.add(text)
        return ()
