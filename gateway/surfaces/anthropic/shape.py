"""What Anthropic's messages may hold here: strict, since a field that nobody scans must not reach the engine."""

from typing import Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from gateway.errors import InvalidRequest
from gateway.surfaces.parts import Unscanned
from gateway.surfaces.shape import Ask, Json, Shape
from gateway.surfaces.surface import Prepared

ENDPOINT = "messages"
PATH = "/v1/messages"
COUNT_ENDPOINT = "messages.count_tokens"
COUNT_PATH = "/v1/messages/count_tokens"

BLOCK_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text": (("text",), ()),
    "image": (("source",), ()),
    "thinking": (("thinking",), ()),
    "redacted_thinking": ((), ()),
    "tool_use": (("id", "name", "input"), ()),
    "tool_result": (("tool_use_id",), ("content", "is_error")),
}
"""The types of blocks: the fields that must be there, and those that may be."""

NOT_READ = ("cache_control", "citations", "signature", "data", "caller")
"""Fields of blocks and tools that clients send and that say nothing to an engine: taken, and not passed on."""


class Block(Shape):
    """One block of content. Which fields it may have depends on its type."""

    type: Literal["text", "image", "thinking", "redacted_thinking", "tool_use", "tool_result"]
    text: StrictStr | None = None
    source: Json | None = None
    thinking: StrictStr | None = None
    signature: StrictStr | None = None
    data: StrictStr | None = None
    id: StrictStr | None = None
    name: StrictStr | None = None
    input: Json | None = None
    tool_use_id: StrictStr | None = None
    content: "StrictStr | list[Block] | None" = None
    is_error: StrictBool | None = None
    cache_control: Json | None = None
    citations: list[Json] | None = None
    caller: Json | None = None


class Message(Shape):
    """One message."""

    role: Literal["user", "assistant", "system"]
    content: StrictStr | list[Block]


class Tool(Shape):
    """A tool that the client runs."""

    type: StrictStr | None = None
    name: StrictStr
    description: StrictStr | None = None
    input_schema: Json | None = None
    strict: StrictBool | None = None
    cache_control: Json | None = None


class ToolChoice(Shape):
    """Whether and what the model must call."""

    type: Literal["auto", "any", "tool", "none"]
    name: StrictStr | None = None
    disable_parallel_tool_use: StrictBool | None = None


class Thinking(Shape):
    """How much the model is to think."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: StrictInt | None = None
    display: StrictStr | None = None


class OutputConfig(Shape):
    """Effort, and the form of the text."""

    effort: StrictStr | None = None
    format: Json | None = None


class CountTokensRequest(Ask):
    """The body of a count of tokens."""

    messages: list[Message] = Field(min_length=1)
    system: StrictStr | list[Block] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    chat_template_kwargs: Json | None = None


class MessagesRequest(CountTokensRequest):
    """The body of a message: Anthropic's fields."""

    max_tokens: StrictInt = Field(ge=1)
    stream: StrictBool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: StrictInt | None = None
    stop_sequences: list[StrictStr] | None = None
    metadata: Json | None = None
    service_tier: StrictStr | None = None


def prepared(body: Json, parts: Unscanned) -> Prepared:
    """The body without what no engine reads. Raises InvalidRequest for blocks and tools that can't be served here."""
    unscanned: list[str] = []
    for index, block in enumerate(body["system"] if isinstance(body.get("system"), list) else ()):
        if block["type"] != "text":
            raise InvalidRequest(
                f"A block of type '{block['type']}' can't be a system prompt; send text. 系统提示词仅支持文本。",
                param=f"system.{index}.type",
            )
        _check(block, f"system.{index}", parts, unscanned)
    for index, message in enumerate(body["messages"]):
        for number, block in enumerate(message["content"] if isinstance(message["content"], list) else ()):
            _check(block, f"messages.{index}.content.{number}", parts, unscanned)
    for index, tool in enumerate(body.get("tools") or ()):
        _check_tool(tool, f"tools.{index}")
    return Prepared(body, tuple(unscanned))


def _check(block: Json, where: str, parts: Unscanned, unscanned: list[str]) -> None:
    for name in NOT_READ:
        block.pop(name, None)
    kind = block["type"]
    needed, allowed = BLOCK_FIELDS[kind]
    for name in needed:
        if block.get(name) is None:
            raise InvalidRequest(f"Field '{where}.{name}' is required. 缺少字段。", param=f"{where}.{name}")
    for name in list(block):
        if name not in ("type", *needed, *allowed) and block.pop(name) is not None:
            raise InvalidRequest(
                f"Field '{where}.{name}' doesn't belong to a block of type '{kind}'; leave it out. 不应含此字段。",
                param=f"{where}.{name}",
            )
    if kind == "image":
        _check_image(block, where, parts)
        unscanned.append("image")
    inner = block.get("content")
    for number, one in enumerate(inner if isinstance(inner, list) else ()):
        if one["type"] not in ("text", "image"):
            raise InvalidRequest(
                f"A block of type '{one['type']}' can't be in a tool's result; send text. 工具结果仅支持文本。",
                param=f"{where}.content.{number}.type",
            )
        _check(one, f"{where}.content.{number}", parts, unscanned)


def _check_image(block: Json, where: str, parts: Unscanned) -> None:
    if parts == "refuse":
        raise InvalidRequest(
            "A block of type 'image' can't be scanned, so it is refused; send blocks of type 'text' only. "
            "图片无法检查，请仅发送文本。",
            param=f"{where}.type",
        )
    source = block["source"]
    if source.get("type") != "base64" or set(source) != {"type", "media_type", "data"}:
        raise InvalidRequest(
            f"Field '{where}.source' must be of type 'base64' with media_type and data; no address is fetched from "
            "here. 请直接发送 base64 图片，服务不会抓取外部地址。",
            param=f"{where}.source",
        )


def _check_tool(tool: Json, where: str) -> None:
    if tool.pop("type", None) not in (None, "custom"):
        raise InvalidRequest(
            f"Tools that a server runs are not here; send tools with an input_schema at '{where}'. 不支持服务端工具。",
            param=f"{where}.type",
        )
    if tool.get("input_schema") is None:
        raise InvalidRequest(f"Field '{where}.input_schema' is required. 缺少字段。", param=f"{where}.input_schema")
    tool.pop("cache_control", None)
