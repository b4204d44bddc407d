"""What a Responses request may hold. What needs a store or a tool of OpenAI's own is known, so as to be refused."""

from typing import Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from gateway.errors import InvalidRequest
from gateway.surfaces.shape import Ask, Json, Shape, StreamOptions

ENDPOINT = "responses"
PATH = "/v1/responses"

ROLES = ("user", "assistant", "system", "developer")
PART_FIELDS = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "summary_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
    "input_image": "image_url",
    "input_file": "file_data",
}
"""The types of content, and the field of each that has to be there."""

ITEM_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "message": (("role", "content"), ("status", "phase")),
    "function_call": (("call_id", "name", "arguments"), ("status",)),
    "function_call_output": (("call_id", "output"), ("status",)),
    "reasoning": ((), ("summary", "content", "encrypted_content", "status")),
}
"""The types of input items: the fields that must be there, and those that may be. Every item may have an id."""


class Part(Shape):
    """One part of an item's content. What an answer's parts hold besides is taken back and not passed on."""

    type: Literal[
        "input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal", "input_image", "input_file"
    ]
    text: StrictStr | None = None
    refusal: StrictStr | None = None
    annotations: list[Json] | None = None
    logprobs: list[Json] | None = None
    image_url: StrictStr | None = None
    detail: StrictStr | None = None
    file_data: StrictStr | None = None
    file_id: StrictStr | None = None
    file_url: StrictStr | None = None
    filename: StrictStr | None = None


class Item(Shape):
    """One item of the input. Which fields it may have depends on its type; `message` where none is given."""

    type: StrictStr | None = None
    id: StrictStr | None = None
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: StrictStr | list[Part] | None = None
    status: StrictStr | None = None
    phase: StrictStr | None = None
    call_id: StrictStr | None = None
    name: StrictStr | None = None
    arguments: StrictStr | None = None
    output: StrictStr | list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: StrictStr | None = None


class Tool(Shape):
    """A function that the model may call."""

    type: StrictStr
    name: StrictStr | None = None
    description: StrictStr | None = None
    parameters: Json | None = None
    strict: StrictBool | None = None


class TextFormat(Shape):
    """The form of the text: free, JSON, or JSON that fits a schema."""

    type: Literal["text", "json_object", "json_schema"]
    name: StrictStr | None = None
    description: StrictStr | None = None
    schema_: Json | None = Field(None, alias="schema")
    strict: StrictBool | None = None


class TextOptions(Shape):
    """How the text is to be."""

    format: TextFormat | None = None
    verbosity: StrictStr | None = None


class Reasoning(Shape):
    """How much the model is to think. A summary is never made: what the model thinks is answered as it is."""

    effort: StrictStr | None = None
    summary: StrictStr | None = None
    generate_summary: StrictStr | None = None


class ResponsesRequest(Ask):
    """The body of a Responses request: OpenAI's fields and some of vLLM's sampling ones."""

    input: StrictStr | list[Item]
    instructions: StrictStr | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: StrictInt | None = Field(None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    top_k: StrictInt | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    seed: StrictInt | None = None
    top_logprobs: StrictInt | None = Field(None, ge=0)
    tools: list[Tool] | None = None
    tool_choice: StrictStr | Json | None = None
    parallel_tool_calls: StrictBool | None = None
    text: TextOptions | None = None
    reasoning: Reasoning | None = None
    truncation: StrictStr | None = None
    include: list[StrictStr] | None = None
    metadata: dict[str, StrictStr] | None = None
    chat_template_kwargs: Json | None = None
    store: StrictBool | None = None
    background: StrictBool | None = None
    previous_response_id: StrictStr | None = None
    conversation: StrictStr | Json | None = None
    prompt: Json | None = None
    max_tool_calls: StrictInt | None = None
    user: StrictStr | None = None
    safety_identifier: StrictStr | None = None
    prompt_cache_key: StrictStr | None = None
    prompt_cache_retention: StrictStr | None = None
    service_tier: StrictStr | None = None


_SEND_IT_ALL = ("nothing is stored here; send the earlier items in 'input'", "此处不保存内容，请在 input 中附上前文")
NOT_HERE = {
    "background": ("answers are not made in the background; leave it out and wait", "不支持后台生成"),
    "previous_response_id": _SEND_IT_ALL,
    "conversation": _SEND_IT_ALL,
    "prompt": ("prompt templates are not kept here; send 'instructions' and 'input'", "不支持提示词模板"),
}


def reject_what_is_not_here(body: Json) -> None:
    """Raises InvalidRequest for what would need a store, a tool of OpenAI's own, or silent loss of text."""
    for name, (mend, zh) in NOT_HERE.items():
        if body.get(name):
            raise InvalidRequest(f"Field '{name}': {mend}. {zh}。", param=name)
    if body.get("truncation") not in (None, "disabled"):
        raise InvalidRequest(
            "Field 'truncation' may only be 'disabled': no text is left out silently here; send less. "
            "truncation 仅支持 disabled。",
            param="truncation",
        )
    for index, tool in enumerate(body.get("tools") or ()):
        if tool["type"] != "function":
            raise InvalidRequest(
                f"A tool of type '{tool['type'][:40]}' isn't run here; send tools of type 'function' only. "
                "仅支持 function 类型的工具。",
                param=f"tools.{index}.type",
            )
        if not tool.get("name"):
            raise _required(f"tools.{index}.name")


def check_items(items: list[Json]) -> None:
    """Raises InvalidRequest for an item or part of an unknown type, without what it needs, or with what it may not."""
    if not items:
        raise InvalidRequest("Field 'input' is empty; send at least one item. input 不能为空。", param="input")
    for index, item in enumerate(items):
        _check_item(item, f"input.{index}")


def _check_item(item: Json, where: str) -> None:
    kind = item.get("type") or "message"
    if kind not in ITEM_FIELDS:
        raise InvalidRequest(
            f"An item of type '{kind[:40]}' can't be used here; send {', '.join(ITEM_FIELDS)}. 不支持该类型的输入项。",
            param=f"{where}.type",
        )
    needed, allowed = ITEM_FIELDS[kind]
    for name in needed:
        if item.get(name) is None:
            raise _required(f"{where}.{name}")
    for name, value in item.items():
        if value is not None and name not in (*needed, *allowed, "type", "id"):
            raise InvalidRequest(
                f"Field '{where}.{name}' doesn't belong to an item of type '{kind}'; leave it out. 不应含此字段。",
                param=f"{where}.{name}",
            )
    if kind == "reasoning" and isinstance(item.get("content"), str):
        raise InvalidRequest(
            f"Field '{where}.content' must be a list of parts of type 'reasoning_text'. content 须为列表。",
            param=f"{where}.content",
        )
    for name in ("content", "output", "summary"):
        for number, part in enumerate(_parts(item.get(name))):
            _check_part(part, f"{where}.{name}.{number}")


def _parts(value: Any) -> list[Json]:
    return value if isinstance(value, list) else []


def _check_part(part: Json, where: str) -> None:
    needed = PART_FIELDS[part["type"]]
    for name in ("file_id", "file_url"):
        if part.get(name) is not None:
            raise InvalidRequest(
                f"Field '{where}.{name}': nothing is fetched from here; send the content itself. 请直接发送内容。",
                param=f"{where}.{name}",
            )
    if part.get(needed) is None:
        raise _required(f"{where}.{needed}")


def _required(path: str) -> InvalidRequest:
    return InvalidRequest(f"Field '{path}' is required. 缺少字段。", param=path)
