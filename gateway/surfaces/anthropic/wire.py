"""An answer as Anthropic's clients read it, and errors in Anthropic's body."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from gateway.errors import GatewayError
from gateway.surfaces.anthropic.blocks import TEXT, THINKING, TOOL, Blocks
from gateway.surfaces.wire import Event, Wire

if TYPE_CHECKING:
    from gateway.record import RequestEntry
    from gateway.request import CheckedRequest

STOPS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class AnthropicErrors(Wire):
    """Anthropic's error body: `{"type": "error", "error": {"type", "message"}, "request_id"}`."""

    def __init__(self) -> None:
        self._request_id = ""

    def refusal(self, error: GatewayError) -> bytes:
        return orjson.dumps(self._content(error))

    def broken(self, error: GatewayError) -> bytes:
        return written(self._content(error))

    def headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        self._request_id = request_id
        return [(b"request-id", request_id.encode())]

    def _content(self, error: GatewayError) -> Event:
        kind = ERROR_TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
        # The code and the field are this gateway's own: Anthropic's clients pass them over.
        content = {"type": kind, "message": error.message, "code": error.code, "param": error.param}
        return {"type": "error", "error": content, "request_id": self._request_id}


class AnthropicWire(AnthropicErrors):
    """Writes chat-like events, which have passed the guards, as Anthropic's messages."""

    _request: "CheckedRequest"
    _entry: "RequestEntry"
    _blocks: Blocks

    def __init__(self) -> None:
        super().__init__()
        self._began = False
        self._ending: dict[str, Any] = {"finish_reason": "stop"}
        self._usage: dict[str, Any] | None = None
        self._aigc: dict[str, Any] | None = None

    def begin(self, request: "CheckedRequest", entry: "RequestEntry") -> None:
        self._request = request
        self._entry = entry
        self._content_id = entry.id.removeprefix("req_")
        self._blocks = Blocks(self._content_id)

    def event(self, event: Event) -> bytes:
        return b"".join(map(written, self._events(event)))

    def _events(self, event: Event) -> Iterator[Event]:
        if not self._began:
            self._began = True
            yield {"type": "message_start", "message": self._message([], None, None)}
        self._note(event)
        for choice in event["choices"]:
            yield from self._said(choice["delta"])
            if choice["finish_reason"] is not None:
                self._ending = choice
                yield from self._blocks.close()

    def _note(self, event: Event) -> None:
        self._usage = event.get("usage") or self._usage
        self._aigc = event.get("aigc") or self._aigc

    def _said(self, delta: dict[str, Any]) -> Iterator[Event]:
        if delta.get("reasoning"):
            empty = {"type": THINKING, "thinking": "", "signature": ""}
            yield from self._blocks.add(THINKING, 0, delta["reasoning"], empty)
        if delta.get("content"):
            yield from self._blocks.add(TEXT, 0, delta["content"], {"type": TEXT, "text": ""})
        for call in delta.get("tool_calls") or ():
            function = call["function"]
            start: Event = {"type": TOOL, "id": call.get("id") or "", "name": function.get("name") or "", "input": {}}
            yield from self._blocks.add(TOOL, call["index"], function.get("arguments") or "", start)

    def end(self) -> bytes:
        last = list(self._blocks.close())
        reason, sequence = _stop(self._ending)
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        end: Event = {"type": "message_delta", "delta": delta, "usage": self._counted()}
        if self._aigc is not None:
            end["aigc"] = self._aigc
        return b"".join(map(written, [*last, end, {"type": "message_stop"}]))

    def whole(self, event: Event) -> bytes:
        self._note(event)
        (choice,) = event["choices"]
        reason, sequence = _stop(choice)
        return orjson.dumps(self._message(self._content_of(choice["message"]), reason, sequence))

    def _content_of(self, message: dict[str, Any]) -> list[Event]:
        content: list[Event] = []
        if message.get("reasoning"):
            content.append({"type": THINKING, "thinking": message["reasoning"], "signature": self._content_id})
        if message.get("content"):
            content.append({"type": TEXT, "text": message["content"]})
        for call in message.get("tool_calls") or ():
            function = call["function"]
            content.append(
                {"type": TOOL, "id": call["id"], "name": function["name"], "input": _input(function["arguments"])}
            )
        return content or [{"type": TEXT, "text": ""}]  # some clients take the first block for granted

    def _message(self, content: list[Event], reason: str | None, sequence: str | None) -> Event:
        out: Event = {
            "id": "msg_" + self._content_id,
            "type": "message",
            "role": "assistant",
            "model": self._request.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": sequence,
            "usage": self._counted(),
        }
        if self._aigc is not None:
            out["aigc"] = self._aigc
        return out

    def _counted(self) -> Event:
        usage = self._usage or {
            "prompt_tokens": self._entry.prompt_tokens or 0,
            "completion_tokens": self._entry.completion_tokens or 0,
        }
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return {
            "input_tokens": usage["prompt_tokens"] - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": usage.get("completion_tokens") or 0,
        }


def written(event: Event) -> bytes:
    """One event with its name."""
    kind: str = event["type"]
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def _stop(choice: dict[str, Any]) -> tuple[str, str | None]:
    """Anthropic's reason, and the stop word where it was one."""
    finish = choice.get("finish_reason")
    if finish == "stop" and isinstance(choice.get("stop_reason"), str):
        return "stop_sequence", choice["stop_reason"]
    return STOPS.get(finish or "", "end_turn"), None


def _input(arguments: str) -> Any:
    """The arguments as an object; where a mask has taken the place of a number they are no JSON any more."""
    try:
        return orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return {"unparsed_arguments": arguments}
