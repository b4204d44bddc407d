"""Scanners that judge whole sentences: classifiers, named entities, prompt injection.

A sentence ends at 。 ! ? ; a line break, a full stop before a space, or after `MAX_SENTENCE` characters, so where it
ends depends on the text alone and never on how the text was cut into pieces.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from compliance.deadline import Deadline
from compliance.matches import Match, Meaning

MAX_SENTENCE = 256
"""Longest sentence in folded characters; it bounds what a strict judgement may hold back."""

Hold = Literal["strict", "cutoff"]

# One class of characters first, so that most text is passed over quickly.
_END = re.compile(r"[。!?;\s](?:(?<=[。!?;\n])|(?<=\.\s)(?<!(?:no|mr|ms|dr|st|co|rm)\.\s)(?<!(?:mrs|apt)\.\s))")


def sentence_ends(text: str, start: int = 0, seen: int = 0, *, final: bool = True) -> list[int]:
    """Where sentences end that begin at `start`; a long one is cut. Up to `seen` no end is looked for.

    If the text is not `final`, a sentence that it leaves open has no end yet.
    """
    ends = [match.end() for match in _END.finditer(text, max(seen, start))]
    if len(text) - start < MAX_SENTENCE:
        if final and (ends[-1] if ends else start) < len(text):
            ends.append(len(text))
        return ends
    return _with_cuts(text, start, ends, final)


def _with_cuts(text: str, start: int, found: list[int], final: bool) -> list[int]:
    """These ends of sentences, and where those that are too long are cut."""
    ends: list[int] = []
    for end in found:
        start = _cut(start, end, ends)
        if start < end:
            start = end
            ends.append(start)
    start = _cut(start, len(text), ends)
    if len(text) - start == MAX_SENTENCE or (final and start < len(text)):
        ends.append(len(text))
    return ends


def _cut(start: int, end: int, ends: list[int]) -> int:
    """Cut what is longer than a sentence may be; where the rest begins."""
    while end - start > MAX_SENTENCE:
        start += MAX_SENTENCE
        ends.append(start)
    return start


class Judged(NamedTuple):
    """A span of the sentence, in its own folded offsets, and what it stands for."""

    start: int
    end: int
    meaning: Meaning


class SentenceJudge(Protocol):
    """Judges one folded sentence at a time; immutable, shared by all streams."""

    name: str

    def judge(self, sentence: str, deadline: Deadline) -> Sequence[Judged]: ...

    def warm_up(self) -> None: ...


class SentenceScanner:
    """A sentence judge as a scanner. `strict` holds a sentence until it is judged; `cutoff` lets it go out
    meanwhile, so that a judgement only stops what comes after it. Masks need `strict`.
    """

    reach = MAX_SENTENCE

    def __init__(self, judge: SentenceJudge, hold: Hold) -> None:
        self.name = judge.name
        self._judge = judge
        self._hold = hold

    def warm_up(self) -> None:
        self._judge.warm_up()

    def start(self) -> "SentenceScan":
        return SentenceScan(self._judge, self._hold)


class SentenceScan:
    """One stream's state: where in the window the open sentence begins."""

    def __init__(self, judge: SentenceJudge, hold: Hold) -> None:
        self.name = judge.name
        self._judge = judge
        self._strict = hold == "strict"
        self._start = 0

    def advance(self, window: str, seen: int, final: bool, deadline: Deadline) -> tuple[list[Match], int]:
        size = len(window)
        matches: list[Match] = []
        if final or size - self._start >= MAX_SENTENCE or _END.search(window, seen):
            judge, start = self._judge.judge, self._start
            for end in sentence_ends(window, start, seen, final=final):
                found = judge(window[start:end], deadline)
                if found:
                    matches += [Match(start + one.start, start + one.end, one.meaning) for one in found]
                self._start = start = end
        return matches, self._start if self._strict else size

    def forget(self, count: int) -> None:
        self._start -= count
