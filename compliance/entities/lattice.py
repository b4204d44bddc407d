"""The cheapest reading of some characters as words and names: a shortest path through a word lattice.

Names compete with the words of the dictionary for the same characters, so 高兴 stays a word and 和平 in
李和平 does not.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from compliance.entities.model import UNKNOWN

LONGEST_WORD = 4

Kind = Literal["word", "name", "foreign"]


class Candidate(NamedTuple):
    """A span that may be a name, and the cost of reading it as one."""

    start: int
    end: int
    cost: int
    kind: Kind


def cheapest(
    text: str, start: int, end: int, words: Mapping[str, int], candidates: Sequence[Candidate]
) -> list[tuple[int, int, Kind]]:
    """The spans of the best reading of `text[start:end]`, in order, and what they are read as."""
    size = end - start
    starting: dict[int, list[Candidate]] = {}
    for one in candidates:
        starting.setdefault(one.start, []).append(one)
    best = [0] + [1 << 30] * size
    back: list[tuple[int, Kind]] = [(0, "word")] * (size + 1)
    for at in range(size):
        here = best[at]
        for after in range(at + 1, min(at + LONGEST_WORD, size) + 1):
            cost = words.get(text[start + at : start + after])
            if cost is None:
                if after > at + 1:
                    continue
                cost = UNKNOWN
            if here + cost < best[after]:
                best[after] = here + cost
                back[after] = (at, "word")
        for one in starting.get(start + at, ()):
            after = one.end - start
            if after <= size and here + one.cost < best[after]:
                best[after] = here + one.cost
                back[after] = (at, one.kind)
    spans: list[tuple[int, int, Kind]] = []
    after = size
    while after > 0:
        at, kind = back[after]
        spans.append((start + at, start + after, kind))
        after = at
    return spans[::-1]
