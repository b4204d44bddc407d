"""From vLLM's Anthropic events to chat-like ones, so that the same guards read them.

vLLM says here how many tokens an answer has only at its end. Until then every event counts as one token, which is the
least that it can be: what is cut or left in the middle is not free.
"""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from gateway.errors import NodeFailed

Event = dict[str, Any]
FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}


async def decoded(events: AsyncGenerator[Event], context_tokens: int) -> AsyncGenerator[Event]:
    """The same answer as chat-like events. Raises NodeFailed for what isn't the protocol, and what `events` raises.

    Token counts over the model's context can't be true, so they aren't the protocol either.
    """
    decoder = Decoder(context_tokens)
    async with aclosing(events):
        async for event in events:
            try:
                chat_like = list(decoder.feed(event))
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise NodeFailed("The model's node answered outside the protocol; try again.") from error
            for one in chat_like:
                yield one


class Decoder:
    """One answer's events."""

    def __init__(self, context_tokens: int) -> None:
        self._context_tokens = context_tokens
        self._head: Event = {}
        self._calls: dict[int, int] = {}
        self._prompt_tokens = 0
        self._events = 0

    def feed(self, event: Event) -> Iterator[Event]:
        """The chat-like events that one event makes, often none."""
        kind = event["type"]
        if kind == "message":
            yield self._whole(event)
        elif kind == "message_start":
            self._head = {"id": event["message"]["id"]}
            self._prompt_tokens = self._usage(event["message"]["usage"])["prompt_tokens"]
            yield self._choice({"role": "assistant", "content": ""})
        elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            yield self._choice({"tool_calls": [self._call(event["index"], event["content_block"])]})
        elif kind == "content_block_delta":
            delta = self._delta(event["index"], event["delta"])
            if delta:
                self._events += 1
                yield self._choice(delta)
        elif kind == "message_delta":
            yield self._choice({}, event["delta"])
            yield self._head | {"choices": [], "usage": self._usage(event["usage"])}

    def _choice(self, delta: Event, ending: Event | None = None) -> Event:
        usage = {"prompt_tokens": self._prompt_tokens, "completion_tokens": self._events}
        choice = {"index": 0, "delta": delta, "finish_reason": None} | (_ending(ending) if ending is not None else {})
        return self._head | {"choices": [choice], "usage": usage | {"total_tokens": sum(usage.values())}}

    def _call(self, index: int, block: Event) -> Event:
        self._calls[index] = len(self._calls)
        function = {"name": block["name"], "arguments": ""}
        return {"index": self._calls[index], "id": block["id"], "type": "function", "function": function}

    def _delta(self, index: int, delta: Event) -> Event:
        kind = delta["type"]
        if kind == "text_delta":
            return {"content": delta["text"]}
        if kind == "thinking_delta":
            return {"reasoning": delta["thinking"]}
        if kind == "input_json_delta":
            return {"tool_calls": [{"index": self._calls[index], "function": {"arguments": delta["partial_json"]}}]}
        return {}  # a signature: the gateway gives its own

    def _whole(self, event: Event) -> Event:
        message: Event = {"role": "assistant", "content": None}
        calls = []
        for block in event["content"]:
            if block["type"] == "text":
                message["content"] = (message["content"] or "") + block["text"]
            elif block["type"] == "thinking":
                message["reasoning"] = message.get("reasoning", "") + block["thinking"]
            elif block["type"] == "tool_use":
                function = {"name": block["name"], "arguments": json.dumps(block["input"], ensure_ascii=False)}
                calls.append({"id": block["id"], "type": "function", "function": function})
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message} | _ending(event)
        return {"id": event["id"], "choices": [choice], "usage": self._usage(event["usage"])}

    def _usage(self, usage: Event) -> Event:
        """OpenAI's counts. Anthropic's input_tokens leave out what came from the cache. Raises ValueError."""
        cached = usage.get("cache_read_input_tokens") or 0
        prompt = usage["input_tokens"] + cached + (usage.get("cache_creation_input_tokens") or 0)
        completion = usage["output_tokens"]
        for count in (cached, prompt, completion):
            if type(count) is not int or not 0 <= count <= self._context_tokens:
                raise ValueError("not a count of tokens")
        counted: Event = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        return counted | ({"prompt_tokens_details": {"cached_tokens": cached}} if cached else {})


def _ending(said: Event) -> Event:
    finish = FINISH.get(said.get("stop_reason") or "end_turn", "stop")
    stopped_by = {"stop_reason": said["stop_sequence"]} if said.get("stop_sequence") is not None else {}
    return {"finish_reason": finish} | stopped_by
