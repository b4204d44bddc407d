"""Shares with Wilson intervals, paired tests, and the sums behind perplexity and KL divergence."""

import math
from collections.abc import Sequence

from pydantic import Field

from configs.strict import Strict

Z95 = 1.959963984540054  # the normal quantile of a two-sided 95% interval


class Share(Strict):
    """`count` of `of` rows, and the 95% Wilson interval of the share."""

    count: int = Field(ge=0)
    of: int = Field(ge=0)
    value: float
    low: float
    high: float

    @classmethod
    def counted(cls, hits: Sequence[bool]) -> "Share":
        """The share of true rows."""
        return cls.among(sum(hits), len(hits))

    @classmethod
    def among(cls, count: int, total: int) -> "Share":
        """`count` of `total`; without rows nothing is known, so the interval is all of 0 to 1."""
        low, high = wilson(count, total)
        return cls(count=count, of=total, value=count / total if total else 0.0, low=low, high=high)


class Paired(Strict):
    """A yes-or-no question asked of both models on the same rows. `p_value` is McNemar's exact, two-sided."""

    base: Share
    variant: Share
    only_base: int
    only_variant: int
    p_value: float

    @classmethod
    def of(cls, base: Sequence[bool], variant: Sequence[bool]) -> "Paired":
        """Compare row by row; the sequences are equally long."""
        pairs = list(zip(base, variant, strict=True))
        only_base = sum(b and not v for b, v in pairs)
        only_variant = sum(v and not b for b, v in pairs)
        return cls(
            base=Share.counted(base),
            variant=Share.counted(variant),
            only_base=only_base,
            only_variant=only_variant,
            p_value=mcnemar(only_base, only_variant),
        )

    @property
    def rise(self) -> float:
        """By how much the variant's share is above the base's; negative when below."""
        return self.variant.value - self.base.value


def wilson(count: int, total: int, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval of a share. Source: Wilson, JASA 22 (1927), 209-212."""
    if total == 0:
        return 0.0, 1.0
    share = count / total
    scale = 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    # At the ends the formula gives 0 and 1 but for rounding.
    return (0.0 if count == 0 else middle - half), (1.0 if count == total else middle + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value of McNemar's test: a fair coin among the rows on which the two differ."""
    differ = only_first + only_second
    tail = sum(math.comb(differ, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2.0 * tail / 2.0**differ)


def mean(values: Sequence[float]) -> float:
    """The mean; 0 without values."""
    return math.fsum(values) / len(values) if values else 0.0


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95% normal interval of a mean; the mean itself for fewer than two values."""
    middle = mean(values)
    if len(values) < 2:
        return middle, middle
    variance = math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1)
    half = Z95 * math.sqrt(variance / len(values))
    return middle - half, middle + half


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that `share` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def perplexity(negative_log_likelihoods: Sequence[float]) -> float:
    """exp of the mean negative log-likelihood per token, in nats."""
    return math.exp(mean(negative_log_likelihoods))
