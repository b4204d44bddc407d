"""Whether a term may be what begins like a text, told without making the ways to write it. Spellings dispose."""

from collections.abc import Callable
from itertools import islice, takewhile
from operator import ne

from compliance.keywords.foldings import HARD, MAX_GAP
from compliance.keywords.heads import CHINESE
from compliance.keywords.spelling import Alphabet


def leading_signs(pattern: str) -> str:
    """The characters before the first letter: of a way in Latin letters they are the term's own."""
    return "".join(takewhile(lambda char: char >= CHINESE, pattern))


def enough_alike(alphabet: Alphabet, beginning: str) -> Callable[[str], bool]:
    """Whether enough characters of a term are not only heard but written in a beginning."""
    written = alphabet.table.map_collapsed(beginning)
    seen_as = alphabet.table.entries
    aligned = len(written) == sum(1 for char in beginning if alphabet.of(char))

    def fits(term: str) -> bool:
        only_heard: int = sum(map(ne, term.translate(seen_as), written))
        return not aligned or only_heard <= len(term) // 2

    return fits


def alike_twice(alphabet: Alphabet, beginning: str) -> Callable[[str], bool]:
    """Whether the first two characters of a term may be what a beginning has twice."""
    of, between = alphabet.of, alphabet.between
    second = next(islice(filter(of, beginning), 1, None))

    def fits(term: str) -> bool:
        first, after = islice(filter(of, term), 2)
        return of(first) == of(after) or between(second, after) is not None

    return fits


def is_parted(alphabet: Alphabet, beginning: str) -> bool:
    """Whether a gap is too long, or ends a phrase where others don't: only its own marks let a term have that."""
    joined = hard = False
    previous = ""
    gap = 0
    for char in beginning:
        seen = alphabet.of(char)
        if seen:
            joined = joined or (not gap and previous not in ("", seen))
            previous = seen
            gap = 0
        else:
            hard = hard or char in HARD
            gap += 1
            if gap > MAX_GAP:
                return True
    return joined and hard


def may_be_parted(alphabet: Alphabet, term: str) -> bool:
    """Whether a term has such gaps of its own."""
    return not HARD.isdisjoint(term) or sum(1 for char in term if not alphabet.of(char)) > MAX_GAP
