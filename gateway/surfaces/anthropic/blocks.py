"""The content blocks of a streamed answer, one after the other as Anthropic's clients expect them."""

import json
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]
Key = tuple[str, int]
THINKING, TEXT, TOOL = "thinking", "text", "tool_use"
DELTAS = {
    THINKING: ("thinking_delta", "thinking"),
    TEXT: ("text_delta", "text"),
    TOOL: ("input_json_delta", "partial_json"),
}


class Blocks:
    """Opens and closes blocks. What comes for a later block waits while a call's arguments are not complete.

    The gates hold back the end of one field while the next has begun, so text may come out of its order.
    """

    def __init__(self, signature: str) -> None:
        self._signature = signature
        self._waiting: list[tuple[Key, Event, str]] = []
        self._open: Key | None = None
        self._index = -1
        self._arguments = ""
        self._called: set[Key] = set()

    def add(self, kind: str, number: int, text: str, start: Event) -> Iterator[Event]:
        """Add text to a block; `start` opens it where it isn't open."""
        self._waiting.append(((kind, number), start, text))
        yield from self._written(final=False)

    def close(self) -> Iterator[Event]:
        """The answer is over: write what waits and close what is open."""
        yield from self._written(final=True)
        yield from self._stop()

    def _written(self, *, final: bool) -> Iterator[Event]:
        while self._waiting:
            at = next((at for at, one in enumerate(self._waiting) if one[0] == self._open), None)
            if at is None:
                if not (final or self._complete()):
                    return
                at = 0
            yield from self._write(*self._waiting.pop(at))

    def _complete(self) -> bool:
        """Whether the open block may be closed now."""
        if self._open is None or self._open[0] != TOOL:
            return True
        try:
            json.loads(self._arguments)
        except ValueError:
            return False
        return True

    def _write(self, key: Key, start: Event, text: str) -> Iterator[Event]:
        if key != self._open:
            if key in self._called:
                return  # a call whose arguments were complete: blanks are all that may follow
            yield from self._stop()
            yield from self._start(key, start)
        if text:
            kind, field = DELTAS[key[0]]
            if key[0] == TOOL:
                self._arguments += text
            yield self._delta({"type": kind, field: text})

    def _start(self, key: Key, start: Event) -> Iterator[Event]:
        self._open = key
        self._index += 1
        if key[0] == TOOL:
            self._called.add(key)
            self._arguments = ""
        yield {"type": "content_block_start", "index": self._index, "content_block": start}

    def _stop(self) -> Iterator[Event]:
        if self._open is None:
            return
        if self._open[0] == THINKING:
            yield self._delta({"type": "signature_delta", "signature": self._signature})
        yield {"type": "content_block_stop", "index": self._index}
        self._open = None

    def _delta(self, delta: Event) -> Event:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}
