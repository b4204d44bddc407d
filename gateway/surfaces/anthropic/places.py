"""Where text is in Anthropic's messages, and the conversation as guards read it."""

import json
from collections.abc import Iterator

from compliance.guards.turns import Turn, Turns, prompt_turns
from gateway.surfaces.shape import Json, Kind, Place, field_strings, strings_below

OTHER_FIELDS = ("tools", "tool_choice", "stop_sequences", "output_config", "chat_template_kwargs")


def prompt_places(body: Json) -> Iterator[Place]:
    """Every string of a request that can reach the model, the system prompt first."""
    yield from _content_places(body, "system", "system")
    for index, message in enumerate(body["messages"]):
        yield from _content_places(message, "content", f"messages.{index}.content")
    yield from field_strings(body, OTHER_FIELDS)


def _content_places(holder: Json, key: str, param: str) -> Iterator[Place]:
    content = holder.get(key)
    if isinstance(content, str):
        yield Place(param, holder, key)
    for index, block in enumerate(content if isinstance(content, list) else ()):
        yield from _block_places(block, f"{param}.{index}")


def _block_places(block: Json, param: str) -> Iterator[Place]:
    kind = block["type"]
    if kind in ("text", "thinking"):
        yield Place(f"{param}.{kind}", block, kind)
    elif kind == "tool_use":
        yield Place(f"{param}.id", block, "id")
        yield Place(f"{param}.name", block, "name")
        yield from strings_below(block["input"], f"{param}.input")
    elif kind == "tool_result":
        yield Place(f"{param}.tool_use_id", block, "tool_use_id")
        yield from _result_places(block, f"{param}.content")


def _result_places(block: Json, param: str) -> Iterator[Place]:
    # What tools answer is mostly JSON, whose escapes a model reads as easily as the characters.
    kind: Kind = "json"
    content = block.get("content")
    if isinstance(content, str):
        yield Place(param, block, "content", kind)
    for index, one in enumerate(content if isinstance(content, list) else ()):
        if one["type"] == "text":
            yield Place(f"{param}.{index}.text", one, "text", kind)


def joined_places(body: Json) -> list[list[Place]]:
    """The texts that are read in one go: all of the user's turns, the system prompt, one turn's or result's blocks."""
    system = list(_content_places(body, "system", "system"))
    user: list[Place] = []
    joined = [system, user]
    for index, message in enumerate(body["messages"]):
        param = f"messages.{index}.content"
        texts = [one for one in _content_places(message, "content", param) if one.key in ("content", "text")]
        if message["role"] == "user":
            user += [one for one in texts if one.kind == "text"]
            joined += _results(message, param)
        elif message["role"] == "system":
            system += texts
        else:
            joined.append(texts)
    return [texts for texts in joined if len(texts) > 1]


def _results(message: Json, param: str) -> list[list[Place]]:
    """The texts of each tool's result: results have nothing to do with each other."""
    content = message["content"]
    return [
        list(_result_places(block, f"{param}.{index}.content"))
        for index, block in enumerate(content if isinstance(content, list) else ())
        if block["type"] == "tool_result"
    ]


def conversations(body: Json) -> list[tuple[str, Turns]]:
    """The conversation as guards read it, under the path of its newest message."""
    said = [Turn("user", text) for text in [_said(body.get("system") or "")] if text]
    said += [
        Turn("assistant" if one["role"] == "assistant" else "user", _said(one["content"])) for one in body["messages"]
    ]
    return [(f"messages.{len(body['messages']) - 1}", prompt_turns(said))]


def _said(content: str | list[Json]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(text for text in map(_said_in, content) if text)


def _said_in(block: Json) -> str:
    kind = block["type"]
    if kind == "tool_use":
        return f"{block['name']}({json.dumps(block['input'], ensure_ascii=False)})"
    said: str = _said(block.get("content") or "") if kind == "tool_result" else block.get(kind) or ""
    return said if isinstance(said, str) else ""
