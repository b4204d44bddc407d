"""Puts the caller's own personal information back into an answer whose model has only seen pseudonyms of it.

Comes after the gates: what is put back is what the caller sent, so no gate has to see it. Log-probabilities keep the
model's tokens, pseudonyms and all.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from compliance.pseudonyms import Pseudonyms, Restorer
from gateway.judged_answer import text_fields
from gateway.upstream import Event


async def restored(events: AsyncGenerator[Event], pseudonyms: Pseudonyms) -> AsyncGenerator[Event]:
    """The events with every pseudonym replaced by what it stands for; one cut by two events waits for its end."""
    answer = RestoredAnswer(pseudonyms)
    async with aclosing(events):
        async for event in events:
            answer.apply(event)
            yield event


class RestoredAnswer:
    """One answer's restorers, one for each text field of each choice."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._restorers: dict[int, dict[str, Restorer]] = {}

    def apply(self, event: Event) -> None:
        """Restore an event in place."""
        for choice in event.get("choices") or ():
            restorers = self._restorers.setdefault(choice["index"], {})
            for name, holder, key in text_fields(choice):
                holder[key] = self._restorer(restorers, name).feed(holder[key])
            if choice.get("finish_reason") is not None:
                for name, restorer in restorers.items():
                    _append(choice, name, restorer.flush())

    def _restorer(self, restorers: dict[str, Restorer], name: str) -> Restorer:
        if name not in restorers:
            restorers[name] = Restorer(self._pseudonyms, "json" if name.startswith("tool_calls.") else "text")
        return restorers[name]


def _append(choice: dict[str, Any], name: str, rest: str) -> None:
    """Add what a field still held to the choice's last event."""
    if not rest:
        return
    if name == "text":
        choice["text"] = (choice.get("text") or "") + rest
        return
    part = choice["message" if "message" in choice else "delta"]
    if not name.startswith("tool_calls."):
        part[name] = (part.get(name) or "") + rest
        return
    index = int(name.split(".")[1])
    calls = part.setdefault("tool_calls", [])
    for position, call in enumerate(calls):
        if call.get("index", position) == index:
            call["function"]["arguments"] = (call["function"].get("arguments") or "") + rest
            return
    calls.append({"index": index, "function": {"arguments": rest}})
