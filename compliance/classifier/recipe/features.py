"""Character n-grams of sentences: which ones are candidates, and which of them a sentence has."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LONGEST = 2


@dataclass(frozen=True, slots=True)
class Incidence:
    """A sparse 0/1 matrix: row `i` has ones at `columns[starts[i]:starts[i + 1]]`."""

    starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    width: int

    @property
    def height(self) -> int:
        return len(self.starts) - 1

    def transposed(self) -> "Incidence":
        """The same matrix, rows and columns exchanged."""
        rows = np.repeat(np.arange(self.height), np.diff(self.starts))
        order = np.argsort(self.columns, kind="stable")
        counts = np.bincount(self.columns, minlength=self.width)
        return Incidence(np.concatenate(([0], np.cumsum(counts))), rows[order], self.height)


def stacked(above: Incidence, below: Incidence) -> Incidence:
    """The rows of both, one above the other."""
    starts = np.concatenate((above.starts, above.starts[-1] + below.starts[1:]))
    return Incidence(starts, np.concatenate((above.columns, below.columns)), above.width)


def candidates(sentences: Iterable[str], least: int) -> list[str]:
    """N-grams that stand in at least so many sentences, in a fixed order."""
    counts: Counter[str] = Counter()
    for sentence in sentences:
        counts.update(ngrams(sentence))
    return sorted(ngram for ngram, count in counts.items() if count >= least)


def incidence(sentences: Sequence[str], features: Sequence[str]) -> Incidence:
    """Which sentence has which feature."""
    index = {feature: number for number, feature in enumerate(features)}
    starts = [0]
    columns: list[int] = []
    for sentence in sentences:
        columns += sorted(index[ngram] for ngram in ngrams(sentence) if ngram in index)
        starts.append(len(columns))
    return Incidence(np.array(starts), np.array(columns, dtype=np.int64), len(features))


def ngrams(folded: str) -> set[str]:
    """The distinct n-grams of letters and digits; none reaches over punctuation or blanks."""
    found: set[str] = set()
    for size in range(1, LONGEST + 1):
        for start in range(len(folded) - size + 1):
            ngram = folded[start : start + size]
            if ngram.isalnum():
                found.add(ngram)
    return found
