"""How much what stands beside a candidate speaks for a personal name, in units of the model's costs."""

from collections.abc import Mapping

AT_EDGE = 14
"""The sentence begins or ends there, or a space or a line break stands there."""

STRONGEST = 60
"""More than any weight on one side, a label's colon included."""

_USUAL_BEFORE = 18
_USUAL_AFTER = 22

_BLANK = " \n\t"
_JOINS = frozenset(": =是为\"' ")
_JOINED = 12


class Contexts:
    """The weights of words before and after a candidate."""

    def __init__(self, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        self._before = before
        self._after = after
        self._strong_ends = frozenset(word[-1] for word, weight in before.items() if weight > _USUAL_BEFORE) | _JOINS
        self._strong_starts = frozenset(word[0] for word, weight in after.items() if weight > _USUAL_AFTER)

    def limit(self, text: str, start: int, end: int) -> int:
        """What both weights together cannot exceed, at a glance at one character on either side."""
        limit = _USUAL_BEFORE + _USUAL_AFTER
        if start and text[start - 1] in self._strong_ends:
            limit += STRONGEST
        if text[end : end + 1] in self._strong_starts:
            limit += STRONGEST
        return limit

    def before(self, text: str, start: int) -> int:
        """The weight of what ends right before `start`; a colon, 是 or 为 after a label strengthens it."""
        if not start:
            return AT_EDGE
        get = self._before.get
        last = text[start - 1]
        weight = max(get(last, 0), AT_EDGE if last in _BLANK else 0)
        if last not in _JOINS:
            return max(weight, *(get(text[max(0, start - size) : start], 0) for size in (2, 3, 4)))
        end = start - 1
        while end and text[end - 1] in _JOINS:
            end -= 1
        label = max(get(text[max(0, end - size) : end], 0) for size in (2, 3, 4))
        return max(weight, label + _JOINED if label else 0)

    def after(self, text: str, end: int) -> int:
        """The weight of what begins at `end`."""
        if end >= len(text) or text[end] in _BLANK:
            return AT_EDGE
        get = self._after.get
        return max(get(text[end], 0), *(get(text[end : end + size], 0) for size in (2, 3)))
