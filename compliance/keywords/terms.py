"""Terms compiled for all streams and policies.

A text is looked at in up to three views. `skeleton`: separators dropped, look-alike characters made one; all terms
and those with characters split apart. `latin`: the same view for terms in pinyin and initials, asked only where there
are Latin letters. `sound`: the same view with each Chinese character as its syllable, for homophones.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from compliance.chartable import CharTable
from compliance.keywords.beginnings import LatinBeginnings, NativeBeginnings, as_it_is
from compliance.keywords.excuses import Excuse, excuses_of
from compliance.keywords.foldings import MAX_EXTRA, MAX_GAP, MAX_REPEATS, Folding, FoldingTables, folding_tables
from compliance.keywords.pinyin import sounds, syllables
from compliance.keywords.spelling import Alphabet, Between
from compliance.keywords.variants import LATIN, Variant, latin, native
from compliance.keywords.views import View, Wanted

SHORTEST_HEARD = 3
"""Shorter terms sound like too many other words."""


MAX_REMEMBERED_SIZE = 64
"""Longer beginnings are not remembered: they hardly ever come again."""

MOST_REMEMBERED = 32_768
"""So many answers about beginnings are kept; running text needs most of them again and again."""


_REPEATS, _HOMOPHONES, _LATIN = Folding.repeats.value, Folding.homophones.value, LATIN.value
# Plain numbers, since operations on flags cost ten times as much.


@dataclass(frozen=True, slots=True)
class Entry:
    """A term as the scanner knows it. `bounded`: Latin ends need a word boundary; `repeats` may stand before it."""

    index: int
    text: str
    excuses: tuple[Excuse, ...]
    bounded: bool
    repeats: bool


class CompiledTerms:
    """Immutable; entry i belongs to the i-th wanted term. `loose`: some term may begin inside a Latin word.

    `doubtful`: beginnings that need not be waited for where words before them excuse all their terms.
    """

    def __init__(self, wanted: Sequence[Wanted], allowed: Iterable[str]) -> None:
        tables = folding_tables()
        self.plain = Alphabet(tables.skeleton, tables.between, tables.meanings)
        excusable = frozenset(allowed)
        excuses = excuses_of(
            [one.text for one in wanted],
            excusable,
            [one.contexts for one in wanted],
            lambda word, index: self.plain.spell(word, index, wanted[index].foldings),
        )
        self.entries = [
            Entry(index, one.text, excuses.get(index, ()), one.bounded, bool(one.foldings.value & _REPEATS))
            for index, one in enumerate(wanted)
        ]
        live = [entry for entry in self.entries if entry.text not in excusable]
        self.loose = any(not entry.bounded for entry in live)
        self.repeating = any(entry.repeats for entry in live)
        self.doubtful = _doubtful(self.entries)
        self._texts = sorted(entry.text for entry in live)
        self.views = [view for view in self._views(live, wanted, tables) if view]
        self._beginnings: dict[str, bool] = {}
        self.known_of = self._beginnings.get
        longest_excuse = max((len(x.word) for e in live for x in e.excuses), default=0)
        self.reach = 2 + MAX_REPEATS + longest_excuse + min(longest_excuse * MAX_GAP, MAX_EXTRA)

    def may_begin(self, beginning: str, views: Sequence[View]) -> bool:
        """Whether more text can make a term out of a beginning; texts repeat themselves, so answers are kept.

        `views`: the only ones in which a pattern begins like it; a caller that has not looked names all.
        """
        known = self._beginnings.get(beginning)
        if known is None:
            if len(self._beginnings) >= MOST_REMEMBERED:
                self._beginnings.clear()
            known = self._begins_with(beginning) or any(view.may_begin(beginning) for view in views)
            if len(beginning) <= MAX_REMEMBERED_SIZE:
                self._beginnings[beginning] = known
        return known

    def _begins_with(self, beginning: str) -> bool:
        """Whether a term begins with a text as it stands, and goes on."""
        at = bisect_right(self._texts, beginning)
        return at < len(self._texts) and self._texts[at].startswith(beginning)

    def _views(self, live: Sequence[Entry], wanted: Sequence[Wanted], tables: FoldingTables) -> Iterator[View]:
        kept = self.plain.table.of
        # What begins or ends in a separator can only be looked for as it is.
        odd = [entry.index for entry in live if not (kept(entry.text[0]) and kept(entry.text[-1]))]
        as_they_are = frozenset(odd)
        whole = [entry.index for entry in live if entry.index not in as_they_are]
        latin_only = re.compile(f"[{re.escape(tables.latin)}]")

        def itself(entry: int) -> tuple[Variant, ...]:
            return (Variant(wanted[entry].text, 0, Folding.none),)

        def own(entry: int) -> tuple[Variant, ...]:
            return (*itself(entry), *native(wanted[entry].text, wanted[entry].foldings))

        def foreign(entry: int) -> tuple[Variant, ...]:
            return tuple(latin(wanted[entry].text, wanted[entry].foldings))

        yield View(self.plain, wanted, whole, own, NativeBeginnings(self.plain.table))
        spelt = [one for one in whole if wanted[one].foldings.value & _LATIN]
        yield View(self.plain, wanted, spelt, foreign, LatinBeginnings(self.plain.table), only_if=latin_only)
        by_sound = [one for one in whole if wanted[one].foldings.value & _HOMOPHONES]
        heard = [one for one in by_sound if sum(map(bool, map(kept, wanted[one].text))) >= SHORTEST_HEARD]
        if heard:
            by_ear = Alphabet(tables.skeleton, _heard_as(tables))
            sounds_of = _one_letter_a_syllable()
            yield View(by_ear, wanted, heard, itself, as_it_is, heard_as=sounds_of, needs=Folding.homophones)
        if odd:
            literal = Alphabet(CharTable(()), lambda written, meant: Folding.none if written == meant else None)
            yield View(literal, wanted, odd, itself, as_it_is)


def _doubtful(entries: Sequence[Entry]) -> dict[str, tuple[Entry, ...]]:
    """Prefixes of which every term may be excused by words before it, with those terms.

    After 小 no 麻烦 needs to be waited for where 小麻烦 is allowed and nothing else begins with 麻.
    """
    terms_of: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.excuses and any(excuse.ends_with_term for excuse in entry.excuses):
            for size in range(1, len(entry.text)):
                terms_of.setdefault(entry.text[:size], []).append(entry)
    firsts = {prefix[0] for prefix in terms_of}
    begun = (entry.text for entry in entries if entry.text[0] in firsts)
    total = Counter(text[:size] for text in begun for size in range(1, len(text)))
    return {prefix: tuple(terms) for prefix, terms in terms_of.items() if len(terms) == total[prefix]}


def _one_letter_a_syllable() -> CharTable:
    """What each character of a skeleton sounds like; its numerals have become digits, which have no sound."""
    heard = sounds()
    return CharTable([heard.get(code, chr(code)) for code in range(0x10000)])


def _heard_as(tables: FoldingTables) -> Between:
    spoken = syllables()

    def between(written: str, meant: str) -> Folding | None:
        how = tables.between(written, meant)
        if how is None and written in spoken and spoken[written] == spoken.get(meant):
            return Folding.homophones
        return how

    return between
