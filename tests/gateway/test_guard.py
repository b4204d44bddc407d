"""Properties of the answer guard with the shipped rules: any split of any fields gives the whole answer's result."""

import itertools
import json
from functools import cache
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.build import build_pipeline, shipped_settings
from compliance.pipeline import Pipeline
from gateway.guard import AnswerGuard
from gateway.record import RequestEntry
from gateway.request import CHAT, parse_request

SECRETS = ("13800138000", "出售冰毒", "zhang.san@example.com", "11010519491231002X", "6228480402564890018")
# Digits next to digits are another number, so every piece ends in something else.
PIECES = (
    *(f"{secret}。" for secret in SECRETS),
    "1380013、",
    "出售冰",
    "你好，",
    "99元。",
    "，",
    "@example.com。",
    "😀",
    "\n",
)
text = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)


@cache
def pipeline() -> Pipeline:
    return build_pipeline(shipped_settings())


def guard(*, stream: bool, logprobs: bool = False) -> AnswerGuard:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "stream": stream,
        "logprobs": logprobs,
    }
    request = parse_request(CHAT, orjson.dumps(body), max_choices=8)
    entry = RequestEntry(id="r", endpoint="chat.completions", started_at=0.0, rules_version="v")
    return AnswerGuard(pipeline(), request, entry)


def cut(data: st.DataObject, whole: str) -> list[str]:
    places = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    return [whole[start:end] for start, end in itertools.pairwise([0, *places, len(whole)])]


def collect(events: list[dict[str, Any]]) -> tuple[dict[str, str], str | None]:
    """(text of each field, finish_reason) of choice 0."""
    found: dict[str, str] = {}
    finish = None
    for choice in itertools.chain.from_iterable(event["choices"] for event in events):
        part = choice.get("delta") or choice.get("message") or {}
        for name in ("reasoning", "content"):
            found[name] = found.get(name, "") + (part.get(name) or "")
        for call in part.get("tool_calls", ()):
            found["arguments"] = found.get("arguments", "") + call["function"].get("arguments", "")
        finish = finish or choice["finish_reason"]
    return found, finish


def run(deltas: list[dict[str, Any]]) -> tuple[dict[str, str], str | None]:
    one = guard(stream=True)
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices[-1]["finish_reason"] = "stop"
    return collect([safe for choice in choices if (safe := one.apply({"choices": [choice]})) is not None])


@settings(max_examples=150, deadline=None)
@given(reasoning=text, content=text, data=st.data())
def test_a_stream_releases_what_the_whole_answer_does(reasoning: str, content: str, data: st.DataObject) -> None:
    message = {"role": "assistant", "content": content, "reasoning": reasoning}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = guard(stream=False).apply({"choices": [choice], "usage": None})
    assert answer is not None
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning": piece} for piece in cut(data, reasoning)]
    deltas += [{"content": piece} for piece in cut(data, content)]
    streamed, finish = run(deltas)
    whole, whole_finish = collect([answer])
    assert streamed.get("content", "") == whole.get("content", "")
    assert streamed.get("reasoning", "") == whole.get("reasoning", "")
    assert finish == whole_finish
    for secret in SECRETS:
        assert secret not in streamed.get("content", "") + streamed.get("reasoning", "")


@settings(max_examples=150, deadline=None)
@given(reasoning=text, content=text, data=st.data())
def test_fields_by_turns_release_what_the_whole_answer_does(reasoning: str, content: str, data: st.DataObject) -> None:
    message = {"role": "assistant", "content": content, "reasoning": reasoning}
    answer = guard(stream=False).apply(
        {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": None}
    )
    assert answer is not None
    waiting = {"reasoning": cut(data, reasoning), "content": cut(data, content)}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    while any(waiting.values()):
        name = data.draw(st.sampled_from([name for name, pieces in waiting.items() if pieces]))
        deltas.append({name: waiting[name].pop(0)})
    streamed, finish = run(deltas)
    whole, whole_finish = collect([answer])
    assert finish == whole_finish
    for name in ("content", "reasoning"):
        # After a block the rest is moot, and how much came before it depends on whose turn it was.
        assert finish != "stop" or streamed.get(name, "") == whole.get(name, "")
        assert not any(secret in streamed.get(name, "") for secret in SECRETS)


@settings(max_examples=100, deadline=None)
@given(value=text, ascii_only=st.booleans(), data=st.data())
def test_tool_arguments_keep_secrets_however_they_are_escaped(
    value: str, ascii_only: bool, data: st.DataObject
) -> None:
    arguments = json.dumps({"v": value}, ensure_ascii=ascii_only)
    first = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}
    rest = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in cut(data, arguments)]
    streamed, finish = run([first, *rest])
    released = streamed.get("arguments", "")
    if finish == "stop":
        assert all(secret not in json.loads(released)["v"] for secret in SECRETS)
    else:
        assert finish == "content_filter"
        assert "冰毒" not in released
        assert "\\u51b0\\u6bd2" not in released


@settings(max_examples=100, deadline=None)
@given(content=text, data=st.data())
def test_logprobs_spell_released_text_only(content: str, data: st.DataObject) -> None:
    one = guard(stream=True, logprobs=True)
    pieces = cut(data, content)
    tokens = ""
    released = ""
    for number, piece in enumerate(pieces):
        table = {"content": [{"token": char} for char in piece]}
        last = number == len(pieces) - 1
        choice = {"index": 0, "delta": {"content": piece}, "logprobs": table, "finish_reason": "stop" if last else None}
        safe = one.apply({"choices": [choice]})
        for out in safe["choices"] if safe else ():
            tokens += "".join(entry["token"] for entry in (out["logprobs"] or {"content": ()})["content"])
            released += out["delta"].get("content") or ""
    assert all(secret not in tokens for secret in SECRETS)
    masked = released
    for placeholder in ("[手机号]", "[邮箱]", "[身份证号]", "[银行卡号]", "***"):
        masked = masked.replace(placeholder, "")
    assert tokens == masked


def test_a_field_nobody_scans_does_not_come_through() -> None:
    message = {"role": "assistant", "content": "好", "audio": {"data": "x"}, "secret": "y", "annotations": ["z"]}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "token_ids": [1], "routed_experts": "q"}
    answer = guard(stream=False).apply(
        {"choices": [choice], "prompt_text": "p", "prompt_token_ids": [1], "usage": None}
    )
    assert answer is not None
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "好"}
    assert set(answer) <= {"model", "choices", "usage"}
    assert set(answer["choices"][0]) == {"index", "message", "logprobs", "finish_reason"}
