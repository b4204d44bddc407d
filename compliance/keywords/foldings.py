"""Disguises that a term may be looked for in, and the tables behind them (configs/foldings/).

A disguise is allowed term by term, so that strictness in one place never costs ordinary text elsewhere. The
skeleton of a text is what all disguises of single characters have in common: separators dropped, every character
replaced by one that stands for all it may be written as. Skeletons only propose; `spelling.py` disposes.
"""

import unicodedata
from dataclasses import dataclass
from enum import IntFlag
from functools import cache
from pathlib import Path

import configs
from compliance.chartable import CharTable
from compliance.taxonomy import read_text

_TABLES = Path(configs.__file__).parent / "foldings"
_PLANES = 0x20000  # the table of skeletons covers the basic plane and the emoji

MAX_GAP = 8
"""So many separators may stand between two characters of a term."""

MAX_REPEATS = 32
"""So often may a character of a term be repeated."""

MAX_EXTRA = 96
"""So many separators and repeats may stand in one term altogether; it bounds what may have to be held back."""


class Folding(IntFlag):
    """A way to disguise a term."""

    none = 0
    separators = 1  # 冰 毒, 冰.毒, h-e-r-o-i-n, emoji between
    repeats = 2  # 海洛洛因
    lookalikes = 4  # Cyrillic and Greek letters for Latin ones, l for i
    leet = 8  # h3roin
    numbers = 16  # 1夜情 for 一夜情, 叁 for 3
    pinyin = 32  # hailuoyin, 海luo因
    initials = 64  # 海l因
    split = 128  # 氵每洛因
    homophones = 256  # 嗨洛因
    acronym = 512  # hly: the whole term as initials, which much else may be short for
    reversed = 1024  # 因洛海
    fillers = 2048  # 海的洛的因

    @classmethod
    def parse(cls, names: str) -> "Folding":
        """Names joined by commas, `none`, or `all` (but what must be asked for); KeyError names an unknown one."""
        if names == "all":
            return cls(sum(cls)) & ~(cls.acronym | cls.reversed | cls.fillers)
        return cls(sum(cls[name.strip()] for name in names.split(",")))

    def names(self) -> str:
        """The names joined by commas, in a fixed order."""
        return ",".join(one.name or "" for one in type(self) if one & self)


@dataclass(frozen=True, slots=True)
class FoldingTables:
    """What one character may stand for."""

    skeleton: CharTable
    looks: dict[str, frozenset[str]]
    leet: dict[str, frozenset[str]]
    numbers: dict[str, str]

    @property
    def latin(self) -> str:
        """Every character that can be written for a Latin letter, the letters among them."""
        others = (char for table in (self.looks, self.leet) for char, meant in table.items() if meant & _LETTERS)
        return "".join(sorted({*_LETTERS, *others}))

    def meanings(self, written: str) -> list[tuple[str, Folding]]:
        """Every character that a written one may stand for, and the disguise in which it does."""
        number = self.numbers.get(written)
        same = (form for form, value in self.numbers.items() if value == number) if number is not None else ()
        candidates = {written, *self.looks.get(written, ()), *self.leet.get(written, ()), *same}
        return [(meant, how) for meant in candidates if (how := self.between(written, meant)) is not None]

    def between(self, written: str, meant: str) -> Folding | None:
        """The disguise in which `written` stands for `meant`; None if it does not."""
        if written == meant:
            return Folding.none
        if meant in self.looks.get(written, ()):
            return Folding.lookalikes
        if meant in self.leet.get(written, ()):
            return Folding.leet
        number = self.numbers.get(written)
        if number is not None and number == self.numbers.get(meant):
            return Folding.numbers
        return None


@cache
def folding_tables() -> FoldingTables:
    """The tables, read once per process."""
    looks = _pairs("lookalikes.tsv")
    looks |= {"i": looks.get("i", set()) | {"l"}}
    leet = _pairs("leet.tsv")
    numbers = {form: digit for form, digits in _pairs("numbers.tsv").items() for digit in digits}
    numbers |= {digit: digit for digit in numbers.values()}
    stands_for = _classes([*_links(looks), *_links(leet), *numbers.items()])
    skeleton = [_skeleton_of(chr(code), stands_for) for code in range(_PLANES)]
    return FoldingTables(
        CharTable(skeleton),
        {written: frozenset(meant) for written, meant in looks.items()},
        {written: frozenset(meant) for written, meant in leet.items()},
        numbers,
    )


def _pairs(name: str) -> dict[str, set[str]]:
    """Each written character and what it may mean, from rows `meant<TAB>written…`."""
    pairs: dict[str, set[str]] = {}
    for line in read_text(_TABLES / name).splitlines():
        if line and not line.startswith("#"):
            meant, written = line.split("\t")
            for char in written:
                pairs.setdefault(char, set()).add(meant)
    return pairs


def _links(pairs: dict[str, set[str]]) -> list[tuple[str, str]]:
    return [(written, one) for written, meant in pairs.items() for one in meant]


def _classes(links: list[tuple[str, str]]) -> dict[str, str]:
    """One character for each group of characters that are linked: one that is meant, rather than a disguise of it."""
    group: dict[str, set[str]] = {}
    for one, other in links:
        joined = group.get(one, {one}) | group.get(other, {other})
        group.update(dict.fromkeys(joined, joined))
    meant = {other for _, other in links}
    return {char: min(members, key=lambda one: (one not in meant, one)) for char, members in group.items()}


def _skeleton_of(char: str, stands_for: dict[str, str]) -> str:
    if char in stands_for:
        return stands_for[char]
    return "" if is_separator(char) else char


def is_separator(char: str) -> bool:
    """Whether a folded character may be put between the characters of a term without hiding it from a reader."""
    category = unicodedata.category(char)
    return category[0] in "PSZ" or category == "Cc" or char in _STROKES or 0x1F1E6 <= ord(char) <= 0x1FAFF


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")
_STROKES = "丨丶丿亅"  # strokes of characters, which nobody writes alone

HARD = frozenset(',。!?;:\n\t\r"“”()《》[]【】「」…{}<>')
"""Separators that end a phrase: they join a term only where every gap of a term of three or more has one."""

ODD = frozenset("~*_+=^`·•・|丨丶丿亅")
"""Separators that stand inside no word, so that one of them is enough to see a word cut apart (recruit~ment)."""
