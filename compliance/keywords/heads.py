"""How ways go on that begin in letters or digits, so that a beginning in letters is settled without making each way.

Hundreds of terms begin like a short piece of a Latin word, in hundreds of ways each. As long as no Chinese character
has come, all ways of a term go on like a few of them: all of it in pinyin, or its first character as an initial. A
head is such a way up to its first Chinese character. Heads say what may go on; spellings read whether it does.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from compliance.chartable import CharTable
from compliance.keywords.foldings import ODD, Folding
from compliance.keywords.variants import Variant
from compliance.unicode import is_word

BORDER = " "
"""Stands in a head where separators are free: before each syllable. No way has a separator there of its own."""

CHINESE = "\u2e80"
_SEPARATORS, _REPEATS = int(Folding.separators), int(Folding.repeats)
_INITIALS, _ACRONYM, _PINYIN = int(Folding.initials), int(Folding.acronym), int(Folding.pinyin)


def plain_heads(syllables: Sequence[str], allowed: int) -> list[str]:
    """The heads of a term of which every character has a syllable, and none is a numeral."""
    heads = [BORDER.join(syllables)] if allowed & _PINYIN else []
    if allowed & _ACRONYM:
        heads.append(BORDER.join([syllable[0] for syllable in syllables]))
    if allowed & _INITIALS and len(syllables) >= 3:
        heads.append(syllables[0][0] + BORDER)
    return heads


def heads_of(ways: Iterable[Variant], table: CharTable) -> set[str]:
    """How ways begin, up to the first character that a view has as a Chinese one."""
    heads = {_head(way, table) for way in ways}
    heads.discard("")
    return heads


def _head(way: Variant, table: CharTable) -> str:
    head = ""
    previous = ""
    for at, char in enumerate(way.text):
        seen = table.of(char)
        if seen >= CHINESE:
            return head + BORDER if head else ""
        if seen:
            inside = is_word(previous) and is_word(char) and not way.borders >> at & 1 if previous else True
            head += char if inside else BORDER + char
        previous = char
    return head


class Heads:
    """The heads of all terms of a view, sorted, and whose they are."""

    def __init__(self, heads: Iterable[tuple[str, int]], meanings: Callable[[str], list[tuple[str, Folding]]]) -> None:
        pairs = sorted(heads)
        self._heads = [head for head, _ in pairs]
        self._entries = array("I", [entry for _, entry in pairs])
        self._meanings = meanings

    def going_on(self, beginning: str, of: Callable[[str], str]) -> Iterator[tuple[int, int]]:
        """The entries that may go on from a beginning in Latin letters, each with the disguises that takes."""
        states = [_State("", 0, False, False)]
        gap = run = previous = ""
        runs = 0
        for char in beginning:
            seen = of(char)
            if not seen:
                gap += char
                continue
            run, runs = (run + char, runs) if seen == previous else (char, runs + 1)
            again = runs > 1 and len(run) > 1 and any(meant in run[:-1] for meant, _ in self._meanings(char))
            states = list(dict.fromkeys(state for one in states for state in self._taken(one, char, gap, again)))
            if not states:
                return
            gap, previous = "", seen
        for state in states:
            yield from self._in_all(state, gap)

    def _taken(self, state: "_State", char: str, gap: str, again: bool) -> Iterator["_State"]:
        """Where a reading may stand after a gap and one character more."""
        inside = _inside_word(state, gap) if state.head else (False, False)
        border = state.head + BORDER if state.head else ""
        for meant, how in self._meanings(char):
            used = state.used | int(how)
            if border and self._known(border + meant):
                yield _State(border + meant, used, False, False)  # a separator there may be the term's own
            if inside is not None and self._known(state.head + meant):
                yield _State(state.head + meant, used | (_SEPARATORS if gap else 0), *inside)
        if again and (not gap or inside is not None or not is_word(state.head[-1])):
            yield _State(state.head, state.used | _REPEATS, state.close, state.apart)

    def _known(self, head: str) -> bool:
        at = bisect_left(self._heads, head)
        return at < len(self._heads) and self._heads[at].startswith(head)

    def _in_all(self, state: "_State", gap: str) -> Iterator[tuple[int, int]]:
        head = state.head if not gap or _inside_word(state, gap) else state.head + BORDER
        at = bisect_left(self._heads, head)
        while at < len(self._heads) and self._heads[at].startswith(head):
            yield self._entries[at], state.used
            at += 1


class _State(NamedTuple):
    """A reading: the head so far, the disguises it took, and how the letters of its last syllable stand."""

    head: str
    used: int
    close: bool
    apart: bool


def _inside_word(state: _State, gap: str) -> tuple[bool, bool] | None:
    """How the letters of a syllable stand after a gap in it; None where they may not stand so."""
    if not gap:
        return None if state.apart else (True, False)
    if ODD.issuperset(gap):
        return state.close, state.apart
    return None if state.close else (False, True)
