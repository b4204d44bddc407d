"""The judging of streams: a table step by step, and properties over any chunks, fields, choices and delays."""

import asyncio
import itertools
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from compliance.guards.pieces import Pieces
from compliance.policies.policy import RepeatedViolationRule
from gateway.errors import GatewayError, NodeFailed
from gateway.judging import judged
from gateway.record import RequestEntry
from gateway.upstream import Event
from tests.conftest import read_cases
from tests.gateway.judges import HandJudge, KeywordJudge, entry, request, settings

HEAD = {"id": "c", "object": "chat.completion.chunk", "model": "m"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


class Line:
    """A stage at work on a stream that the test writes, and what comes out of it."""

    def __init__(self, case: dict) -> None:
        self.judge = HandJudge(settings(mode=case["mode"], on_failure=case.get("on_failure", "refuse")))
        self.entry = entry()
        self.seen = ""
        self.closed = False
        self._written: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        asked = request(n=case.get("n", 1), usage=case.get("usage", False))
        self._events = judged(self._engine(), [self.judge], asked, self.entry)
        self.task = asyncio.create_task(self._read())

    async def _engine(self) -> AsyncGenerator[Event]:
        try:
            while (event := await self._written.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed = True

    async def _read(self) -> None:
        try:
            async for event in self._events:
                self.seen += show(event)
        except GatewayError as error:
            self.seen += f"!{error.code}"

    def write(self, delta: Any, index: int, finish: str | None) -> None:
        delta = {"content": delta} if isinstance(delta, str) else delta
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        self._written.put_nowait(HEAD | {"choices": [choice]})

    def write_other(self, event: Event | Exception | None) -> None:
        self._written.put_nowait(event)


def show(event: Event) -> str:
    """An event as the table writes it."""
    out = "" if event["choices"] else "#"
    for choice in event["choices"]:
        assert event["model"] == "m"
        delta = choice["delta"]
        out += f"{choice['index']}:" if choice["index"] else ""
        out += f"({delta['reasoning']})" if delta.get("reasoning") else ""
        out += (delta.get("content") or "") + (delta.get("refusal") or "")
        out += "".join(f"{{{call['function']['arguments']}}}" for call in delta.get("tool_calls", ()))
        out += f"|{choice['finish_reason']}" if choice["finish_reason"] else ""
    return out


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("case", read_cases("guard_stages.jsonl"), ids=lambda case: case["id"])
async def test_steps(case: dict) -> None:
    line = Line(case)
    for kind, value, *more in case["steps"]:
        if kind == "delta":
            line.write(value, more[0] if more else 0, None)
        elif kind == "finish":
            line.write({}, more[0] if more else 0, value)
        elif kind == "usage":
            line.write_other(HEAD | {"choices": [], "usage": USAGE})
        elif kind == "end":
            line.write_other(None)
        elif kind == "dies":
            line.write_other(NodeFailed("gone"))
        elif kind == "asks":
            assert line.judge.asked[0][0] == value
        elif kind == "verdict":
            line.judge.say(value)
        elif kind == "verdict-of":
            line.judge.say(more[0], value)
        else:
            assert kind == "sees"
            assert line.seen == value
            line.seen = ""
        await settle()
    await asyncio.wait_for(line.task, 5)
    assert line.seen == ""
    assert line.closed, "the engine's stream is still open"
    assert asyncio.all_tasks() == {asyncio.current_task()}
    cut = any(value == "unsafe" or "unsafe" in more for _, value, *more in case["steps"])
    assert ("cut" in line.entry.outcome) == cut
    assert bool(line.entry.findings) == (cut or case["id"] == "strict-flags-and-goes-on")
    assert ("guard g can't be reached" in line.entry.note) == (["verdict", "fails"] in case["steps"])


async def test_the_record_says_how_far_the_guards_judged() -> None:
    line = Line({"mode": "strict", "on_failure": "flag"})
    line.write("一。二。三。", 0, None)
    await settle()
    line.judge.say("safe")
    line.judge.say("fails")
    line.judge.say("safe")
    line.write({}, 0, "stop")
    line.write_other(None)
    await line.task
    assert line.seen == "一。二。三。|stop"
    assert line.entry.released["choices.0.content"] == {"judged_to": 2}, "what follows a failure is not judged"


async def test_a_finding_is_recorded_once() -> None:
    line = Line({"mode": "cutoff"})
    line.write("一。二。三。", 0, None)
    await settle()
    for _ in range(3):
        line.judge.say("controversial")
    line.write({}, 0, "stop")
    line.write_other(None)
    await line.task
    assert [(one["where"], one["start"], one["end"], one["action"]) for one in line.entry.findings] == [
        ("choices.0.content", 0, 2, "flag")
    ]


@pytest.mark.parametrize(("mode", "sees"), [("strict", "|content_filter"), ("cutoff", "一。|content_filter")])
async def test_a_cut_answer_is_a_violation_where_the_policy_counts_outputs(mode: str, sees: str) -> None:
    line = Line({"mode": mode})
    line.entry.repeated_violations = RepeatedViolationRule(
        in_a_row=3, in_a_day=5, suspend_hours=1, count=frozenset({"output"})
    )
    line.write("一。", 0, None)
    await settle()
    line.judge.say("unsafe")
    await line.task
    assert (line.seen, line.entry.violation) == (sees, "block")


@pytest.mark.parametrize("mode", ["strict", "cutoff"])
async def test_a_dry_run_records_and_lets_through(mode: str) -> None:
    line = Line({"mode": mode})
    line.entry.dry_run = True
    line.write("一。", 0, None)
    await settle()
    line.judge.say("unsafe")
    line.write({}, 0, "stop")
    line.write_other(None)
    await line.task
    assert line.seen == "一。|stop"
    assert [(one["action"], one["dry_run"]) for one in line.entry.findings] == [("block", True)]
    assert line.entry.violation is None


@pytest.mark.parametrize("mode", ["strict", "cutoff"])
async def test_a_client_that_leaves_leaves_no_task(mode: str) -> None:
    line = Line({"mode": mode})
    for text in ("一。", "二。", "三"):
        line.write(text, 0, None)
    await settle()
    assert len(line.judge.asked) == 2
    line.task.cancel()
    await asyncio.wait([line.task])
    assert line.closed
    assert all(answer.cancelled() for *_, answer in line.judge.asked)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("mode", ["strict", "cutoff"])
async def test_a_guard_slower_than_the_engine_slows_the_engine_down(mode: str) -> None:
    line = Line({"mode": mode})
    for _ in range(100):
        line.write("一。", 0, None)
    await settle()
    await settle()
    assert len(line.judge.asked) == 8, "judgements of one answer under way together are bounded"
    assert line._written.qsize() > 80, "the engine's events wait in the connection, not in memory"
    line.task.cancel()
    await asyncio.wait([line.task])


async def test_a_client_that_reads_slowly_slows_the_engine_down() -> None:
    taken = 0

    async def engine() -> AsyncGenerator[Event]:
        nonlocal taken
        for number in range(1, 101):
            taken = number
            yield HEAD | {
                "choices": [{"index": 0, "delta": {"content": "好"}, "logprobs": None, "finish_reason": None}]
            }

    async with aclosing(judged(engine(), [HandJudge(settings(mode="cutoff"))], request(), entry())) as events:
        await anext(events)
        before = taken
        await settle()
        assert taken <= before + 1, "events pile up for a client that does not read"


KEYWORDS = ("卖货", "坏")
words = st.lists(st.sampled_from(["好", "卖", "货", "坏", "。", "！？", "\n", "a b", "字" * 120, "😀"]), max_size=14)
text = words.map("".join)
choices = st.lists(st.tuples(text, text), min_size=1, max_size=3)


def split(data: st.DataObject, whole: str) -> list[str]:
    places = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    return [whole[start:end] for start, end in itertools.pairwise([0, *places, len(whole)])]


def allowed(reasoning: str, content: str) -> tuple[str, str, str]:
    """(reasoning, content, finish) that a strict stage may release of a choice, by the rule and not by the code."""
    released = []
    for whole in (reasoning, content):
        pieces = Pieces()
        spans = pieces.feed(whole) + pieces.flush()
        bad = next((start for start, end in spans if any(word in whole[:end] for word in KEYWORDS)), None)
        released.append(whole if bad is None else whole[:bad])
        if bad is not None:
            return (released[0], released[1] if len(released) > 1 else "", "content_filter")
    return (released[0], released[1], "stop")


def streamed(data: st.DataObject, wanted: list[tuple[str, str]]) -> list[Event]:
    """The choices as a stream, in any chunks, interleaved in any way."""
    lanes = []
    for index, (reasoning, content) in enumerate(wanted):
        deltas = [{"reasoning": one} for one in split(data, reasoning)]
        deltas += [{"content": one} for one in split(data, content)]
        parts = [{"index": index, "delta": one, "logprobs": None, "finish_reason": None} for one in deltas]
        if data.draw(st.booleans()):
            parts.append({"index": index, "delta": {}, "logprobs": None, "finish_reason": None})
        parts[-1]["finish_reason"] = "stop"
        lanes.append(parts)
    events = []
    while any(lanes):
        lane = data.draw(st.sampled_from([one for one in lanes if one]))
        events.append(HEAD | {"choices": [lane.pop(0)]})
    return events


async def run(
    events: list[Event], judge: KeywordJudge, *, n: int, stream: bool, record: RequestEntry | None = None
) -> dict[int, dict[str, str]]:
    """What comes out, by choice; on the way, that nothing strict is out before it was judged."""
    chance = judge.chance

    async def engine() -> AsyncGenerator[Event]:
        for event in events:
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            yield event

    out = {index: {"reasoning": "", "content": "", "finish": ""} for index in range(n)}
    async with aclosing(judged(engine(), [judge], request(stream=stream, n=n), record or entry())) as released:
        async for event in released:
            for choice in event["choices"]:
                seen = out[choice["index"]]
                part = choice.get("delta") or choice.get("message") or {}
                assert not seen["finish"], "text behind the end"
                for name in ("reasoning", "content"):
                    seen[name] += part.get(name) or ""
                    if judge.settings.mode == "strict":
                        assert not seen[name] or any(one.startswith(seen[name]) for one in judge.safe)
                seen["finish"] = choice["finish_reason"] or ""
            await asyncio.sleep(0)
    assert judge.open == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return out


@examples(max_examples=200, deadline=None)
@given(wanted=choices, data=st.data(), seed=st.integers(0, 2**32))
def test_strict_releases_what_is_judged_and_no_more(wanted: list, data: st.DataObject, seed: int) -> None:
    judge = KeywordJudge(settings(mode="strict"), KEYWORDS, random.Random(seed))
    out = asyncio.run(run(streamed(data, wanted), judge, n=len(wanted), stream=True))
    for index, (reasoning, content) in enumerate(wanted):
        assert tuple(out[index].values()) == allowed(reasoning, content)


@examples(max_examples=100, deadline=None)
@given(wanted=choices, mode=st.sampled_from(["strict", "cutoff"]), seed=st.integers(0, 2**32))
def test_a_whole_answer_is_what_strict_releases(wanted: list, mode: str, seed: int) -> None:
    parts = [
        {
            "index": index,
            "message": {"role": "assistant", "content": content, "reasoning": reasoning},
            "finish_reason": "stop",
            "logprobs": {"content": [{"token": content}]},
        }
        for index, (reasoning, content) in enumerate(wanted)
    ]
    judge = KeywordJudge(settings(mode=mode), KEYWORDS, random.Random(seed))
    event = HEAD | {"choices": parts, "usage": USAGE}
    out = asyncio.run(run([event], judge, n=len(wanted), stream=False))
    for index, (reasoning, content) in enumerate(wanted):
        assert tuple(out[index].values()) == allowed(reasoning, content)


@examples(max_examples=200, deadline=None)
@given(wanted=choices, data=st.data(), seed=st.integers(0, 2**32))
def test_cutoff_ends_as_strict_does(wanted: list, data: st.DataObject, seed: int) -> None:
    judge = KeywordJudge(settings(mode="cutoff"), KEYWORDS, random.Random(seed))
    record = entry()
    out = asyncio.run(run(streamed(data, wanted), judge, n=len(wanted), stream=True, record=record))
    ends = [allowed(*one)[2] for one in wanted]
    assert [out[index]["finish"] for index in range(len(wanted))] == ends
    assert (record.outcome == "cut") == ("content_filter" in ends)
    for index, (reasoning, content) in enumerate(wanted):
        assert reasoning.startswith(out[index]["reasoning"])
        assert content.startswith(out[index]["content"])
        if ends[index] == "stop":
            assert (out[index]["reasoning"], out[index]["content"]) == (reasoning, content)


@examples(max_examples=60, deadline=None)
@given(wanted=choices, data=st.data(), seed=st.integers(0, 2**32), after=st.integers(0, 12))
def test_leaving_at_any_moment_leaves_nothing_behind(wanted: list, data: st.DataObject, seed: int, after: int) -> None:
    events = streamed(data, wanted)
    mode = data.draw(st.sampled_from(["strict", "cutoff"]))
    judge = KeywordJudge(settings(mode=mode), KEYWORDS, random.Random(seed))

    async def leave() -> None:
        task = asyncio.create_task(run(events, judge, n=len(wanted), stream=True))
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert judge.open == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(leave())


def test_a_cut_whole_answer_shows_no_probabilities_and_no_half_call() -> None:
    message = {
        "role": "assistant",
        "content": "好。坏。",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    logprobs = {"content": [{"token": "坏"}]}
    part = {"index": 0, "message": message, "finish_reason": "stop", "stop_reason": 7, "logprobs": logprobs}
    judge = KeywordJudge(settings(), KEYWORDS, random.Random(0))

    async def one() -> Event:
        async def engine() -> AsyncGenerator[Event]:
            yield HEAD | {"choices": [part], "usage": USAGE}

        (event,) = [event async for event in judged(engine(), [judge], request(stream=False), entry())]
        return event

    event = asyncio.run(one())
    assert event["usage"] == USAGE
    assert event["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "好。"},
            "logprobs": None,
            "finish_reason": "content_filter",
        }
    ]
