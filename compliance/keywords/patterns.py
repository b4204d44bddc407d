"""What an automaton looks for, and which ways to write which terms a place may be where it found something."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate, chain
from typing import NamedTuple

import ahocorasick_rs

from compliance.keywords.beginnings import cut
from compliance.keywords.variants import Variant

_TERMS_REMEMBERED = 2048
_WAYS_REMEMBERED = 65_536
"""Of so many terms all ways to write them are kept, and of so many ways what a view has of them."""


class Way(NamedTuple):
    """The so manieth way to write the term of an entry."""

    entry: int
    number: int


_Whole = tuple[tuple[int, dict[str, list[Way]]], ...]
"""What a view has of ways, by length."""


class Patterns:
    """The beginnings of all ways as an automaton, and the whole ways behind them.

    Which entries a beginning belongs to is kept; their ways are many and hardly ever asked for, so they are made
    when a text begins so. `find` says number, start and end of each pattern in a text. Every pattern begins with one
    of `starts`, which are one or two characters long.
    """

    def __init__(
        self,
        owners: Mapping[str, tuple[int, ...]],
        ways_of: Callable[[int], tuple[Variant, ...]],
        view: Callable[[str], str],
    ) -> None:
        """`owners`: the entries of each pattern. `view`: what the view has of a text."""
        self._texts = sorted(owners)
        entries = [owners[text] for text in self._texts]
        self._owners = array("I", chain.from_iterable(entries))
        self._first_owner = array("I", accumulate(map(len, entries), initial=0))
        self.ways_of = lru_cache(_TERMS_REMEMBERED)(ways_of)
        self._seen_of = lru_cache(_TERMS_REMEMBERED)(
            lambda entry: tuple([view(way.text) for way in self.ways_of(entry)])
        )
        self.find = ahocorasick_rs.AhoCorasick(self._texts, store_patterns=False).find_matches_as_indexes
        first_two = {text[:2] for text in self._texts}
        self.starts = frozenset(first_two | {text[0] for text in first_two})
        self._known: dict[int, _Whole] = {}
        self._ways_known = 0

    def __bool__(self) -> bool:
        return bool(self._texts)

    def at(self, number: int, seen: str, start: int) -> Iterator[tuple[int, list[Way]]]:
        """The ends of the ways that stand at `start` in what the view has of a text, where a pattern was found."""
        for size, ways in self._known.get(number) or self._make(number):
            end = start + size
            found = ways.get(seen[start:end])
            if found is not None:
                yield end, found

    def begun(self, seen: str) -> Iterator[int]:
        """The entries with a way of which a view may have more than `seen`, which it begins with, or just that."""
        told: set[int] = set()
        for number in self._begun(seen):
            for entry in self._owners_of(number):
                if entry not in told:
                    told.add(entry)
                    yield entry

    def going_on(self, entry: int, seen: str) -> Iterator[Way]:
        """The ways of an entry of which a view has more than `seen`, which they begin with, or just that."""
        for which, text in enumerate(self._seen_of(entry)):
            if text.startswith(seen):
                yield Way(entry, which)

    def begins_with(self, seen: str) -> bool:
        """Whether a way may begin with what the view has of a text."""
        known = cut(seen)
        at = bisect_left(self._texts, known)
        return at < len(self._texts) and self._texts[at].startswith(known)

    def _begun(self, seen: str) -> Iterator[int]:
        known = cut(seen)
        number = bisect_left(self._texts, known)
        while number < len(self._texts) and self._texts[number].startswith(known):
            yield number
            number += 1

    def _make(self, number: int) -> _Whole:
        """The ways that begin with a pattern."""
        if self._ways_known > _WAYS_REMEMBERED:
            self._known.clear()
            self._ways_known = 0
        sizes: dict[int, dict[str, list[Way]]] = {}
        pattern = self._texts[number]
        for entry in self._owners_of(number):
            for which, seen in enumerate(self._seen_of(entry)):
                if seen.startswith(pattern) and cut(seen) == pattern:
                    sizes.setdefault(len(seen), {}).setdefault(seen, []).append(Way(entry, which))
                    self._ways_known += 1
        self._known[number] = made = tuple(sorted(sizes.items()))
        return made

    def _owners_of(self, number: int) -> "array[int]":
        return self._owners[self._first_owner[number] : self._first_owner[number + 1]]
