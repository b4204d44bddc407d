"""What is counted, and the measures made of it."""

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict


class Span(NamedTuple):
    """A stretch of a text and what it is said to be: a type of personal information, or a risk."""

    start: int
    end: int
    kind: str


class _Counts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Counts):
    """So many of all. `value` is None where there is nothing to count."""

    hits: int = 0
    total: int = 0

    @property
    def value(self) -> float | None:
        return self.hits / self.total if self.total else None

    def and_also(self, other: "Rate") -> "Rate":
        return Rate(hits=self.hits + other.hits, total=self.total + other.total)


class Score(_Counts):
    """True positives, false positives, false negatives."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    @property
    def precision(self) -> float | None:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def f1(self) -> float | None:
        whole = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / whole if whole else None

    def and_also(self, other: "Score") -> "Score":
        return Score(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn)


def rate(hits: Iterable[bool]) -> Rate:
    """How many of these are true."""
    answers = list(hits)
    return Rate(hits=sum(answers), total=len(answers))


def strict_scores(expected: Iterable[Span], found: Iterable[Span]) -> dict[str, Score]:
    """One score for each kind: a found span counts where start, end and kind are those expected."""
    wanted, got = set(expected), set(found)
    return {
        kind: Score(
            tp=sum(1 for one in wanted & got if one.kind == kind),
            fp=sum(1 for one in got - wanted if one.kind == kind),
            fn=sum(1 for one in wanted - got if one.kind == kind),
        )
        for kind in sorted({one.kind for one in wanted | got})
    }


def touches(wanted: Span, found: Iterable[Span]) -> bool:
    """Whether a found span of the same kind shares a character with the wanted one."""
    return any(one.kind == wanted.kind and one.start < wanted.end and wanted.start < one.end for one in found)


def row_score(harmful: Rate, harmless: Rate) -> Score:
    """A score over whole texts: hits among the harmful are right, hits among the harmless are wrong."""
    return Score(tp=harmful.hits, fp=harmless.hits, fn=harmful.total - harmful.hits)


def total(scores: Iterable[Score]) -> Score:
    """All counts added up, so that frequent kinds weigh more (micro average)."""
    whole = Score()
    for one in scores:
        whole = whole.and_also(one)
    return whole
