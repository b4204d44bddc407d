"""What a node reports of its use, and the texts of those events in which it reports nothing."""

from collections.abc import Iterator
from typing import Any, TypeGuard

from gateway.surfaces.chat import TEXT_FIELDS

MOST_TOKENS = 2**31 - 1


def is_count(value: Any) -> TypeGuard[int]:
    """Whether a node's number can be one of tokens at all."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS


def cached_part(usage: dict[str, Any]) -> int | None:
    """How many of the prompt's tokens the engine had cached; None where it doesn't say, or says what can't be."""
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return cached if is_count(cached) and cached <= usage["prompt_tokens"] else None


def generated_texts(event: dict[str, Any]) -> list[tuple[str, str]]:
    """Each text of an event with the field that it belongs to."""
    return [(f"{choice['index']}.{name}", text) for choice in event["choices"] for name, text in _fields(choice)]


def _fields(choice: dict[str, Any]) -> Iterator[tuple[str, str]]:
    said = choice.get("delta") or choice.get("message") or choice
    for name in (*TEXT_FIELDS, "text"):
        if isinstance(said.get(name), str) and said[name]:
            yield name, said[name]
    for position, call in enumerate(said.get("tool_calls") or ()):
        function = call.get("function") or {}
        for name in ("name", "arguments"):
            if isinstance(function.get(name), str):
                yield f"tool_calls.{call.get('index', position)}.{name}", function[name]
