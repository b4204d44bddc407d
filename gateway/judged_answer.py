"""The state of one answer under judgement: which text is in which event, how far it is judged, what may go out.

No tasks here and no waiting: `add` takes an event in and names the pieces to judge, `settle` takes a judgement in, and
`release` gives the events that are decided, in their order.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from compliance.guards.pieces import Pieces
from compliance.verdict import Finding, strictest
from gateway.guard import CUT
from gateway.record import RequestEntry
from gateway.surfaces.chat import TEXT_FIELDS
from gateway.upstream import Event

Part = dict[str, Any]
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


class JudgedAnswer:
    """One answer under judgement. `strict` and `cutoff` are the names of the guards of either mode."""

    def __init__(self, entry: RequestEntry, strict: Iterable[str], cutoff: Iterable[str], choices_asked: int) -> None:
        self._entry = entry
        self._strict = frozenset(strict)
        self._cutoff = frozenset(cutoff)
        self._asked = choices_asked
        self._choices: dict[int, Choice] = {}
        self._waiting: deque[tuple[Event, list[list[Held]]]] = deque()
        self._noted: set[tuple[str, str]] = set()
        self._head: Event = {}

    @property
    def any_cut(self) -> bool:
        """True once a choice was cut."""
        return any(choice.cut for choice in self._choices.values())

    @property
    def cut(self) -> bool:
        """True once every choice has ended and at least one was cut, so that the rest of the stream is moot."""
        every = self._choices.values()
        return self.any_cut and len(every) >= self._asked and all(choice.ended for choice in every)

    @property
    def settled(self) -> bool:
        """True when no event waits and no judgement is missing."""
        return not self._waiting and all(choice.ended or choice.settled for choice in self._choices.values())

    def add(self, event: Event) -> list["Piece"]:
        """Take an event in; the pieces that are complete now."""
        self._head = {key: value for key, value in event.items() if key not in ("choices", "usage")}
        pieces: list[Piece] = []
        parts = []
        for part in event["choices"]:
            choice = self._choices.setdefault(part["index"], Choice(part["index"], "text" in part))
            held = []
            for name, holder, key in text_fields(part):
                field = choice.fields.setdefault(name, Field(choice, name))
                # When the model turns to another field, the sentence it left is over.
                pieces += self._close(other for other in choice.fields.values() if other is not field)
                field.text += holder[key]
                pieces += self._pieces(field, field.cuts.feed(holder[key]))
                held.append(Held(field, holder, key, len(field.text)))
            if part["finish_reason"] is not None:
                pieces += self._close(choice.fields.values())
            parts.append(held)
        self._waiting.append((event, parts))
        return pieces

    def close(self) -> list["Piece"]:
        """The stream is over: the pieces that it leaves unfinished."""
        return [piece for choice in self._choices.values() for piece in self._close(choice.fields.values())]

    def _close(self, fields: Iterable["Field"]) -> list["Piece"]:
        return [piece for field in fields for piece in self._pieces(field, field.cuts.flush())]

    def _pieces(self, field: "Field", spans: list[tuple[int, int]]) -> list["Piece"]:
        new = [Piece(field, start, end, self._strict, self._cutoff) for start, end in spans]
        field.pieces.extend(new)
        return new

    def settle(self, piece: "Piece", guard: str, findings: tuple[Finding, ...], *, failed: bool = False) -> None:
        """Take a guard's judgement of a piece in. `failed`: there is none, and none is wanted."""
        if piece.moot:
            return
        field = piece.field
        piece.findings += findings
        if strictest(findings).stops and not self._entry.dry_run:
            piece.blocked = True
            field.choice.cut_now |= guard in self._cutoff
        piece.failed |= failed
        piece.strict.discard(guard)
        piece.cutoff.discard(guard)
        for done in field.take_done():
            self._note(done)
        self._entry.released.setdefault(field.where, {})["judged_to"] = field.judged_to

    def _note(self, piece: "Piece") -> None:
        """Put a piece's findings on record, in the order of the text whichever guard was faster."""
        where = piece.field.where
        # A piece is judged with all that went before it, so a finding comes again with every later piece.
        fresh = tuple(one for one in piece.findings if (where, one.rule) not in self._noted)
        self._noted |= {(where, one.rule) for one in fresh}
        self._entry.add_findings(where, fresh)

    def _cut(self, choice: "Choice", fields: Iterable["Field"]) -> None:
        """End a choice because of what is blocked in these fields."""
        choice.end(cut=True)
        for field in fields:
            blocked = next((piece for piece in field.pieces if piece.blocked), None)
            if blocked is not None:
                self._note(blocked)
                self._entry.released[field.where]["cut"] = True
                self._entry.broke_rules("output", strictest(blocked.findings))

    def release(self) -> Iterator[Event]:
        """The events that may go out now. What follows an answer's end is dropped."""
        for choice in list(self._choices.values()):
            if choice.cut_now and not choice.ended:
                self._cut(choice, choice.fields.values())
                yield self._head | {"choices": [choice.cut_part()]}
        while self._waiting and not self.cut:
            event, parts = self._waiting[0]
            pairs = list(zip(event["choices"], parts, strict=True))
            if not all(self._decided(part, held) for part, held in pairs):
                return
            self._waiting.popleft()
            safe = [one for one in (self._safe(part, held) for part, held in pairs) if one is not None]
            if safe or not pairs:
                yield event | {"choices": safe}

    def _decided(self, part: Part, held: list["Held"]) -> bool:
        choice = self._choices[part["index"]]
        if choice.ended:
            return True
        for one in held:
            if one.blocked:
                return True
            if self._strict and one.field.cleared_to < one.end:
                return False
        return part["finish_reason"] is None or choice.settled

    def _safe(self, part: Part, held: list["Held"]) -> Part | None:
        """A decided choice as it may go out, or None when it was cut before."""
        choice = self._choices[part["index"]]
        if choice.ended:
            return None
        for position, one in enumerate(held):
            if one.blocked:
                self._cut(choice, [one.field])
                return _truncated(part, one, held[position + 1 :])
        if part["finish_reason"] is not None:
            choice.end(cut=False)
        return part


class Choice:
    """One choice of the answer."""

    def __init__(self, index: int, is_text: bool) -> None:
        self.index = index
        self.fields: dict[str, Field] = {}
        self.cut_now = False
        self.cut = False
        self.ended = False
        self._is_text = is_text

    @property
    def settled(self) -> bool:
        """Whether every guard has judged every piece."""
        return not any(field.pieces for field in self.fields.values())

    def end(self, *, cut: bool) -> None:
        """Nothing more goes out."""
        self.ended = True
        self.cut = cut

    def cut_part(self) -> Part:
        """A part that ends the choice without any text."""
        empty: Part = {"text": ""} if self._is_text else {"delta": {}}
        return {"index": self.index, **empty, "logprobs": None, "finish_reason": CUT}


class Field:
    """One text field of one choice."""

    def __init__(self, choice: Choice, name: str) -> None:
        self.choice = choice
        self.name = name
        self.where = f"choices.{choice.index}.{name}"
        self.text = ""
        self.cuts = Pieces()
        self.pieces: deque[Piece] = deque()
        self.judged_to = 0
        self._passed_to = 0

    @property
    def cleared_to(self) -> int:
        """The end of the text that every strict guard has judged and that nobody blocks."""
        end = self._passed_to
        for piece in self.pieces:
            if piece.strict or piece.blocked:
                break
            end = piece.end
        return end

    @property
    def blocked_at(self) -> int | None:
        """Where the first blocked piece begins, once all before it is cleared."""
        first = next((piece for piece in self.pieces if piece.strict or piece.blocked), None)
        return first.start if first is not None and first.blocked else None

    def take_done(self) -> Iterator["Piece"]:
        """Take out the pieces that are done with. Text behind a failed judgement does not count as judged."""
        while self.pieces and not (self.pieces[0].blocked or self.pieces[0].strict or self.pieces[0].cutoff):
            piece = self.pieces.popleft()
            if not piece.failed and self.judged_to == self._passed_to:
                self.judged_to = piece.end
            self._passed_to = piece.end
            yield piece


class Piece:
    """A stretch of one field that is judged together; `strict` and `cutoff` name the guards yet to answer."""

    __slots__ = ("blocked", "cutoff", "end", "failed", "field", "findings", "start", "strict")

    def __init__(self, field: Field, start: int, end: int, strict: Iterable[str], cutoff: Iterable[str]) -> None:
        self.field = field
        self.start = start
        self.end = end
        self.strict = set(strict)
        self.cutoff = set(cutoff)
        self.blocked = False
        self.failed = False
        self.findings: tuple[Finding, ...] = ()

    @property
    def moot(self) -> bool:
        """Whether the choice has ended, so that nobody waits for a judgement."""
        return self.field.choice.ended

    @property
    def text(self) -> str:
        """The field up to the piece's end, as a guard is to read it: escapes of JSON arguments become characters."""
        text = self.field.text[: self.end]
        return _ESCAPES.sub(_characters, text) if self.field.name.endswith(".arguments") else text


class Held(NamedTuple):
    """The text that an event brings to a field: where in the event it is, and where in the field it ends."""

    field: Field
    holder: dict[str, Any]
    key: str
    end: int

    @property
    def blocked(self) -> bool:
        """Whether some of it is known to be blocked, or stands behind what is."""
        at = self.field.blocked_at
        return at is not None and at < self.end

    def truncate(self) -> None:
        """Leave what stands before the blocked piece."""
        text = self.holder[self.key]
        at = self.field.blocked_at or 0
        self.holder[self.key] = text[: max(0, at - (self.end - len(text)))]


def text_fields(part: Part) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(name, container, key) of every text in a choice, in the order that a model writes them."""
    if part.get("text"):
        yield "text", part, "text"
    message = part.get("message") or part.get("delta") or {}
    for name in TEXT_FIELDS:
        if message.get(name):
            yield name, message, name
    for position, call in enumerate(message.get("tool_calls") or ()):
        if call["function"].get("arguments"):
            yield f"tool_calls.{call.get('index', position)}.arguments", call["function"], "arguments"


def _truncated(part: Part, blocked: Held, later: list[Held]) -> Part:
    """A choice with its text up to the blocked piece. Calls go whole: half of one is worse than none."""
    blocked.truncate()
    for one in later:
        one.holder[one.key] = ""
    out = {key: value for key, value in part.items() if key != "stop_reason"} | {"logprobs": None, "finish_reason": CUT}
    for place in ("message", "delta"):
        if place in out:
            out[place] = {key: value for key, value in out[place].items() if key != "tool_calls"}
    return out


def _characters(escapes: re.Match[str]) -> str:
    text: str = json.loads(f'"{escapes.group()}"')
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
