"""Terms compiled for all streams and policies.

A text is looked at in up to three views. `skeleton`: separators dropped, look-alike characters made one; all terms
and those with characters split apart. `latin`: the same view for terms in pinyin and initials, asked only where there
are Latin letters. `sound`: each Chinese character as its syllable, for homophones.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from compliance.chartable import CharTable
from compliance.excuses import Excuse, excuses_of
from compliance.foldings import MAX_GAP, Folding, FoldingTables, folding_tables
from compliance.pinyin import syllables
from compliance.spelling import Alphabet
from compliance.unicode import is_word
from compliance.variants import Variant, latin, native
from compliance.views import REMEMBERED, View

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
            if len(self._beginnings) >= REMEMBERED:
                self._beginnings.clear()
            known = beginning in self.prefixes or any(view.may_begin(beginning) for view in self.views)
            self._beginnings[beginning] = known
        return known

    def _views(self, live: Sequence[Entry], wanted: Sequence[Wanted], tables: FoldingTables) -> Iterator[View]:
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
