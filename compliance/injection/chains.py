"""Patterns compiled: whether the parts of one follow each other from a place on.

Each part is looked for once per piece of text and what is found is kept for all patterns, so a text full of first
parts costs no more than one pass per part: nothing is tried again and again.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compliance.injection.rules import Pattern, Rule
from compliance.injection.words import MAX_BETWEEN, View, WordFinder, any_of

BEFORE = 12
"""So many characters before a match are searched for what makes it harmless."""

OPEN = -1
"""The end of a match that more text may still bring or undo."""

LONGEST = 96
"""So far before the end of a text a word may begin that is not whole yet."""

_SENTENCE_END = re.compile(r"。|[!?;](?=[^\w=&#{$<])|[!?;](?=[\u2e80-\U0010ffff])|\.\s|\n\s*\n")
"""Each needs the character behind it, so that a stream knows no earlier than a whole text does."""

Place = tuple[int, int]
"""Where a word begins and ends; `OPEN` for the end of one that the text so far is only the beginning of."""


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """A pattern compiled. A match ends where the first of its last words ends, so that it is known early.

    `widest` is more than the length of any match.
    """

    rule: Rule
    parts: tuple[WordFinder, ...]
    gaps: tuple[int, ...]
    harmless: re.Pattern[str]
    across: bool
    widest: int

    def read(self, start: int, text: "Places") -> int | None:
        """Where the match that begins at `start` ends; None: there is no match; `OPEN`: not known yet."""
        decided = text.final or start + self.widest < len(text.window)
        if decided and not all(map(text.of, self.parts[1:])):
            return None
        ends = text.ends_at(self.parts[0], start)
        for part, gap in zip(self.parts[1:], self.gaps, strict=True):
            ends = self._next(ends, part, gap, text)
        if not ends or self.harmless.search(text.window, max(0, start - BEFORE), start):
            return None
        return min((end for end in ends if end != OPEN), default=OPEN)

    def _next(self, ends: Sequence[int], part: WordFinder, gap: int, text: "Places") -> list[int]:
        """Where the words of a part end that begin within reach of the part before it."""
        found: set[int] = set()
        places = text.of(part)
        for end in ends:
            if end == OPEN:
                found.add(OPEN)
                continue
            last = end + gap if self.across else text.reach(end, gap)
            at = bisect_left(places, (end, OPEN))
            while at < len(places) and places[at][0] <= last:
                found.add(places[at][1])
                at += 1
            if last >= len(text.window) and not text.final:
                found.add(OPEN)
        return sorted(found)


class Places:
    """Where the parts stand in a piece of text, each looked for when it is first asked for."""

    def __init__(self, window: str, start: int, final: bool) -> None:
        self.window = window
        self.final = final
        self._view = View(window, start)
        self._found: dict[WordFinder, list[Place]] = {}
        self._sentence_ends: list[int] | None = None

    def of(self, part: WordFinder) -> list[Place]:
        """The places of a part, sorted."""
        found = self._found.get(part)
        if found is None:
            found = self._found[part] = sorted(self._places(part))
        return found

    def _places(self, part: WordFinder) -> set[Place]:
        size = len(self.window)
        found = {(start, self._decided(end)) for _, start, end in part.find(self._view)}
        if not self.final:
            tail = range(max(self._view.start, size - LONGEST), size)
            found |= {(at, OPEN) for at in tail if part.may_begin(self.window, at)}
        return found

    def _decided(self, end: int) -> int:
        """The end of a word; open while a Latin word may still go on."""
        waits = not self.final and end == len(self.window) and self.window[-1] < "\u2e80"
        return OPEN if waits else end

    def ends_at(self, part: WordFinder, start: int) -> list[int]:
        """Where the words of a part end that begin at a place."""
        places = self.of(part)
        at = bisect_left(places, (start, OPEN))
        ends: list[int] = []
        while at < len(places) and places[at][0] == start:
            ends.append(places[at][1])
            at += 1
        return ends

    def reach(self, end: int, gap: int) -> int:
        """The last place where the next part may begin: in the same sentence, `gap` characters on."""
        if self._sentence_ends is None:
            self._sentence_ends = [one.start() for one in _SENTENCE_END.finditer(self.window, self._view.start)]
        at = bisect_left(self._sentence_ends, end)
        return min(end + gap, self._sentence_ends[at]) if at < len(self._sentence_ends) else end + gap


class Chains:
    """Every pattern compiled; patterns share the parts that they have in common."""

    def __init__(self, patterns: Sequence[Pattern], finder: Callable[[tuple[str, ...]], WordFinder]) -> None:
        """`finder` compiles words, or remembers them compiled."""
        self.of_first: dict[WordFinder, list[Chain]] = {}
        for one in patterns:
            parts = tuple(map(finder, one.parts))
            widest = sum(one.gaps) + sum((2 + MAX_BETWEEN) * max(map(len, words)) for words in one.parts)
            chain = Chain(one.rule, parts, one.gaps, any_of(one.unless_before), one.across_sentences, widest)
            self.of_first.setdefault(parts[0], []).append(chain)
        firsts = dict.fromkeys(word for part in self.of_first for word in part.words)
        self.first = finder(tuple(firsts)) if firsts else None
        self._with_word = {word: [part for part in self.of_first if word in part.words] for word in firsts}

    def begun(self, window: str, first: int, seen: int) -> dict[tuple[int, WordFinder], None]:
        """Where first parts stand from `first` on that end behind `seen`: the pre-filter."""
        found: dict[tuple[int, WordFinder], None] = {}
        if self.first is not None and self.first.stands_in(window[first:] if first else window):
            for index, start, end in self.first.find(View(window, first)):
                if end > seen:
                    found |= dict.fromkeys((start, part) for part in self._with_word[self.first.words[index]])
        return found
