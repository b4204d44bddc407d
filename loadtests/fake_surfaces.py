"""The fake engine's other endpoints: vLLM's Anthropic events out of a script of chat deltas, vectors, token ids."""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
PATH = "/v1/messages"


def message(merged: Json, finish_reason: str | None, tokens: int) -> Json:
    """A whole message as vLLM's converter makes it of a chat message."""
    content: list[Json] = []
    if merged.get("reasoning"):
        content.append({"type": "thinking", "thinking": merged["reasoning"], "signature": "fake"})
    if merged.get("content"):
        content.append({"type": "text", "text": merged["content"]})
    for call in merged.get("tool_calls", ()):
        function = call["function"]
        arguments = json.loads(function["arguments"] or "{}")
        content.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments})
    return {
        "id": "fake-1",
        "type": "message",
        "role": "assistant",
        "model": "x",
        "content": content or [{"type": "text", "text": ""}],
        "stop_reason": STOPS.get(finish_reason or "stop"),
        "usage": {"input_tokens": 7, "output_tokens": tokens},
    }


def message_events(deltas: list[Json], finish_reason: str | None) -> Iterator[Json]:
    """The stream of the same, as vLLM's converter writes it: one block after the other."""
    start = message({}, None, 0) | {"content": [], "stop_reason": None}
    yield {"type": "message_start", "message": start}
    index, opened = -1, ""
    for delta in deltas:
        for key, block, said in _pieces(delta):
            if key != opened:
                if opened:
                    yield {"type": "content_block_stop", "index": index}
                index, opened = index + 1, key
                yield {"type": "content_block_start", "index": index, "content_block": block}
            if said:
                yield {"type": "content_block_delta", "index": index, "delta": said}
    if opened:
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": STOPS.get(finish_reason or "stop"), "stop_sequence": None}
    usage = {"input_tokens": 7, "output_tokens": len(deltas)}
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}


def _pieces(delta: Json) -> Iterator[tuple[str, Json, Json | None]]:
    """The block that each part of a delta belongs to, the block's start, and what is said in it."""
    if delta.get("reasoning"):
        thought = {"type": "thinking_delta", "thinking": delta["reasoning"]}
        yield "thinking", {"type": "thinking", "thinking": ""}, thought
    if delta.get("content"):
        yield "text", {"type": "text", "text": ""}, {"type": "text_delta", "text": delta["content"]}
    for call in delta.get("tool_calls", ()):
        function = call["function"]
        block = {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": {}}
        arguments = function.get("arguments")
        said = {"type": "input_json_delta", "partial_json": arguments} if arguments else None
        yield f"tool-{call['index']}", block, said


def embeddings(body: Json) -> Json:
    """Vectors of two numbers that depend on the text."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = []
    for index, text in enumerate(texts):
        vector: Any = [float(len(text)), float(sum(map(ord, text)) % 97)]
        if body.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
        data.append({"index": index, "object": "embedding", "embedding": vector})
    tokens = sum(map(len, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
    return {"id": "embd-1", "object": "list", "created": 1, "model": "x", "data": data, "usage": usage}


def tokenize(body: Json) -> Json:
    """One token per character."""
    text = body["prompt"] if body.get("prompt") is not None else json.dumps(body["messages"], ensure_ascii=False)
    strings = list(text) if body.get("return_token_strs") else None
    return {"count": len(text), "max_model_len": 1024, "tokens": list(map(ord, text)), "token_strs": strings}


def detokenize(body: Json) -> Json:
    """The characters again."""
    return {"prompt": "".join(chr(one) if one < 0xD800 else "?" for one in body["tokens"])}


def count_tokens(body: Json) -> Json:
    """One token per character of the body."""
    tokens = len(json.dumps(body["messages"], ensure_ascii=False))
    return {"input_tokens": tokens, "context_management": {"original_input_tokens": tokens}}


Answer = Callable[[Json], Json]
ANSWERS: dict[str, Answer] = {
    "/tokenize": tokenize,
    "/detokenize": detokenize,
    "/v1/messages/count_tokens": count_tokens,
}
