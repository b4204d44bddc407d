"""Terms compiled for all streams and policies: automata that propose places, spellings that judge them.

A text is looked at in up to three views. `skeleton`: separators dropped, look-alike characters made one; all terms
and those with characters split apart. `latin`: the same view for terms in pinyin and initials, asked only where there
are Latin letters. `sound`: each Chinese character as its syllable, for homophones.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import ahocorasick_rs

from compliance.excuses import Excuse, excuses_of
from compliance.foldings import MAX_GAP, Folding, FoldingTables, folding_tables
from compliance.pinyin import syllables
from compliance.spelling import UNFINISHED, Alphabet, Spelling
from compliance.unicode import is_word
from compliance.variants import LATIN, latin, split

_REMEMBERED = 8192
"""So many answers about beginnings of terms are kept; texts repeat themselves."""


class Wanted(NamedTuple):
    """A folded term to look for. `contexts` are words around it that excuse it; `bounded` as in `Entry`."""

    text: str
    foldings: Folding = Folding.none
    bounded: bool = True
    contexts: tuple[str, ...] = ()


class Entry(NamedTuple):
    """A term as the scanner knows it. `word_start`, `word_end`: needs a word boundary there."""

    index: int
    text: str
    excuses: tuple[Excuse, ...]
    bounded: bool


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
        self.entries = [Entry(index, one.text, excuses.get(index, ()), one.bounded) for index, one in enumerate(wanted)]
        live = [entry for entry in self.entries if entry.text not in excusable]
        self.loose = any(not entry.bounded and is_word(entry.text[0]) for entry in live)
        self.prefixes = frozenset(e.text[:size] for e in live for size in range(1, len(e.text)))
        self.views = [view for view in self._views(live, wanted, tables) if view.spellings]
        self.reach = 2 + max((len(x.word) * (1 + MAX_GAP) for e in live for x in e.excuses), default=0)

    def _views(self, live: Sequence[Entry], wanted: Sequence[Wanted], tables: FoldingTables) -> "Iterator[View]":
        plain = self.plain
        whole = [e for e in live if plain.of(e.text[0]) and plain.of(e.text[-1])]
        own: list[Spelling | None] = []
        foreign: list[Spelling | None] = []
        for entry in whole:
            allowed = wanted[entry.index].foldings
            own.append(plain.spell(entry.text, entry.index, allowed))
            if Folding.split in allowed:
                own += [plain.spell(v.text, entry.index, allowed, v.used, v.borders) for v in split(entry.text)]
            if allowed & LATIN:
                ways = latin(entry.text, allowed)
                foreign += [plain.spell(v.text, entry.index, allowed, v.used, v.borders) for v in ways]
        yield View(plain, own)
        yield View(plain, foreign, only_if=_LATIN)
        heard = [entry for entry in whole if Folding.homophones in wanted[entry.index].foldings]
        if heard:
            sound = _sound(tables)
            spelt = [sound.spell(entry.text, entry.index, wanted[entry.index].foldings) for entry in heard]
            yield View(sound, spelt, needs=Folding.homophones)
        # What begins or ends in a separator can only be looked for as it is.
        literal = Alphabet([], lambda written, meant: Folding.none if written == meant else None)
        odd = [entry for entry in live if not (plain.of(entry.text[0]) and plain.of(entry.text[-1]))]
        yield View(literal, [literal.spell(entry.text, entry.index, Folding.none) for entry in odd])


def _sound(tables: FoldingTables) -> Alphabet:
    spoken = syllables()
    table = list(tables.skeleton)
    letter = {syllable: chr(0xE000 + at) for at, syllable in enumerate(sorted(set(spoken.values())))}
    for char, syllable in spoken.items():
        if table[ord(char)] == char:
            table[ord(char)] = letter[syllable]

    def between(written: str, meant: str) -> Folding | None:
        how = tables.between(written, meant)
        if how is None and written in spoken and spoken[written] == spoken.get(meant):
            return Folding.homophones
        return how

    return Alphabet(table, between)


class View:
    """One view: its automaton and what its hits are spellings of."""

    def __init__(
        self,
        alphabet: Alphabet,
        spellings: Iterable[Spelling | None],
        *,
        only_if: re.Pattern[str] | None = None,
        needs: Folding = Folding.none,
    ) -> None:
        self.alphabet = alphabet
        self.spellings = sorted((one for one in spellings if one is not None), key=lambda one: one.pattern)
        self._only_if = only_if.search if only_if is not None else None
        self.needs = needs
        self._patterns = [one.pattern for one in self.spellings]
        distinct = list(dict.fromkeys(self._patterns))
        self._of_pattern = [bisect_left(self._patterns, pattern) for pattern in distinct]
        self._find = ahocorasick_rs.AhoCorasick(distinct).find_matches_as_indexes if distinct else None
        self._longest = max(map(len, distinct), default=0)
        self._first_two = frozenset(pattern[:2] for pattern in distinct)
        self._beginnings: dict[str, bool] = {}

    def sees(self, region: str) -> bool:
        """Whether this view can have anything to say about a text."""
        return self._only_if is None or self._only_if(region) is not None

    def proposals(self, region: str, base: int, beyond: int) -> Iterator[Proposal]:
        """The terms in `region` that end after `beyond`; offsets count from `base` before the region."""
        seen_from_here = region.translate(self.alphabet.table)
        hits = self._find(collapsed(seen_from_here), overlapping=True)
        if not hits:
            return
        runs = self._runs(region)
        for index, start, end in hits:
            first = self._of_pattern[index]
            pattern = self._patterns[first]
            for number in range(first, len(self._patterns)):
                if self._patterns[number] != pattern:
                    break
                spelling = self.spellings[number]
                for at in _starts(runs[start], spelling, single=end - start == 1):
                    read = self.alphabet.read(region, at, spelling)
                    if read is not None and read[0] + base > beyond and read[1] & self.needs == self.needs:
                        yield Proposal(base + at, base + read[0], spelling.entry, read[1])

    def _runs(self, region: str) -> list[list[int]]:
        """The places of the characters that the collapsed view of a region consists of."""
        runs: list[list[int]] = []
        previous = ""
        for at, char in enumerate(region):
            seen = self.alphabet.of(char)
            if seen and seen == previous:
                runs[-1].append(at)
            elif seen:
                runs.append([at])
                previous = seen
        return runs

    def may_begin(self, beginning: str) -> bool:
        """Whether more text can make a term of this view out of a beginning."""
        known = self._beginnings.get(beginning)
        if known is None:
            if len(self._beginnings) >= _REMEMBERED:
                self._beginnings.clear()
            known = self._beginnings[beginning] = self._can_begin(beginning)
        return known

    def _can_begin(self, beginning: str) -> bool:
        if not self.sees(beginning) or not self.alphabet.of(beginning[0]):
            return False
        pattern = collapsed(beginning.translate(self.alphabet.table))
        for number in range(bisect_left(self._patterns, pattern), len(self._patterns)):
            if not self._patterns[number].startswith(pattern):
                return False
            read = self.alphabet.read(beginning, 0, self.spellings[number])
            if read is not None and read[0] == UNFINISHED:
                return True
        return False

    def likely_beginnings(self, window: str, low: int) -> list[int]:
        """Places from `low` on that may begin a term that reaches the end of the window, some of them wrongly."""
        if not self.sees(window[low:]):
            return []
        low = max(low, self._earliest(window))
        runs = self._runs(window[low:])
        seen = "".join(self.alphabet.of(window[low + run[0]]) for run in runs)
        likely = (at for at in range(len(runs)) if at + 1 == len(runs) or seen[at : at + 2] in self._first_two)
        return [low + place for at in likely for place in runs[at]]

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


_LATIN = re.compile("[a-z]")
_REPEATS = re.compile(r"(.)\1+", re.DOTALL)


def collapsed(text: str) -> str:
    """Equal characters in a row made one."""
    return _REPEATS.sub(r"\1", text) if _REPEATS.search(text) else text
