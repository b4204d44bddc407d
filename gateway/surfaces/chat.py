"""`/v1/chat/completions`: its request model and the places of text in a prompt and in an answer."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr

from compliance.guards.turns import Turn, Turns, prompt_turns
from gateway.surfaces.parts import Part, part_places, said_in
from gateway.surfaces.shape import Generation, Json, Place, Shape, field_strings

ENDPOINT = "chat.completions"
PATH = "/v1/chat/completions"
TEXT_FIELDS = ("reasoning_content", "reasoning", "content", "refusal")


class FunctionCall(Shape):
    """A call that the assistant made: a name and its arguments as JSON text."""

    name: StrictStr
    arguments: StrictStr


class ToolCall(Shape):
    """A tool call inside an assistant message."""

    id: StrictStr
    type: Literal["function"] = "function"
    function: FunctionCall
    index: StrictInt | None = None


class Message(Shape):
    """One message. Fields that clients send back from an answer are taken along."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: StrictStr | Annotated[list[Part], Field(min_length=1)] | None = None
    name: StrictStr | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: StrictStr | None = None
    refusal: StrictStr | None = None
    reasoning: StrictStr | None = None
    reasoning_content: StrictStr | None = None
    annotations: list[Json] | None = None
    audio: None = None
    function_call: None = None


class ChatRequest(Generation):
    """The body of a chat completion: OpenAI's fields and vLLM's sampling ones."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: StrictInt | None = Field(None, ge=1)
    logprobs: StrictBool | None = None
    top_logprobs: StrictInt | None = Field(None, ge=0)
    tools: list[Json] | None = None
    tool_choice: StrictStr | Json | None = None
    parallel_tool_calls: StrictBool | None = None
    reasoning_effort: StrictStr | None = None
    include_reasoning: StrictBool | None = None
    chat_template_kwargs: Json | None = None
    add_generation_prompt: StrictBool | None = None
    continue_final_message: StrictBool | None = None
    metadata: dict[str, Any] | None = None
    store: StrictBool | None = None
    service_tier: StrictStr | None = None
    safety_identifier: StrictStr | None = None
    prompt_cache_key: StrictStr | None = None
    verbosity: StrictStr | None = None
    modalities: list[Literal["text"]] | None = None


def prompt_places(body: Json) -> Iterator[Place]:
    """Every string of a chat request that can reach the model, message texts first."""
    for index, message in enumerate(body["messages"]):
        yield from _message_places(message, f"messages.{index}")
    yield from field_strings(
        body,
        (
            "tools",
            "tool_choice",
            "response_format",
            "structured_outputs",
            "stop",
            "bad_words",
            "reasoning_effort",
            "chat_template_kwargs",
        ),
    )


def _message_places(message: Json, param: str) -> Iterator[Place]:
    message.pop("annotations", None)
    for name in ("name", "refusal", "reasoning", "reasoning_content", "tool_call_id"):
        if isinstance(message.get(name), str):
            yield Place(f"{param}.{name}", message, name)
    yield from _content_places(message, param)
    for index, call in enumerate(message.get("tool_calls") or ()):
        function, where = call["function"], f"{param}.tool_calls.{index}"
        yield Place(f"{where}.id", call, "id")
        yield Place(f"{where}.function.name", function, "name")
        yield Place(f"{where}.function.arguments", function, "arguments", "json")


def _content_places(message: Json, param: str) -> Iterator[Place]:
    # What tools answer is mostly JSON, whose escapes a model reads as easily as the characters.
    kind: Literal["text", "json"] = "json" if message["role"] == "tool" else "text"
    content = message.get("content")
    if isinstance(content, str):
        yield Place(f"{param}.content", message, "content", kind)
    for index, part in enumerate(content if isinstance(content, list) else ()):
        yield from part_places(part, f"{param}.content.{index}", kind)


def joined_places(body: Json) -> list[list[Place]]:
    """The texts that are read in one go: all of the user's turns, other messages of one role in a row, parts.

    Answers of tools have nothing to do with each other, so only the parts of each are joined.
    """
    user: list[Place] = []
    joined = [user]
    before = ""
    for index, message in enumerate(body["messages"]):
        role = message["role"]
        texts = [one for one in _content_places(message, f"messages.{index}") if one.key in ("content", "text")]
        if role == "user":
            user += texts
        elif role == before != "tool":
            joined[-1] += texts
        else:
            joined.append(texts)
        before = role
    return [texts for texts in joined if len(texts) > 1]


def conversations(body: Json) -> list[tuple[str, Turns]]:
    """The conversation as guards read it, under the path of its newest message."""
    said = [
        Turn("assistant" if message["role"] == "assistant" else "user", _said(message)) for message in body["messages"]
    ]
    return [(f"messages.{len(said) - 1}", prompt_turns(said))]


def _said(message: Json) -> str:
    """All text of a message, one part below the other."""
    content = message.get("content") or ""
    texts = [said_in(part) for part in content] if isinstance(content, list) else [content]
    texts += [message.get(name) or "" for name in TEXT_FIELDS if name != "content"]
    for call in message.get("tool_calls") or ():
        texts.append(f"{call['function']['name']}({call['function']['arguments']})")
    return "\n".join(text for text in texts if text)
