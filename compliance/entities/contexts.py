"""How much what stands beside a candidate speaks for a personal name, in units of the model's costs."""

from collections.abc import Iterable, Mapping

AT_EDGE = 14
"""The sentence begins or ends there, or a space or a line break stands there."""

STRONGEST = 60
"""More than any weight on one side, a label's colon included."""

_BLANK = " \n\t"
_JOINS = frozenset(": =是为\"' ")
_JOINED = 12


class Contexts:
    """The weights of words before and after a candidate."""

    def __init__(self, before: Mapping[str, int], after: Mapping[str, int]) -> None:
        self._before = before
        self._after = after
        blanks = dict.fromkeys(_BLANK, AT_EDGE)
        last_characters = ((word[-1], weight) for word, weight in before.items())
        self._limits_before = _greatest([*blanks.items(), *last_characters, *((join, STRONGEST) for join in _JOINS)])
        first_characters = ((word[0], weight) for word, weight in after.items())
        self._limits_after = _greatest([*blanks.items(), ("", AT_EDGE), *first_characters])

    def limit(self, text: str, start: int, end: int) -> int:
        """What both weights together cannot exceed, at a glance at one character on either side."""
        return self.limit_before(text, start) + self.limit_after(text[end : end + 1])

    def limit_before(self, text: str, start: int) -> int:
        """What the weight of what ends at `start` cannot exceed."""
        return self._limits_before.get(text[start - 1], 0) if start else AT_EDGE

    def limit_after(self, char: str) -> int:
        """What the weight of what begins with a character, or with none at the end, cannot exceed."""
        return self._limits_after.get(char, 0)

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


def _greatest(weights: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The greatest weight of each character."""
    greatest: dict[str, int] = {}
    for char, weight in weights:
        greatest[char] = max(weight, greatest.get(char, 0))
    return greatest
