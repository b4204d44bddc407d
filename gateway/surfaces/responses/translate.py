"""From a Responses request to the chat completion that the engine gets, with the caller's names for its fields."""

from typing import Any

from gateway.errors import InvalidRequest
from gateway.surfaces.parts import Unscanned, check_parts
from gateway.surfaces.responses.shape import check_items, reject_what_is_not_here
from gateway.surfaces.shape import Json
from gateway.surfaces.surface import Prepared

SAME = (
    "model", "stream", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "parallel_tool_calls",
    "chat_template_kwargs",
)  # fmt: skip
PART_NAMES = (("image_url", "input_image"), ("file", "input_file"), ("text", "input_text"))
LOGPROBS = "message.output_text.logprobs"
PATHS = {
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "response_format.json_schema": "text.format",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "tool_choice.function": "tool_choice",
}


def prepared(body: Json, parts: Unscanned) -> Prepared:
    """The request as a chat completion. Raises InvalidRequest in the caller's words for what can't be served here."""
    reject_what_is_not_here(body)
    chat: Json = {name: body[name] for name in SAME if body.get(name) is not None}
    conversation = Conversation()
    if body.get("instructions"):
        conversation.say("system", body["instructions"], "instructions")
    if isinstance(body["input"], str):
        conversation.say("user", body["input"], "input")
    else:
        check_items(body["input"])
        for index, item in enumerate(body["input"]):
            conversation.add(item, f"input.{index}")
    if not conversation.messages:
        raise InvalidRequest(
            "Field 'input' says nothing to the model; send a message. input 没有可用内容。", param="input"
        )
    chat["messages"] = conversation.messages
    _options(body, chat)
    paths = PATHS | conversation.paths
    paths |= {f"tools.{index}.function": f"tools.{index}" for index in range(len(chat.get("tools", ())))}
    return Prepared(chat, _unscanned(chat, parts, paths), paths)


class Conversation:
    """The messages so far. What the assistant thinks, says and calls in a row is one message, as templates want it."""

    def __init__(self) -> None:
        self.messages: list[Json] = []
        self.paths: dict[str, str] = {}

    def say(self, role: str, content: Any, path: str) -> None:
        """A message of one's own."""
        self.paths[f"messages.{len(self.messages)}.content"] = path
        self.messages.append({"role": role, "content": content})

    def add(self, item: Json, path: str) -> None:
        """One checked item."""
        kind = item.get("type") or "message"
        if kind == "function_call_output":
            self._result(item, path)
        elif kind == "function_call":
            self._call(item, path)
        elif kind == "reasoning":
            self._thought(item, path)
        elif item["role"] == "assistant":
            self._part_of_turn("content", _content(item["content"]), f"{path}.content", ("content", "tool_calls"))
        else:
            self.say(item["role"], _content(item["content"]), f"{path}.content")

    def _result(self, item: Json, path: str) -> None:
        where = f"messages.{len(self.messages)}"
        self.paths |= {f"{where}.tool_call_id": f"{path}.call_id", f"{where}.content": f"{path}.output"}
        self.messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": _content(item["output"])})

    def _call(self, item: Json, path: str) -> None:
        turn = self._turn(())
        calls = turn.setdefault("tool_calls", [])
        where = f"messages.{len(self.messages) - 1}.tool_calls.{len(calls)}"
        self.paths |= {f"{where}.id": f"{path}.call_id", f"{where}.function": path}
        function = {"name": item["name"], "arguments": item["arguments"]}
        calls.append({"id": item["call_id"], "type": "function", "function": function})

    def _thought(self, item: Json, path: str) -> None:
        texts = [part["text"] for part in item.get("content") or item.get("summary") or () if part.get("text")]
        if texts:
            self._part_of_turn("reasoning", "\n".join(texts), path, ("reasoning", "content", "tool_calls"))

    def _part_of_turn(self, name: str, value: Any, path: str, only_before: tuple[str, ...]) -> None:
        self._turn(only_before)[name] = value
        self.paths[f"messages.{len(self.messages) - 1}.{name}"] = path

    def _turn(self, only_before: tuple[str, ...]) -> Json:
        """The assistant's message that goes on, or a new one where there is none, or it is past this already."""
        last = self.messages[-1] if self.messages else {}
        if last.get("role") != "assistant" or any(last.get(name) for name in only_before):
            self.messages.append({"role": "assistant", "content": None})
        return self.messages[-1]


def _content(content: Any) -> Any:
    """Chat's content: text, or parts one for one."""
    return content if isinstance(content, str) else [_part(part) for part in content]


def _part(part: Json) -> Json:
    kind = part["type"]
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    if kind == "input_image":
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"]} | detail}
    if kind == "input_file":
        name = {"filename": part["filename"]} if part.get("filename") else {}
        return {"type": "file", "file": {"file_data": part["file_data"]} | name}
    return {"type": "text", "text": part["text"]}


def _options(body: Json, chat: Json) -> None:
    """Everything beside the conversation."""
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if body.get("tools"):
        chat["tools"] = [
            {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}
            for tool in body["tools"]
        ]
    if body.get("tool_choice") is not None:
        chat["tool_choice"] = _tool_choice(body["tool_choice"])
    effort = (body.get("reasoning") or {}).get("effort")
    if effort is not None:
        chat["reasoning_effort"] = effort
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type"}
        chat["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer"} | schema}
    elif form.get("type") == "json_object":
        chat["response_format"] = {"type": "json_object"}
    if LOGPROBS in (body.get("include") or ()) or body.get("top_logprobs"):
        chat |= {"logprobs": True, "top_logprobs": body.get("top_logprobs") or 0}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, str):
        if choice in ("none", "auto", "required"):
            return choice
    elif choice.get("type") == "function" and isinstance(choice.get("name"), str) and len(choice) == 2:
        return {"type": "function", "function": {"name": choice["name"]}}
    raise InvalidRequest(
        "Field 'tool_choice' may be 'none', 'auto', 'required' or {\"type\": \"function\", \"name\": …}. 字段无效。",
        param="tool_choice",
    )


def _unscanned(chat: Json, parts: Unscanned, paths: dict[str, str]) -> tuple[str, ...]:
    try:
        return tuple(check_parts(chat, parts))
    except InvalidRequest as error:
        path = error.param or ""
        message, _, rest = path.partition(".content.")
        called = f"{paths.get(message + '.content', 'input')}.{rest.removesuffix('.url')}"
        said = error.message.replace(path, called)
        for theirs, ours in PART_NAMES:
            said = said.replace(f"type '{theirs}'", f"type '{ours}'")
        raise InvalidRequest(said, param=called) from None
