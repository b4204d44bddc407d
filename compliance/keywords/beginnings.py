"""How all ways to write a term begin, without making the ways: what an automaton is built of.

An automaton only proposes, so it is enough that it knows the first few characters of each way; the ways that begin so
are made when a text does too. A term has many ways, most of which differ late.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import product
from operator import itemgetter
from typing import NamedTuple

from compliance.chartable import CharTable, collapsed
from compliance.keywords.foldings import Folding
from compliance.keywords.heads import heads_of, plain_heads
from compliance.keywords.pinyin import read_aloud
from compliance.keywords.variants import choices, has_number, latin, splits

SIGNS = 3
LETTERS = 6
"""So many characters of a way are looked for: three Chinese ones say as much as six others."""

_CHINESE = "\u2e80"
_NUMBERS, _SPLIT = int(Folding.numbers), int(Folding.split)
_RARE = int(Folding.reversed | Folding.fillers)


_NOTHING_MORE: list[tuple[str, ...]] = [("",)] * SIGNS


class Beginnings(NamedTuple):
    """What all ways of one term begin with. Where it says more than any way has, that costs a little and harms nothing.

    `patterns`: in the view. `lead`: the longest run of equal characters that one begins with. `letters`: the first two
    characters, as they are written. `longest`: no way has more characters. `heads`: see `heads.py`; None where
    the ways have to be asked.
    """

    patterns: Iterable[str]
    lead: int
    letters: Iterable[str]
    longest: int
    heads: Iterable[str] | None = None


BeginningsOf = Callable[[str, str, int], Beginnings | None]
"""Of a term, what its view has of it, and the disguises it allows; None where the ways themselves have to be asked.

The disguises are a plain number, since operations on flags cost ten times as much.
"""


def cut(seen: str) -> str:
    """What an automaton knows of a way that is seen so."""
    head = seen[:SIGNS]
    return head if min(head) >= _CHINESE else seen[:LETTERS]


def is_cut(pattern: str) -> bool:
    """Whether `cut` made the pattern of something longer, or may have."""
    return len(pattern) >= LETTERS or (len(pattern) >= SIGNS and min(pattern[:SIGNS]) >= _CHINESE)


def run_length(seen: str) -> int:
    """How many equal characters a text begins with."""
    return len(seen) - len(seen.lstrip(seen[0]))


def as_it_is(term: str, seen: str, allowed: int) -> Beginnings | None:
    """Of a term that is written in one way."""
    return _beginnings((seen,), True, (term[:2],), len(term)) if len(seen) == len(term) else None


class NativeBeginnings:
    """Of a term as it is and with characters split apart."""

    def __init__(self, table: CharTable) -> None:
        self._of = table.of
        self._ways = {char: ["".join(filter(table.of, way)) for way in ways] for char, ways in splits().items()}
        self._seen = {char: ["".join(map(table.of, way)) for way in ways] for char, ways in self._ways.items()}
        self._more = {char: max(map(len, ways)) - 1 for char, ways in splits().items()}
        self._plain: dict[str, tuple[str, ...]] = {}

    def __call__(self, term: str, seen: str, allowed: int) -> Beginnings | None:
        if (
            len(seen) != len(term)
            or allowed & _RARE
            or (allowed & _NUMBERS and not term.isalpha() and has_number(term))
        ):
            return None
        if not allowed & _SPLIT:
            return as_it_is(term, seen, allowed)
        more = self._more
        longest = len(term) + sum([more[char] for char in term if char in more])
        patterns = self._first_signs(term)
        if patterns:
            return Beginnings(patterns, 1, {pattern[:2] for pattern in patterns}, longest)
        letters = self._letters(term)
        for size in (SIGNS, LETTERS):
            made = _beginnings(self._texts(term[:size], seen[:size]), size >= len(term), letters, longest)
            if made is not None:
                return made
        return None

    def _first_signs(self, term: str) -> set[str]:
        """The patterns where all of them are the first Chinese characters as they are written; empty elsewhere."""
        ways: list[tuple[str, ...]] = []
        for char in term[:SIGNS]:
            plain = self._plain.get(char)
            ways.append(self._plain_ways(char) if plain is None else plain)
        firsts, seconds, thirds = ways + _NOTHING_MORE[len(ways) :]
        patterns = {(one + two + three)[:SIGNS] for one in firsts for two in seconds for three in thirds}
        joined = "\n".join(patterns)  # of nothing, where one character has no such ways
        return patterns if collapsed(joined) is joined else set()

    def _plain_ways(self, char: str) -> tuple[str, ...]:
        """The ways to write a character where the view has all of them as they are; none elsewhere."""
        ways = (char, *splits().get(char, ()))
        same = all(sign >= _CHINESE and self._of(sign) == sign for way in ways for sign in way)
        self._plain[char] = made = ways if same else ()
        return made

    def _letters(self, term: str) -> set[str]:
        firsts = (term[0], *self._ways.get(term[0], ()))
        seconds = (term[1:2], *[way[0] for way in self._ways.get(term[1:2], ())])
        return {(one + other)[:2] for one in firsts for other in seconds}

    def _texts(self, head: str, seen: str) -> list[str]:
        ways_of = self._seen
        able = [at for at, char in enumerate(head) if char in ways_of]
        parts: list[Sequence[str]] = [*seen]
        for at in able:
            parts[at] = (seen[at], ways_of[head[at]][0])
        texts = ["".join(chosen) for chosen in product(*parts)] if able else [seen]
        texts += [seen[:at] + way + seen[at + 1 :] for at in able for way in ways_of[head[at]][1:]]
        return texts


class LatinBeginnings:
    """Of a term with characters in pinyin or as initials."""

    def __init__(self, table: CharTable) -> None:
        self._chars = table
        self._table = table.entries
        self._seen: dict[str, str] = {}

    def __call__(self, term: str, seen: str, allowed: int) -> Beginnings | None:
        if len(seen) != len(term):
            return None
        syllables = read_aloud(term)
        spoken = tuple([at for at, syllable in enumerate(syllables) if syllable != term[at]])
        pickers, firsts = _pickers(min(len(term), LETTERS), spoken, allowed)
        heads = [self._of(syllable) for syllable in syllables[:LETTERS]]
        flat = (*seen[:LETTERS], *heads, *[head[0] for head in heads])
        texts = ["".join(pick(flat)) for pick in pickers]
        written = (*term[:2], *syllables[:2], *[syllable[0] for syllable in syllables[:2]])
        letters = {"".join(pick(written))[:2] for pick in firsts}
        made = _beginnings(texts, len(term) <= LETTERS, letters, sum(map(len, syllables)))
        if made is None:
            return None
        plain = len(spoken) == len(term) and min(seen) >= _CHINESE
        return made._replace(heads=plain_heads(syllables, allowed) if plain else self._heads(term, allowed))

    def _heads(self, term: str, allowed: int) -> set[str]:
        return heads_of(latin(term, Folding(allowed)), self._chars)

    def _of(self, syllable: str) -> str:
        seen = self._seen.get(syllable)
        if seen is None:
            self._seen[syllable] = seen = syllable.translate(self._table)
        return seen


Picker = Callable[[Sequence[str]], tuple[str, ...]]


@lru_cache(4096)
def _pickers(size: int, spoken: tuple[int, ...], allowed: int) -> tuple[tuple[Picker, ...], tuple[Picker, ...]]:
    """What the different ways are put together of: so many characters, then their syllables, then their initials.

    The second ones do so for the first two characters.
    """
    kinds: dict[tuple[int, ...], None] = {}
    for how, chosen in choices(spoken, Folding(allowed)):
        kinds[tuple((1 if how is Folding.pinyin else 2) if at in chosen else 0 for at in range(size))] = None
    return _made_of(kinds, size), _made_of({kind[:2]: None for kind in kinds}, min(size, 2))


def _made_of(kinds: Iterable[tuple[int, ...]], size: int) -> tuple[Picker, ...]:
    return tuple(_picker(tuple(at + size * one for at, one in enumerate(kind))) for kind in kinds)


def _picker(places: tuple[int, ...]) -> Picker:
    if len(places) == 1:
        return lambda flat: (flat[places[0]],)
    pick: Picker = itemgetter(*places)
    return pick


def _beginnings(texts: Sequence[str], whole: bool, letters: Iterable[str], longest: int) -> Beginnings | None:
    """From texts of which equal neighbours are not made one yet; None where they are not `whole` and too short."""
    lead = 1
    joined = "\n".join(texts)
    made = collapsed(joined)
    if made is not joined:
        lead = max(map(run_length, texts))
        texts = made.split("\n") if len(texts) > 1 else [made]
    if not whole and not all(map(is_cut, texts)):
        return None
    return Beginnings({cut(text) for text in texts}, lead, letters, longest)
