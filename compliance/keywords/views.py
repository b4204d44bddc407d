"""One view of a text: an automaton proposes places in it, spellings judge them."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from compliance.chartable import CharTable, collapsed
from compliance.keywords.beginnings import Beginnings, BeginningsOf, cut, run_length
from compliance.keywords.candidates import alike_twice, enough_alike, is_parted, leading_signs, may_be_parted
from compliance.keywords.excuses import inside_word
from compliance.keywords.foldings import HARD, MAX_EXTRA, Folding
from compliance.keywords.heads import CHINESE, Heads, heads_of
from compliance.keywords.patterns import Patterns, Way
from compliance.keywords.spelling import UNFINISHED, Alphabet, Spelling
from compliance.keywords.variants import Variant
from compliance.unicode import is_word

REMEMBERED = 8192
"""So many answers about terms are kept at a time; texts repeat themselves."""

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


class Wanted(NamedTuple):
    """A folded term to look for. `bounded`: Latin ends need a word boundary; `contexts`: words around it excuse it."""

    text: str
    foldings: Folding = Folding.none
    bounded: bool = True
    contexts: tuple[str, ...] = ()


class View:
    """One view: its automaton, and the ways to write terms that its hits may be.

    `view` makes of a text what the view has of it: its `skeleton`, and that `heard_as` something else where that is
    not None. `find` searches it, only where `only_if` is None or finds something in the text. Every pattern begins with
    one of `starts`, which are one or two characters long. The ways are many and hardly ever asked for, so only how they
    begin is kept; `ways_of` makes them again.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        terms: Sequence[Wanted],
        entries: Iterable[int],
        ways_of: Callable[[int], tuple[Variant, ...]],
        beginnings_of: BeginningsOf,
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
        self._terms = terms
        self.only_if = only_if.search if only_if is not None else None
        self._begun: dict[str, int] = {}
        self._lead = 1
        self._longest = 0
        self._loose = False
        heads: list[tuple[str, int]] = []
        self._leading_runs: defaultdict[str, list[int]] = defaultdict(list)
        self._parting: set[int] = set()
        owners = self._gather(entries, ways_of, beginnings_of, heads)
        self._patterns = Patterns(owners, ways_of, self.view)
        self.find = self._patterns.find
        self.starts = self._patterns.starts
        self._spellings: dict[Way, Spelling] = {}
        meanings = alphabet.meanings
        self._heads = Heads(heads, meanings) if meanings is not None else None

    def _gather(
        self,
        entries: Iterable[int],
        ways_of: Callable[[int], tuple[Variant, ...]],
        beginnings_of: BeginningsOf,
        heads: list[tuple[str, int]],
    ) -> dict[str, tuple[int, ...]]:
        """The patterns and whose they are; `heads` takes the heads."""
        owners: dict[str, tuple[int, ...]] = {}
        begun: defaultdict[str, int] = defaultdict(int)
        entries_of = self.table.entries
        heard_as = self.heard_as
        knows_meanings = self.alphabet.meanings is not None
        for entry in entries:
            term, foldings, bounded, _ = self._terms[entry]
            allowed = int(foldings)
            made = beginnings_of(term, term.translate(entries_of), allowed)
            patterns, lead, letters, longest, begun_in_letters = self._of_all(ways_of(entry)) if made is None else made
            if begun_in_letters is None and knows_meanings and min(patterns, default=CHINESE) < CHINESE:
                begun_in_letters = heads_of(ways_of(entry), self.table)
            if begun_in_letters:
                heads += [(head, entry) for head in begun_in_letters]
            if not term.isalnum() and may_be_parted(self.alphabet, term):
                self._parting.add(entry)
            for pattern in patterns if heard_as is None else map(heard_as, patterns):
                owners[pattern] = (*owners[pattern], entry) if pattern in owners else (entry,)
            for one in letters:
                begun[one] |= allowed
            if not bounded:
                self._loose = True
            if lead > 1:
                for first in {self.view(pattern[0]) for pattern in patterns}:
                    self._leading_runs[first].append(entry)
                self._lead = max(lead, self._lead)
            if longest > self._longest:
                self._longest = longest
        for one, allowed in list(begun.items()):
            begun[one[0]] |= allowed
        self._begun = dict(begun)
        return owners

    def _of_all(self, ways: tuple[Variant, ...]) -> Beginnings:
        seen = [way.text.translate(self.table.entries) for way in ways]
        return Beginnings(
            {cut(collapsed(one)) for one in seen},
            max(map(run_length, seen), default=1),
            {"".join(filter(self.alphabet.of, way.text))[:2] for way in ways},
            max((len(way.text) for way in ways), default=0),
        )

    def view(self, text: str) -> str:
        """What the view has of a text."""
        return self.skeleton(text) if self.heard_as is None else self.heard_as(self.skeleton(text))

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def proposals(self, hits: list[Hit], seen: str, region: str, base: int, beyond: int) -> Iterator[Proposal]:
        """The terms among the hits in a region that end after `beyond`; offsets count from `base` before it.

        `seen` is what the view has of the region. Most hits only begin like a term, which it tells at once.
        """
        starts: list[int] = []
        bounded = self.only_if is not None and not self._loose  # in English text most hits begin or end inside words
        for number, start, _ in hits:
            if bounded and starts and starts[start + 1] - starts[start] == 1 and inside_word(region, starts[start]):
                continue
            for end, ways in self._patterns.at(number, seen, start):
                if not starts:
                    starts = [*self.alphabet.table.run_starts(region), len(region)]
                last = starts[end - 1]
                if bounded and starts[end] - last == 1 and last + 1 < len(region) and inside_word(region, last + 1):
                    continue
                first = self._run(region, starts[start], starts[start + 1])
                inside = self.only_if is not None and all(inside_word(region, at) for at in first)
                if inside and bounded:
                    break
                cuts_words = inside or self._ends_inside_word(region, self._run(region, starts[end - 1], starts[end]))
                for way in ways:
                    if cuts_words and self._terms[way.entry].bounded:
                        continue
                    spelling = self._spellings.get(way) or self._spell(way)
                    for at in _starts(first, spelling, single=end - start == 1):
                        read = self.alphabet.read(region, at, spelling)
                        if read is not None and read[0] + base > beyond and self._counts(read[1]):
                            yield Proposal(base + at, base + read[0], way.entry, Folding(read[1]))

    def _run(self, region: str, start: int, end: int) -> list[int]:
        """The places of the equal characters of a run, which separators may stand between."""
        return [at for at in range(start, end) if self.alphabet.of(region[at])]

    def _counts(self, used: int) -> bool:
        return used & self.needs == self.needs

    def _ends_inside_word(self, region: str, last: list[int]) -> bool:
        if self.only_if is None:
            return False
        return all(is_word(region[at]) and at + 1 < len(region) and is_word(region[at + 1]) for at in last)

    def _spell(self, way: Way) -> Spelling:
        if len(self._spellings) >= REMEMBERED:
            self._spellings.clear()
        term = self._terms[way.entry]
        size = sum(1 for char in term.text if self.alphabet.of(char))
        itself = self.only_if is None and way.number == 0
        written = Variant(term.text, 0, Folding.none) if itself else self._patterns.ways_of(way.entry)[way.number]
        made = self.alphabet.spell(written.text, way.entry, term.foldings, written.used, written.borders, size)
        self._spellings[way] = made
        return made

    def may_begin(self, beginning: str, excused: frozenset[int] = frozenset()) -> bool:
        """Whether more text can make a term of this view out of a beginning, those of `excused` entries aside."""
        if not self.alphabet.of(beginning[0]) or len(beginning) > self._longest + MAX_EXTRA:
            return False
        pattern = self.view(beginning)
        if pattern[:2] not in self.starts or not self.begins_with(pattern):
            return False
        run = self._first_run(beginning)
        if run > self._lead or not self._is_begun(beginning):
            return False
        tried = 0
        for entry in self._may_go_on(beginning, pattern, run):
            if entry in excused:
                continue
            for way in self._going_on(entry, pattern):
                read = self.alphabet.read(beginning, 0, self._spellings.get(way) or self._spell(way))
                tried += 1
                if (read is not None and read[0] == UNFINISHED) or tried > MOST_TRIED:
                    return True
        return False

    def _going_on(self, entry: int, pattern: str) -> Iterator[Way]:
        """The ways of an entry that a view has so; the term itself first, the others only where that does not do."""
        if self.only_if is None and self.view(self._terms[entry].text).startswith(pattern):
            yield Way(entry, 0)
        yield from self._patterns.going_on(entry, pattern)

    def _may_go_on(self, beginning: str, pattern: str, run: int) -> Iterable[int]:
        """The entries that may have a way that goes on from a beginning, which begins with a run of equal characters.

        What few of them can have is told first, since their ways have to be made to know more.
        """
        entries: Iterable[int]
        if self._heads is not None and max(pattern) < CHINESE:
            found = self._heads.going_on(beginning, self.alphabet.of)
            entries = (entry for entry, used in found if not used & ~int(self._terms[entry].foldings))
        elif run > 1 and self.heard_as is None:
            entries = self._leading_runs.get(pattern[0], ())
        else:
            entries = self._patterns.begun(pattern)
            if self.only_if is not None:
                signs = leading_signs(pattern)
                entries = (one for one in entries if self.view(self._terms[one].text).startswith(signs))
            elif self.heard_as is not None:
                fits = (alike_twice if run > 1 else enough_alike)(self.alphabet, beginning)
                entries = (one for one in entries if fits(self._terms[one].text))
        if beginning.isalnum():
            return entries
        if is_parted(self.alphabet, beginning):
            return (entry for entry in entries if entry in self._parting)
        if HARD.isdisjoint(beginning):
            return entries
        return (entry for entry in entries if len(self._terms[entry].text) >= 3)  # shorter ones are never parted so

    def begins_with(self, seen: str) -> bool:
        """Whether some pattern begins with what the view has of a text."""
        return self._patterns.begins_with(seen)

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
        likely = (at for at in range(len(seen)) if seen[at : at + 2] in self.starts)
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
