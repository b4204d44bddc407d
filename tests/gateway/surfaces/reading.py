"""Answers of every endpoint read back into the same form: text by field, and how they ended."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

FINISHES = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}
INCOMPLETE = {"content_filter": "content_filter", "max_output_tokens": "length"}


@dataclass
class Said:
    """The text of each field (content, reasoning, refusal, tool calls by number), and the finish reason."""

    fields: dict[str, str] = field(default_factory=dict)
    finish: str | None = None
    usage: tuple[int, int] | None = None

    def add(self, name: str, text: str | None) -> None:
        if text:
            self.fields[name] = self.fields.get(name, "") + text

    def as_objects(self) -> dict[str, Any]:
        """The same with the arguments of calls as objects, for a format that has them so."""
        return {name: json.loads(text) if name.endswith(".arguments") else text for name, text in self.fields.items()}


def sse(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream whose events have names; each name is the type of its data."""
    events = []
    for block in response.text.split("\n\n"):
        if block:
            name, data = block.split("\n")
            events.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {events[-1]['type']}"
    return events


def read_chat(response: httpx.Response) -> Said:
    """A chat answer, streamed or whole."""
    assert response.status_code == 200, response.text
    said = Said()
    if response.headers["content-type"] == "application/json":
        answers = [response.json()]
    else:
        lines = [one.removeprefix("data: ") for one in response.text.split("\n\n") if one]
        assert lines.pop() == "[DONE]"
        answers = [json.loads(one) for one in lines]
    for answer in answers:
        for choice in answer["choices"]:
            part = choice.get("message") or choice.get("delta") or {}
            for name in ("content", "refusal"):
                said.add(name, part.get(name))
            said.add("reasoning", part.get("reasoning") or part.get("reasoning_content"))
            for position, call in enumerate(part.get("tool_calls") or ()):
                number = call.get("index", position)
                said.add(f"{number}.id", call.get("id"))
                said.add(f"{number}.name", call["function"].get("name"))
                said.add(f"{number}.arguments", call["function"].get("arguments"))
            said.finish = choice["finish_reason"] or said.finish
        if answer.get("usage"):
            said.usage = (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])
    return said


def read_response(response: httpx.Response) -> Said:
    """A Responses answer; of a stream its deltas, which must agree with what its other events say."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"] == "application/json":
        return _of_object(response.json())
    events = sse(response)
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    assert [one["type"] for one in events[:2]] == ["response.created", "response.in_progress"]
    whole = _of_object(events[-1]["response"])
    assert events[-1]["type"] == f"response.{events[-1]['response']['status']}"
    said = Said(finish=whole.finish, usage=whole.usage)
    numbers: dict[int, int] = {}
    done: dict[str, str] = {}
    for event in events:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added" and event["item"]["type"] == "function_call":
            number = numbers.setdefault(event["output_index"], len(numbers))
            said.add(f"{number}.id", event["item"]["call_id"])
            said.add(f"{number}.name", event["item"]["name"])
        elif kind.startswith("function_call_arguments"):
            name = f"{numbers[event['output_index']]}.arguments"
            said.add(name, event.get("delta"))
            done |= {name: event["arguments"]} if kind.endswith("done") and event["arguments"] else {}
        elif kind.endswith(".delta"):
            said.add(_name(kind), event["delta"])
        elif kind in ("output_text.done", "reasoning_text.done", "refusal.done"):
            text = event.get("text") or event.get("refusal")
            done |= {_name(kind): text} if text else {}
    assert {name: text for name, text in said.fields.items() if not name.endswith((".id", ".name"))} == done
    assert said.fields == whole.fields
    return said


def _name(kind: str) -> str:
    return {"output_text": "content", "reasoning_text": "reasoning", "refusal": "refusal"}[kind.split(".")[0]]


def _of_object(response: dict[str, Any]) -> Said:
    said = Said(finish=INCOMPLETE.get((response["incomplete_details"] or {}).get("reason", "")))
    number = 0
    for item in response["output"]:
        assert item["status"] in ("completed", "incomplete")
        if item["type"] == "function_call":
            said.add(f"{number}.id", item["call_id"])
            said.add(f"{number}.name", item["name"])
            said.add(f"{number}.arguments", item["arguments"])
            number += 1
        for part in item.get("content") or ():
            name = "reasoning" if part["type"] == "reasoning_text" else "content"
            said.add("refusal" if part["type"] == "refusal" else name, part.get("text") or part.get("refusal"))
    said.finish = said.finish or ("tool_calls" if number else "stop")
    assert (response["status"] == "completed") == (said.finish in ("stop", "tool_calls"))
    said.usage = (response["usage"]["input_tokens"], response["usage"]["output_tokens"])
    return said


def read_message(response: httpx.Response) -> Said:
    """An Anthropic message; a stream's blocks must come one after the other."""
    assert response.status_code == 200, response.text
    message = response.json() if response.headers["content-type"] == "application/json" else _collected(sse(response))
    said = Said(finish=FINISHES.get(message["stop_reason"], message["stop_reason"]))
    number = 0
    for block in message["content"]:
        if block["type"] == "tool_use":
            said.add(f"{number}.id", block["id"])
            said.add(f"{number}.name", block["name"])
            said.add(f"{number}.arguments", json.dumps(block["input"], ensure_ascii=False))
            number += 1
        elif block["type"] == "thinking":
            assert block["signature"]
            said.add("reasoning", block["thinking"])
        else:
            said.add("content", block["text"])
    said.usage = (message["usage"]["input_tokens"], message["usage"]["output_tokens"])
    return said


def _collected(events: list[dict[str, Any]]) -> dict[str, Any]:
    first, *rest, end, last = events
    message: dict[str, Any] = first["message"]
    assert (first["type"], end["type"], last) == ("message_start", "message_delta", {"type": "message_stop"})
    open_block: dict[str, Any] | None = None
    arguments = ""
    for event in rest:
        if event["type"] == "content_block_start":
            assert open_block is None
            assert event["index"] == len(message["content"])
            open_block, arguments = event["content_block"], ""
            message["content"].append(open_block)
        else:
            assert open_block is not None
            assert event["index"] == len(message["content"]) - 1
            delta = event.get("delta", {})
            for name in ("text", "thinking", "signature"):
                if name in delta:
                    open_block[name] += delta[name]
            arguments += delta.get("partial_json", "")
            if event["type"] == "content_block_stop":
                if open_block["type"] == "tool_use":
                    open_block["input"] = _parsed(arguments)
                open_block = None
    assert open_block is None
    return message | end["delta"] | {"usage": message["usage"] | end["usage"]}


def _parsed(arguments: str) -> Any:
    """A call that was cut has arguments that are no JSON: what there is of them."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments
