"""A model's chat template, rendered as vLLM and transformers render it, without importing either (a second, 43 MB)."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

Json = dict[str, Any]


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what an assistant says, for training; here only its content matters."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own way to name them

    def parse(self, parser: Any) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


class ChatTemplate:
    """Renders chats. `render` says besides whether the text is the very one that vLLM would make."""

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        """`special_tokens` are what templates call bos_token, eos_token and the like."""
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
        )
        environment.filters["tojson"] = _tojson
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _strftime_now
        self._template = environment.from_string(source)
        self._special_tokens = dict(special_tokens or {})
        self._knows_developer = "'developer'" in source or '"developer"' in source
        self._reads_parts = "['type']" in source or '["type"]' in source or ".type ==" in source

    def render(self, body: Json) -> tuple[str, bool]:
        """The prompt of a chat request, and whether it is exact. Raises jinja2.TemplateError."""
        exact = not body.get("continue_final_message") and not body.get("documents")
        messages = []
        for message in body["messages"]:
            messages.append(_as_vllm(message))
            parts = message.get("content")
            exact = exact and (message["role"] != "developer" or self._knows_developer)
            exact = exact and not (self._reads_parts and isinstance(parts, list) and len(parts) > 1)
        asked = dict(body.get("chat_template_kwargs") or {})
        if body.get("reasoning_effort") is not None:
            asked.setdefault("enable_thinking", body["reasoning_effort"] != "none")
            asked["reasoning_effort"] = body["reasoning_effort"]
        generate = body.get("add_generation_prompt")
        variables: Json = {**self._special_tokens, **asked}
        variables |= {"messages": messages, "tools": _tools(body), "documents": None}
        variables["add_generation_prompt"] = True if generate is None else generate
        return self._template.render(variables), exact


def _as_vllm(message: Json) -> Json:
    """A message as vLLM hands it to the template: text parts joined, arguments of calls as objects."""
    role = message["role"]
    out: Json = {"role": role, "content": _text(message.get("content"))}
    if role == "assistant":
        if message.get("tool_calls"):
            out["tool_calls"] = [_call(one) for one in message["tool_calls"]]
        if message.get("reasoning") is not None:
            out["reasoning"] = out["reasoning_content"] = message["reasoning"]
    elif role == "tool" and "tool_call_id" in message:
        out["tool_call_id"] = message["tool_call_id"]
    if isinstance(message.get("name"), str):
        out["name"] = message["name"]
    return out


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text") or part.get("refusal") or "" for part in content)
    return content or ""


def _call(call: Json) -> Json:
    function = dict(call["function"])
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    function["arguments"] = arguments if isinstance(arguments, dict) else {}
    return call | {"function": function}


def _tools(body: Json) -> list[Json] | None:
    """The tools in the order and with the fields in which vLLM's own models write them."""
    tools: list[Json] | None = body.get("tools")
    return None if tools is None else [_tool(one) for one in tools]


def _tool(tool: Json) -> Json:
    function = tool.get("function") or {}
    out = {name: function.get(name) for name in ("name", "description", "parameters")}
    for name in ("strict", "defer_loading"):
        if function.get(name) is not None:
            out[name] = function[name]
    return {"type": tool.get("type", "function"), "function": out}


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: int | None = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """jinja's own escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> str:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)
