"""The keyword scanner: an Aho-Corasick automaton (ahocorasick_rs) over folded terms.

A term that begins or ends in a Latin letter or digit needs a word boundary there, so SM is not in
Smoking; Chinese ends need none. A term inside an allowed word (大麻 in 大麻烦) is no match.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import ahocorasick_rs

from compliance.deadline import Deadline
from compliance.matches import Match, Meaning
from compliance.unicode import is_word


@dataclass(frozen=True, slots=True)
class Excuse:
    """An allowed word that holds a term at `offset`."""

    word: str
    offset: int
    word_start: bool
    word_end: bool  # needs a word boundary at its end; where it ends with the term, the term's own says it all
    ends_with_term: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One folded term with all its meanings and the allowed words that excuse it."""

    text: str
    word_start: bool
    word_end: bool
    meanings: tuple[Meaning, ...]
    excuses: tuple[Excuse, ...]


class KeywordScanner:
    """Compiled terms of one direction; immutable, shared by all streams."""

    name = "keywords"

    def __init__(self, meanings: dict[str, tuple[Meaning, ...]], allowed: Iterable[str]) -> None:
        excusable = frozenset(allowed)
        terms = [term for term in meanings if meanings[term] and term not in excusable]
        self._find = ahocorasick_rs.AhoCorasick(terms).find_matches_as_indexes if terms else _find_nothing
        excuses = self._excuses(terms, excusable)
        self._entries = [
            Entry(term, is_word(term[0]), is_word(term[-1]), meanings[term], excuses.get(term, ())) for term in terms
        ]
        self._prefixes = frozenset(term[:size] for term in terms for size in range(1, len(term)))
        self._longest_prefix = max((len(term) - 1 for term in terms), default=0)
        self._doubtful = _doubtful(self._entries)
        self.reach = 1 + max((len(e.word) for entry in self._entries for e in entry.excuses), default=0)

    def _excuses(self, terms: list[str], allowed: Iterable[str]) -> dict[str, tuple[Excuse, ...]]:
        found: dict[str, list[Excuse]] = {}
        for word in allowed:
            for index, start, end in self._find(word, overlapping=True):
                same_end = end == len(word)
                excuse = Excuse(word, start, is_word(word[0]), is_word(word[-1]) and not same_end, same_end)
                found.setdefault(terms[index], []).append(excuse)
        return {term: tuple(excuses) for term, excuses in found.items()}

    def warm_up(self) -> None:
        """Nothing is loaded late here."""

    def start(self) -> "KeywordScan":
        return KeywordScan(self._find, self._entries, self._prefixes, self._longest_prefix, self._doubtful)


def _doubtful(entries: list[Entry]) -> dict[str, tuple[Entry, ...]]:
    """Prefixes of which every term may be excused by words before it, with those terms.

    After 小 no 麻烦 needs to be waited for where 小麻烦 is allowed and nothing else begins with 麻.
    """
    terms_of: dict[str, list[Entry]] = {}
    for entry in entries:
        if any(excuse.ends_with_term for excuse in entry.excuses):
            for size in range(1, len(entry.text)):
                terms_of.setdefault(entry.text[:size], []).append(entry)
    if not terms_of:
        return {}
    total = Counter(entry.text[:size] for entry in entries for size in range(1, len(entry.text)))
    return {prefix: tuple(terms) for prefix, terms in terms_of.items() if len(terms) == total[prefix]}


def _find_nothing(_: str, overlapping: bool = False) -> list[tuple[int, int, int]]:
    return []


class KeywordScan:
    """One stream's state: which positions may still become a term, and terms whose fate is open."""

    name = "keywords"

    def __init__(
        self,
        find: "ahocorasick_rs._Find",  # type: ignore[name-defined]
        entries: list[Entry],
        prefixes: frozenset[str],
        longest_prefix: int,
        doubtful: dict[str, tuple[Entry, ...]],
    ) -> None:
        self._find = find
        self._entries = entries
        self._prefixes = prefixes
        self._longest_prefix = longest_prefix
        self._doubtful = doubtful
        self._alive: list[int] = []  # starts of proper prefixes of terms that reach the end of the window
        self._open: list[tuple[int, int, Entry]] = []  # whole terms that a boundary or an excuse may undo

    def advance(self, window: str, seen: int, final: bool, deadline: Deadline) -> tuple[list[Match], int]:
        size = len(window)
        first = self._alive[0] if self._alive else seen
        hits = self._find(window[first:] if first else window, overlapping=True)
        if hits:
            self._open += [
                (first + start, first + end, self._entries[index]) for index, start, end in hits if first + end > seen
            ]
        matches = self._settle(window, final) if self._open else []
        if final:
            self._alive = []
            return matches, size
        if seen < size:
            self._alive = self._still_alive(window, seen, size)
        undecided = self._alive[0] if self._alive else size
        if self._open:
            undecided = min(undecided, min(start for start, _, _ in self._open))
        return matches, undecided

    def _settle(self, window: str, final: bool) -> list[Match]:
        matches: list[Match] = []
        waiting: list[tuple[int, int, Entry]] = []
        for start, end, entry in self._open:
            holds = _holds(window, start, end, entry, final)
            if holds is None:
                waiting.append((start, end, entry))
            elif holds:
                matches += [Match(start, end, meaning) for meaning in entry.meanings]
        self._open = waiting
        return matches

    def _still_alive(self, window: str, seen: int, size: int) -> list[int]:
        prefixes = self._prefixes
        alive = [start for start in self._alive if window[start:] in prefixes] if self._alive else []
        first = size - self._longest_prefix
        for start in range(first if first > seen else seen, size):
            if window[start:] in prefixes and not _inside_word(window, start):
                alive.append(start)  # noqa: PERF401 - for one to three characters a loop costs the least
        if self._doubtful:
            return [start for start in alive if self._is_needed(window, start)]
        return alive

    def _is_needed(self, window: str, start: int) -> bool:
        """Whether some term may begin here that the text before it does not excuse already."""
        terms = self._doubtful.get(window[start:])
        return terms is None or not all(_will_be_excused(window, start, term) for term in terms)

    def forget(self, count: int) -> None:
        self._alive = [start - count for start in self._alive]
        self._open = [(start - count, end - count, entry) for start, end, entry in self._open]


def _holds(window: str, start: int, end: int, entry: Entry, final: bool) -> bool | None:
    """Whether a term found here is a match; None while the text to come decides that."""
    if entry.word_start and _inside_word(window, start):
        return False
    at_end = end == len(window)
    if entry.word_end and not at_end and is_word(window[end]):
        return False
    pending = entry.word_end and at_end and not final
    for excuse in entry.excuses:
        excused = _excused(window, start - excuse.offset, excuse, final)
        if excused:
            return False
        pending = pending or excused is None
    return None if pending else True


def _excused(window: str, start: int, excuse: Excuse, final: bool) -> bool | None:
    """Whether the allowed word stands at `start`; None while the text to come decides that."""
    if start < 0 or (excuse.word_start and _inside_word(window, start)):
        return False
    end = start + len(excuse.word)
    if end > len(window):
        return None if not final and excuse.word.startswith(window[start:]) else False
    if window[start:end] != excuse.word:
        return False
    if not excuse.word_end:
        return True
    if end == len(window):
        return True if final else None
    return not is_word(window[end])


def _will_be_excused(window: str, start: int, entry: Entry) -> bool:
    """Whether this term, if it is completed, ends an allowed word that has begun before it."""
    return any(
        excuse.ends_with_term
        and start >= excuse.offset
        and excuse.word.startswith(window[start - excuse.offset :])
        and not (excuse.word_start and _inside_word(window, start - excuse.offset))
        for excuse in entry.excuses
    )


def _inside_word(window: str, start: int) -> bool:
    """Whether a word character at `start` continues a word."""
    return start > 0 and is_word(window[start]) and is_word(window[start - 1])
