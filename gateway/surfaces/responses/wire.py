"""A Responses answer as its clients read it: one object, or typed events with numbers and no [DONE] at their end."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from gateway.errors import GatewayError
from gateway.surfaces.responses.items import Items
from gateway.surfaces.wire import Event, Wire

if TYPE_CHECKING:
    from gateway.record import RequestEntry
    from gateway.request import CheckedRequest

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0}


class ResponsesWire(Wire):
    """Writes chat-like events, which have passed the guards, as a Responses answer."""

    _request: "CheckedRequest"
    _entry: "RequestEntry"
    _items: Items

    def __init__(self) -> None:
        self._known = False
        self._began = False
        self._number = 0
        self._created = 0
        self._finish: str | None = None
        self._usage: dict[str, Any] | None = None
        self._aigc: dict[str, Any] | None = None

    def begin(self, request: "CheckedRequest", entry: "RequestEntry") -> None:
        self._request = request
        self._entry = entry
        self._created = int(entry.started_at)
        self._items = Items(entry.id.removeprefix("req_"))
        self._known = True

    def event(self, event: Event) -> bytes:
        return b"".join(self._written(one) for one in self._events(event))

    def _events(self, event: Event) -> Iterator[Event]:
        if not self._began:
            self._began = True
            yield {"type": "response.created", "response": self._response("in_progress")}
            yield {"type": "response.in_progress", "response": self._response("in_progress")}
        self._note(event)
        for choice in event["choices"]:
            yield from self._said(choice["delta"], (choice.get("logprobs") or {}).get("content"))
            if choice["finish_reason"] is not None:
                self._finish = choice["finish_reason"]
                yield from self._items.close(complete=self._finish not in INCOMPLETE)

    def _note(self, event: Event) -> None:
        self._usage = event.get("usage") or self._usage
        self._aigc = event.get("aigc") or self._aigc

    def _said(self, part: dict[str, Any], logprobs: list[Any] | None) -> Iterator[Event]:
        """The events of a delta, or of a whole message."""
        thought = part.get("reasoning") or part.get("reasoning_content")
        if thought:
            yield from self._items.say("reasoning", thought)
        if part.get("content") or logprobs:
            yield from self._items.say("content", part.get("content") or "", logprobs)
        if part.get("refusal"):
            yield from self._items.say("refusal", part["refusal"])
        for position, call in enumerate(part.get("tool_calls") or ()):
            yield from self._items.call(call.get("index", position), call)

    def end(self) -> bytes:
        complete = self._finish not in INCOMPLETE
        last = list(self._items.close(complete=True)) if self._finish is None else []
        kind = "completed" if complete else "incomplete"
        last.append({"type": f"response.{kind}", "response": self._response(kind)})
        return b"".join(self._written(one) for one in last)

    def whole(self, event: Event) -> bytes:
        self._note(event)
        (choice,) = event["choices"]
        self._finish = choice["finish_reason"]
        complete = self._finish not in INCOMPLETE
        for _ in self._said(choice["message"], (choice.get("logprobs") or {}).get("content")):
            pass
        for _ in self._items.close(complete=complete):
            pass
        return orjson.dumps(self._response("completed" if complete else "incomplete"))

    def refusal(self, error: GatewayError) -> bytes:
        self._rename(error)
        return super().refusal(error)

    def broken(self, error: GatewayError) -> bytes:
        self._rename(error)
        for _ in self._items.close(complete=False):
            pass
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        failure = {"code": code, "message": error.message}
        return self._written({"type": "response.failed", "response": self._response("failed") | {"error": failure}})

    def _rename(self, error: GatewayError) -> None:
        """The engine names the fields that it was sent."""
        if self._known and error.param is not None:
            error.param = self._request.called(error.param)

    def _written(self, event: Event) -> bytes:
        numbered = event | {"sequence_number": self._number}
        self._number += 1
        kind: str = event["type"]
        return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(numbered) + b"\n\n"

    def _response(self, status: str) -> Event:
        asked = self._request.asked
        over = status != "in_progress"
        reason = INCOMPLETE.get(self._finish or "") if status == "incomplete" else None
        out: Event = {
            "id": "resp_" + self._entry.id.removeprefix("req_"),
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": reason} if reason else None,
            "model": self._request.model,
            "output": self._items.output(),
            "usage": self._counted() if over else None,
            "store": False,
            "background": False,
            "previous_response_id": None,
            "truncation": "disabled",
            "metadata": asked.get("metadata") or {},
            "tools": self._tools(),
            "tool_choice": asked.get("tool_choice") or "auto",
            "parallel_tool_calls": asked.get("parallel_tool_calls") is not False,
            "instructions": self._instructions(),
            "max_output_tokens": asked.get("max_output_tokens"),
            "temperature": asked.get("temperature"),
            "top_p": asked.get("top_p"),
            "reasoning": {"effort": (asked.get("reasoning") or {}).get("effort"), "summary": None},
            "text": {"format": (asked.get("text") or {}).get("format") or {"type": "text"}},
            "service_tier": "default",
        }
        if self._aigc is not None:
            out["aigc"] = self._aigc
        return out

    def _counted(self) -> Event:
        known = self._usage or {
            "prompt_tokens": self._entry.prompt_tokens or 0,
            "completion_tokens": self._entry.completion_tokens or 0,
        }
        prompt, completion = known["prompt_tokens"], known.get("completion_tokens") or 0
        cached = (known.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        thought = (known.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": prompt + completion,
        }

    def _tools(self) -> list[Event]:
        """The tools as the engine got them, masked where they had to be."""
        tools = self._request.body.get("tools") or ()
        return [{"type": "function", "strict": None, "parameters": None} | tool["function"] for tool in tools]

    def _instructions(self) -> str | None:
        """The instructions, masked likewise."""
        if not self._request.asked.get("instructions"):
            return None
        text: str = self._request.body["messages"][0]["content"]
        return text
