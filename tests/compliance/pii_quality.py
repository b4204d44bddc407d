"""Precision, recall and F1 of exact spans over a golden table; run as a module it prints them by type."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.compliance.helpers import read_cases

Span = tuple[int, int, str]


@dataclass
class Score:
    """Counts of right, wrong and missed spans."""

    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, expected: Iterable[Span], found: Iterable[Span]) -> None:
        wanted, got = set(expected), set(found)
        self.right.update(kind for _, _, kind in wanted & got)
        self.wrong.update(kind for _, _, kind in got - wanted)
        self.missed.update(kind for _, _, kind in wanted - got)

    def of(self, *kinds: str) -> tuple[float, float, float]:
        """Precision, recall and F1 of some types, all where none is named."""
        chosen = kinds or tuple({*self.right, *self.wrong, *self.missed})
        right, wrong, missed = (
            sum(counts[kind] for kind in chosen) for counts in (self.right, self.wrong, self.missed)
        )
        precision = right / (right + wrong) if right + wrong else 1.0
        recall = right / (right + missed) if right + missed else 1.0
        return precision, recall, 2 * right / (2 * right + wrong + missed) if right + wrong + missed else 1.0


def expected_spans(row: Mapping[str, Any]) -> list[Span]:
    """The values of a row in the order they stand in its text, by offsets."""
    spans: list[Span] = []
    at = 0
    for kind, value in row["found"]:
        start = row["text"].index(value, at)
        at = start + len(value)
        spans.append((start, at, kind))
    return spans


def without_inner(spans: Sequence[Span]) -> list[Span]:
    """Of spans of one type that overlap only the longest stays: two scanners may find the same value."""
    kept: list[Span] = []
    for span in sorted(set(spans), key=lambda one: (one[0] - one[1], one)):
        if not any(span[2] == other[2] and span[0] < other[1] and other[0] < span[1] for other in kept):
            kept.append(span)
    return sorted(kept)


def main() -> None:
    from compliance.build import build_pipeline, shipped_settings

    pipeline = build_pipeline(shipped_settings())
    score = Score()
    for row in read_cases(sys.argv[1] if len(sys.argv) > 1 else "pii_spans"):
        findings = pipeline.scan(row["text"], "prompt").findings
        found = [(one.start, one.end, one.type) for one in findings if one.risk == "personal_info"]
        score.add(expected_spans(row), without_inner(found))
    for kind in ("", *sorted({*score.right, *score.wrong, *score.missed})):
        precision, recall, f1 = score.of(*[kind] if kind else [])
        print(f"{kind or 'all':<18}{precision:8.4f}{recall:8.4f}{f1:8.4f}  {score.right[kind]}")  # noqa: T201


if __name__ == "__main__":
    main()
