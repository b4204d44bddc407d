"""Words looked for through disguises: separators inside them, look-alike letters, digits written for letters.

A word stands in a text as it is, or in disguise: its skeleton stands in the text's skeleton, every character is one
that may be written for its own, and nothing but separators is put between them. No regular expression is built from
words, so no text can make one go back and forth.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, cached_property
from itertools import pairwise

import ahocorasick_rs

from compliance.keywords.foldings import folding_tables

HAN = "\u3400-\u9fff"
MAX_BETWEEN = 3
"""So many separators may be put between two characters of a word."""

_REMEMBERED = 4096
"""So many answers about beginnings of words are kept; texts repeat themselves."""

_APART = frozenset(",:。!?;\"'")  # what parts phrases is not put into words: 忘。记得 is no 忘记
_NO_WORD = re.compile(r"[\W_]+")
_PARTED = re.compile(rf"[{re.escape(''.join(_APART))}]|[\W_]{{{MAX_BETWEEN + 2},}}")
_SOFT = r" \t\n\r\-_.*~|/\\^·+=#\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"


@cache
def ways_to_write(char: str) -> str:
    """The character and all that may be written for it."""
    tables = folding_tables()
    pairs = (*tables.looks.items(), *tables.leet.items()) if "a" <= char <= "z" else ()
    return char + "".join(written for written, meant in pairs if char in meant)


@cache
def _skeleton_table() -> dict[int, str]:
    """Look-alikes made the letter they stand for, the first one where they stand for several; i and l are one."""
    table = {ord("l"): "i"}
    for letter in "oieastbgzcdfhjkmnpqruvwxy":
        for written in ways_to_write(letter)[1:]:
            table.setdefault(ord(written), letter)
    return table


def skeleton(text: str) -> str:
    """What all disguises of a text have in common."""
    return _NO_WORD.sub("", text.translate(_skeleton_table()))


@cache
def odd() -> re.Pattern[str]:
    """A sign of disguise: separators inside words, digits or foreign letters among Latin ones.

    It begins with one class of characters, so that ordinary text is left almost at once.
    """
    foreign = "".join(sorted({w for one in "abcdefghijklmnopqrstuvwxyz" for w in ways_to_write(one) if w > "\x7f"}))
    digits = "0-9@$"
    return re.compile(
        f"[{_SOFT}{digits}{re.escape(foreign)}](?:"
        f"(?<=[{HAN}][{_SOFT}])[{_SOFT}]{{0,2}}(?=[{HAN}])"
        rf"|(?<=[a-z][\-_.*~|/\\^·+=#])(?=[a-z])"
        rf"|(?<=[a-z]\s)\s{{1,3}}(?=[a-z])|(?<=[a-z][\n\r\t])(?=[a-z])"
        rf"|(?<=[a-z0-9][{_SOFT}])[{_SOFT}]{{0,2}}[a-z0-9@$](?:[{_SOFT}]{{1,3}}(?=[a-z0-9@$])|\Z)"
        f"|(?<=[{digits}])(?=[a-z])|(?<=[a-z][{digits}])"
        f"|(?<=[{re.escape(foreign)}])(?=[a-z])|(?<=[a-z][{re.escape(foreign)}])"
        ")"
    )


def is_latin(char: str) -> bool:
    """Whether a folded character joins into Latin words."""
    return "a" <= char <= "z" or "0" <= char <= "9"


class View:
    """A piece of text from `start` on and, where it looks disguised, its skeleton."""

    def __init__(self, window: str, start: int) -> None:
        self.window = window
        self.start = start
        self.region = window[start:] if start else window
        self.bare = skeleton(self.region) if odd().search(self.region) else ""

    @cached_property
    def places(self) -> list[int]:
        """Where in the window each character of the skeleton stands."""
        return [self.start + at for at, char in enumerate(self.region) if char.isalnum() or char in "@$"]


class WordFinder:
    """Finds all of some words at once; immutable."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = tuple(words)
        self._plain = ahocorasick_rs.AhoCorasick(self.words)
        self._alike: dict[str, list[int]] = {}
        for index, word in enumerate(self.words):
            if len(skeleton(word)) > 1 and not _LITERAL.search(word):
                self._alike.setdefault(skeleton(word), []).append(index)
        self._skeletons = tuple(self._alike)
        self._bare = ahocorasick_rs.AhoCorasick(self._skeletons) if self._skeletons else None
        self._prefixes = frozenset(word[:size] for word in self.words for size in range(1, len(word)))
        self._bare_prefixes = frozenset(one[:size] for one in self._skeletons for size in range(1, len(one)))
        self.firsts = frozenset(char for word in self.words for char in ways_to_write(word[0]))
        self._odd = odd()
        self._known: dict[str, bool] = {}

    def stands_in(self, region: str) -> bool:
        """Whether one of the words may stand here; most text ends with this question."""
        hits = self._plain.find_matches_as_indexes(region, overlapping=True)
        return bool(hits) or self._odd.search(region) is not None

    def find(self, view: View) -> Iterator[tuple[int, int, int]]:
        """The index, start and end of every word; a Latin one at the end of the text may still go on."""
        for index, start, end in self._plain.find_matches_as_indexes(view.region, overlapping=True):
            if _at_borders(view.window, view.start + start, view.start + end):
                yield index, view.start + start, view.start + end
        if view.bare and self._bare is not None:
            for number, first, after in self._bare.find_matches_as_indexes(view.bare, overlapping=True):
                places = view.places[first:after]
                start, end = places[0], places[-1] + 1
                for index in self._alike[self._skeletons[number]]:
                    if _in_disguise(view.window, places, self.words[index]) and _at_borders(view.window, start, end):
                        yield index, start, end

    def may_begin(self, window: str, start: int) -> bool:
        """Whether more text can make one of the words of what stands from `start` to the end; may say yes too often."""
        char = window[start]
        if char not in self.firsts or (start and is_latin(char) and is_latin(window[start - 1])):
            return False
        beginning = window[start:]
        known = self._known.get(beginning)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = beginning in self._prefixes or (
                skeleton(beginning) in self._bare_prefixes and not _PARTED.search(beginning)
            )
            self._known[beginning] = known
        return known


_LITERAL = re.compile(r"[^\w\s'\-]|_")


def _at_borders(window: str, start: int, end: int) -> bool:
    if is_latin(window[start]) and start and is_latin(window[start - 1]):
        return False
    return not (end < len(window) and is_latin(window[end - 1]) and is_latin(window[end]))


def _in_disguise(window: str, places: Sequence[int], word: str) -> bool:
    """Whether the characters at these places are a word, with the signs of a disguise between or among them."""
    chars = [char for char in word if char.isalnum()]
    gaps = [window[one + 1 : other] for one, other in pairwise(places)]
    if not all(window[at] in ways_to_write(char) for at, char in zip(places, chars, strict=True)):
        return False
    if any(len(gap) > MAX_BETWEEN + 1 or not _APART.isdisjoint(gap) for gap in gaps if gap):
        return False
    return odd().search(window, places[0], places[-1] + 1) is not None


def any_of(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern of these words as they are."""
    return re.compile("|".join(map(re.escape, words)) or "(?!)")
