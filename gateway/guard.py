"""The output side of the pipeline: every field of every choice goes through a hold-back gate of its own.

Streamed events and whole answers take the same way: a whole answer is one event that also ends its choices.
Answers are rebuilt from named fields, so a field that nobody scans never reaches the caller.
"""

from typing import Any, Literal

from compliance.gate import Gate, Release
from compliance.pipeline import Pipeline
from compliance.verdict import Action, Finding, ScannerError
from gateway.errors import NodeFailed, ScanFailed
from gateway.logprobs import LogprobHold
from gateway.record import RequestEntry
from gateway.reported import cached_part, generated_texts, is_count
from gateway.request import CheckedRequest
from gateway.set_answer import speaks_chinese
from gateway.surfaces.chat import TEXT_FIELDS
from gateway.upstream import Event

CUT = "content_filter"
COPIED = ("id", "object", "created", "system_fingerprint")


class AnswerGuard:
    """Guards one answer: `apply` each event, and stop the engine when `cut` says that no choice is left."""

    def __init__(self, pipeline: Pipeline, request: CheckedRequest, entry: RequestEntry) -> None:
        self._pipeline = pipeline
        self._request = request
        self._entry = entry
        self._choices: dict[int, ChoiceGuard] = {}
        self._tokens: dict[int, int] = {}
        self._asked = choices_asked(request.body)
        self._head: Event = {}

    @property
    def cut(self) -> bool:
        """True once every choice has ended and at least one was cut, so that the rest of the stream is moot."""
        guards = self._choices.values()
        return self.any_cut and len(guards) >= self._asked and all(one.ended for one in guards)

    @property
    def any_cut(self) -> bool:
        """True once a choice was cut."""
        return any(one.blocked for one in self._choices.values())

    def apply(self, event: Event) -> Event | None:
        """The event as it may go out, or None when all of it is held back. Raises ScanFailed, NodeFailed."""
        try:
            return self._apply(event)
        except ScannerError as error:
            raise ScanFailed(
                f"The answer could not be checked ({error}); nothing unchecked was sent. 内容检查失败，已停止输出。"
            ) from error
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise NodeFailed("The model's node answered outside the protocol; try again.") from error

    def finish(self) -> Event | None:
        """What choices still hold that the engine ended without saying so. Raises ScanFailed."""
        return self.apply(self._head | {"choices": [one.last() for one in self._choices.values() if not one.ended]})

    def _apply(self, event: Event) -> Event | None:
        out: Event = {key: event[key] for key in COPIED if event.get(key) is not None}
        self._head = dict(out)
        out["model"] = self._request.model
        out["choices"] = []
        for choice in event["choices"]:
            guard = self._guard_of(choice["index"])
            guarded = guard.apply(choice)
            if guarded is not None:
                self._answer_instead(guarded, guard)
                out["choices"].append(guarded)
        self._count(event)
        usage = self._visible_usage(event)
        if usage is not None:
            out["usage"] = usage
        if not out["choices"] and (event["choices"] or usage is None):
            return None
        return out

    def _answer_instead(self, choice: dict[str, Any], guard: "ChoiceGuard") -> None:
        """Where the policy replaced the text, the set answer follows what had been released."""
        stopping = guard.stopping
        if stopping is None or stopping.action is not Action.substitute or self._pipeline.answers is None:
            return
        answer = self._pipeline.answers.text(stopping.risk, chinese=speaks_chinese(self._request))
        if guard.has_said:
            answer = "\n" + answer
        if "text" in choice:
            choice["text"] += answer
        else:
            part = choice["message" if "message" in choice else "delta"]
            part["content"] = (part.get("content") or "") + answer

    def _guard_of(self, index: int) -> "ChoiceGuard":
        if index not in self._choices:
            if not isinstance(index, int) or not 0 <= index < self._asked:
                raise KeyError("choice index")
            logprobs = self._request.body.get("logprobs")
            asked = logprobs is not None and logprobs is not False  # completions ask for the chosen tokens with 0
            whole = not self._request.stream
            self._choices[index] = ChoiceGuard(index, self._pipeline, self._entry, logprobs=asked, whole=whole)
        return self._choices[index]

    def _count(self, event: Event) -> None:
        """Keep the engine's token counts; a stream's running ones are per choice, the last one is the sum."""
        entry, usage = self._entry, event.get("usage")
        if not usage or not is_count(usage["prompt_tokens"]):
            entry.unreported += generated_texts(event)
            return
        entry.prompt_tokens = usage["prompt_tokens"]
        cached = cached_part(usage)
        entry.cached_tokens = entry.cached_tokens if cached is None else cached
        completion = usage.get("completion_tokens")
        completion = completion if is_count(completion) else 0
        if self._request.stream and event["choices"]:
            self._tokens[event["choices"][0]["index"]] = completion
            entry.completion_tokens = sum(self._tokens.values())
        else:
            entry.completion_tokens = completion

    def _visible_usage(self, event: Event) -> Any:
        usage = event.get("usage")
        if not self._request.stream or (not event["choices"] and self._request.include_usage):
            return usage
        return usage if self._request.continuous_usage else None


class ChoiceGuard:
    """Guards one choice: a gate for each field, opened when the field first has text."""

    def __init__(self, index: int, pipeline: Pipeline, entry: RequestEntry, *, logprobs: bool, whole: bool) -> None:
        """`whole`: everything comes in one event, whether or not it says that the choice is over."""
        self._index = index
        self._pipeline = pipeline
        self._entry = entry
        self._gates: dict[str, Gate] = {}
        self._named_calls: set[int] = set()
        self._logprobs = LogprobHold(pipeline) if logprobs else None
        self._final = whole
        self._closing = whole
        self._part = "message" if whole else "delta"
        self._empty: dict[str, Any] = {"delta": {}}
        self.blocked = False
        self.ended = False
        self.has_said = False
        self.stopping: Finding | None = None
        self.stopping_in: str | None = None

    def apply(self, choice: dict[str, Any]) -> dict[str, Any] | None:
        """The choice as it may go out now, or None when all of it is held back or it was cut before."""
        if self.ended:
            return None
        self._closing = self._final or choice.get("finish_reason") is not None
        out: dict[str, Any] = {"index": self._index}
        if "text" in choice:
            self._empty = {"text": ""}
            out["text"] = self._field("text", choice["text"] or "")
            out["logprobs"] = self._completion_logprobs(choice, choice["text"] or "")
        else:
            part = self._part
            out[part] = self._message(choice[part], whole=part == "message")
            out["logprobs"] = self._chat_logprobs(choice, choice[part].get("content") or "")
        out["finish_reason"] = CUT if self.blocked else choice.get("finish_reason")
        if choice.get("stop_reason") is not None and not self.blocked:
            out["stop_reason"] = choice["stop_reason"]
        self.ended = self.blocked or self._closing
        says = out["finish_reason"] or out.get("text") or out.get("delta") or out.get("message") or out["logprobs"]
        return out if says else None

    def last(self) -> dict[str, Any]:
        """An event that decides what the choice still holds, for an engine that never says that it is over."""
        self._final = True
        return {"index": self._index, **self._empty}

    def _message(self, message: dict[str, Any], *, whole: bool) -> dict[str, Any]:
        """A chat message or delta with its released text only."""
        released: dict[str, Any] = {}
        if message.get("role"):
            released["role"] = "assistant"
        for name in TEXT_FIELDS:
            text = message.get(name) or ""
            # What a field holds when the model turns to another one stays held: the model may come back to it.
            if text or (self._closing and name in self._gates):
                self._join(released, name, self._field(name, text))
        if whole or message.get("content") == "":
            # OpenAI's first delta and every whole message carry content, be it empty or null.
            released.setdefault("content", message.get("content") and "")
        if message.get("tool_calls") or (self._closing and self._named_calls):
            calls = self._tool_calls(message.get("tool_calls") or (), whole=whole)
            if calls:
                released["tool_calls"] = calls
        if self.stopping_in is not None and not self._closing:
            self._decide_fields_before(self.stopping_in, released)
        return released

    def _decide_fields_before(self, stopped: str, released: dict[str, Any]) -> None:
        """The choice is over where a field is stopped, so fields that come before it in a message are complete."""
        for name in TEXT_FIELDS:
            if name == stopped:
                return
            if name in self._gates:
                self._join(released, name, self._note(name, self._gates.pop(name).flush()))

    def _join(self, released: dict[str, Any], name: str, text: str) -> None:
        if text:
            released[name] = released.get(name, "") + text

    def _tool_calls(self, calls: Any, *, whole: bool) -> list[dict[str, Any]]:
        """Tool calls with their released names and arguments. Whole messages number calls by position."""
        out: dict[int, dict[str, Any]] = {}
        for position, call in enumerate(calls):
            index = position if whole else call["index"]
            out[index] = self._tool_call(index, call)
        if self._closing and not whole:
            for index in self._named_calls - out.keys():
                rest = self._field(_arguments(index), "", surface="json")
                if rest:
                    out[index] = {"index": index, "function": {"arguments": rest}}
        if self.blocked and whole:
            return []  # half a call is worse than none
        return [{key: one[key] for key in one if not whole or key != "index"} for one in out.values()]

    def _tool_call(self, index: int, call: dict[str, Any]) -> dict[str, Any]:
        function = call.get("function") or {}
        out: dict[str, Any] = {"index": index, "function": {}}
        if call.get("id"):  # some parsers take it from what the model wrote
            out |= {"id": self._whole_field(f"tool_calls.{index}.id", call["id"]), "type": "function"}
        if function.get("name") and index not in self._named_calls:
            self._named_calls.add(index)
            out["function"]["name"] = self._whole_field(f"tool_calls.{index}.name", function["name"])
        if function.get("arguments") is not None:
            out["function"]["arguments"] = self._field(_arguments(index), function["arguments"], surface="json")
        return out

    def _whole_field(self, name: str, text: str) -> str:
        """A field that comes in one piece."""
        return self._note(name, self._pipeline.gate("output").feed_whole(text))

    def _field(self, name: str, text: str, *, surface: Literal["text", "json"] = "text") -> str:
        """Feed a field's gate, and flush it when the choice ends with this event; the text that may go out."""
        if self.blocked:
            return ""
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = self._pipeline.gate("output", surface=surface)
        return self._note(name, gate.feed_whole(text) if self._closing else gate.feed(text))

    def _note(self, name: str, release: Release) -> str:
        """Record what was decided of a field, and that the choice is over when a span of it is blocked."""
        where = f"choices.{self._index}.{name}"
        if release.findings:
            self._entry.add_findings(where, release.findings)
        ranges = self._entry.released.get(where)
        if ranges is None:
            ranges = self._entry.released[where] = {"decided_to": 0, "covered": []}
        ranges["decided_to"] = release.end
        if release.masked:
            ranges["covered"].extend([list(span) for span in release.masked])
        if release.blocked and not self.blocked:
            self.blocked = ranges["cut"] = True
            self.stopping = release.findings[-1]
            self.stopping_in = name
            self._entry.broke_rules("output", self.stopping.action)
        if release.text and name in LOGPROB_FIELDS:
            self.has_said = True
        if self._logprobs is not None and name in LOGPROB_FIELDS:
            self._logprobs.decide(release.end, release.masked)
        return release.text

    def _chat_logprobs(self, choice: dict[str, Any], text: str) -> dict[str, Any] | None:
        if self._logprobs is None:
            return None
        table = (choice.get("logprobs") or {}).get("content") or ()
        left = self._logprobs.feed(text, [(one["token"], one) for one in table], final=self._ends_whole())
        return {"content": left} if left else None

    def _completion_logprobs(self, choice: dict[str, Any], text: str) -> dict[str, Any] | None:
        if self._logprobs is None:
            return None
        table = choice.get("logprobs")
        rows = list(zip(*(table[name] for name in LOGPROB_COLUMNS), strict=True)) if table else []
        left = self._logprobs.feed(text, [(row[0], row) for row in rows], final=self._ends_whole())
        return {name: [row[column] for row in left] for column, name in enumerate(LOGPROB_COLUMNS)} if left else None

    def _ends_whole(self) -> bool:
        return self._closing and not self.blocked


LOGPROB_FIELDS = ("content", "text")
LOGPROB_COLUMNS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")


def _arguments(index: int) -> str:
    return f"tool_calls.{index}.arguments"


def choices_asked(body: dict[str, Any]) -> int:
    """How many choices the engine will send: n for each prompt."""
    prompts = body.get("prompt")
    return (body.get("n") or 1) * (len(prompts) if isinstance(prompts, list) else 1)


def last_usage(request: CheckedRequest, entry: RequestEntry) -> Event:
    """A usage event for an answer that was cut before the engine sent its own."""
    prompt, completion = entry.prompt_tokens or 0, entry.completion_tokens or 0
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"model": request.model, "choices": [], "usage": usage}
