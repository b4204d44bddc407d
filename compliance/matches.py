"""What scanners hand to the gate, and the rule for matches that lie inside one another."""

from dataclasses import dataclass
from typing import Protocol

from compliance.deadline import Deadline
from compliance.verdict import Action, Severity


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a match stands for, the same wherever it is found; `strength` settles equal spans."""

    scanner: str
    type: str
    risk: str
    severity: Severity
    rule: str
    why: str
    action: Action
    placeholder: str
    strength: int


class Match:
    """A decided match in folded offsets of the window it was found in."""

    __slots__ = ("end", "folding", "meaning", "start")

    def __init__(self, start: int, end: int, meaning: Meaning, folding: str = "") -> None:
        self.start = start
        self.end = end
        self.meaning = meaning
        self.folding = folding


class Scan(Protocol):
    """One scanner at work on one stream."""

    name: str

    def advance(self, window: str, seen: int, final: bool, deadline: Deadline) -> tuple[list[Match], int]:
        """Look at `window[seen:]`; return what is newly decided and the first undecided position.

        Every match that starts before that position has been returned, whatever text comes later.
        """
        ...

    def forget(self, count: int) -> None:
        """The first `count` characters of the window are gone: shift remembered positions."""
        ...


class Scanner(Protocol):
    """A compiled set of rules, shared by all streams; `reach` is the left context it looks back to."""

    name: str
    reach: int

    def start(self) -> Scan: ...

    def warm_up(self) -> None: ...


def dominates(outer: Meaning, outer_span: tuple[int, int], inner: Meaning, inner_span: tuple[int, int]) -> bool:
    """Whether `inner` need not be reported because `outer` of the same scanner covers it.

    The longer match wins unless the inner one asks for a stricter action. Of equal spans the stronger
    type wins (an ID card is not also a bank card); two keywords of different risk both stay.
    """
    if outer.scanner != inner.scanner or outer.action.rank < inner.action.rank:
        return False
    if outer_span == inner_span:
        return outer.strength > inner.strength
    return outer_span[0] <= inner_span[0] and inner_span[1] <= outer_span[1]
