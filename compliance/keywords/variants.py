"""How a term may be written with other characters than its own: pinyin, initials, numerals, split characters."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import configs
from compliance.keywords.foldings import Folding
from compliance.keywords.pinyin import read_aloud
from compliance.taxonomy import read_text
from compliance.unicode import fold

_SPLITS = Path(configs.__file__).parent / "foldings" / "splits.tsv"


LATIN = Folding.pinyin | Folding.initials | Folding.acronym


LONG_TERM = 12
"""From more characters on nobody writes just two of them in pinyin."""

MOST_SPLIT = 4
"""Of so many characters that can be split all choices are looked for."""


FILLERS = "的之"
"""Characters that say nothing between two others."""


class Variant(NamedTuple):
    """A text to look for; bit i of `borders` marks where a syllable begins, `used` the disguise that it is."""

    text: str
    borders: int
    used: Folding


def native(term: str, allowed: Folding) -> Iterator[Variant]:
    """The other ways to write a folded term in Chinese characters that `allowed` names."""
    if Folding.split in allowed:
        yield from split(term)
    if Folding.numbers in allowed and has_number(term):
        yield Variant(_NUMBER.sub(lambda found: numeral(found.group()), term), 0, Folding.numbers)
    if Folding.reversed in allowed and term != term[::-1]:
        yield Variant(term[::-1], 0, Folding.reversed)
    if Folding.fillers in allowed:
        yield from filled(term)


def filled(term: str) -> Iterator[Variant]:
    """With a filler in one place between its characters, or in all of them."""
    for filler in FILLERS:
        for at in range(1, len(term)):
            yield Variant(term[:at] + filler + term[at:], 0, Folding.fillers)
        if len(term) > 2:
            yield Variant(filler.join(term), 0, Folding.fillers)


def has_number(term: str) -> bool:
    """Whether there is a number in a term that may be read out."""
    return _NUMBER.search(term) is not None


def latin(term: str, allowed: Folding) -> Iterator[Variant]:
    """With some or all of the Chinese characters in pinyin, one of them as its initial, or all as initials."""
    if not allowed & LATIN:
        return
    syllables = read_aloud(term)
    spoken = [at for at, syllable in enumerate(syllables) if syllable != term[at]]
    for how, chosen in choices(spoken, allowed):
        instead = {at: syllables[at] if how is Folding.pinyin else syllables[at][0] for at in chosen}
        yield _written(term, instead, how)


def choices(spoken: Sequence[int], allowed: Folding) -> Iterator[tuple[Folding, tuple[int, ...]]]:
    """Which of the characters that have a syllable are written in Latin letters, and in which disguise."""
    if Folding.pinyin in allowed and spoken:
        yield from ((Folding.pinyin, chosen) for chosen in _choices(spoken))
    if Folding.initials in allowed and len(spoken) >= 3:
        yield from ((Folding.initials, (at,)) for at in spoken)
    if Folding.acronym in allowed and spoken:
        yield Folding.acronym, tuple(spoken)


def _choices(spoken: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All choices of a short term's characters; of a longer one's any in a row, or two; of a very long one's one or
    all.
    """
    count = len(spoken)
    if count <= 3:
        for size in range(1, count + 1):
            yield from combinations(spoken, size)
    elif count <= LONG_TERM:
        yield from combinations(spoken, 2)
        yield from (
            tuple(spoken[at : at + size]) for size in (1, *range(3, count + 1)) for at in range(count - size + 1)
        )
    else:
        yield from ((at,) for at in spoken)
        yield tuple(spoken)


def split(term: str) -> Iterator[Variant]:
    """With any of the characters in their parts; of a term with many that can be split, one, two or all of them.

    Where there are several ways to split a character, the others are looked for where it is the only one.
    """
    known = splits()
    able = {at: known[char] for at, char in enumerate(term) if char in known}
    sizes = range(1, len(able) + 1) if len(able) <= MOST_SPLIT else (1, 2, len(able))
    for size in sizes:
        for chosen in combinations(able, size):
            signs = list(term)
            for at in chosen:
                signs[at] = able[at][0]
            yield Variant("".join(signs), 0, Folding.split)
    for at, ways in able.items():
        for way in ways[1:]:
            yield Variant(term[:at] + way + term[at + 1 :], 0, Folding.split)


def numeral(digits: str) -> str:
    """A number from 10 to 99 as it is read out: 24 is 二十四."""
    tens, ones = digits[0], digits[1]
    return ("" if tens == "1" else _DIGITS[int(tens)]) + "十" + (_DIGITS[int(ones)] if ones != "0" else "")


_NUMBER = re.compile(r"(?<![0-9])[1-9][0-9](?![0-9])")
_DIGITS = "零一二三四五六七八九"


def _written(term: str, instead: dict[int, str], used: Folding) -> Variant:
    text = ""
    borders = 0
    for at, char in enumerate(term):
        if at in instead or at - 1 in instead:
            borders |= 1 << len(text)
        text += instead.get(at, char)
    return Variant(text, borders, used)


@cache
def splits() -> dict[str, tuple[str, ...]]:
    """The ways to write each character apart, folded, read once per process."""
    rows = (line.split("\t") for line in read_text(_SPLITS).splitlines() if line and not line.startswith("#"))
    return {char: tuple(fold(way) for way in ways.split()) for char, ways in rows}
