"""What a node says of its tokens is money, so it is believed only while it can be true."""

from typing import Any

from gateway.record import RequestEntry
from gateway.reported import cached_part

NOTE = "the node reported impossible token counts"


class UsageCheck:
    """Looks at the token counts of one answer's events; impossible ones are taken out, and the record says so.

    Counts are whole numbers that are not negative, not more than the model's context for each prompt or choice, and
    don't go backwards.
    """

    def __init__(self, entry: RequestEntry, context_tokens: int, prompts: int, choices: int) -> None:
        self._entry = entry
        self._most_prompt = context_tokens * prompts
        self._most_output = context_tokens * choices
        self._seen: dict[int, int] = {}

    def apply(self, event: dict[str, Any]) -> None:
        """Check an event's `usage` in place."""
        usage = event.get("usage")
        if usage is None:
            return
        if "choices" not in event and not (isinstance(usage, dict) and "prompt_tokens" in usage):
            return  # surfaces that count otherwise are checked where they are understood
        try:
            sound = self._is_sound(usage, event)
        except (TypeError, KeyError, AttributeError, IndexError):
            sound = False
        if not sound:
            del event["usage"]
            if NOTE not in self._entry.note:
                self._entry.note = f"{self._entry.note}; {NOTE}" if self._entry.note else NOTE

    def _is_sound(self, usage: dict[str, Any], event: dict[str, Any]) -> bool:
        prompt, output = usage["prompt_tokens"], usage.get("completion_tokens")
        if output is None:
            output = 0
        if type(prompt) is not int or type(output) is not int or not 0 <= prompt <= self._most_prompt:
            return False
        choices, seen = event.get("choices"), self._seen
        index = choices[0]["index"] if choices else -1
        least = seen.get(index, 0) if index >= 0 else max(seen.values(), default=0)
        if not least <= output <= self._most_output:
            return False
        seen[index] = output
        usage["total_tokens"] = prompt + output
        if usage.get("prompt_tokens_details") is not None:
            self._note_cached(usage)
        return True

    def _note_cached(self, usage: dict[str, Any]) -> None:
        cached = cached_part(usage)
        if cached is not None:
            self._entry.cached_tokens = cached
        else:
            usage["prompt_tokens_details"] = None
