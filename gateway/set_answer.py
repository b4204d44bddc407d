"""Set answers: what a caller gets in place of text that the policy replaces, and in which language."""

import re
from collections.abc import Iterator
from typing import Any

from gateway.record import RequestEntry
from gateway.request import CheckedRequest
from gateway.surfaces import completions
from gateway.upstream import Event

REPLACED = "content_filter"
OBJECTS = {
    (True, True): "chat.completion.chunk",
    (True, False): "chat.completion",
    (False, True): "text_completion",
    (False, False): "text_completion",
}
_HAN = re.compile(r"[\u3400-\u9fff]")


def speaks_chinese(request: CheckedRequest) -> bool:
    """Whether the newest turn of the prompt holds Chinese characters: the set answer follows its language."""
    messages = request.body.get("messages")
    newest = messages[-1].get("content") if messages else request.body.get("prompt")
    return _HAN.search(str(newest)) is not None


def set_answer_events(
    request: CheckedRequest, text: str, choices: int, entry: RequestEntry, now: float
) -> Iterator[Event]:
    """A complete answer of the surface that says `text` in every choice. No node was asked, so no token is counted."""
    is_chat = request.surface.endpoint != completions.ENDPOINT
    head: Event = {
        "id": ("chatcmpl-" if is_chat else "cmpl-") + entry.id.removeprefix("req_"),
        "object": OBJECTS[is_chat, request.stream],
        "created": int(now),
        "model": request.model,
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if not request.stream:
        part = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        yield head | {"choices": [_choice(index, part, REPLACED) for index in range(choices)], "usage": usage}
        return
    for index in range(choices):
        part = {"delta": {"role": "assistant", "content": text}} if is_chat else {"text": text}
        yield head | {"choices": [_choice(index, part, None)]}
        yield head | {"choices": [_choice(index, {"delta": {}} if is_chat else {"text": ""}, REPLACED)]}
    if request.include_usage:
        yield head | {"choices": [], "usage": usage}


def _choice(index: int, part: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": index} | part | {"logprobs": None, "finish_reason": finish_reason}
