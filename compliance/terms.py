"""Terms compiled for all streams and policies: automata that propose places, spellings that judge them.

A text is looked at in up to three views. `skeleton`: separators dropped, look-alike characters made one; all terms
and those with characters split apart. `latin`: the same view for terms in pinyin and initials, asked only where there
are Latin letters. `sound`: each Chinese character as its syllable, for homophones.
"""

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import ahocorasick_rs

from compliance.chartable import CharTable
from compliance.excuses import Excuse, excuses_of, inside_word
from compliance.foldings import MAX_GAP, Folding, FoldingTables, folding_tables
from compliance.pinyin import syllables
from compliance.spelling import UNFINISHED, Alphabet, Spelling
from compliance.unicode import is_word
from compliance.variants import Variant, latin, native

_REMEMBERED = 8192
"""So many answers about beginnings of terms are kept; texts repeat themselves."""


SHORTEST_HEARD = 3
"""Shorter terms sound like too many other words."""


class Wanted(NamedTuple):
    """A folded term to look for. `contexts` are words around it that excuse it; `bounded` as in `Entry`."""

    text: str
    foldings: Folding = Folding.none
    bounded: bool = True
    contexts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A term as the scanner knows it. `bounded`: Latin ends need a word boundary; `repeats` may stand before it."""

    index: int
    text: str
    excuses: tuple[Excuse, ...]
    bounded: bool
    repeats: bool


Hit = tuple[int, int, int]
"""What the automaton says: the number of a pattern, and where in the view it begins and ends."""


class Proposal(NamedTuple):
    """A place that is a term: folded offsets and the disguises it is in."""

    start: int
    end: int
    entry: int
    used: Folding


class CompiledTerms:
    """Immutable; entry i belongs to the i-th wanted term. `loose`: some term may begin inside a Latin word."""

    def __init__(self, wanted: Sequence[Wanted], allowed: Iterable[str]) -> None:
        tables = folding_tables()
        self.plain = Alphabet(tables.skeleton, tables.between)
        excusable = frozenset(allowed)
        excuses = excuses_of(
            [one.text for one in wanted],
            excusable,
            [one.contexts for one in wanted],
            lambda word, index: self.plain.spell(word, index, wanted[index].foldings),
        )
        self.entries = [
            Entry(index, one.text, excuses.get(index, ()), one.bounded, Folding.repeats in one.foldings)
            for index, one in enumerate(wanted)
        ]
        live = [entry for entry in self.entries if entry.text not in excusable]
        self.loose = any(not entry.bounded and is_word(entry.text[0]) for entry in live)
        self.repeating = any(entry.repeats for entry in live)
        self.prefixes = frozenset(e.text[:size] for e in live for size in range(1, len(e.text)))
        self.views = [view for view in self._views(live, wanted, tables) if view]
        self._beginnings: dict[str, bool] = {}
        self.reach = 2 + max((len(x.word) * (1 + MAX_GAP) for e in live for x in e.excuses), default=0)

    def may_begin(self, beginning: str) -> bool:
        """Whether more text can make a term out of a beginning; texts repeat themselves, so answers are kept."""
        known = self._beginnings.get(beginning)
        if known is None:
            if len(self._beginnings) >= _REMEMBERED:
                self._beginnings.clear()
            known = beginning in self.prefixes or any(view.may_begin(beginning) for view in self.views)
            self._beginnings[beginning] = known
        return known

    def _views(self, live: Sequence[Entry], wanted: Sequence[Wanted], tables: FoldingTables) -> "Iterator[View]":
        allowed = [one.foldings for one in wanted]
        texts = [one.text for one in wanted]
        whole = [e.index for e in live if self.plain.of(e.text[0]) and self.plain.of(e.text[-1])]
        latin_only = re.compile(f"[{re.escape(tables.latin)}]")
        yield View(
            self.plain, allowed, whole, lambda entry: (_as_it_is(texts[entry]), *native(texts[entry], allowed[entry]))
        )
        yield View(self.plain, allowed, whole, lambda entry: latin(texts[entry], allowed[entry]), only_if=latin_only)
        heard = [
            entry for entry in whole if Folding.homophones in allowed[entry] and len(texts[entry]) >= SHORTEST_HEARD
        ]
        if heard:
            yield View(
                _sound(tables), allowed, heard, lambda entry: (_as_it_is(texts[entry]),), needs=Folding.homophones
            )
        # What begins or ends in a separator can only be looked for as it is.
        literal = Alphabet(CharTable(()), lambda written, meant: Folding.none if written == meant else None)
        odd = [e.index for e in live if not (self.plain.of(e.text[0]) and self.plain.of(e.text[-1]))]
        yield View(literal, allowed, odd, lambda entry: (_as_it_is(texts[entry]),))


def _as_it_is(text: str) -> Variant:
    return Variant(text, 0, Folding.none)


def _sound(tables: FoldingTables) -> Alphabet:
    spoken = syllables()
    letter = {syllable: chr(0xE000 + at) for at, syllable in enumerate(sorted(set(spoken.values())))}
    entries = list(tables.skeleton.entries)
    for char, syllable in spoken.items():
        if entries[ord(char)] == char:
            entries[ord(char)] = letter[syllable]

    def between(written: str, meant: str) -> Folding | None:
        how = tables.between(written, meant)
        if how is None and written in spoken and spoken[written] == spoken.get(meant):
            return Folding.homophones
        return how

    return Alphabet(CharTable(entries), between)


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
            if len(self._spellings) >= _REMEMBERED:
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
