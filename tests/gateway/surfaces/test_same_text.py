"""Responses and Anthropic messages say what chat says, field by field, and no event holds more."""

import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtests.fake_engine import Script
from tests.conftest import read_cases
from tests.gateway.conftest import Faulty
from tests.gateway.surfaces.reading import Said, read_chat, read_message, read_response

FIELDS = {"content", "reasoning", "tool_calls"}
ROWS = [one for one in read_cases("surfaces_out.jsonl") if "path" not in one and one.get("choices", 1) == 1]
"""Rows of one chat choice: the other formats have one."""


def ask_chat(faulty: Faulty, *, stream: bool) -> httpx.Response:
    return faulty.chat(stream=stream, stream_options={"include_usage": True} if stream else None)


def ask_responses(faulty: Faulty, *, stream: bool) -> httpx.Response:
    body = {"model": "opc-starter", "input": "写一句文案", "stream": stream}
    return faulty.client.post("/v1/responses", json=body)


def ask_messages(faulty: Faulty, *, stream: bool) -> httpx.Response:
    messages = [{"role": "user", "content": "写一句文案"}]
    body = {"model": "opc-starter", "messages": messages, "max_tokens": 99, "stream": stream}
    return faulty.client.post("/v1/messages", json=body)


def without_ids(response: httpx.Response) -> str:
    """All of an answer but its ids and signatures, whose random digits may hold anything."""
    return re.sub(r"[\w:-]{24,}", "", response.text, flags=re.ASCII)


def spoken_by_vllms_messages(case: dict[str, Any]) -> bool:
    """Whether vLLM's Anthropic endpoint would say it: no other fields, one call after the other, whole JSON in them."""
    calls: dict[int, str] = {}
    for delta in case["deltas"]:
        for call in delta.get("tool_calls", ()):
            if call["index"] < max(calls, default=0):
                return False
            calls[call["index"]] = calls.get(call["index"], "") + call["function"].get("arguments", "")
    try:
        for arguments in calls.values():
            json.loads(arguments)
    except ValueError:
        return False
    return set().union(*case["deltas"]) <= FIELDS


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("case", ROWS, ids=lambda case: case["id"])
def test_responses_say_what_chat_says(case: dict[str, Any], stream: bool, faulty: Faulty) -> None:
    faulty.engine.script = Script(case["deltas"], finish_reason=case.get("finish_reason", "stop"))
    response = ask_responses(faulty, stream=stream)
    for one in case["absent"]:
        assert one not in without_ids(response)
    said, chat = read_response(response), read_chat(ask_chat(faulty, stream=stream))
    assert said.fields == chat.fields
    assert said.finish == case["finish"]
    assert said.usage == chat.usage


MESSAGE_ROWS = [one for one in ROWS if spoken_by_vllms_messages(one)]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("case", MESSAGE_ROWS, ids=lambda case: case["id"])
def test_messages_say_what_chat_says(case: dict[str, Any], stream: bool, faulty: Faulty) -> None:
    faulty.engine.script = Script(case["deltas"], finish_reason=case.get("finish_reason", "stop"))
    response = ask_messages(faulty, stream=stream)
    for one in case["absent"]:
        assert one not in without_ids(response)
    said, chat = read_message(response), read_chat(ask_chat(faulty, stream=stream))
    assert said.finish == case["finish"]
    if case["id"] == "tool-arguments-masked-number":
        assert said.fields["0.arguments"] in ('{"unparsed_arguments": "{\\"t\\": [手机号]}"}', '"{\\"t\\": [手机号]}"')
    elif case["finish"] != "content_filter":
        assert said.as_objects() == chat.as_objects()
        assert said.usage == chat.usage
    else:
        assert _without(said) == _without(chat)


def _without(said: Said) -> dict[str, str]:
    """What is said besides calls: half a call is no JSON."""
    return {name: text for name, text in said.fields.items() if not name.endswith(("arguments", "name", "id"))}


PIECES = st.sampled_from(
    [
        "这里",
        "出售冰毒",
        "电话13800138000",
        "。",
        "好的，",
        "冰",
        "毒",
        "138",
        "a@b.com ",
        "hello ",
        "110101199003074514",
    ]
)


@st.composite
def scripts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Deltas of thought and text, cut anywhere."""
    deltas: list[dict[str, Any]] = []
    for name in draw(st.lists(st.sampled_from(["content", "reasoning"]), min_size=1, max_size=4)):
        text = "".join(draw(st.lists(PIECES, min_size=1, max_size=4)))
        cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=6)))
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            deltas.append({name: text[start:end]})
    return deltas


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deltas=scripts(), stream=st.booleans())
def test_the_same_text_for_any_cuts(deltas: list[dict[str, Any]], stream: bool, faulty: Faulty) -> None:
    faulty.engine.script = Script(deltas)
    chat = read_chat(ask_chat(faulty, stream=stream))
    responses, messages = ask_responses(faulty, stream=stream), ask_messages(faulty, stream=stream)
    assert read_response(responses).fields == chat.fields
    assert read_message(messages).fields == chat.fields
    assert read_response(responses).finish == read_message(messages).finish == chat.finish
    for secret in ("出售冰毒", "13800138000", "110101199003074514"):  # digits before it make another number of it
        assert (secret in responses.text + messages.text) <= (secret in "".join(chat.fields.values()))
