"""One view of a text: an automaton proposes places in it, spellings judge them."""

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import ahocorasick_rs

from compliance.chartable import CharTable
from compliance.excuses import inside_word
from compliance.foldings import Folding
from compliance.spelling import UNFINISHED, Alphabet, Spelling
from compliance.unicode import is_word
from compliance.variants import Variant

REMEMBERED = 8192
"""So many answers about terms are kept at a time; texts repeat themselves."""

Hit = tuple[int, int, int]
"""What the automaton says: the number of a pattern, and where in the view it begins and ends."""


class Proposal(NamedTuple):
    """A place that is a term: folded offsets and the disguises it is in."""

    start: int
    end: int
    entry: int
    used: Folding


class View:
    """One view: its automaton, and the ways to write terms that its hits may be.

    `view` makes of a text what the view has of it, `find` searches that; both only where `only_if` is None or finds
    something in the text. The ways are many and hardly ever asked for, so only their patterns are kept; `ways_of`
    makes them again.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        allowed: Sequence[Folding],
        entries: Iterable[int],
        ways_of: Callable[[int], Iterable[Variant]],
        *,
        only_if: re.Pattern[str] | None = None,
        needs: Folding = Folding.none,
    ) -> None:
        self.alphabet = alphabet
        self.view = alphabet.table.map_collapsed
        self.needs = needs
        self._allowed = allowed
        self._ways_of = ways_of
        self.only_if = only_if.search if only_if is not None else None
        self._patterns, self._owners, self._first_owner, self._lead = self._gathered(entries)
        self.find = ahocorasick_rs.AhoCorasick(self._patterns, store_patterns=False).find_matches_as_indexes
        self._longest = max(map(len, self._patterns), default=0)
        self._first_two = frozenset(pattern[:2] for pattern in self._patterns)
        self._spellings: dict[int, tuple[Spelling, ...]] = {}

    def _gathered(self, entries: Iterable[int]) -> "tuple[list[str], array[int], array[int], int]":
        """The patterns in order, the entries of each, where they begin, and the longest run that one begins with."""
        found: list[tuple[str, int]] = []
        lead = 0
        for entry in entries:
            for way in self._ways_of(entry):
                pattern = self.view(way.text)
                found.append((way.text if way.text == pattern else pattern, entry))
                lead = max(lead, _lead(self.alphabet.table, way.text))
        found.sort()
        patterns: list[str] = []
        owners: array[int] = array("L")
        first_owner: array[int] = array("L")
        for pattern, entry in found:
            if not patterns or patterns[-1] != pattern:
                patterns.append(pattern)
                first_owner.append(len(owners))
            elif owners[-1] == entry:
                continue
            owners.append(entry)
        first_owner.append(len(owners))
        return patterns, owners, first_owner, lead

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def proposals(self, hits: list[Hit], region: str, base: int, beyond: int) -> Iterator[Proposal]:
        """The terms among the hits in a region that end after `beyond`; offsets count from `base` before it."""
        starts = [*self.alphabet.table.run_starts(region), len(region)]
        for number, start, end in hits:
            first = self._run(region, starts[start], starts[start + 1])
            if self._cuts_words(region, first, self._run(region, starts[end - 1], starts[end])):
                continue
            for spelling in self._spelt(number):
                for at in _starts(first, spelling, single=end - start == 1):
                    read = self.alphabet.read(region, at, spelling)
                    if read is not None and read[0] + base > beyond and self._counts(read[1]):
                        yield Proposal(base + at, base + read[0], spelling.entry, read[1])

    def _run(self, region: str, start: int, end: int) -> list[int]:
        """The places of the equal characters of a run, which separators may stand between."""
        return [at for at in range(start, end) if self.alphabet.of(region[at])]

    def _counts(self, used: Folding) -> bool:
        return used & self.needs == self.needs

    def _cuts_words(self, region: str, first: list[int], last: list[int]) -> bool:
        """Whether the place begins or ends inside a Latin word: most hits in English text do, at little cost."""
        if self.only_if is None:
            return False
        if all(inside_word(region, at) for at in first):
            return True
        return all(is_word(region[at]) and at + 1 < len(region) and is_word(region[at + 1]) for at in last)

    def _spelt(self, number: int) -> tuple[Spelling, ...]:
        """The spellings that have a pattern."""
        known = self._spellings.get(number)
        if known is None:
            if len(self._spellings) >= REMEMBERED:
                self._spellings.clear()
            owners = self._owners[self._first_owner[number] : self._first_owner[number + 1]]
            known = self._spellings[number] = tuple(
                self.alphabet.spell(way.text, entry, self._allowed[entry], way.used, way.borders)
                for entry in owners
                for way in self._ways_of(entry)
                if self.view(way.text) == self._patterns[number]
            )
        return known

    def may_begin(self, beginning: str) -> bool:
        """Whether more text can make a term of this view out of a beginning."""
        if (self.only_if is not None and not self.only_if(beginning)) or not self.alphabet.of(beginning[0]):
            return False
        pattern = self.view(beginning)
        for number in range(bisect_left(self._patterns, pattern), len(self._patterns)):
            if not self._patterns[number].startswith(pattern):
                return False
            for spelling in self._spelt(number):
                read = self.alphabet.read(beginning, 0, spelling)
                if read is not None and read[0] == UNFINISHED:
                    return True
        return False

    def likely_beginnings(self, window: str, low: int) -> list[int]:
        """Places from `low` on that may begin a term that reaches the end of the window, some of them wrongly."""
        if self.only_if is not None and not self.only_if(window, low):
            return []
        low = max(low, self._earliest(window))
        tail = window[low:]
        starts = [*self.alphabet.table.run_starts(tail), len(tail)]
        seen = self.view(tail)
        likely = (at for at in range(len(seen)) if at + 1 == len(seen) or seen[at : at + 2] in self._first_two)
        return [low + at for run in likely for at in self._run(tail, starts[run], starts[run + 1])[-self._lead :]]

    def _earliest(self, window: str) -> int:
        """Before here no term can begin that the end of the window is a part of."""
        previous = ""
        count = 0
        for at in range(len(window) - 1, -1, -1):
            seen = self.alphabet.of(window[at])
            count += bool(seen) and seen != previous
            previous = seen or previous
            if count > self._longest:
                return at
        return 0


def _lead(table: CharTable, text: str) -> int:
    """How many equal characters a text begins with."""
    seen = text.translate(table.entries)
    return len(seen) - len(seen.lstrip(seen[:1]))


def _starts(run: list[int], spelling: Spelling, single: bool) -> list[int]:
    """Where in the run of equal characters that a hit begins with its spelling may begin."""
    if single:
        return run[: len(run) - spelling.lead + 1]
    return run[-spelling.lead :][:1] if len(run) >= spelling.lead else []
