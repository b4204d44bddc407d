"""One view of a text: an automaton proposes places in it, spellings judge them."""

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice, takewhile
from typing import NamedTuple

import ahocorasick_rs

from compliance.chartable import CharTable, collapsed
from compliance.keywords.excuses import inside_word
from compliance.keywords.foldings import MAX_EXTRA, Folding
from compliance.keywords.spelling import UNFINISHED, Alphabet, Spelling
from compliance.keywords.variants import Variant
from compliance.unicode import is_word

REMEMBERED = 8192
"""So many answers about terms are kept at a time; texts repeat themselves."""

_WAYS_REMEMBERED = 2048
"""Of so many terms all ways to write them are kept."""

MOST_TRIED = 512
"""A beginning that so many terms might have, if none of them has it, is held as if one had: that is safe, and cheap."""

Hit = tuple[int, int, int]
"""What the automaton says: the number of a pattern, and where in the view it begins and ends."""


class Proposal(NamedTuple):
    """A place that is a term: folded offsets and the disguises it is in."""

    start: int
    end: int
    entry: int
    used: Folding


class Kind(NamedTuple):
    """How a term may be written: the disguises it allows, whether Latin ends need a word boundary, its characters."""

    allowed: Folding
    bounded: bool
    size: int


class View:
    """One view: its automaton, and the ways to write terms that its hits may be.

    `view` makes of a text what the view has of it: its `skeleton`, and that `heard_as` something else where that is
    not None. `find` searches it, only where `only_if` is None or finds something in the text. The ways are many and
    hardly ever asked for, so only their patterns are kept; `ways_of` makes them again.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        kinds: Sequence[Kind],
        entries: Iterable[int],
        ways_of: Callable[[int], tuple[Variant, ...]],
        *,
        only_if: re.Pattern[str] | None = None,
        heard_as: CharTable | None = None,
        needs: Folding = Folding.none,
    ) -> None:
        self.alphabet = alphabet
        self.table = alphabet.table
        self.skeleton = alphabet.table.map_collapsed
        self.heard_as = heard_as.map_one_to_one if heard_as is not None else None
        self.needs = needs
        self._kinds = kinds
        self._ways_of = ways_of
        self.only_if = only_if.search if only_if is not None else None
        self._begun: dict[str, int] = {}
        self._patterns: list[str] = []
        self._owners: array[int] = array("L")
        self._ways: array[int] = array("H")
        self._first_owner: array[int] = array("L")
        self._lead = 0
        self._span = 0
        self._gather(entries)
        self._ways_of = lru_cache(_WAYS_REMEMBERED)(ways_of)
        self.find = ahocorasick_rs.AhoCorasick(self._patterns, store_patterns=False).find_matches_as_indexes
        self._longest = max(map(len, self._patterns), default=0)
        self._first_two = frozenset(pattern[:2] for pattern in self._patterns)
        self._spellings: dict[int, Spelling] = {}

    def _gather(self, entries: Iterable[int]) -> None:
        """The patterns in order, the entries and ways of each, and the longest run that one begins with."""
        found: list[tuple[str, int, int]] = []
        entries_of_table = self.alphabet.table.entries
        heard_as = self.heard_as
        begun = self._begun
        lead, longest = 1, 0
        for entry in entries:
            allowed = int(self._kinds[entry].allowed)
            for number, way in enumerate(self._ways_of(entry)):
                text = way.text
                seen = text.translate(entries_of_table)
                pattern = collapsed(seen)
                if pattern is not seen:
                    lead = max(lead, len(seen) - len(seen.lstrip(seen[0])))
                if heard_as is not None:
                    pattern = heard_as(pattern)
                found.append((text if text == pattern else pattern, entry, number))
                longest = max(longest, len(text))
                letters = text[:2] if len(seen) == len(text) else "".join(filter(self.alphabet.of, text))[:2]
                begun[letters] = begun.get(letters, 0) | allowed
        self._lead, self._span = lead, longest + MAX_EXTRA
        for letters, allowed in list(begun.items()):
            begun[letters[0]] = begun.get(letters[0], 0) | allowed
        found.sort()
        for pattern, entry, number in found:
            if not self._patterns or self._patterns[-1] != pattern:
                self._patterns.append(pattern)
                self._first_owner.append(len(self._owners))
            self._owners.append(entry)
            self._ways.append(number)
        self._first_owner.append(len(self._owners))

    def view(self, text: str) -> str:
        """What the view has of a text."""
        return self.skeleton(text) if self.heard_as is None else self.heard_as(self.skeleton(text))

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def proposals(self, hits: list[Hit], region: str, base: int, beyond: int) -> Iterator[Proposal]:
        """The terms among the hits in a region that end after `beyond`; offsets count from `base` before it."""
        starts = [*self.alphabet.table.run_starts(region), len(region)]
        for number, start, end in hits:
            first = self._run(region, starts[start], starts[start + 1])
            cuts_words = self._cuts_words(region, first, self._run(region, starts[end - 1], starts[end]))
            for spelling in self._spelt(number, bounded=not cuts_words):
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

    def _spelt(self, number: int, *, bounded: bool = True) -> Iterator[Spelling]:
        """The spellings that have a pattern; without `bounded` only those of terms that may stand inside words."""
        for at in range(self._first_owner[number], self._first_owner[number + 1]):
            if bounded or not self._kinds[self._owners[at]].bounded:
                yield self._spellings.get(at) or self._spell(at)

    def _spell(self, at: int) -> Spelling:
        if len(self._spellings) >= REMEMBERED:
            self._spellings.clear()
        entry = self._owners[at]
        kind = self._kinds[entry]
        way = self._ways_of(entry)[self._ways[at]]
        made = self.alphabet.spell(way.text, entry, kind.allowed, way.used, way.borders, kind.size)
        self._spellings[at] = made
        return made

    def may_begin(self, beginning: str, excused: frozenset[int] = frozenset()) -> bool:
        """Whether more text can make a term of this view out of a beginning, those of `excused` entries aside."""
        if not self.alphabet.of(beginning[0]) or len(beginning) > self._span:
            return False
        if not self._is_begun(beginning) or self._first_run(beginning) > self._lead:
            return False
        pattern = self.view(beginning)
        tried = 0
        for number in range(bisect_left(self._patterns, pattern), len(self._patterns)):
            if not self._patterns[number].startswith(pattern):
                return False
            for spelling in self._spelt(number):
                if spelling.entry in excused:
                    continue
                read = self.alphabet.read(beginning, 0, spelling)
                tried += 1
                if (read is not None and read[0] == UNFINISHED) or tried > MOST_TRIED:
                    return True
        return False

    def _first_run(self, beginning: str) -> int:
        """How many equal characters a beginning begins with."""
        first = self.alphabet.of(beginning[0])
        seen = (self.alphabet.of(char) for char in beginning)
        return sum(1 for one in takewhile(lambda one: one in ("", first), seen) if one)

    def _is_begun(self, beginning: str) -> bool:
        """Whether some term begins with the first two characters, in a disguise that some such term allows."""
        meanings = self.alphabet.meanings
        if meanings is None:
            return True
        letters = list(islice((char for char in beginning if self.alphabet.of(char)), 2))
        seconds = meanings(letters[1]) if len(letters) > 1 else [("", Folding.none)]
        return any(
            (how | also) & ~self._begun[one + other] == 0
            for one, how in meanings(letters[0])
            for other, also in seconds
            if one + other in self._begun
        )

    def likely_beginnings(self, window: str, low: int) -> list[int]:
        """Places from `low` on that may begin a term that reaches the end of the window, some of them wrongly."""
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


def _starts(run: list[int], spelling: Spelling, single: bool) -> list[int]:
    """Where in the run of equal characters that a hit begins with its spelling may begin."""
    if single:
        return run[: len(run) - spelling.lead + 1]
    return run[-spelling.lead :][:1] if len(run) >= spelling.lead else []
