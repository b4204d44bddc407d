"""Whether the n-grams of a sentence may add up to harm at all, told in whole numbers.

The weights of an n-gram for all risks are one long number, rounded up, with 32 bits for each risk: one addition adds
for all risks, at a third of what a few calls of numpy cost. What is told is never less than the harm.
"""

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

_STEPS = 256
"""So many steps make 1: the sum of 100 n-grams is at most 0.4 too high."""

_BIAS = 1 << 20
_TOP = 1 << 31


class HarmBound:
    """Immutable. A risk reaches its top bit where it alone might reach the lowest harm that is reported."""

    def __init__(
        self,
        ngrams: Sequence[str],
        weights: npt.NDArray[np.floating],
        bias: npt.NDArray[np.floating],
        lowest: float,
    ) -> None:
        """`weights`: a row per n-gram, a column per risk. `lowest`: log-odds below which no sum of risks counts."""
        least = -int(np.floor(weights.min() * _STEPS))
        size = 4 * weights.shape[1]
        rows = _rounded_up(weights, least).tobytes()
        starts = range(0, len(rows), size)
        self._rows = {
            ngram: int.from_bytes(rows[at : at + size], "little") for ngram, at in zip(ngrams, starts, strict=True)
        }
        ones = int.from_bytes(_rounded_up(np.zeros_like(bias), 1).tobytes(), "little")
        alone = int(np.floor((lowest - np.log(len(bias))) * _STEPS)) - 1  # the sum of all is at most so many times one
        self._start = int.from_bytes(_rounded_up(bias, _BIAS).tobytes(), "little") + ones * (_TOP - _BIAS - alone)
        self._least = ones * least
        self._tops = ones * _TOP

    def may_reach(self, hits: Collection[str]) -> bool:
        """Whether these different n-grams together may come to the lowest harm."""
        total = sum(map(self._rows.__getitem__, hits), self._start) - self._least * len(hits)
        return total & self._tops != 0


def _rounded_up(numbers: npt.NDArray[np.floating], more: int) -> npt.NDArray[np.uint32]:
    return (np.ceil(numbers.astype(np.float64) * _STEPS) + more).astype("<u4")
