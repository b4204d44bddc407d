"""What a detector of personal information is: patterns propose, a validator disposes.

All patterns read folded text: lower case, half width, simplified Chinese, nothing invisible.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import regex

from compliance.verdict import Severity

CONTEXT = 40
"""How many folded characters before a value are searched for its context words: the same in streams."""

DIGITS = "0123456789"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
HAN = "\u4e00-\u9fff"

SAME_SENTENCE = "[^。!?;]*$"
"""Follows a context word that may stand anywhere before the value, in the same sentence."""

NO_NUMBER_BEFORE = r"[0-9](?:\.|[a-z]+)$"
"""Must not stand before a telephone number: what follows would be decimals, or digits of a hash."""

BELONGS_TO = "[ ,]{0,2}[(]?(?:这?是|为|属于)?(?:我们?|你们?|您|他|她|本人|客户|乘客|旅客)?的?"
"""What may stand between a value and the word for it, as in (护照) or 是我的护照."""

_TIMEOUT_S = 1.0


def soon(*classes: str) -> str:
    """A look-ahead at one class after another that is also content where the text ends meanwhile."""
    pattern = ""
    for one in reversed(classes):
        pattern = f"(?:{one}{pattern}|\\Z)"
    return f"(?={pattern})"


def just_after(*endings: str, first: str = ".", widest: int = 3) -> str:
    """A cheap look-behind, placed after the value's first character: one of these, perhaps a gap, then the value.

    It saves the cost of a context pattern, so it may be more lenient than that, never stricter.
    """
    direct = "|".join(f"(?<={one}{first})" for one in endings)
    last = "".join(one[one.rindex("[") + 1 : -1] if one.endswith("]") else one[-1] for one in endings)
    gapped = "|".join(
        f"(?<=[{last}]{_GAP * width}{first})(?:{'|'.join(f'(?<={one}{_GAP * width}{first})' for one in endings)})"
        for width in range(1, widest + 1)
    )
    return f"(?:(?<={_GAP}{first})(?:{gapped})|(?<=[{last}]{first})(?:{direct}))"


_GAP = "[\"' ]"


def _any_value(_: str) -> bool:
    return True


def _high(_: str) -> Severity:
    return "high"


@dataclass(frozen=True, eq=False)
class Detector:
    """One way to write one type of personal information.

    lead       the characters a value may begin with; empty for a detector that has a `cue`
    cue        instead: the characters one of which stands right before a value
    second     class of what the second character may be, which `ahead` asks for too; empty: any
    not_after  class of characters that must not stand before the value
    ahead      cheap look-ahead after the first character: most positions end here
    beginnings the first two characters that a value may have; empty: whatever `ahead` allows
    core       the value without look-arounds; a group `value` where only a part is personal
    pending    what after the core leaves it undecided, for an `after` that looks further than one character
    after      look-ahead that must hold after the core
    context    must be found in the `CONTEXT` characters before the value
    near       fewer characters, where a context that ends right before the value is never longer
    refuse     must not be found there
    doomed     tells of the first two characters of a value whether none that begins so is valid: no wait for it
    shortest   where a value that is not valid may be a shorter valid one, the least length to try
    """

    type: str
    rule: str
    why: str
    strength: int
    core: str
    lead: str = ""
    cue: str = ""
    second: str = ""
    not_after: str = "0-9"
    ahead: str = ""
    beginnings: frozenset[str] = frozenset()
    pending: str = ""
    after: str = "(?![0-9])"
    context: str = ""
    near: int = CONTEXT
    refuse: str = ""
    doomed: Callable[[str], bool] | None = None
    shortest: int = 0
    valid: Callable[[str], bool] = _any_value
    severity: Callable[[str], Severity] = _high

    @property
    def boundary(self) -> str:
        """The left boundary as a pattern that follows the value's first character."""
        return f"(?<![{self.not_after}].)"

    @cached_property
    def _glance(self) -> re.Pattern[str]:
        first = f"[{re.escape(self.lead)}]" if self.lead else "."
        return re.compile(first + self.boundary + self.ahead, re.DOTALL)

    @cached_property
    def _context(self) -> re.Pattern[str]:
        return re.compile(self.context)

    @cached_property
    def _refuse(self) -> re.Pattern[str]:
        return re.compile(self.refuse)

    @cached_property
    def _growing(self) -> "regex.Pattern[str]":
        return regex.compile(f"(?:{self.core})(?:{self.pending})")

    @cached_property
    def _whole(self) -> "regex.Pattern[str]":
        return regex.compile(f"(?:{self.core})(?:{self.after})")

    @cached_property
    def _core(self) -> "regex.Pattern[str]":
        return regex.compile(self.core)

    @cached_property
    def _after(self) -> "regex.Pattern[str]":
        return regex.compile(self.after)

    def warm_up(self) -> None:
        """Compile what would otherwise be compiled where the first value may begin: up to 50 ms for an address."""
        for pattern in (self._glance, self._growing, self._whole, self._core, self._after, self._context, self._refuse):
            pattern.search("")

    def may_start(self, window: str, start: int) -> bool:
        """Whether a value may begin here, judged by what stands before it and a glance at what follows."""
        if not self.may_follow(window, start):
            return False
        if self.context and not self._context.search(window[max(0, start - self.near) : start]):
            return False
        return not (self.refuse and self._refuse.search(window[max(0, start - CONTEXT) : start]))

    def may_follow(self, window: str, start: int) -> bool:
        """Whether a value may begin here by the character before it, its first two, and a glance at what follows."""
        two = window[start : start + 2]
        if self.beginnings and len(two) > 1 and two not in self.beginnings:
            return False
        if not self._glance.match(window, start):
            return False
        return self.doomed is None or not self.doomed(two)

    def may_grow(self, window: str, start: int) -> bool:
        """Whether more text could still make or change a value that may begin here."""
        return self._growing.fullmatch(window, start, partial=True) is not None

    def proposes(self, window: str, start: int) -> bool:
        """Whether the pattern finds a value here; the validator has not spoken yet."""
        return self._whole.match(window, start) is not None

    def find_at(self, window: str, start: int) -> tuple[int, int] | None:
        """The span of the valid value that begins here, the longest reading first."""
        match = self._whole.match(window, start, timeout=_TIMEOUT_S)
        while match is not None:
            span: tuple[int, int] = match.span("value") if "value" in match.re.groupindex else match.span()
            if self.valid(window[span[0] : span[1]]):
                return span
            match = self._shorter(window, start, match.end())
        return None

    def _shorter(self, window: str, start: int, end: int) -> "regex.Match[str] | None":
        if not self.shortest:
            return None
        for shorter in range(end - 1, start + self.shortest - 1, -1):
            match = self._core.fullmatch(window, start, shorter)
            if match is not None and self._after.match(window, shorter):
                return match
        return None


def digits_of(value: str) -> str:
    """The value without the spaces and hyphens people write into numbers."""
    return re.sub(r"[ .-]", "", value)
