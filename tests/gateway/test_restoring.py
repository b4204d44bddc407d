"""Pseudonyms in answers: put back in every field, however the answer is cut into events."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.pseudonyms import Pseudonyms
from compliance.verdict import Action, Finding
from gateway.restoring import RestoredAnswer


@pytest.fixture(scope="module")
def vault() -> Pseudonyms:
    """张伟 is [姓名1], 李娜"x" is [姓名2]."""
    made = Pseudonyms(lambda _: "[姓名]")
    for name in ("张伟", '李娜"x'):
        span = Finding(
            0, len(name), "person_name", "personal_info", "medium", "entities", "r", "w", Action.pseudonymise
        )
        made.replace(name, [span])
    return made


def restored(vault: Pseudonyms, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    answer = RestoredAnswer(vault)
    for event in events:
        answer.apply(event)
    return events


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


@given(
    st.sampled_from(["[姓名1]你好", "给[姓名2]和[姓名1]", "[姓名9]不认识", "[[姓名1]", "[姓名", "没有"]),
    st.integers(1, 4),
)
def test_a_pseudonym_cut_anywhere_comes_back_whole(vault: Pseudonyms, text: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    events = restored(vault, [*(delta(content=piece) for piece in pieces), delta(finish="stop")])
    said = "".join(event["choices"][0]["delta"].get("content") or "" for event in events)
    assert said == text.replace("[姓名1]", "张伟").replace("[姓名2]", '李娜"x')


def test_whole_answers_and_each_choice(vault: Pseudonyms) -> None:
    choices = [{"index": at, "message": {"content": f"[姓名{at + 1}]"}, "finish_reason": "stop"} for at in (0, 1)]
    (event,) = restored(vault, [{"choices": choices}])
    assert [one["message"]["content"] for one in event["choices"]] == ["张伟", '李娜"x']


def test_tool_arguments_stay_json(vault: Pseudonyms) -> None:
    cut = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"to": "[姓', '名2]"}')]
    events = restored(vault, [*(delta(tool_calls=[one]) for one in cut), delta(finish="tool_calls")])
    calls = [one["choices"][0]["delta"].get("tool_calls", []) for one in events]
    arguments = "".join(call["function"]["arguments"] for some in calls for call in some)
    assert json.loads(arguments) == {"to": '李娜"x'}


def test_what_was_held_at_the_end_is_not_lost(vault: Pseudonyms) -> None:
    events = restored(vault, [delta(content="见[姓名"), delta(finish="stop")])
    assert [event["choices"][0]["delta"].get("content") for event in events] == ["见", "[姓名"]
    call = {"index": 1, "function": {"arguments": '"[姓'}}
    events = restored(vault, [delta(tool_calls=[call]), delta(finish="length")])
    assert events[1]["choices"][0]["delta"]["tool_calls"] == [{"index": 1, "function": {"arguments": "[姓"}}]
    completion = [{"choices": [{"index": 0, "text": "见[姓", "finish_reason": "length"}]}]
    assert restored(vault, completion)[0]["choices"][0]["text"] == "见[姓"
