"""The items of a Responses answer while it comes in: what the model thinks, says and calls, with their events.

An item stays open until the answer ends, since text that was held back may still be added to an earlier one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
CALL = "function_call"


@dataclass(frozen=True, slots=True)
class Part:
    """How a text is called in its item: the type of its part, the field, and its events."""

    item: str
    type: str
    field: str
    events: str


PARTS = {
    "reasoning": Part("reasoning", "reasoning_text", "text", "response.reasoning_text"),
    "content": Part("message", "output_text", "text", "response.output_text"),
    "refusal": Part("message", "refusal", "refusal", "response.refusal"),
}
PREFIXES = {"reasoning": "rs", "message": "msg", CALL: "fc"}


@dataclass(slots=True)
class Text:
    """One text of an item: the part that holds it, or a call's arguments."""

    item: dict[str, Any]
    part: Part | None
    output_index: int
    content_index: int
    said: list[str] = field(default_factory=list)
    logprobs: list[Any] = field(default_factory=list)

    @property
    def place(self) -> Event:
        """Where it is, as events say it."""
        place: Event = {"item_id": self.item["id"], "output_index": self.output_index}
        return place | ({"content_index": self.content_index} if self.part else {})

    def whole(self) -> str:
        """All of it."""
        return "".join(self.said)

    def described(self) -> Event:
        """The part as it is now, or the arguments."""
        if self.part is None:
            return {"arguments": self.whole()}
        out: Event = {"type": self.part.type, self.part.field: self.whole()}
        if self.part.type == "output_text":
            out |= {"annotations": [], "logprobs": self.logprobs}
        return out


class Items:
    """The output of one answer. Every method yields the events that it gives rise to, without their numbers."""

    def __init__(self, content_id: str) -> None:
        self._content_id = content_id
        self._items: list[dict[str, Any]] = []
        self._texts: dict[tuple[str, int], Text] = {}

    def output(self) -> list[dict[str, Any]]:
        """The items as they are now."""
        return [self._described(item) for item in self._items]

    def say(self, name: str, text: str, logprobs: list[Any] | None = None) -> Iterator[Event]:
        """Add to what the model thinks (`reasoning`), says (`content`) or refuses (`refusal`)."""
        if (name, 0) not in self._texts:
            yield from self._open_part(name)
        known = self._texts[name, 0]
        part = PARTS[name]
        event: Event = {"type": f"{part.events}.delta", **known.place, "delta": text}
        if name == "content":
            entries = [_entry(one) for one in logprobs or ()]
            known.logprobs += entries
            event["logprobs"] = [_without_bytes(one) for one in entries]
        known.said.append(text)
        yield event

    def call(self, index: int, call: dict[str, Any]) -> Iterator[Event]:
        """Add to a call: its name and id come first, its arguments bit by bit."""
        function = call.get("function") or {}
        if (CALL, index) not in self._texts:
            item = self._item(CALL, {"call_id": call.get("id") or "", "name": function.get("name") or ""})
            self._texts[CALL, index] = Text(item, None, len(self._items) - 1, 0)
            yield self._added(self._texts[CALL, index])
        known = self._texts[CALL, index]
        if function.get("arguments"):
            known.said.append(function["arguments"])
            yield {
                "type": "response.function_call_arguments.delta",
                **known.place,
                "delta": function["arguments"],
            }

    def close(self, *, complete: bool) -> Iterator[Event]:
        """The answer is over: every text and item is done, in order."""
        for output_index, item in enumerate(self._items):
            item["status"] = "completed" if complete else "incomplete"
            for known in [one for one in self._texts.values() if one.item is item]:
                yield from _done(known)
            yield {
                "type": "response.output_item.done",
                "output_index": output_index,
                "item": self._described(item),
            }

    def _open_part(self, name: str) -> Iterator[Event]:
        part = PARTS[name]
        same = [one for one in self._texts.values() if one.item["type"] == part.item]
        if same:
            known = Text(same[0].item, part, same[0].output_index, len(same))
        else:
            extra: Event = {"role": "assistant"} if part.item == "message" else {"summary": []}
            known = Text(self._item(part.item, extra), part, len(self._items) - 1, 0)
            yield self._added(known)
        self._texts[name, 0] = known
        yield {"type": "response.content_part.added", **known.place, "part": known.described()}

    def _item(self, kind: str, extra: dict[str, Any]) -> dict[str, Any]:
        number = f"_{len(self._items)}" if self._items else ""
        item = {"id": f"{PREFIXES[kind]}_{self._content_id}{number}", "type": kind, "status": "in_progress", **extra}
        self._items.append(item)
        return item

    def _added(self, known: Text) -> Event:
        return {
            "type": "response.output_item.added",
            "output_index": known.output_index,
            "item": self._described(known.item),
        }

    def _described(self, item: dict[str, Any]) -> dict[str, Any]:
        texts = [one.described() for one in self._texts.values() if one.item is item]
        return item | (texts[0] if item["type"] == CALL else {"content": texts})


def _done(known: Text) -> Iterator[Event]:
    if known.part is None:
        yield {
            "type": "response.function_call_arguments.done",
            **known.place,
            "name": known.item["name"],
            "arguments": known.whole(),
        }
        return
    done: Event = {"type": f"{known.part.events}.done", **known.place, known.part.field: known.whole()}
    if known.part.type == "output_text":
        done["logprobs"] = [_without_bytes(one) for one in known.logprobs]
    yield done
    yield {"type": "response.content_part.done", **known.place, "part": known.described()}


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    """A token's entry as items hold it."""
    alternatives = [_token(one) for one in entry.get("top_logprobs") or ()]
    return _token(entry) | {"top_logprobs": alternatives}


def _token(entry: dict[str, Any]) -> dict[str, Any]:
    return {"token": entry["token"], "logprob": entry["logprob"], "bytes": entry.get("bytes") or []}


def _without_bytes(entry: dict[str, Any]) -> dict[str, Any]:
    """The same as events hold it."""
    out = {"token": entry["token"], "logprob": entry["logprob"]}
    return out | {"top_logprobs": [{"token": one["token"], "logprob": one["logprob"]} for one in entry["top_logprobs"]]}
